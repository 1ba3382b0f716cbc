//! Deleting what this application made and an installation does not hold any more.

use std::time::Duration;

use futures::future::try_join_all;
use jiff::Timestamp;
use kube::api::DynamicObject;

use super::{
    applied::Applied,
    release::{self, Since},
};
use crate::{
    cluster::{Cluster, ClusterError, describe, named},
    status::Status,
    velero::{
        location::{records, update},
        names::{CREDENTIALS, LOCATION, LOCATION_KINDS, NODE_AGENT, SERVER, node_agent_config, repository_config},
        seen::{
            holdings::{Claim, Holdings},
            operations::operations_in_progress,
        },
        wanted::{Installation, LocationPlan, manifests::is_backup_location, settings::config_maps},
    },
};

/// How long a hook may spend on deleting the records of a location that is gone.
const FORGETTING: Duration = Duration::from_secs(3);

/// Deletes what this application made and an installation does not hold (any more), unless a backup or a restore still needs it.
pub(crate) async fn prune(
    cluster: &Cluster,
    installation: &Installation,
    locations: &[DynamicObject],
    holdings: &Holdings,
    applied: &mut Applied,
) -> Result<(), ClusterError> {
    // A server that still runs with the flags of before would not start again without what these name.
    let is_applied = applied.postponed.is_empty() && applied.refused.is_empty();
    let mut unwanted = superfluous(installation, locations, holdings);
    unwanted.retain(|object| !is_config_map(object) || is_applied);
    if holdings.location().is_none() && installation.backup_location().is_none() {
        forget_the_rest(cluster, holdings).await?;
    }
    if unwanted.is_empty() {
        return Ok(());
    }
    // They are looked at again immediately before the change: somebody may have taken one over meanwhile.
    let unwanted = try_join_all(unwanted.into_iter().map(|held| async move {
        let state = release::look_again(cluster, held).await?;
        Ok::<_, ClusterError>((state == Since::Same).then_some(held))
    }))
    .await?;
    let unwanted: Vec<_> = unwanted.into_iter().flatten().collect();
    let Some(first) = unwanted.first() else { return Ok(()) };
    let may_be_used = unwanted.iter().any(|object| !is_config_map(object));
    if may_be_used
        && !unwanted.iter().any(|object| update::is_unusable(object))
        && let Some(operation) = operations_in_progress(cluster).await?.first()
    {
        let message = operation.holds(&format!("to remove {}", describe(first)), Timestamp::now());
        applied.postponed.push(Status::Waiting(message));
        return Ok(());
    }
    // No location is ever without the Secret that it names.
    let (locations, others): (Vec<_>, Vec<_>) = unwanted.iter().copied().partition(|object| is_location(object));
    for objects in [&locations, &others] {
        try_join_all(objects.iter().map(|object| release::delete_or_release(cluster, object))).await?;
    }
    if locations.iter().any(|object| is_backup_location(object)) {
        records::forget_all(cluster, FORGETTING).await?;
    }
    applied.changed.extend(unwanted.iter().map(|object| describe(object)));
    Ok(())
}

/// Returns what this application made and an installation does not hold (any more).
pub(super) fn superfluous<'h>(
    installation: &Installation,
    locations: &[DynamicObject],
    holdings: &'h Holdings,
) -> Vec<&'h DynamicObject> {
    let own =
        |object: DynamicObject| holdings.find(&object).filter(|held| held.claim == Claim::Own).map(|held| &held.object);
    unwanted(installation, locations, is_kept(&installation.location, holdings)).into_iter().filter_map(own).collect()
}

/// Deletes the records of a removed location that were too many for the hook that removed it. Those that were there before the
/// application's own server are somebody else's.
async fn forget_the_rest(cluster: &Cluster, holdings: &Holdings) -> Result<(), ClusterError> {
    let server = holdings.find(&named("apps/v1", "Deployment", SERVER)).filter(|held| held.claim == Claim::Own);
    let Some(made) = server.and_then(|held| held.object.metadata.creation_timestamp.as_ref()) else { return Ok(()) };
    // It was not sighted at the beginning of the hook: one answer is not enough to delete what stands for it.
    let location = cluster.own(named("velero.io/v1", "BackupStorageLocation", LOCATION));
    if cluster.find_metadata(&location).await?.is_none() {
        records::forget_made_since(cluster, made.0, FORGETTING).await?;
    }
    Ok(())
}

fn is_config_map(object: &DynamicObject) -> bool {
    object.types.as_ref().is_some_and(|types| types.kind == "ConfigMap")
}

fn is_location(object: &DynamicObject) -> bool {
    object.types.as_ref().is_some_and(|types| LOCATION_KINDS.contains(&types.kind.as_str()))
}

/// Whether to leave the existing locations alone. Those of another provider are not left.
fn is_kept(plan: &LocationPlan, holdings: &Holdings) -> bool {
    match plan {
        LocationPlan::Keep { provider: None } => true,
        LocationPlan::Keep { provider: Some(provider) } => {
            holdings.location().is_none_or(|held| held.object.data["spec"]["provider"] == *provider)
        }
        LocationPlan::None | LocationPlan::Use(_) => false,
    }
}

/// Returns the objects that the charm makes for some installations, but not for this one.
fn unwanted(installation: &Installation, locations: &[DynamicObject], locations_kept: bool) -> Vec<DynamicObject> {
    let mut unwanted = Vec::new();
    if !installation.node_agent {
        unwanted.push(named("apps/v1", "DaemonSet", NODE_AGENT));
    }
    let wanted = config_maps(installation, "");
    let is_wanted = |name: &str| wanted.iter().any(|map| map.metadata.name.as_deref() == Some(name));
    for (name, is_held_back) in [
        (node_agent_config(&installation.application), installation.held_back.node_agent),
        (repository_config(&installation.application), installation.held_back.server),
    ] {
        if !is_held_back && !is_wanted(&name) {
            unwanted.push(named("v1", "ConfigMap", &name));
        }
    }
    if !locations_kept {
        let wanted = |kind: &str| {
            locations.iter().any(|location| location.types.as_ref().is_some_and(|types| types.kind == kind))
        };
        for kind in LOCATION_KINDS {
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

#[cfg(test)]
#[path = "prune_tests.rs"]
mod tests;
