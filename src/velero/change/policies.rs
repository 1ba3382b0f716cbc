//! The ConfigMap with the policies for volumes: there before the Schedules that name it, and gone after them.

use std::pin::pin;

use futures::StreamExt;
use kube::{
    ResourceExt,
    api::DynamicObject,
    runtime::{WatchStreamExt, watcher::watch_object},
};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use crate::{
    backups::PolicyPlan,
    cluster::{Cluster, ClusterError, describe, differs, named},
    status::Status,
    velero::{
        names::{INSTANCE, policies_name},
        seen::operations::operations_in_progress,
        wanted::policies::policies_object,
    },
};

/// Whether an application's ConfigMap can be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum PoliciesState {
    /// It is as planned, and nothing was to be done.
    Same,
    /// It is as planned now.
    Changed(String),
    /// Somebody else has made one of its name.
    OfOthers(String),
}

/// Writes the ConfigMap if one is planned that is not there.
pub(super) async fn apply(
    cluster: &Cluster,
    application: &str,
    plan: &PolicyPlan,
    live: Option<&DynamicObject>,
) -> Result<PoliciesState, ClusterError> {
    let Some(desired) = wanted(cluster, application, plan) else { return Ok(PoliciesState::Same) };
    if live.is_some_and(|live| !is_own(live, application)) {
        return Ok(PoliciesState::OfOthers(describe(&desired)));
    }
    if live.is_some_and(|live| is_as_wanted(live, &desired)) {
        return Ok(PoliciesState::Same);
    }
    let applied = cluster.apply(&desired).await?;
    let others: Map<_, _> = applied.data["data"]
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .filter(|key| desired.data["data"].get(key).is_none())
        .map(|key| (key.clone(), Value::Null))
        .collect();
    if !others.is_empty() {
        cluster.merge(&desired, &json!({"data": others})).await?;
    }
    Ok(PoliciesState::Changed(describe(&desired)))
}

/// Returns what the leader would still write where `live` is there, for a unit that must not change anything.
pub(crate) fn pending(
    cluster: &Cluster,
    application: &str,
    plan: &PolicyPlan,
    live: Option<&DynamicObject>,
) -> Option<Status> {
    let desired = wanted(cluster, application, plan)?;
    let is_there = live.is_some_and(|live| is_as_wanted(live, &desired));
    (!is_there).then(|| Status::Waiting(format!("to apply {}", describe(&desired))))
}

/// Waits until the leader has written the ConfigMap that is planned, or the deadline is there.
pub(crate) async fn until_written(cluster: &Cluster, application: &str, plan: &PolicyPlan, deadline: Instant) {
    let Some(desired) = wanted(cluster, application, plan) else { return };
    let kind = desired.types.clone().unwrap_or_default();
    // An interruption is one of the watch, which begins anew.
    let mut seen = pin!(watch_object(cluster.here(&kind), &policies_name(application)).default_backoff());
    while let Ok(Some(seen)) = timeout_at(deadline, seen.next()).await {
        if let Ok(Some(live)) = seen
            && is_as_wanted(&live, &desired)
        {
            return;
        }
    }
}

/// Deletes the ConfigMap if none is planned. A backup that is in progress may read it until it has ended.
pub(super) async fn forget(
    cluster: &Cluster,
    application: &str,
    plan: &PolicyPlan,
    live: Option<&DynamicObject>,
) -> Result<Option<String>, ClusterError> {
    let Some(own) = live.filter(|live| *plan == PolicyPlan::None && is_own(live, application)) else {
        return Ok(None);
    };
    if !operations_in_progress(cluster).await?.is_empty() {
        return Ok(None);
    }
    cluster.delete(own).await?;
    Ok(Some(describe(own)))
}

/// Deletes the ConfigMap if it is the application's.
pub(super) async fn delete(cluster: &Cluster, application: &str) -> Result<(), ClusterError> {
    match cluster.find_metadata(&map(cluster, application)).await? {
        Some(live) if is_own(&live, application) => cluster.delete(&live).await,
        Some(_) | None => Ok(()),
    }
}

/// Returns the ConfigMap, if there is one of its name.
pub(super) async fn read(cluster: &Cluster, application: &str) -> Result<Option<DynamicObject>, ClusterError> {
    cluster.find(&map(cluster, application)).await
}

fn map(cluster: &Cluster, application: &str) -> DynamicObject {
    cluster.own(named("v1", "ConfigMap", &policies_name(application)))
}

/// Returns the ConfigMap that is planned, if one is.
fn wanted(cluster: &Cluster, application: &str, plan: &PolicyPlan) -> Option<DynamicObject> {
    match plan {
        PolicyPlan::Use(policies) => Some(policies_object(application, cluster.namespace(), policies)),
        PolicyPlan::None | PolicyPlan::Keep => None,
    }
}

/// Whether nothing of the ConfigMap is to be changed. With two keys Velero reads none.
fn is_as_wanted(live: &DynamicObject, desired: &DynamicObject) -> bool {
    !differs(live, desired) && live.data["data"] == desired.data["data"]
}

/// Whether the application made it.
fn is_own(live: &DynamicObject, application: &str) -> bool {
    live.labels().get(INSTANCE).is_some_and(|owner| owner == application)
}
