//! The storage locations and their credentials: when they are changed, and when what Velero says of them can be believed.
//!
//! The server validates a BackupStorageLocation when its spec changes and about once a minute, and leaves what it found in the
//! status. After a change of the credentials alone an old "Available" would stand there for up to a minute. So the charm notes
//! on the location which spec and which version of the credentials it stands for, and clears the status before it changes
//! either: whatever is in the status afterwards was found out later. And it changes them only when no other server than the
//! planned one runs, which would validate with other plugins.

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{
    CREDENTIALS, Manifests,
    cluster::{self, Cluster, ClusterError, call, describe, named},
    comparison,
    inheritance::Heritage,
    manifests::{CredentialsSecret, is_backup_location},
};

/// The annotation with what the status stands for.
const STANDS_FOR_ANNOTATION: &str = "velero-operator/stands-for";

/// A change of the locations or their credentials that is due.
#[derive(Debug)]
pub struct LocationUpdate<'a> {
    credentials: &'a CredentialsSecret,
    locations: &'a [DynamicObject],
}

/// What is to be changed of the locations and their credentials, if anything is.
pub(super) async fn due_update<'a>(
    cluster: &Cluster,
    manifests: &'a Manifests,
) -> Result<Option<LocationUpdate<'a>>, ClusterError> {
    let Some(credentials) = &manifests.credentials else { return Ok(None) };
    let update = Some(LocationUpdate { credentials, locations: &manifests.locations });
    let version = match live_credentials(cluster).await? {
        Some(live) if credentials.is_in(&live) => live.resource_version().unwrap_or_default(),
        _ => return Ok(update),
    };
    for location in &manifests.locations {
        let desired = annotated(location, &version);
        match cluster.find(&desired).await? {
            Some(live) if is_same(&live, &desired) => {}
            _ => return Ok(update),
        }
    }
    Ok(None)
}

/// Applies the credentials and then the locations, which are validated with them at once; the names of what changed.
pub(super) async fn apply(cluster: &Cluster, update: &LocationUpdate<'_>) -> Result<Vec<String>, ClusterError> {
    let mut changed = Vec::new();
    let secret = match live_credentials(cluster).await? {
        Some(live) if update.credentials.is_in(&live) => live,
        _ => {
            changed.push(format!("Secret {CREDENTIALS}"));
            apply_credentials(cluster, update.credentials).await?
        }
    };
    let version = secret.resource_version().unwrap_or_default();
    for location in update.locations {
        let desired = annotated(location, &version);
        let live = cluster.find(&desired).await?;
        if live.as_ref().is_some_and(|live| is_same(live, &desired)) {
            continue;
        }
        if let Some(live) =
            live.as_ref().filter(|live| live.data.get("status").is_some_and(|status| *status != json!({})))
        {
            cluster.merge(live, &json!({"status": null})).await?;
        }
        cluster.inherit(&live).await?;
        cluster.apply(&desired).await?;
        changed.push(describe(&desired));
    }
    Ok(changed)
}

async fn live_credentials(cluster: &Cluster) -> Result<Option<Secret>, ClusterError> {
    let secrets: Api<Secret> = cluster.namespaced();
    call("get", format!("Secret {CREDENTIALS}"), || secrets.get_opt(CREDENTIALS)).await
}

async fn apply_credentials(cluster: &Cluster, credentials: &CredentialsSecret) -> Result<Secret, ClusterError> {
    let secrets: Api<Secret> = cluster.namespaced();
    // No other credentials are to be left in it, whoever put them there.
    cluster.take_over(&cluster.own(named("v1", "Secret", CREDENTIALS)), Heritage::Everybody).await?;
    let manifest = credentials.manifest();
    let (parameters, patch) = (PatchParams::apply(cluster::FIELD_MANAGER).force(), Patch::Apply(&manifest));
    call("apply", format!("Secret {CREDENTIALS}"), || secrets.patch(CREDENTIALS, &parameters, &patch)).await
}

/// The location with the note of what its status is to stand for.
fn annotated(location: &DynamicObject, credentials_version: &str) -> DynamicObject {
    let mut annotated = location.clone();
    if is_backup_location(location) {
        let mut hash = Sha256::new();
        hash.update(location.data.to_string());
        hash.update(credentials_version);
        let stands_for = super::cli::hex(&hash.finalize()[..8]);
        annotated.annotations_mut().insert(STANDS_FOR_ANNOTATION.to_owned(), stands_for);
    }
    annotated
}

fn is_same(live: &DynamicObject, desired: &DynamicObject) -> bool {
    let note = |object: &DynamicObject| object.annotations().get(STANDS_FOR_ANNOTATION).cloned();
    !comparison::differs(live, desired) && note(live) == note(desired)
}
