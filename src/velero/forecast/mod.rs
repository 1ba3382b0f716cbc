//! Which volumes a backup is going to take, and whether their data comes along.
//!
//! Velero reads the files of a volume only together with a pod that uses it. A claim whose data it cannot get is backed up as an
//! object like any other, and the backup is `Completed` all the same.

mod judgement;
mod means;
mod seen_volume;
mod selection;
mod volumes;

use std::collections::BTreeMap;

use kube::{ResourceExt, api::DynamicObject};
use serde::Deserialize;
use serde_json::Value;

#[cfg(test)]
pub(crate) use judgement::Gap;
pub(crate) use judgement::{Forecast, VolumeCount};

use self::{
    means::{Means, has_node_agent},
    selection::Selection,
    volumes::Volumes,
};
use crate::{
    cluster::{Cluster, ClusterError, Listed},
    velero::{
        Velero, VeleroError,
        names::INSTANCE,
        wanted::{
            SCHEDULED_BY,
            schedule::{schedule_kind, target_of},
        },
    },
};

/// What the backups of a Schedule are going to hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ScheduleForecast {
    /// The name of the Schedule.
    pub schedule: String,
    /// The application that it backs up.
    pub application: String,
    pub endpoint: String,
    pub model: String,
    pub forecast: Forecast,
}

impl Velero {
    /// Returns what the backups of the application's Schedules are going to hold, in the order of their names. A paused one makes
    /// none.
    pub(crate) async fn forecast_schedules(&self, application: &str) -> Result<Vec<ScheduleForecast>, VeleroError> {
        let schedules = schedules(&self.cluster, application).await?;
        let selections: Vec<_> = schedules.values().map(|(_, selection)| selection).collect();
        let forecasts = forecast(&self.cluster, &selections).await?;
        let told = |((schedule, (target, _)), forecast): ((&String, &([String; 3], Selection)), Forecast)| {
            let [application, endpoint, model] = target.clone();
            ScheduleForecast { schedule: schedule.clone(), application, endpoint, model, forecast }
        };
        Ok(schedules.iter().zip(forecasts).map(told).collect())
    }

    /// Whether there is a node agent, which reads the files of volumes.
    pub(crate) async fn has_node_agent(&self) -> Result<bool, VeleroError> {
        Ok(has_node_agent(&self.cluster).await?)
    }

    /// Returns what a backup with this spec is going to hold.
    pub(crate) async fn forecast_backup(&self, spec: &Value) -> Result<Forecast, VeleroError> {
        let selection = Selection::of(spec);
        Ok(forecast(&self.cluster, &[&selection]).await?.into_iter().next().unwrap_or_default())
    }
}

/// Returns a forecast for each selection.
async fn forecast(cluster: &Cluster, selections: &[&Selection]) -> Result<Vec<Forecast>, ClusterError> {
    if !selections.iter().any(|selection| selection.takes_claims()) {
        return Ok(vec![Forecast::default(); selections.len()]);
    }
    let policies = selections.iter().filter_map(|selection| selection.policies()).collect();
    let (means, volumes) = futures::try_join!(Means::read(cluster, policies), Volumes::read(cluster, selections))?;
    Ok(selections.iter().map(|selection| Forecast::of(selection, &means, &volumes)).collect())
}

/// A Schedule of a list.
#[derive(Deserialize)]
#[serde(from = "DynamicObject")]
struct Seen {
    name: String,
    target: [String; 3],
    selection: Selection,
    is_paused: bool,
}

impl From<DynamicObject> for Seen {
    fn from(object: DynamicObject) -> Self {
        let spec = &object.data["spec"];
        Self {
            target: target_of(object.labels(), object.annotations()),
            selection: Selection::of(&spec["template"]),
            is_paused: spec["paused"] == true,
            name: object.name_any(),
        }
    }
}

impl Listed for Seen {}

/// Returns the Schedules of the application that make backups, each with its target and with what it selects.
async fn schedules(
    cluster: &Cluster,
    application: &str,
) -> Result<BTreeMap<String, ([String; 3], Selection)>, ClusterError> {
    let (key, value) = SCHEDULED_BY;
    let mut found = BTreeMap::new();
    let add = |schedule: Seen| {
        if !schedule.is_paused {
            found.insert(schedule.name, (schedule.target, schedule.selection));
        }
    };
    let selector = format!("{INSTANCE}={application},{key}={value}");
    cluster.collect(&cluster.here(&schedule_kind()), "the Schedules", &selector, add).await?;
    Ok(found)
}

#[cfg(test)]
mod tests;
