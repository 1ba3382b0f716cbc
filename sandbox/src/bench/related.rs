//! The charm related to many applications that it backs up.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    BenchError, World,
    cost::{Cost, total},
    recorder::{APPLICATION, expect},
    task::Task,
};
use crate::juju::{Model, Scripted, StatusValue, UnitName, Whose};

/// How many are related when it is measured what a hook costs with nothing changed.
const COUNTS: [(usize, Task); 3] = [(1, Task::QuietWith1), (100, Task::QuietWith100), (500, Task::QuietWith500)];

/// One application in place of all: what counts is the number of relations.
const CLIENT: &str = "client";

impl World {
    /// Relates more and more applications, changes what one of them declares, and elects the leader anew.
    pub(super) fn related(&self, round: u32) -> Result<Vec<(Task, Cost)>, BenchError> {
        let name = format!("related-{round}");
        let (model, recorder) = self.active_model(&name)?;
        // What is not measured need not be counted.
        let aside = Model::new(self.cluster.access().clone(), &name, self.state.path(), &self.program)?;
        let most = COUNTS.iter().map(|(count, _)| *count).max().unwrap_or_default();
        let interface = "velero_backup_config";
        aside.deploy_scripted(&Scripted::provider_of_many(CLIENT, (0..most).map(endpoint), interface))?;
        let mut costs = Vec::new();
        let mut relations = Vec::new();
        for (count, task) in COUNTS {
            for number in relations.len()..count {
                let (relation, _) = aside
                    .integrate(&format!("{APPLICATION}:velero-backups"), &format!("{CLIENT}:{}", endpoint(number)))?;
                declare(&aside, relation, number, "@daily")?;
                relations.push(relation);
            }
            expect(&model, StatusValue::Active)?;
            model.update_status()?;
            costs.push((task, total(recorder.take()?)));
        }
        let (Some(relation), Some(number)) = (relations.last(), relations.len().checked_sub(1)) else {
            return Ok(costs);
        };
        declare(&model, *relation, number, "@weekly")?;
        costs.push((Task::ChangeWith500, total(recorder.take()?)));
        model.fire(&UnitName::new(APPLICATION, 0), "leader-elected")?;
        costs.push((Task::ElectedWith500, total(recorder.take()?)));
        expect(&model, StatusValue::Active)?;
        model.destroy()?;
        recorder.take()?;
        self.remove(&name)?;
        Ok(costs)
    }
}

fn endpoint(number: usize) -> String {
    format!("backups-{number}")
}

/// Declares, as an application's charm does, what of it is to be backed up.
fn declare(model: &Model, relation: u32, number: usize, schedule: &str) -> Result<(), BenchError> {
    let spec = json!({
        "include_namespaces": ["apps"],
        "include_resources": ["persistentvolumeclaims", "persistentvolumes"],
        "label_selector": {"app.kubernetes.io/name": CLIENT},
        "ttl": "720h",
        "schedule": schedule,
    });
    let values = [
        ("app", CLIENT.to_owned()),
        ("relation_name", endpoint(number)),
        ("model", "apps".to_owned()),
        ("spec", spec.to_string()),
    ];
    let values: BTreeMap<_, _> = values.map(|(key, value)| (key.to_owned(), value)).into();
    model.write_databag(relation, &Whose::Application(CLIENT.to_owned()), &values)?;
    Ok(())
}
