//! What a user would run instead of the charm.

use std::{fs, process::Command};

use super::{BenchError, World, command, cost::Cost, objects::changed, task::Task, user::User};
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
            costs.push((task, self.measure(&namespace, install)?));
            if task == Task::VeleroInstallWithStorage {
                costs.extend(self.change_by_hand(&namespace, round)?);
            }
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
            apply
        };
        let [first, waited] = self.measure_in_turn(&namespace, [apply(), self.rollout_status(&namespace)])?;
        self.rest(&namespace)?;
        let again = self.measure(&namespace, apply())?;
        let set_image = self.set_image(&namespace, Self::OTHER_IMAGE)?;
        self.remove(&namespace)?;
        Ok(vec![
            (Task::KubectlApply, first.clone()),
            (Task::KubectlApplyAndWait, first.then(waited)),
            (Task::KubectlApplyAgain, again),
            (Task::KubectlSetImage, set_image),
        ])
    }

    /// Gives the server another image, and waits until that runs.
    pub(super) fn set_image(&self, namespace: &str, image: &str) -> Result<Cost, BenchError> {
        let mut set_image = self.kubectl_command(namespace);
        set_image.args(["set", "image", "deployment/velero", &format!("velero={image}")]);
        let [set_image, replaced] = self.measure_in_turn(namespace, [set_image, self.rollout_status(namespace)])?;
        Ok(set_image.then(replaced))
    }

    /// Waits until the server runs as it is to.
    fn rollout_status(&self, namespace: &str) -> Command {
        let mut status = self.kubectl_command(namespace);
        status.args(["rollout", "status", "deployment/velero"]);
        status
    }

    /// Deletes all backups.
    pub(super) fn delete_backups(&self, namespace: &str) -> Result<Cost, BenchError> {
        let mut delete = self.kubectl_command(namespace);
        delete.args(["delete", "backups.velero.io", "--all"]);
        self.measure(namespace, delete)
    }

    /// Lists the backups of a Velero with its own CLI.
    pub(super) fn backup_get(&self, namespace: &str) -> Result<(Task, Cost), BenchError> {
        let mut get = self.velero(namespace);
        get.args(["backup", "get"]);
        Ok((Task::VeleroBackupGet, self.measure(namespace, get)?))
    }

    /// Lists the backups among many, with Velero's own CLI and with kubectl, in the order in which they began.
    pub(super) fn list_many(&self, namespace: &str) -> Result<Vec<(Task, Cost)>, BenchError> {
        let mut velero = self.velero(namespace);
        velero.args(["backup", "get"]);
        let mut kubectl = self.kubectl_command(namespace);
        kubectl.args(["get", "backups.velero.io", "--sort-by=.status.startTimestamp"]);
        Ok(vec![
            (Task::VeleroBackupGetMany, self.measure(namespace, velero)?),
            (Task::KubectlGetMany, self.measure(namespace, kubectl)?),
        ])
    }

    /// Runs a command and counts what it does to the Velero of a namespace.
    fn measure(&self, namespace: &str, command: Command) -> Result<Cost, BenchError> {
        let [cost] = self.measure_in_turn(namespace, [command])?;
        Ok(cost)
    }

    /// Runs commands right after each other: to look at the objects in between would give the cluster time to do what the next
    /// command waits for. So what changed is what all of them changed.
    pub(super) fn measure_in_turn<const N: usize>(
        &self,
        namespace: &str,
        commands: [Command; N],
    ) -> Result<[Cost; N], BenchError> {
        let before = self.versions(namespace)?;
        let mut costs = [(); N].map(|()| Cost::default());
        for (mut command, cost) in commands.into_iter().zip(&mut costs) {
            let log = self.audit.length().map_err(BenchError::Audit)?;
            *cost = command::measure(&mut command)?;
            cost.api_calls = self.audit.requests_since(log, &User::name()).map_err(BenchError::Audit)?;
        }
        let changed = changed(&before, &self.versions(namespace)?);
        Ok(costs.map(|cost| Cost { changed: changed.clone(), ..cost }))
    }

    /// The manifests that the charm would apply without storage.
    fn plan(&self, namespace: &str) -> Result<String, BenchError> {
        Ok(command::output(Command::new(self.charm.join("dispatch")).args(["plan", "--namespace", namespace]))?)
    }

    pub(super) fn velero(&self, namespace: &str) -> Command {
        let mut command = self.as_user(&self.velero);
        command.args(["--namespace", namespace]);
        command
    }

    pub(super) fn kubectl_command(&self, namespace: &str) -> Command {
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
        let file = Self::credentials_file(&s3.access_key, &s3.secret_key);
        fs::write(&credentials, file).map_err(BenchError::File)?;
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
