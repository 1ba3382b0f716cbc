//! Bringing a cluster to an installation: definitions first, then everything else at once, then what is to go.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt, future::try_join_all, pin_mut};
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, TypeMeta},
    runtime::{
        WatchStreamExt,
        wait::await_condition,
        watcher::{self, watcher},
    },
};
use serde_json::Value;
use tokio::time::timeout;

use super::{
    CREDENTIALS, Installation, LOCATION, LocationPlan, MANIFEST_ANNOTATION, Manifests, NODE_AGENT, Version,
    cluster::{Cluster, ClusterError, describe, named},
    comparison::{contains, differs},
    definitions,
    inheritance::Heritage,
    manifests::{COMPONENT, MANAGED_BY},
    namespace,
    observation::operations_in_progress,
};
use crate::status::Status;

/// How long a hook waits for definitions to be deleted, or to be ready for objects.
const DEFINITIONS_PATIENCE: Duration = Duration::from_secs(20);

/// The label that Velero's definitions have.
const LABELLED_DEFINITIONS: &str = "component=velero";

/// What applying an installation did.
#[derive(Debug, Default)]
pub struct Applied {
    /// The objects that were changed, made or deleted.
    pub changed: Vec<String>,
    /// What could not be done yet, as it is to be said of the unit.
    pub postponed: Vec<Status>,
    /// The release that the CustomResourceDefinitions of the cluster are of, which may be a newer Velero's.
    pub definitions: Option<Version>,
}

/// Brings the cluster to the manifests of an installation, all but those of the locations that are wanted.
pub(super) async fn apply(
    cluster: &Cluster,
    installation: &Installation,
    manifests: &Manifests,
) -> Result<Applied, ClusterError> {
    let mut applied = Applied::default();
    if let Some(status) = apply_definitions(cluster, &manifests.definitions, &mut applied).await? {
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
async fn apply_definitions(
    cluster: &Cluster,
    desired: &[DynamicObject],
    applied: &mut Applied,
) -> Result<Option<Status>, ClusterError> {
    let live = live_definitions(cluster, desired).await?;
    let due = definitions::due(desired, &live);
    let told = if due.newer.is_empty() { desired } else { &live };
    applied.definitions = told.iter().filter_map(definitions::version).max();
    if !due.newer.is_empty() {
        tracing::info!("a newer Velero of the cluster has brought {}: they stay as they are", due.newer.join(", "));
    }
    for name in &due.terminating {
        if !is_gone(cluster, name).await? {
            let message = format!("for CustomResourceDefinition {name} to be deleted, to make it anew");
            return Ok(Some(Status::Waiting(message)));
        }
    }
    cluster
        .inherit(live.iter().filter(|live| due.apply.iter().any(|due| due.metadata.name == live.metadata.name)))
        .await?;
    let made = try_join_all(due.apply.iter().map(|definition| cluster.apply(definition))).await?;
    let mut pending: BTreeSet<_> =
        made.iter().filter(|made| !is_established(made)).map(ResourceExt::name_any).collect();
    establish(cluster, &mut pending).await;
    if let Some(name) = pending.first() {
        let message = format!("for CustomResourceDefinition {name} to be established");
        return Ok(Some(Status::Waiting(message)));
    }
    if !made.is_empty() {
        applied.changed.push(format!("{} CustomResourceDefinitions", made.len()));
    }
    Ok(None)
}

/// What the cluster has of the definitions: by the label that they have unless somebody took it off, which is one request, and
/// by name.
async fn live_definitions(cluster: &Cluster, desired: &[DynamicObject]) -> Result<Vec<DynamicObject>, ClusterError> {
    let api = definitions_api(cluster);
    let mut live = cluster.list(&api, "CustomResourceDefinitions of Velero", LABELLED_DEFINITIONS).await?;
    // The server says of what kind a list's objects are only once.
    for definition in &mut live {
        definition.types = Some(definition_kind());
    }
    let unlabelled =
        desired.iter().filter(|desired| !live.iter().any(|live| live.metadata.name == desired.metadata.name));
    let found = try_join_all(unlabelled.map(|definition| cluster.find(definition))).await?;
    live.extend(found.into_iter().flatten());
    Ok(live)
}

fn definition_kind() -> TypeMeta {
    TypeMeta { api_version: "apiextensions.k8s.io/v1".to_owned(), kind: "CustomResourceDefinition".to_owned() }
}

fn definitions_api(cluster: &Cluster) -> Api<DynamicObject> {
    cluster.everywhere(&definition_kind())
}

/// Watches a definition that is being deleted until it is gone; `false` when it does not go in time.
async fn is_gone(cluster: &Cluster, name: &str) -> Result<bool, ClusterError> {
    let gone = await_condition(definitions_api(cluster), name, |live: Option<&DynamicObject>| live.is_none());
    match timeout(DEFINITIONS_PATIENCE, gone).await {
        Ok(Ok(_)) => Ok(true),
        Ok(Err(error)) => {
            tracing::debug!("cannot watch CustomResourceDefinition {name}: {error}");
            Ok(false)
        }
        Err(_) => Ok(false),
    }
}

/// Watches until definitions are ready for objects, and takes them off `pending`, or until the time is over.
async fn establish(cluster: &Cluster, pending: &mut BTreeSet<String>) {
    if pending.is_empty() {
        return;
    }
    let labelled = watcher::Config::default().labels(LABELLED_DEFINITIONS);
    let changes = watcher(definitions_api(cluster), labelled).default_backoff().applied_objects();
    pin_mut!(changes);
    let becoming = async {
        while let Some(change) = changes.next().await {
            match change {
                Ok(definition) if is_established(&definition) => {
                    pending.remove(&definition.name_any());
                }
                Ok(_) => {}
                Err(error) => tracing::debug!("cannot watch CustomResourceDefinitions: {error}"),
            }
            if pending.is_empty() {
                break;
            }
        }
    };
    // Those that are left say how it went.
    let _ = timeout(DEFINITIONS_PATIENCE, becoming).await;
}

fn is_established(definition: &DynamicObject) -> bool {
    let conditions = definition.data["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Established" && condition["status"] == "True")
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
    cluster.inherit(different.iter().filter_map(|(_, live)| live.as_ref())).await?;
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
        if !is_the_charms(&live) {
            return Ok(None);
        }
        cluster.delete(&object).await?;
        Ok::<_, ClusterError>(Some(describe(&object)))
    }))
    .await?;
    Ok(pruned.into_iter().flatten().collect())
}

/// Whether an object was made by this charm or by its predecessor, which labelled all that it made as Velero's.
fn is_the_charms(live: &DynamicObject) -> bool {
    let has = |(label, value): (&str, &str)| live.labels().get(label).map(String::as_str) == Some(value);
    has(MANAGED_BY) || has(COMPONENT) && Heritage::Predecessors.is_due(&live.metadata)
}
