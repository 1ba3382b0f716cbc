//! The storage locations and their credentials: when they are changed.
//!
//! They are changed only when no other server than the planned one runs, which would validate them with other plugins.
//!
//! A backup or a restore that is in progress reads the location more than once. So it is only changed when there is none, while
//! new credentials for the same location reach them at once: those they began with may be taken back. A location that is not usable
//! is not kept for them either: they may never end with it.

use std::{collections::BTreeMap, pin::pin, time::Duration};

use data_encoding::HEXLOWER;
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};

use super::{records, validation};
use crate::{
    cluster::{Cluster, ClusterError, FIELD_MANAGER, FieldOwners, call, describe, differs, named},
    status::Status,
    velero::{
        names::{CREDENTIALS, LOCATION},
        seen::{
            expected::Expected,
            freshness,
            holdings::{Claim, Holdings},
            operations::{Operation, operations_in_progress},
            readiness,
            sighting::{LiveCredentials, Sighting},
            watch,
        },
        wanted::{
            CredentialsSecret, Manifests,
            manifests::{is_backup_location, kept, to_keep},
        },
    },
};

/// The fields of a location's `spec.config` that say which store it is, of all providers.
const ADDRESSES: [&str; 4] = ["s3Url", "storageAccount", "storageAccountURI", "storeEndpoint"];

/// How long a hook may spend on deleting the records of a former place, so that time is left for the validation.
const FORGETTING: Duration = Duration::from_secs(30);

/// What became of a change of the storage locations.
#[derive(Debug, Default)]
pub(crate) struct LocationsUpdated {
    /// The names of what was changed.
    pub changed: Vec<String>,
    /// What is waited for before the rest is changed.
    pub postponed: Vec<Status>,
}

/// What to do with the locations and their credentials.
#[derive(Debug)]
pub(crate) enum DueUpdate<'a> {
    /// Nothing.
    None,
    /// A change, later: what the unit waits for.
    Postponed(Status),
    /// A change.
    Now(LocationUpdate<'a>),
}

impl DueUpdate<'_> {
    /// Returns what a unit waits for that leaves the change to another; `None` where nothing changes.
    pub(crate) fn awaited(self) -> Option<Status> {
        let what = match self {
            Self::None => return None,
            Self::Postponed(status) => return Some(status),
            Self::Now(update) => match update.extent {
                Extent::Confirmation => return None,
                Extent::Credentials => format!("Secret {CREDENTIALS}"),
                Extent::Locations | Extent::NewLocation => format!("BackupStorageLocation {LOCATION}"),
            },
        };
        Some(Status::Waiting(format!("to apply {what}")))
    }
}

/// What changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Extent {
    /// Nothing: what the server has said is found to be about the last change.
    Confirmation,
    /// The credentials, or what is noted of them.
    Credentials,
    /// Locations too, of which there is a BackupStorageLocation already.
    Locations,
    /// There was no BackupStorageLocation.
    NewLocation,
}

/// A change of the locations or their credentials that is due.
#[derive(Debug)]
pub(crate) struct LocationUpdate<'a> {
    credentials: &'a CredentialsSecret,
    locations: &'a [DynamicObject],
    extent: Extent,
    /// The live Secret is unclaimed: its keys are kept.
    adopts_secret: bool,
    /// What the locations wait for, if they have to change, too.
    postponed: Option<Status>,
}

impl LocationUpdate<'_> {
    /// Whether all locations stay as they are.
    pub(crate) fn is_of_credentials_only(&self) -> bool {
        matches!(self.extent, Extent::Confirmation | Extent::Credentials)
    }

    /// Whether it changes nothing, and only confirms what the server has said.
    pub(crate) fn confirms_only(&self) -> bool {
        self.extent == Extent::Confirmation
    }
}

/// Returns the change of the locations and their credentials that is due: by what was sighted, or else by what is there now.
pub(crate) async fn due_update<'a>(
    cluster: &Cluster,
    manifests: &'a Manifests,
    holdings: &Holdings,
    sighting: Option<&Sighting>,
) -> Result<DueUpdate<'a>, ClusterError> {
    let Some(credentials) = &manifests.credentials else { return Ok(DueUpdate::None) };
    let read;
    let secret = if let Some(sighting) = sighting {
        &sighting.credentials
    } else {
        read = LiveCredentials::read(cluster).await?;
        &read
    };
    let version = secret.0.as_ref().filter(|live| credentials.is_in(live)).and_then(ResourceExt::resource_version);
    let mut due = version.is_none();
    let (mut to_make, mut to_change, mut to_confirm, mut moves, mut usable) = (false, false, false, false, true);
    let mut makes_location = false;
    for location in &manifests.locations {
        let read;
        let live = if sighting.is_some() {
            holdings.find(location).map(|held| &held.object)
        } else {
            read = cluster.find(location).await?;
            read.as_ref()
        };
        let Some(live) = live else {
            to_make = true;
            makes_location |= is_backup_location(location);
            continue;
        };
        to_change |= differs(live, location);
        moves |= is_backup_location(location) && store_identity(live) != store_identity(location);
        usable &= !is_unusable(live);
        if is_backup_location(location) {
            let noted = |version: &String| freshness::is_validated_for(live, &validated_for(location, version));
            due |= !version.as_ref().is_some_and(noted);
            to_confirm |= freshness::is_to_be_confirmed(live);
        }
    }
    let changes = due || to_make || to_change;
    if !(changes || to_confirm) {
        return Ok(DueUpdate::None);
    }
    let adopts_secret =
        holdings.find(&named("v1", "Secret", CREDENTIALS)).is_some_and(|held| held.claim == Claim::Unclaimed);
    let extent = match () {
        () if makes_location => Extent::NewLocation,
        () if to_make || to_change => Extent::Locations,
        () if changes => Extent::Credentials,
        () => Extent::Confirmation,
    };
    let update =
        LocationUpdate { credentials, locations: &manifests.locations, extent, adopts_secret, postponed: None };
    if to_change
        && usable
        && let Some(status) = held_back(cluster).await?
    {
        // A backup in progress may need new keys for the store that it began with, but not those of another store.
        if moves || version.is_some() {
            return Ok(DueUpdate::Postponed(status));
        }
        return Ok(DueUpdate::Now(LocationUpdate {
            locations: &[],
            extent: Extent::Credentials,
            postponed: Some(status),
            ..update
        }));
    }
    Ok(DueUpdate::Now(update))
}

