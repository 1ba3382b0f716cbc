//! Bringing a cluster to an installation: definitions first, then everything else at once, then what is to go.

use futures::future::try_join_all;
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Time};
use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;

use super::{applied::Applied, definitions, namespace};
use crate::{
    cluster::{Cluster, ClusterError, Heritage, MANIFEST_ANNOTATION, contains, describe, differs, named},
    status::Status,
    velero::{
        location::{records, update},
        names::{COMPONENT, COMPONENT_SELECTOR, CREDENTIALS, LOCATION, NODE_AGENT, SERVER},
        seen::operations::operations_in_progress,
        wanted::{
            Installation, LocationPlan, Manifests,
            manifests::{MANAGED_BY, is_backup_location},
        },
    },
};

/// Brings the cluster to the manifests of an installation, all but those of the locations that are wanted.
pub(crate) async fn apply(
    cluster: &Cluster,
    installation: &Installation,
    manifests: &Manifests,
) -> Result<Applied, ClusterError> {
    let mut applied = Applied::default();
    if let Some(status) = definitions::apply(cluster, &manifests.definitions, &mut applied).await? {
        applied.postponed.push(status);
        return Ok(applied);
    }
    let labels = &manifests.namespace_labels;
    // They come before the pods that would not be admitted without them, and go after these.
    if !labels.is_empty() {
        applied.changed.extend(namespace::label(cluster, labels).await?);
    }
    objects(cluster, &manifests.objects, &mut applied).await?;
    prune(cluster, installation, &manifests.locations, &mut applied).await?;
    if labels.is_empty() && applied.postponed.is_empty() {
        applied.changed.extend(namespace::label(cluster, labels).await?);
    }
    Ok(applied)
}

/// Applies those objects that differ. What would restart the server or the node agent is held back while a backup or a restore
/// is in progress that another server could not go on with.
async fn objects(cluster: &Cluster, desired: &[DynamicObject], applied: &mut Applied) -> Result<(), ClusterError> {
    let live = try_join_all(desired.iter().map(|object| cluster.find(object))).await?;
    let account_made = live.iter().flatten().find_map(account_creation);
    let mut different: Vec<_> = desired
        .iter()
        .zip(live)
        .filter(|(desired, live)| live.as_ref().is_none_or(|live| differs(live, desired)))
        .collect();
    if different.iter().any(|(desired, live)| replaces_pods(live.as_ref(), desired)) {
        let operations = operations_in_progress(cluster).await?;
        if let Some(operation) = operations.iter().find(|operation| operation.needs_this_server) {
            different.retain(|(desired, live)| !replaces_pods(live.as_ref(), desired));
            let message = format!("to restart Velero until {} has ended", operation.name);
            applied.postponed.push(Status::Waiting(message));
        }
    }
    cluster.inherit(different.iter().filter_map(|(_, live)| live.as_ref())).await?;
    let made = try_join_all(different.iter().map(|(object, _)| apply_or_remake(cluster, object))).await?;
    applied.changed.extend(different.iter().map(|(object, _)| describe(object)));
    if let Some(account_made) = made.iter().find_map(account_creation).or(account_made) {
        applied.changed.extend(delete_orphaned_pods(cluster, account_made).await?);
    }
    Ok(())
}

/// When an object was made that is Velero's ServiceAccount.
fn account_creation(object: &DynamicObject) -> Option<Time> {
    let is_account = object.types.as_ref().is_some_and(|types| types.kind == "ServiceAccount");
    object.creation_timestamp().filter(|_| is_account)
}

/// Applies an object, and makes it anew where it cannot become what it should be: some fields are fixed when an object is made,
/// such as the role that a ClusterRoleBinding gives, and others may contradict those that somebody added.
async fn apply_or_remake(cluster: &Cluster, object: &DynamicObject) -> Result<DynamicObject, ClusterError> {
    match cluster.apply(object).await {
        Err(error) if error.is_invalid() && cluster.accepts(object).await => {
            tracing::info!("{} cannot be mended and is made anew", describe(object));
            cluster.delete(object).await?;
            cluster.apply(object).await
        }
        outcome => outcome,
    }
}

