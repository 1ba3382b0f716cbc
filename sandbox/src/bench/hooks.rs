//! What the charm's hooks cost, by the local Juju.

use serde_json::{Map, Value};

use super::{
    BenchError, World,
    cost::{Cost, total},
    recorder::{APPLICATION, expect, trusted},
    storage::{INTEGRATOR, SECOND_INTEGRATOR},
    task::Task,
};
use crate::juju::{ActionStatus, Model, StatusValue, UnitName};

impl World {
    /// The charm from its deployment to its removal; with it, as it needs a Velero with storage, the CLI's own `backup get`.
    pub(super) fn hooks(&self, round: u32) -> Result<Vec<(Task, Cost)>, BenchError> {
        let name = format!("by-charm-{round}");
        let (model, recorder) = self.model(&name)?;
        let unit = UnitName::new(APPLICATION, 0);
        let mut costs = Vec::new();

        model.deploy(&self.charm, &trusted())?;
        let deploy = recorder.take()?;
        self.rest(&name)?;
        expect(&model, StatusValue::Blocked)?;
        let install = deploy.first().cloned().ok_or(BenchError::NoHook("install"))?;
        costs.push((Task::Install, install));
        costs.push((Task::Deploy, total(deploy)));

        self.offer_storage(&model)?;
        model.integrate(APPLICATION, INTEGRATOR)?;
        costs.push((Task::Integrate, total(recorder.take()?)));
        expect(&model, StatusValue::Active)?;
        self.rest(&name)?;

        model.update_status()?;
        costs.push((Task::UpdateStatus, total(recorder.take()?)));
        model.fire(&unit, "s3-credentials-relation-changed")?;
        costs.push((Task::RelationChanged, total(recorder.take()?)));

        let command = Map::from_iter([("command".to_owned(), Value::from("backup get"))]);
        act(&model, "run", &command)?;
        costs.push((Task::RunBackupGet, total(recorder.take()?)));
        costs.push(self.backup_get(&name)?);

        act(&model, "test-storage", &Map::from_iter([("size".to_owned(), Value::from(0))]))?;
        costs.push((Task::TestStorage, total(recorder.take()?)));
        costs.extend(self.drill(&name, &model, &recorder)?);

        self.renew_keys(&model, round)?;
        costs.push((Task::Rotate, total(recorder.take()?)));
        expect(&model, StatusValue::Active)?;

        model.configure(APPLICATION, "velero-image", Self::OTHER_IMAGE)?;
        costs.push((Task::ConfigChanged, total(recorder.take()?)));
        expect(&model, StatusValue::Active)?;

        model.reset(APPLICATION, &["velero-image"])?;
        expect(&model, StatusValue::Active)?;
        self.offer_second_storage(&model)?;
        let _kept = self.lead_to_second_store(&name)?;
        recorder.take()?;
        for (task, from, to) in
            [(Task::ToGcs, INTEGRATOR, SECOND_INTEGRATOR), (Task::ToS3, SECOND_INTEGRATOR, INTEGRATOR)]
        {
            model.remove_relation(APPLICATION, from)?;
            model.integrate(APPLICATION, to)?;
            costs.push((task, total(recorder.take()?)));
            expect(&model, StatusValue::Active)?;
        }

        model.destroy()?;
        recorder.take()?;
        self.remove(&name)?;
        Ok(costs)
    }
}

/// Runs an action, which must not fail.
pub(super) fn act(model: &Model, action: &str, parameters: &Map<String, Value>) -> Result<(), BenchError> {
    let result = model.run_action(&UnitName::new(APPLICATION, 0), action, parameters)?;
    match result.status {
        ActionStatus::Completed => Ok(()),
        ActionStatus::Failed => Err(BenchError::Action(result.message)),
    }
}
