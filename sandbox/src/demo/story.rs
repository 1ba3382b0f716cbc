//! The story, one function for each step.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    DemoError, DemoOptions, Narrator, inventory,
    stage::{APPLICATION, Stage},
    workload::{self, Workload},
};
use crate::juju::{ActionStatus, DeployOptions, Error, HookRecord, Model};

/// The backup's name.
const BACKUP: &str = "nightly";

/// What is known once the workload has written its file.
pub(super) struct Written {
    digest: String,
    volume: String,
}

/// The story on its stage.
pub(super) struct Story<'a> {
    pub(super) stage: &'a Stage,
    pub(super) narrator: &'a Narrator,
    options: &'a DemoOptions,
    pub(super) workload: Workload,
}

impl<'a> Story<'a> {
    pub(super) fn new(stage: &'a Stage, narrator: &'a Narrator, options: &'a DemoOptions) -> Self {
        Self { stage, narrator, options, workload: stage.workload() }
    }

    /// Tells it to its end.
    pub(super) async fn tell(&self) -> Result<(), DemoError> {
        let before = inventory::of_cluster(&self.stage.kubectl).await?;
        self.deploy().await?;
        self.integrate().await?;
        self.configure().await?;
        let written = self.run_workload().await?;
        let relation = self.integrate_application().await?;
        self.back_up().await?;
        self.lose().await?;
        self.restore(&written).await?;
        let scheduled = self.let_schedule_back_up(relation).await?;
        self.lose_application(&scheduled).await?;
        self.restore_application(&scheduled).await?;
        self.drill(&scheduled).await?;
        self.remove(&before).await
    }

    async fn deploy(&self) -> Result<(), DemoError> {
        self.narrator.step("Deploy the charm");
        let charm = self.stage.charm.clone();
        let options = DeployOptions { trust: true, ..DeployOptions::default() };
        let command = format!("juju deploy {APPLICATION} --trust");
        self.verb(&command, move |model| model.deploy(&charm, &options)).await?;
        self.expect_status(&format!("blocked: no storage: juju integrate {APPLICATION}:"))
    }

    async fn integrate(&self) -> Result<(), DemoError> {
        self.narrator.step(&format!("Integrate it with the {}", self.stage.kind.server().1));
        for verb in self.stage.storage.offer() {
            self.verb(&verb.command, verb.run).await?;
        }
        let integrator = self.stage.kind.integrator();
        let command = format!("juju integrate {APPLICATION} {integrator}");
        self.verb(&command, move |model| Ok(model.integrate(APPLICATION, integrator)?.1)).await?;
        self.expect_status("active: ready")
    }

    async fn configure(&self) -> Result<(), DemoError> {
        self.narrator.step("Let it back up the files of volumes");
        let options = ["use-node-agent", "default-volumes-to-fs-backup"];
        let command = format!("juju config {APPLICATION} {}=true {}=true", options[0], options[1]);
        let config = options.map(|option| (option.to_owned(), "true".to_owned())).into();
        self.verb(&command, move |model| model.reconfigure(APPLICATION, &config, &[])).await?;
        self.expect_status("active: ready")
    }

    async fn run_workload(&self) -> Result<Written, DemoError> {
        self.narrator.step("Run a workload with something to lose");
        self.workload.create(self.options.storage_class.as_deref(), &self.stage.folder).await?;
        let namespace = self.workload.namespace();
        self.narrator.so(&format!("Deployment {} runs in namespace {namespace}, with a volume", workload::NAME));
        self.write().await
    }

    /// Lets the workload write what nobody can write a second time.
    pub(super) async fn write(&self) -> Result<Written, DemoError> {
        self.workload.write().await?;
        let written = Written { digest: self.workload.digest().await?, volume: self.workload.volume().await? };
        self.narrator.so(&format!(
            "it wrote 1 MiB of random bytes to {}, on the volume {}",
            workload::FILE,
            written.volume
        ));
        self.narrator.so(&format!("SHA-256 {}", written.digest));
        Ok(written)
    }

    async fn back_up(&self) -> Result<(), DemoError> {
        self.narrator.step("Back up");
        // Of somebody's cluster, only what is the demo's own.
        let only = if self.stage.is_users() {
            format!(" --include-namespaces {}", self.workload.namespace())
        } else {
            String::new()
        };
        self.run_velero(&format!("backup create {BACKUP}{only} --wait")).await?;
        self.expect_phase("backup", BACKUP).await?;
        self.expect_volume_in(BACKUP).await?;
        let keys = self.stage.storage.keys().await?;
        let (objects, files) = (in_backup(&keys).count(), keys.iter().filter(|key| key.starts_with("kopia/")).count());
        let container = self.stage.kind.container();
        self.narrator.so(&format!("in the {container}: {objects} objects in backups/{BACKUP}/, {files} in kopia/"));
        Ok(())
    }