/// Waits until another unit has made the change that is due and has confirmed it, or the deadline is there.
pub(crate) async fn until_made(
    cluster: &Cluster,
    expected: &Expected,
    manifests: &Manifests,
    holdings: &Holdings,
    deadline: Instant,
) -> Result<(), ClusterError> {
    // Of new keys, too, the location tells for which of them it is validated.
    let mut changes = pin!(watch::stream(cluster, expected));
    while let DueUpdate::Now(_) = due_update(cluster, manifests, holdings, None).await? {
        if !matches!(timeout_at(deadline, changes.next()).await, Ok(Some(_))) {
            break;
        }
    }
    Ok(())
}

/// Returns what a change of the location waits for, if a backup or a restore is in progress.
async fn held_back(cluster: &Cluster) -> Result<Option<Status>, ClusterError> {
    let operations = operations_in_progress(cluster).await?;
    let holds = |operation: &Operation| operation.holds("to change the storage location", Timestamp::now());
    Ok(operations.first().map(|operation| Status::Waiting(holds(operation))))
}

fn forgetting() -> Status {
    Status::Waiting(
        "for the records of the former storage to be deleted, which are many: the next hook goes on".to_owned(),
    )
}

/// What the unit waits for where the location was there a moment ago and is not.
pub(crate) fn missing() -> Status {
    Status::Waiting(format!(
        "to see whether BackupStorageLocation {LOCATION} is still there, which has just gone: the next hook looks again"
    ))
}

/// Applies the credentials and then the locations, which are validated with them.
///
/// A backup may have begun since the update was found to be due. So this is checked again right before a change that a backup
/// in progress would not survive.
pub(crate) async fn apply(
    cluster: &Cluster,
    expected: &Expected,
    update: &LocationUpdate<'_>,
    deadline: Instant,
) -> Result<LocationsUpdated, ClusterError> {
    let mut updated =
        LocationsUpdated { postponed: update.postponed.iter().cloned().collect(), ..LocationsUpdated::default() };
    let desired = update.locations.iter().find(|location| is_backup_location(location));
    let live = match desired {
        Some(desired) => cluster.find(desired).await?,
        None => None,
    };
    let was_there = live.is_some();
    let mut moves = false;
    match desired.zip(live.as_ref()).filter(|(desired, live)| differs(live, desired)) {
        Some((desired, live)) => {
            // A location that cannot be used is not kept for a backup.
            if !is_unusable(live)
                && let Some(status) = held_back(cluster).await?
            {
                updated.postponed.push(status);
                return Ok(updated);
            }
            moves = store_identity(live) != store_identity(desired);
            if !moves {
                records::forget_repositories(cluster).await?;
            } else if !records::forget_all(cluster, FORGETTING).await? {
                updated.postponed.push(forgetting());
                return Ok(updated);
            }
            // There may be many records.
            if !is_unusable(live)
                && let Some(status) = held_back(cluster).await?
            {
                updated.postponed.push(status);
                return Ok(updated);
            }
        }
        // What was there a moment ago may be there still, and so may what its records stand for.
        None if desired.is_some() && live.is_none() && update.extent != Extent::NewLocation => {
            updated.postponed.push(missing());
            return Ok(updated);
        }
        // Of which place those are that a removed location has left, nobody knows.
        None if desired.is_some() && live.is_none() && !records::forget_all(cluster, FORGETTING).await? => {
            updated.postponed.push(forgetting());
            return Ok(updated);
        }
        None => {}
    }
    let secret = match LiveCredentials::read(cluster).await?.0 {
        Some(live) if update.credentials.is_in(&live) => live,
        live => {
            updated.changed.push(format!("Secret {CREDENTIALS}"));
            let kept = live.as_ref().map(|live| if update.adopts_secret { to_keep(live) } else { kept(live) });
            apply_credentials(cluster, update.credentials, kept.unwrap_or_default()).await?
        }
    };
    let version = secret.resource_version().unwrap_or_default();
    for location in update.locations {
        let live = cluster.find(location).await?;
        let is_due = if is_backup_location(location) {
            // What its server has said before the change would be taken for what it says of it.
            if was_there && live.is_none() {
                updated.postponed.push(missing());
                return Ok(updated);
            }
            let change = LocationChange { desired: location, validated_for: validated_for(location, &version), moves };
            change.apply(cluster, expected, live.as_ref(), deadline).await?
        } else if live.as_ref().is_none_or(|live| differs(live, location)) {
            cluster.adopt_predecessors_fields(&live).await?;
            cluster.apply(location).await?;
            true
        } else {
            false
        };
        if is_due {
            updated.changed.push(describe(location));
        }
    }
    Ok(updated)
}

