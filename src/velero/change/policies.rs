//! The ConfigMap with the policies for volumes: there before the Schedules that name it, and gone after them.

use kube::{ResourceExt, api::DynamicObject};
use serde_json::{Map, Value, json};

use crate::{
    backups::PolicyPlan,
    cluster::{Cluster, ClusterError, describe, differs, named},
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
    let PolicyPlan::Use(policies) = plan else { return Ok(PoliciesState::Same) };
    let desired = policies_object(application, cluster.namespace(), policies);
    if live.is_some_and(|live| !is_own(live, application)) {
        return Ok(PoliciesState::OfOthers(describe(&desired)));
    }
    if live.is_some_and(|live| !differs(live, &desired) && live.data["data"] == desired.data["data"]) {
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
        // With two keys Velero reads none.
        cluster.merge(&desired, &json!({"data": others})).await?;
    }
    Ok(PoliciesState::Changed(describe(&desired)))
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

/// Whether the application made it.
fn is_own(live: &DynamicObject, application: &str) -> bool {
    live.labels().get(INSTANCE).is_some_and(|owner| owner == application)
}