    async fn lose(&self) -> Result<(), DemoError> {
        self.narrator.step("Lose the workload");
        self.delete_workload().await
    }

    pub(super) async fn delete_workload(&self) -> Result<(), DemoError> {
        let namespace = self.workload.namespace();
        let name = workload::NAME;
        let objects = format!("deployment/{name} persistentvolumeclaim/{name}");
        self.narrator.command(&format!("kubectl delete {objects} --namespace {namespace}"));
        self.narrator.command(&format!("kubectl delete namespace {namespace}"));
        self.workload.delete().await?;
        self.narrator.so("the Deployment, its volume's claim and the namespace are gone");
        Ok(())
    }

    async fn restore(&self, written: &Written) -> Result<(), DemoError> {
        self.narrator.step("Restore it");
        let output = self.run_velero(&format!("restore create --from-backup {BACKUP} --wait")).await?;
        let name = restore_name(&output);
        self.expect_phase("restore", &name).await?;
        self.expect_restored(written).await
    }

    /// Checks that the workload runs again, with what it had written, on another volume.
    pub(super) async fn expect_restored(&self, written: &Written) -> Result<(), DemoError> {
        self.workload.runs().await?;
        let digest = self.workload.digest().await?;
        let volume = self.workload.volume().await?;
        expect(&format!("the SHA-256 of {}", workload::FILE), &written.digest, &digest)?;
        if volume == written.volume {
            return expect("the workload's volume", "another than before", &volume);
        }
        self.narrator.so(&format!(
            "Deployment {} runs again, with {} on another volume, {volume}",
            workload::NAME,
            workload::FILE
        ));
        self.narrator.so(&format!("SHA-256 {digest}: the same as before"));
        Ok(())
    }

    async fn remove(&self, before: &BTreeSet<String>) -> Result<(), DemoError> {
        self.narrator.step("Remove the charm");
        let keys = self.stage.storage.keys().await?;
        let backup: Vec<_> = in_backup(&keys).collect();
        let integrator = self.stage.kind.integrator();
        self.verb(&format!("juju remove-relation {APPLICATION} {integrator}"), move |model| {
            model.remove_relation(APPLICATION, integrator)
        })
        .await?;
        self.expect_status("blocked: no storage: juju integrate")?;
        for application in [APPLICATION, integrator] {
            let command = format!("juju remove-application {application}");
            self.verb(&command, move |model| model.remove_application(application, false)).await?;
        }
        expect("the unit", "gone", self.stage.status()?.as_deref().unwrap_or("gone"))?;
        self.expect_clean(before).await?;
        let keys = self.stage.storage.keys().await?;
        let kept: Vec<_> = in_backup(&keys).collect();
        let container = self.stage.kind.container();
        expect(&format!("the backup's objects in the {container}"), &backup.join(", "), &kept.join(", "))?;
        self.narrator.so(&format!("in the {container}: still {} objects in backups/{BACKUP}/", kept.len()));
        Ok(())
    }

    async fn expect_clean(&self, before: &BTreeSet<String>) -> Result<(), DemoError> {
        let (kubectl, model) = (&self.stage.kubectl, self.stage.model.name());
        let added = inventory::of_cluster(kubectl).await?.difference(before).cloned().collect();
        inventory::await_gone(kubectl, model, &added).await?;
        let now = inventory::of_cluster(kubectl).await?;
        let added: Vec<_> = now.difference(before).cloned().collect();
        expect("CustomResourceDefinitions and cluster roles that the charm left", "", &added.join(", "))?;
        inventory::await_gone(kubectl, model, &inventory::of_namespace(kubectl, model).await?).await?;
        let left: Vec<_> = inventory::of_namespace(kubectl, model).await?.into_iter().collect();
        expect(&format!("objects that the charm left in namespace {model}"), "", &left.join(", "))?;
        self.narrator.so(&format!("namespace {model} is empty; no definitions or cluster roles of Velero are left"));
        Ok(())
    }

    /// Does what a verb of Juju's does, and checks that every hook of it succeeded.
    pub(super) async fn verb<F>(&self, command: &str, verb: F) -> Result<(), DemoError>
    where
        F: FnOnce(&Model) -> Result<Vec<HookRecord>, Error> + Send + 'static,
    {
        self.narrator.command(command);
        self.work_on_model(move |model| Ok(((), verb(model)?))).await
    }

