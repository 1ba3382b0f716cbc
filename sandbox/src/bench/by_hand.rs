//! What a user would run instead of the charm.

use std::{fs, process::Command};

use super::{
    BenchError, World,
    command::{self, CommandError},
    cost::Cost,
    objects::changed,
    task::Task,
    user::User,
};
use crate::images;

impl World {
    /// Installs Velero with its own CLI, without storage and then, from nothing again, with storage.
    pub(super) fn velero_install(&self, round: u32) -> Result<Vec<(Task, Cost)>, BenchError> {
        let mut costs = Vec::new();
        for (task, namespace, arguments) in [
            (Task::VeleroInstall, format!("by-cli-{round}"), without_storage()),
            (Task::VeleroInstallWithStorage, format!("by-cli-storage-{round}"), self.with_storage()?),
        ] {
            let mut install = self.velero(&namespace);
            install.args(["install", "--wait", "--image", &images::velero_name()]).args(arguments);
            costs.push((task, self.measure(&namespace, &mut install)?));
            self.remove(&namespace)?;
        }
        Ok(costs)
    }

    /// Applies the charm's own manifests, and changes the image, with kubectl.
    pub(super) fn kubectl(&self, round: u32) -> Result<Vec<(Task, Cost)>, BenchError> {
        let namespace = format!("by-kubectl-{round}");
        // Of the charm's namespace, too, it is Juju that makes it.
        command::measure(self.kubectl_command(&namespace).args(["create", "namespace", &namespace]))?;
        let manifests = self.cluster.folder().join("manifests.yaml");
        fs::write(&manifests, self.plan(&namespace)?).map_err(BenchError::File)?;
        let apply = || {
            let mut apply = self.kubectl_command(&namespace);
            apply.args(["apply", "--server-side", "--filename"]).arg(&manifests);
            self.measure(&namespace, &mut apply)
        };
        let wait = || {
            let mut status = self.kubectl_command(&namespace);
            self.measure(&namespace, status.args(["rollout", "status", "deployment/velero"]))
        };
        let first = apply()?;
        let first_and_wait = first.clone().then(wait()?);
        self.rest(&namespace)?;
        let again = apply()?;
        let image = format!("velero={}", Self::OTHER_IMAGE);
        let mut set_image = self.kubectl_command(&namespace);
        let set_image =
            self.measure(&namespace, set_image.args(["set", "image", "deployment/velero", &image]))?.then(wait()?);
        self.remove(&namespace)?;
        Ok(vec![
            (Task::KubectlApply, first),
            (Task::KubectlApplyAndWait, first_and_wait),
            (Task::KubectlApplyAgain, again),
            (Task::KubectlSetImage, set_image),
        ])
    }

    /// Lists the backups of a Velero with its own CLI.
    pub(super) fn backup_get(&self, namespace: &str) -> Result<(Task, Cost), BenchError> {
        let cost = self.measure(namespace, self.velero(namespace).args(["backup", "get"]))?;
        Ok((Task::VeleroBackupGet, cost))
    }

    /// Runs a command and counts what it does to the Velero of a namespace.
    fn measure(&self, namespace: &str, command: &mut Command) -> Result<Cost, BenchError> {
        let before = self.versions(namespace)?;
        let log = self.audit.length().map_err(BenchError::Audit)?;
        let cost = command::measure(command)?;
        let api_calls = self.audit.requests_since(log, &User::name()).map_err(BenchError::Audit)?;
        Ok(Cost { api_calls, changed: changed(&before, &self.versions(namespace)?), ..cost })
    }

    /// The manifests that the charm would apply without storage.
    fn plan(&self, namespace: &str) -> Result<String, BenchError> {
        let program = self.charm.join("dispatch");
        let failed = |source| CommandError::Run { program: program.display().to_string(), source };
        let output = Command::new(&program).args(["plan", "--namespace", namespace]).output().map_err(failed)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let program = program.display().to_string();
            return Err(CommandError::Failed { program, status: output.status, said }.into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn velero(&self, namespace: &str) -> Command {
        let mut command = self.as_user(&self.velero);
        command.args(["--namespace", namespace]);
        command
    }

    fn kubectl_command(&self, namespace: &str) -> Command {
        let mut command = self.as_user(&self.kubectl);
        command.args(["--namespace", namespace]);
        command
    }

    /// A program in a home folder that is the bench's own, for what it keeps between its runs.
    fn as_user(&self, program: &std::path::Path) -> Command {
        let mut command = Command::new(program);
        command.env("KUBECONFIG", &self.user.kubeconfig).env("HOME", self.cluster.folder());
        command
    }

    fn with_storage(&self) -> Result<Vec<String>, BenchError> {
        let s3 = self.store.access();
        s3.bucket(Self::BUCKET).map_err(crate::object_store::S3Error::from)?;
        let credentials = self.cluster.folder().join("credentials");
        let text = format!("[default]\naws_access_key_id={}\naws_secret_access_key={}\n", s3.access_key, s3.secret_key);
        fs::write(&credentials, text).map_err(BenchError::File)?;
        let config = format!("region=us-east-1,s3ForcePathStyle=true,checksumAlgorithm=,s3Url={}", s3.endpoint);
        Ok(vec![
            "--provider=aws".to_owned(),
            format!("--plugins={}", images::velero_plugin_for_aws_name()),
            format!("--bucket={}", Self::BUCKET),
            format!("--secret-file={}", credentials.display()),
            format!("--backup-location-config={config}"),
            "--use-volume-snapshots=false".to_owned(),
        ])
    }
}

fn without_storage() -> Vec<String> {
    ["--no-default-backup-location", "--no-secret", "--use-volume-snapshots=false"].map(str::to_owned).to_vec()
}
