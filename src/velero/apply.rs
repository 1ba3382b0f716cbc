//! Bringing a cluster to an installation: definitions first, then everything else at once, then what is to go.

use std::time::Duration;

use futures::{TryStreamExt, future::try_join_all, pin_mut};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    ResourceExt,
    api::DynamicObject,
    runtime::{WatchStreamExt, watcher},
};
use serde_json::Value;
use tokio::time::timeout;

use super::{
    CREDENTIALS, Installation, LOCATION, LocationPlan, MANIFEST_ANNOTATION, Manifests, NODE_AGENT,
    cluster::{Cluster, ClusterError, describe, named},
    comparison::{contains, differs},
    manifests::MANAGED_BY,
    namespace,
    observation::operations_in_progress,
};
use crate::status::Status;

/// How long a hook waits for definitions to be deleted, or to be ready for objects.
const DEFINITIONS_PATIENCE: Duration = Duration::from_secs(20);

/// What applying an installation did.
#[derive(Debug, Default)]
pub struct Applied {
    /// The objects that were changed, made or deleted.
    pub changed: Vec<String>,
    /// What could not be done yet, as it is to be said of the unit.
    pub postponed: Vec<Status>,
}

/// Brings the cluster to the manifests of an installation, all but those of the locations that are wanted.
pub(super) async fn apply(
    cluster: &Cluster,
    installation: &Installation,
    manifests: &Manifests,
) -> Result<Applied, ClusterError> {
    let mut applied = Applied::default();
    if let Some(status) = definitions(cluster, &manifests.definitions, &mut applied).await? {
        applied.postponed.push(status);
        return Ok(applied);
    }
    let labels = &manifests.namespace_labels;
    // They come before the pods that would not be admitted without them, and go after these.
    if !labels.is_empty() {
        applied.changed.extend(namespace::label(cluster, labels).await?);
    }
    let (changed, postponed) = objects(cluster, &manifests.objects).await?;
    applied.changed.extend(changed);
    applied.postponed.extend(postponed);
    applied.changed.extend(prune(cluster, installation, &manifests.locations).await?);
    if labels.is_empty() && applied.postponed.is_empty() {
        applied.changed.extend(namespace::label(cluster, labels).await?);
    }
    Ok(applied)
}

/// Applies the definitions; what the unit waits for if they are not ready for objects.
async fn definitions(
    cluster: &Cluster,
    desired: &[DynamicObject],
    applied: &mut Applied,
) -> Result<Option<Status>, ClusterError> {
    let live = try_join_all(desired.iter().map(|definition| cluster.find(definition))).await?;
    let mut to_apply = Vec::new();
    let mut terminating = Vec::new();
    for (desired, live) in desired.iter().zip(live) {
        match live {
            Some(live) if live.metadata.deletion_timestamp.is_some() => {
                terminating.push(desired.name_any());
                to_apply.push(desired);
            }
            Some(live) if !differs(&live, desired) => {}
            _ => to_apply.push(desired),
        }
    }
    let wait =
        |what: &str, name: &str| Ok(Some(Status::Waiting(format!("for CustomResourceDefinition {name} {what}"))));
    for name in &terminating {
        if !definition_becomes(cluster, name, |definition| definition.is_none()).await? {
            return wait("to be deleted, to make it anew", name);
        }
    }
    try_join_all(to_apply.iter().map(|definition| cluster.apply(definition))).await?;
    for definition in &to_apply {
        if !definition_becomes(cluster, &definition.name_any(), is_established).await? {
            return wait("to be established", &definition.name_any());
        }
    }
    if !to_apply.is_empty() {
        applied.changed.push(format!("{} CustomResourceDefinitions", to_apply.len()));
    }
    Ok(None)
}

fn is_established(definition: Option<&CustomResourceDefinition>) -> bool {
    definition.and_then(|definition| definition.status.as_ref()?.conditions.as_ref()).is_some_and(|conditions| {
        conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True")
    })
}

