//! The storage locations and their credentials: when they are changed.
//!
//! They are changed only when no other server than the planned one runs, which would validate them with other plugins.
//!
//! A backup or a restore that is in progress reads the location more than once. So it is only changed when there is none, while
//! new credentials for the same location reach them at once: those they began with may be taken back. A location that is not usable
//! is not kept for them either: they may never end with it.

use data_encoding::HEXLOWER;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{records, validation};
use crate::{
    cluster::{Cluster, ClusterError, FIELD_MANAGER, Heritage, call, describe, differs, named},
    status::Status,
    velero::{
        names::CREDENTIALS,
        seen::{expected::Expected, freshness, operations::operations_in_progress},
        wanted::{CredentialsSecret, Manifests, manifests::is_backup_location},
    },
};

/// The fields of a location's `spec.config` that say which store it is, of all providers.
const ADDRESSES: [&str; 4] = ["s3Url", "storageAccount", "storageAccountURI", "storeEndpoint"];

/// What is to be done with the locations and their credentials.
#[derive(Debug)]
pub enum DueUpdate<'a> {
    /// Nothing.
    None,
    /// A change, later: what the unit waits for.
    Postponed(Status),
    /// A change.
    Now(LocationUpdate<'a>),
}

/// A change of the locations or their credentials that is due.
#[derive(Debug)]
pub struct LocationUpdate<'a> {
    credentials: &'a CredentialsSecret,
    locations: &'a [DynamicObject],
    credentials_only: bool,
}

impl LocationUpdate<'_> {
    /// Whether all locations stay as they are.
    #[must_use]
    pub fn is_of_credentials_only(&self) -> bool {
        self.credentials_only
    }
}

/// What is to be changed of the locations and their credentials, if anything is.
pub(crate) async fn due_update<'a>(cluster: &Cluster, manifests: &'a Manifests) -> Result<DueUpdate<'a>, ClusterError> {
    let Some(credentials) = &manifests.credentials else { return Ok(DueUpdate::None) };
    let secret = live_credentials(cluster).await?.filter(|live| credentials.is_in(live));
    let version = secret.as_ref().and_then(ResourceExt::resource_version);
    let mut due = version.is_none();
    let (mut to_make, mut to_change, mut usable) = (false, false, true);
    for location in &manifests.locations {
        let Some(live) = cluster.find(location).await? else {
            to_make = true;
            continue;
        };
        to_change |= differs(&live, location);
        usable &= !is_unusable(&live);
        if is_backup_location(location) {
            let noted = |version: &String| freshness::is_validated_for(&live, &validated_for(location, version));
            due |= !version.as_ref().is_some_and(noted) || freshness::is_to_be_confirmed(&live);
        }
    }
    if to_change
        && usable
        && let Some(operation) = operations_in_progress(cluster).await?.first()
    {
        let message = format!("to change the storage location until {} has ended", operation.name);
        return Ok(DueUpdate::Postponed(Status::Waiting(message)));
    }
    if !(due || to_make || to_change) {
        return Ok(DueUpdate::None);
    }
    let credentials_only = !(to_make || to_change);
    Ok(DueUpdate::Now(LocationUpdate { credentials, locations: &manifests.locations, credentials_only }))
}

/// Applies the credentials and then the locations, which are validated with them; the names of what changed.
pub(crate) async fn apply(
    cluster: &Cluster,
    expected: &Expected,
    update: &LocationUpdate<'_>,
    deadline: Instant,
) -> Result<Vec<String>, ClusterError> {
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
        let live = cluster.find(location).await?;
        let is_due = if is_backup_location(location) {
            let validated_for = validated_for(location, &version);
            change_backup_location(cluster, expected, live.as_ref(), location, &validated_for, deadline).await?
        } else if live.as_ref().is_none_or(|live| differs(live, location)) {
            cluster.inherit(&live).await?;
            cluster.apply(location).await?;
            true
        } else {
            false
        };
        if is_due {
            changed.push(describe(location));
        }
    }
    Ok(changed)
}

