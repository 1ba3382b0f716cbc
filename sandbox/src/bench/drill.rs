//! What it costs to prove a backup: by the charm's restore drill, and by hand.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Map, Value};

use super::{
    BenchError, World, command,
    cost::{Cost, total},
    hooks::act,
    recorder::Recorder,
    task::Task,
};
use crate::juju::Model;

/// How many objects are in the backup.
const OBJECTS: usize = 100;
const BACKUP: &str = "drilled";

impl World {
    /// Backs a namespace up and proves the backup, by the action and then with Velero's own CLI and kubectl.
    pub(super) fn drill(
        &self,
        name: &str,
        model: &Model,
        recorder: &Recorder,
    ) -> Result<[(Task, Cost); 2], BenchError> {
        let namespace = format!("{name}-drilled");
        let copy = format!("{namespace}-copy");
        let manifests = self.cluster.folder().join("drilled.yaml");
        fs::write(&manifests, objects(&namespace)).map_err(BenchError::File)?;
        command::measure(
            self.kubectl_command(&namespace).args(["apply", "--server-side", "--filename"]).arg(&manifests),
        )?;
        let back_up = ["backup", "create", BACKUP, "--include-namespaces", &namespace, "--wait"];
        command::measure(self.velero(name).args(back_up))?;
        recorder.take()?;
        act(model, "verify-backup", &Map::from_iter([("backup".to_owned(), Value::from(BACKUP))]))?;
        let drilled = total(recorder.take()?);

        let mapping = format!("{namespace}:{copy}");
        let mut restore = self.velero(name);
        restore.args(["restore", "create", "--from-backup", BACKUP, "--namespace-mappings", &mapping, "--wait"]);
        let mut delete = self.kubectl_command(name);
        delete.args(["delete", "namespace", &copy]);
        let [restored, deleted] = self.measure_in_turn(name, [restore, delete])?;
        command::measure(self.kubectl_command(name).args(["delete", "namespace", &namespace]))?;
        Ok([(Task::VerifyBackup, drilled), (Task::RestoreByHand, restored.then(deleted))])
    }
}

/// Returns a namespace with its objects, as kubectl reads them.
fn objects(namespace: &str) -> String {
    let mut all = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}\n");
    for number in 0..OBJECTS {
        // Writing to a String does not fail.
        let _ = writeln!(
            all,
            "---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: settings-{number}, namespace: {namespace}}}, data: {{number: \"{number}\"}}}}"
        );
    }
    all
}