/// Deletes pods of Velero that are older than their ServiceAccount: it was made anew, and the API server refuses the tokens that
/// they have of the former one. Their controllers make others. There is nothing that they could still finish.
async fn delete_orphaned_pods(cluster: &Cluster, account_made: Time) -> Result<Vec<String>, ClusterError> {
    let pods = cluster.list(&cluster.namespaced::<Pod>(), "the pods of Velero", COMPONENT_SELECTOR).await?;
    let orphaned = |pod: &&Pod| {
        let controlled =
            pod.owner_references().iter().any(|owner| matches!(owner.kind.as_str(), "ReplicaSet" | "DaemonSet"));
        controlled
            && pod.metadata.deletion_timestamp.is_none()
            && pod.spec.as_ref().is_some_and(|spec| spec.service_account_name.as_deref() == Some(SERVER))
            && pod.creation_timestamp().is_some_and(|made| made < account_made)
    };
    try_join_all(pods.iter().filter(orphaned).map(|pod| async {
        let pod = cluster.own(named("v1", "Pod", &pod.name_any()));
        cluster.delete(&pod).await?;
        Ok(describe(&pod))
    }))
    .await
}

/// Whether applying an object would replace pods that run.
fn replaces_pods(live: Option<&DynamicObject>, desired: &DynamicObject) -> bool {
    let (Some(live), Some(template)) = (live, desired.data.pointer("/spec/template")) else {
        return false;
    };
    let same_template = live.data.pointer("/spec/template").is_some_and(|live| contains(live, template));
    let same_selector = live.data.pointer("/spec/selector") == desired.data.pointer("/spec/selector");
    // Fields that an older manifest had and this one has not are in the template of the cluster alone.
    let same_manifest = live.annotations().get(MANIFEST_ANNOTATION) == desired.annotations().get(MANIFEST_ANNOTATION);
    has_available_pods(live) && !(same_template && same_selector && same_manifest)
}

/// Whether a Deployment or a DaemonSet has pods that may be at work. Those that keep ending, or cannot start, are not, and a
/// change is what mends them.
fn has_available_pods(live: &DynamicObject) -> bool {
    ["/status/availableReplicas", "/status/numberAvailable"]
        .iter()
        .any(|count| live.data.pointer(count).and_then(Value::as_i64).is_some_and(|count| count > 0))
}

/// Deletes what the charm made and an installation does not hold (any more), unless a backup or a restore still needs it.
async fn prune(
    cluster: &Cluster,
    installation: &Installation,
    locations: &[DynamicObject],
    applied: &mut Applied,
) -> Result<(), ClusterError> {
    let unwanted = unwanted(installation, locations, is_kept(cluster, &installation.location).await?);
    let found = try_join_all(unwanted.into_iter().map(|object| async {
        let object = cluster.own(object);
        let live = cluster.find(&object).await?;
        // What somebody else put there under the same name is not the charm's to delete.
        Ok(live.filter(is_the_charms).map(|live| DynamicObject { types: object.types, ..live }))
    }))
    .await?;
    let unwanted: Vec<_> = found.into_iter().flatten().collect();
    let Some(first) = unwanted.first() else { return Ok(()) };
    if !unwanted.iter().any(update::is_unusable)
        && let Some(operation) = operations_in_progress(cluster).await?.first()
    {
        let message = format!("to remove {} until {} has ended", describe(first), operation.name);
        applied.postponed.push(Status::Waiting(message));
        return Ok(());
    }
    if unwanted.iter().any(is_backup_location) {
        records::forget_all(cluster).await?;
    }
    try_join_all(unwanted.iter().map(|object| cluster.delete(object))).await?;
    applied.changed.extend(unwanted.iter().map(describe));
    Ok(())
}

/// Whether the locations that are there are to stay, whatever they are: those of a provider that is not integrated any more are not.
async fn is_kept(cluster: &Cluster, plan: &LocationPlan) -> Result<bool, ClusterError> {
    let LocationPlan::Keep { provider } = plan else { return Ok(false) };
    let live = cluster.find(&cluster.own(named("velero.io/v1", "BackupStorageLocation", LOCATION))).await?;
    Ok(live.is_none_or(|live| live.data["spec"]["provider"] == *provider))
}

/// What an installation does not hold of what the charm makes for some.
fn unwanted(installation: &Installation, locations: &[DynamicObject], locations_kept: bool) -> Vec<DynamicObject> {
    let mut unwanted = Vec::new();
    if !installation.node_agent {
        unwanted.push(named("apps/v1", "DaemonSet", NODE_AGENT));
    }
    if !locations_kept {
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
    unwanted
}

/// Whether an object was made by this charm or by its predecessor, which labelled all that it made as Velero's.
fn is_the_charms(live: &DynamicObject) -> bool {
    let has = |(label, value): (&str, &str)| live.labels().get(label).map(String::as_str) == Some(value);
    has(MANAGED_BY) || has(COMPONENT) && Heritage::Predecessors.is_due(&live.metadata)
}
