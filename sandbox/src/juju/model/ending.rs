//! The end of units and their pods: when a pod is told to end, how long its last hooks may take, how many units the cluster is
//! told to run.

use std::time::Duration;

use super::super::agent::HookRecord;
use super::super::error::Error;
use super::super::hook::Hook;
use super::super::names::UnitName;
use super::super::state::{Application, Life};
use super::session::Session;

/// How long Juju waits before it runs a failed hook for the second time.
const RETRY_DELAY: Duration = Duration::from_secs(5);

impl Session<'_> {
    /// Removes a unit: it has its last hooks before it. One that stays untouched has none.
    pub(super) fn let_die(&mut self, name: &UnitName) {
        let (series, pods_end) = (self.state.series, self.state.pods_end_with_removal);
        let Some(unit) = self.state.unit_mut(name).filter(|unit| unit.life == Life::Alive) else { return };
        let dead = series.kills_units_without_relations() && unit.seen.relations.is_empty();
        unit.life = if dead { Life::Dead } else { Life::Dying };
        if dead {
            // Its agent stops for the end of its pod, whatever it was at.
            unit.seen.failed = None;
        }
        if dead || pods_end {
            unit.grace_used = Some(Duration::ZERO);
        }
    }

    /// How long a hook may take, if its pod has been told to end.
    pub(super) fn time_left(&self, name: &UnitName, hook: &Hook) -> Option<Duration> {
        let unit = self.state.unit(name)?;
        match unit.grace_used {
            Some(used) => Some(self.state.pod_grace.saturating_sub(used)),
            // The pod is about to be replaced.
            None if *hook == Hook::Stop && unit.seen.stop_due => Some(self.state.pod_grace),
            None => None,
        }
    }

    /// Notes what a hook has used of the time that its pod has to end. Where nothing is left of it, the pod is gone and with it
    /// the unit, with what it had left to do. Returns whether it is.
    pub(super) fn use_time(&mut self, record: &HookRecord, took: Duration) -> bool {
        let grace = self.state.pod_grace;
        let Some(unit) = self.state.unit_mut(&record.unit) else { return false };
        let Some(used) = &mut unit.grace_used else { return false };
        *used += took + if record.success() { Duration::ZERO } else { RETRY_DELAY };
        // A dead unit has nothing after `stop`, however that ends.
        let gone = *used >= grace || unit.life == Life::Dead;
        if gone {
            unit.seen.removed = true;
            unit.seen.failed = None;
        }
        gone
    }

    /// Tells the cluster how many units the applications have. Juju scales up before and down after the units' hooks, but down at
    /// once where the units' pods are to end.
    pub(super) fn scale(&mut self) -> Result<(), Error> {
        let due: Vec<(String, u32)> = self
            .state
            .applications
            .iter()
            .filter(|(_, application)| application.charm().is_some())
            .filter_map(|(name, application)| Some((name.clone(), due_replicas(application)?)))
            .collect();
        for (name, replicas) in due {
            self.model.cloud.scale(&self.state.name, &name, replicas)?;
            self.application_mut(&name)?.replicas = replicas;
        }
        Ok(())
    }
}

/// How many units the cluster is to be told of, if others than it was told of last.
fn due_replicas(application: &Application) -> Option<u32> {
    let count = |fits: &dyn Fn(Life, bool) -> bool| {
        let units = application.units.values().filter(|unit| fits(unit.life, unit.grace_used.is_some()));
        u32::try_from(units.count()).unwrap_or(u32::MAX)
    };
    let staying = count(&|life, _| life == Life::Alive);
    let (going, ending) = (count(&|life, _| life != Life::Alive), count(&|_, ends| ends));
    let replicas = match (going, ending) {
        (0, _) | (_, 1..) => staying,
        _ => application.replicas.max(staying),
    };
    (replicas != application.replicas).then_some(replicas)
}