/// Changes the BackupStorageLocation where that is due, so that what the server will say of it is about the change; whether it was.
async fn change_backup_location(
    cluster: &Cluster,
    expected: &Expected,
    live: Option<&DynamicObject>,
    desired: &DynamicObject,
    validated_for: &str,
    deadline: Instant,
) -> Result<bool, ClusterError> {
    let Some(live) = live else {
        // If it was deleted by somebody, the server took its repositories for unusable.
        records::forget_repositories(cluster).await?;
        cluster.apply(&freshness::confirmed(desired, validated_for)).await?;
        return Ok(true);
    };
    let differs = differs(live, desired);
    if differs || !freshness::is_validated_for(live, validated_for) {
        if place(live) != place(desired) {
            records::forget_all(cluster).await?;
        } else if differs {
            records::forget_repositories(cluster).await?;
        }
        validation::mark(cluster, live).await?;
        cluster.inherit([live]).await?;
        cluster.apply(&freshness::unconfirmed(desired, validated_for)).await?;
    } else if !freshness::is_to_be_confirmed(live) {
        return Ok(false);
    }
    if let Some(live) = validation::ended(cluster, expected, deadline).await? {
        validation::mark(cluster, &live).await?;
        cluster.apply(&freshness::confirmed(desired, validated_for)).await?;
    }
    Ok(true)
}

/// Whether the server says of a location that it cannot be used.
pub(crate) fn is_unusable(location: &DynamicObject) -> bool {
    is_backup_location(location) && freshness::phase(location) == Some("Unavailable")
}

/// Which folder of which bucket of which store a location is.
fn place(location: &DynamicObject) -> Vec<Option<&str>> {
    let spec = &location.data["spec"];
    let storage = &spec["objectStorage"];
    let parts = [&spec["provider"], &storage["bucket"], &storage["prefix"]];
    let addresses = ADDRESSES.iter().map(|key| &spec["config"][key]);
    parts.into_iter().chain(addresses).map(|part| part.as_str().filter(|text| !text.is_empty())).collect()
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
    let (parameters, patch) = (PatchParams::apply(FIELD_MANAGER).force(), Patch::Apply(&manifest));
    let apply = || call("apply", format!("Secret {CREDENTIALS}"), || secrets.patch(CREDENTIALS, &parameters, &patch));
    match apply().await {
        // Somebody has made it of another type, or immutable.
        Err(error) if error.is_invalid() => {
            cluster.delete(&cluster.own(named("v1", "Secret", CREDENTIALS))).await?;
            apply().await
        }
        outcome => outcome,
    }
}

/// What a validation of the location is about: its spec, and the credentials in that version.
fn validated_for(location: &DynamicObject, credentials_version: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(location.data.to_string());
    hash.update(credentials_version);
    HEXLOWER.encode(&hash.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn location(spec: &Value) -> DynamicObject {
        let mut location = named("velero.io/v1", "BackupStorageLocation", "default");
        location.data = json!({"spec": spec});
        location
    }

    #[test]
    fn a_place_is_a_folder_of_a_bucket_of_a_store() {
        let spec = json!({"provider": "aws", "objectStorage": {"bucket": "backups", "prefix": ""},
            "config": {"region": "eu-west-3", "s3Url": "http://10.0.0.1:9000"}});
        let was = location(&spec);
        for (pointer, value, moves) in [
            ("/objectStorage/bucket", "others", true),
            ("/objectStorage/prefix", "folder", true),
            ("/config/s3Url", "http://10.0.0.2:9000", true),
            ("/provider", "azure", true),
            ("/config/region", "us-east-1", false),
        ] {
            let mut changed = spec.clone();
            *changed.pointer_mut(pointer).unwrap() = json!(value);
            assert_eq!(place(&location(&changed)) != place(&was), moves, "{pointer}");
        }
        let mut without_folder = spec;
        without_folder["objectStorage"].as_object_mut().unwrap().remove("prefix");
        assert_eq!(place(&location(&without_folder)), place(&was));
    }
}
