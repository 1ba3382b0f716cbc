//! Storage that changes: new keys, and another store. What a user of the charm does, and what one without it would do.

use std::{fs, path::PathBuf, process::Command};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{
    BenchError, World, command,
    cost::{Cost, total},
    task::Task,
};
use crate::{
    images,
    juju::{DeployOptions, Model, SecretUri},
    object_store::{GcsError, service_account_key},
    pod_additions::KeptAdditions,
};

/// The charm that tells of the first store.
pub(super) const INTEGRATOR: &str = "s3-integrator";

/// The charm that tells of the second store.
pub(super) const SECOND_INTEGRATOR: &str = "gcs-integrator";

/// The time at which the server last validated the storage.
const VALIDATED: &str = "jsonpath={.status.lastValidationTime}";

impl World {
    /// Lets the integrator tell new keys.
    pub(super) fn renew_keys(&self, model: &Model, round: u32) -> Result<(), BenchError> {
        let (access_key, secret_key) = self.new_keys(&format!("charm-{round}"))?;
        model.sync_s3_credentials(INTEGRATOR, &access_key, &secret_key)?;
        Ok(())
    }

    /// New keys of the S3 server.
    fn new_keys(&self, user: &str) -> Result<(String, String), BenchError> {
        let keys = (format!("bench-{user}"), format!("secret-of-{user}"));
        self.runtime.block_on(self.store.create_user(&keys.0, &keys.1))?;
        Ok(keys)
    }

    /// Leads the Velero of a namespace to the second store, where the cloud's own would need no leading.
    pub(super) fn lead_to_second_store(&self, namespace: &str) -> Result<KeptAdditions, BenchError> {
        let gcs = self.second_store.access();
        gcs.bucket(Self::BUCKET).map_err(GcsError::from)?;
        let kept = self.runtime.block_on(gcs.pod_additions().keep(self.cluster.access(), namespace))?;
        self.runtime.block_on(self.objects.added_to(namespace))?;
        self.rest(namespace)?;
        Ok(kept)
    }

    /// Deploys what gives the charm its second storage.
    pub(super) fn offer_second_storage(&self, model: &Model) -> Result<(), BenchError> {
        let key = self.runtime.block_on(service_account_key("bench"))?;
        let secret: SecretUri = model.add_user_secret("bench-key", &[("secret-key".to_owned(), key)].into())?;
        let path = model.name().to_owned();
        let options = [("bucket", Self::BUCKET.to_owned()), ("path", path), ("credentials", secret.to_string())];
        let config = options.map(|(key, value)| (key.to_owned(), value)).into();
        model.deploy_built_in(SECOND_INTEGRATOR, &DeployOptions { config, ..DeployOptions::default() })?;
        model.grant_user_secret("bench-key", SECOND_INTEGRATOR)?;
        Ok(())
    }

    /// Changes the storage of a Velero that its own CLI has installed.
    pub(super) fn change_by_hand(&self, namespace: &str, round: u32) -> Result<Vec<(Task, Cost)>, BenchError> {
        let rotate = self.rotate_by_hand(namespace, round)?;
        self.rest(namespace)?;
        let _kept = self.lead_to_second_store(namespace)?;
        let switch = self.switch_by_hand(namespace)?;
        Ok(vec![(Task::RotateByHand, rotate), (Task::ToGcsByHand, switch)])
    }

    /// Velero mounts the Secret: without a restart it would see the new keys a minute or two later.
    fn rotate_by_hand(&self, namespace: &str, round: u32) -> Result<Cost, BenchError> {
        let (access_key, secret_key) = self.new_keys(&format!("hand-{round}"))?;
        let file = Self::credentials_file(&access_key, &secret_key);
        let apply = self.apply_credentials(namespace, &file)?;
        let restart = self.kubectl_line(namespace, "rollout restart deployment/velero");
        let status = self.kubectl_line(namespace, "rollout status deployment/velero");
        // A location that was Available before still says so: only a later time tells of the new keys.
        let get = || self.kubectl_line(namespace, &format!("get backupstoragelocation default --output {VALIDATED}"));
        let before = command::output(&mut get())?;
        let get = get();
        let mut validated = Command::new("sh");
        validated
            .args([
                "-c",
                "before=$1; shift; until test \"$(\"$@\")\" != \"$before\"; do sleep 0.2; done",
                "sh",
                &before,
            ])
            .arg(get.get_program())
            .args(get.get_args())
            .envs(get.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Ok(total(self.measure_in_turn(namespace, [apply, restart, status, validated])?))
    }

    fn switch_by_hand(&self, namespace: &str) -> Result<Cost, BenchError> {
        let key = self.runtime.block_on(service_account_key("bench"))?;
        let velero = |line: &str| {
            let mut command = self.velero(namespace);
            command.args(line.split(' '));
            command
        };
        let (old, new) = (images::velero_plugin_for_aws_name(), images::VELERO_PLUGIN_FOR_GCP);
        let bucket = Self::BUCKET;
        let commands = [
            self.apply_credentials(namespace, &key)?,
            velero(&format!("plugin remove {old}")),
            velero(&format!("plugin add {new} --confirm")),
            self.kubectl_line(namespace, "rollout status deployment/velero"),
            velero("backup-location delete default --confirm"),
            velero(&format!("backup-location create default --default --provider gcp --bucket {bucket}")),
            self.kubectl_line(
                namespace,
                "wait --for=jsonpath={.status.phase}=Available backupstoragelocation/default --timeout=2m",
            ),
        ];
        Ok(total(self.measure_in_turn(namespace, commands)?))
    }

    /// The command that writes the credentials file into the Secret that `velero install` has made.
    fn apply_credentials(&self, namespace: &str, file: &str) -> Result<Command, BenchError> {
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "cloud-credentials"},
            "data": {"cloud": STANDARD.encode(file)},
        });
        let path: PathBuf = self.cluster.folder().join("credentials.json");
        fs::write(&path, secret.to_string()).map_err(BenchError::File)?;
        let mut apply = self.kubectl_line(namespace, "apply --server-side --force-conflicts --filename");
        apply.arg(path);
        Ok(apply)
    }

    /// A command of kubectl, of which no word holds a space.
    fn kubectl_line(&self, namespace: &str, line: &str) -> Command {
        let mut command = self.kubectl_command(namespace);
        command.args(line.split(' '));
        command
    }

    /// What Velero's plugin for S3 reads its keys from.
    pub(super) fn credentials_file(access_key: &str, secret_key: &str) -> String {
        format!("[default]\naws_access_key_id={access_key}\naws_secret_access_key={secret_key}\n")
    }
}
