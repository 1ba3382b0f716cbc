//! The charm where the API server is far away.

use std::time::Duration;

use super::{
    BenchError, World,
    cost::{Cost, total},
    recorder::{APPLICATION, expect, trusted},
    storage::INTEGRATOR,
    task::Task,
};
use crate::{distance::Distance, juju::StatusValue};

/// How long an answer of the API server takes at least.
const THERE_AND_BACK: Duration = Duration::from_millis(200);

impl World {
    /// The charm's deployment, and a hook without anything to do.
    pub(super) fn far(&self, round: u32) -> Result<Vec<(Task, Cost)>, BenchError> {
        let name = format!("far-away-{round}");
        let folder = self.cluster.folder().join(format!("distance-{round}"));
        let distance = self.runtime.block_on(Distance::start(self.cluster.access(), &folder, THERE_AND_BACK))?;
        let (model, recorder) = self.model_on(distance.access(), &name)?;
        model.deploy(&self.charm, &trusted())?;
        let mut costs = vec![(Task::DeployFar, total(recorder.take()?))];
        self.rest(&name)?;
        expect(&model, StatusValue::Blocked)?;
        self.offer_storage(&model)?;
        model.integrate(APPLICATION, INTEGRATOR)?;
        expect(&model, StatusValue::Active)?;
        recorder.take()?;
        let before = distance.connections().map_err(BenchError::File)?;
        model.update_status()?;
        costs.push((Task::UpdateStatusFar, total(recorder.take()?)));
        // The observer keeps its own.
        match distance.connections().map_err(BenchError::File)? - before {
            1 => {}
            several => return Err(BenchError::Connections(several)),
        }
        expect(&model, StatusValue::Active)?;
        model.destroy()?;
        recorder.take()?;
        self.remove(&name)?;
        Ok(costs)
    }
}