    /// Does something to the model, checks that every hook of it succeeded, and returns what came of it.
    pub(super) async fn work_on_model<F, T>(&self, work: F) -> Result<T, DemoError>
    where
        F: FnOnce(&Model) -> Result<(T, Vec<HookRecord>), Error> + Send + 'static,
        T: Send + 'static,
    {
        let model = self.stage.model.clone();
        let worked = tokio::task::spawn_blocking(move || work(&model)).await;
        let (outcome, records) = worked.map_err(std::io::Error::other)??;
        for record in records {
            let found = record.failure.as_deref().unwrap_or("success");
            expect(&format!("the hook {} of {}", record.name, record.unit), "success", found)?;
        }
        Ok(outcome)
    }

    /// Runs a command of the Velero CLI by the charm's action, and returns what it printed.
    async fn run_velero(&self, velero: &str) -> Result<String, DemoError> {
        self.run_action("run", "command", velero, "output").await
    }

    /// Runs an action of the charm's with one parameter, and returns one of its results.
    pub(super) async fn run_action(
        &self,
        action: &'static str,
        parameter: &str,
        value: &str,
        result: &str,
    ) -> Result<String, DemoError> {
        let results = self.act(action, parameter, value).await?;
        Ok(results.get(result).and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// Runs an action of the charm's with one parameter, and returns its results.
    pub(super) async fn act(
        &self,
        action: &'static str,
        parameter: &str,
        value: &str,
    ) -> Result<Map<String, Value>, DemoError> {
        let quote = if value.contains(' ') { "\"" } else { "" };
        self.narrator.command(&format!("juju run {} {action} {parameter}={quote}{value}{quote}", Stage::unit()));
        let model = self.stage.model.clone();
        let parameters = Map::from_iter([(parameter.to_owned(), Value::from(value))]);
        let run = move || model.run_action(&Stage::unit(), action, &parameters);
        let ran = tokio::task::spawn_blocking(run).await.map_err(std::io::Error::other)??;
        let found = if ran.status == ActionStatus::Completed { "completed" } else { &ran.message };
        expect(&format!("the action {action} with {value:?}"), "completed", found)?;
        Ok(ran.results)
    }

    pub(super) async fn expect_phase(&self, kind: &str, name: &str) -> Result<(), DemoError> {
        let get = format!("get {kind}s.velero.io {name} --namespace {}", self.stage.model.name());
        let object = self.stage.kubectl.json(&get).await?;
        let phase = object["status"]["phase"].as_str().unwrap_or("no phase");
        let reason = object["status"]["failureReason"].as_str().map_or(String::new(), |reason| format!(": {reason}"));
        expect(&format!("the phase of the {kind} {name}"), "Completed", &format!("{phase}{reason}"))
    }

    /// Checks that a backup has the files of the workload's volume.
    pub(super) async fn expect_volume_in(&self, backup: &str) -> Result<(), DemoError> {
        let of_backup = format!("--selector velero.io/backup-name={backup} --namespace {}", self.stage.model.name());
        let all = self.stage.kubectl.json(&format!("get podvolumebackups.velero.io {of_backup}")).await?;
        let of_workload = |object: &&Value| object["spec"]["pod"]["namespace"] == self.workload.namespace();
        let phases: Vec<_> = all["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(of_workload)
            .map(|object| object["status"]["phase"].as_str().unwrap_or("no phase"))
            .collect();
        let found = format!("{}, {}", phases.len(), phases.join(", "));
        expect("backups of the workload's volume by Velero's node agent", "1, Completed", &found)
    }

    pub(super) fn expect_status(&self, beginning: &str) -> Result<(), DemoError> {
        let found = self.stage.status()?.unwrap_or_else(|| "no unit".to_owned());
        if found.starts_with(beginning) {
            return Ok(());
        }
        expect(&format!("the status of {}", Stage::unit()), beginning, &found)
    }
}

/// Goes on only when what was found is what the story has.
pub(super) fn expect(what: &str, expected: &str, found: &str) -> Result<(), DemoError> {
    if expected == found {
        return Ok(());
    }
    let told = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
    Err(DemoError::NotSo { what: what.to_owned(), expected: told(expected), found: told(found) })
}

/// The keys of the backup itself.
fn in_backup(keys: &[String]) -> impl Iterator<Item = &str> {
    let prefix = format!("backups/{BACKUP}/");
    keys.iter().map(String::as_str).filter(move |key| key.starts_with(&prefix))
}

/// The name that the CLI gave to the restore: it adds the time to the backup's.
fn restore_name(output: &str) -> String {
    let quoted = output.split('"').nth(1).unwrap_or(BACKUP);
    quoted.to_owned()
}