/// Watches a definition until it is as `wanted`; `false` when it does not become so in time.
async fn definition_becomes(
    cluster: &Cluster,
    name: &str,
    wanted: impl Fn(Option<&CustomResourceDefinition>) -> bool,
) -> Result<bool, ClusterError> {
    let changes = watcher::watch_object(cluster.cluster_wide::<CustomResourceDefinition>(), name).default_backoff();
    pin_mut!(changes);
    let becoming = async {
        loop {
            match changes.try_next().await {
                Ok(Some(definition)) if wanted(definition.as_ref()) => return true,
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(error) => tracing::debug!("cannot watch CustomResourceDefinition {name}: {error}"),
            }
        }
    };
    Ok(timeout(DEFINITIONS_PATIENCE, becoming).await.unwrap_or(false))
}

/// Applies those objects that differ. What would restart the server or the node agent is held back while a backup or a restore
/// is in progress, as a restart fails it.
async fn objects(cluster: &Cluster, desired: &[DynamicObject]) -> Result<(Vec<String>, Option<Status>), ClusterError> {
    let live = try_join_all(desired.iter().map(|object| cluster.find(object))).await?;
    let mut different: Vec<_> = desired
        .iter()
        .zip(live)
        .filter(|(desired, live)| live.as_ref().is_none_or(|live| differs(live, desired)))
        .collect();
    let mut postponed = None;
    let restart = different.iter().any(|(desired, live)| replaces_pods(live.as_ref(), desired));
    if restart && let Some(operation) = operations_in_progress(cluster).await?.first() {
        different.retain(|(desired, live)| !replaces_pods(live.as_ref(), desired));
        let message = format!("to restart Velero until {operation} has ended");
        postponed = Some(Status::Waiting(message));
    }
    try_join_all(different.iter().map(|(object, _)| cluster.apply(object))).await?;
    let changed = different.iter().map(|(object, _)| describe(object)).collect();
    Ok((changed, postponed))
}

/// Whether applying an object would replace pods that run.
fn replaces_pods(live: Option<&DynamicObject>, desired: &DynamicObject) -> bool {
    let (Some(live), Some(template)) = (live, desired.data.pointer("/spec/template")) else {
        return false;
    };
    let same_template = live.data.pointer("/spec/template").is_some_and(|live| contains(live, template));
    // Fields that an older manifest had and this one has not are in the template of the cluster alone.
    let same_manifest = live.annotations().get(MANIFEST_ANNOTATION) == desired.annotations().get(MANIFEST_ANNOTATION);
    has_available_pods(live) && !(same_template && same_manifest)
}

/// Whether a Deployment or a DaemonSet has pods that may be at work. Those that keep ending, or cannot start, are not, and a
/// change is what mends them.
fn has_available_pods(live: &DynamicObject) -> bool {
    ["/status/availableReplicas", "/status/numberAvailable"]
        .iter()
        .any(|count| live.data.pointer(count).and_then(Value::as_i64).is_some_and(|count| count > 0))
}

/// Deletes what the charm made and an installation does not hold (any more).
async fn prune(
    cluster: &Cluster,
    installation: &Installation,
    locations: &[DynamicObject],
) -> Result<Vec<String>, ClusterError> {
    let mut unwanted = Vec::new();
    if !installation.node_agent {
        unwanted.push(named("apps/v1", "DaemonSet", NODE_AGENT));
    }
    if !matches!(installation.location, LocationPlan::Keep) {
        let wanted = |kind: &str| {
            locations.iter().any(|location| location.types.as_ref().is_some_and(|types| types.kind == kind))
        };
        for kind in ["BackupStorageLocation", "VolumeSnapshotLocation"] {
            if !wanted(kind) {
                unwanted.push(named("velero.io/v1", kind, LOCATION));
            }
        }
        if installation.backup_location().is_none() {
            unwanted.push(named("v1", "Secret", CREDENTIALS));
        }
    }
    let pruned = try_join_all(unwanted.iter().map(|object| async {
        let object = cluster.own(object.clone());
        let Some(live) = cluster.find(&object).await? else {
            return Ok(None);
        };
        // What somebody else put there under the same name is not the charm's to delete.
        if live.labels().get(MANAGED_BY.0).map(String::as_str) != Some(MANAGED_BY.1) {
            return Ok(None);
        }
        cluster.delete(&object).await?;
        Ok::<_, ClusterError>(Some(describe(&object)))
    }))
    .await?;
    Ok(pruned.into_iter().flatten().collect())
}