/// A change of the BackupStorageLocation.
struct LocationChange<'a> {
    desired: &'a DynamicObject,
    validated_for: String,
    /// Whether it points elsewhere afterwards.
    moves: bool,
}

impl LocationChange<'_> {
    /// Updates the location if needed, and makes sure that the next validation covers the update. Returns whether it did.
    async fn apply(
        &self,
        cluster: &Cluster,
        expected: &Expected,
        live: Option<&DynamicObject>,
        deadline: Instant,
    ) -> Result<bool, ClusterError> {
        let Some(live) = live else {
            cluster.apply(&freshness::confirmed(self.desired, &self.validated_for)).await?;
            return Ok(true);
        };
        if differs(live, self.desired) || !freshness::is_validated_for(live, &self.validated_for) {
            validation::mark(cluster, live).await?;
            cluster.adopt_predecessors_fields([live]).await?;
            cluster.apply(&freshness::unconfirmed(self.desired, &self.validated_for)).await?;
            self.forget_what_came_since(cluster).await?;
        } else if !freshness::is_to_be_confirmed(live) {
            return Ok(false);
        }
        if let Some(validated) = validation::ended(cluster, expected, deadline).await? {
            self.forget_what_came_since(cluster).await?;
            if !validated.surely {
                validation::mark(cluster, &validated.location).await?;
            }
            cluster.apply(&freshness::confirmed(self.desired, &self.validated_for)).await?;
        }
        Ok(true)
    }

    /// Forgets the records of the former place that a server was just reading from the store.
    async fn forget_what_came_since(&self, cluster: &Cluster) -> Result<(), ClusterError> {
        if self.moves {
            records::forget_all(cluster, FORGETTING).await?;
        }
        Ok(())
    }
}

/// Whether the server says of a location that it cannot be used, or waits in vain for an answer.
pub(crate) fn is_unusable(location: &DynamicObject) -> bool {
    let is_silent = || readiness::is_unanswered(location, Timestamp::now());
    is_backup_location(location) && (freshness::phase(location) == Some("Unavailable") || is_silent())
}

/// Returns what tells a store from others: its address, its bucket and its folder.
fn store_identity(location: &DynamicObject) -> Vec<Option<&str>> {
    let spec = &location.data["spec"];
    let storage = &spec["objectStorage"];
    let parts = [&spec["provider"], &storage["bucket"], &storage["prefix"]];
    let addresses = ADDRESSES.iter().map(|key| &spec["config"][key]);
    parts.into_iter().chain(addresses).map(|part| part.as_str().filter(|text| !text.is_empty())).collect()
}

async fn apply_credentials(
    cluster: &Cluster,
    credentials: &CredentialsSecret,
    kept: BTreeMap<String, ByteString>,
) -> Result<Secret, ClusterError> {
    let secrets: Api<Secret> = cluster.namespaced();
    // No other credentials are to be left in it, whoever put them there.
    cluster.adopt_fields(&cluster.own(named("v1", "Secret", CREDENTIALS)), FieldOwners::Everybody).await?;
    let copy = (!kept.is_empty()).then(|| credentials.copy_of(kept.clone()));
    let manifest = credentials.manifest(kept);
    let (parameters, patch) = (PatchParams::apply(FIELD_MANAGER).force(), Patch::Apply(&manifest));
    let apply = || call("apply", format!("Secret {CREDENTIALS}"), || secrets.patch(CREDENTIALS, &parameters, &patch));
    match apply().await {
        // Somebody has made it of another type, or immutable.
        Err(error) if error.is_invalid() => {
            // What is in it may be the only copy, and must outlast an end in the middle of this.
            if let Some(copy) = &copy {
                let name = copy.name_any();
                let patch = Patch::Apply(copy);
                call("apply", format!("Secret {name}"), || secrets.patch(&name, &parameters, &patch)).await?;
            }
            cluster.delete(&cluster.own(named("v1", "Secret", CREDENTIALS))).await?;
            apply().await
        }
        outcome => outcome,
    }
}

/// Returns what a validation of the location is about: its spec, and the credentials in that version.
fn validated_for(location: &DynamicObject, credentials_version: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(location.data.to_string());
    hash.update(credentials_version);
    HEXLOWER.encode(&hash.finalize()[..8])
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
