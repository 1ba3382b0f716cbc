//! What the server says of the BackupStorageLocation.

use std::time::Duration;

use jiff::Timestamp;
use kube::api::DynamicObject;

use super::{server, trouble::Trouble};
use crate::velero::seen::{
    freshness::{self, Freshness},
    observed::Observed,
    restart::Restart,
    storage_message,
};

/// What the location is called in messages.
const LOCATION: &str = "BackupStorageLocation default";
/// A server whose store answers has validated a location in a part of this time. It has no time limit of its own for that.
pub(crate) const VALIDATION: Duration = Duration::from_secs(30);

/// A server validates a location every minute, unless the location says otherwise. One that has not done so for this time hangs in
/// a store that has fallen silent.
const STALE: Duration = Duration::from_mins(5);

/// Judges the location. A status from before the server's start was found out by another one, with other plugins; one from before
/// a change is told by [`Freshness`].
pub(super) fn assess(observed: &Observed) -> Option<Trouble> {
    let Some(location) = &observed.location else {
        return Some(Trouble::Missing { object: LOCATION });
    };
    let start = server::start(&observed.pods);
    let validated = freshness::time(location);
    let by_this_server = validated.is_some_and(|time| start.is_some_and(|start| time >= start));
    let is_current = match Freshness::of(location) {
        Freshness::Current => by_this_server,
        Freshness::Doubtful => by_this_server && began_with_it(observed),
        Freshness::Marked | Freshness::Never => false,
    };
    match freshness::phase(location).filter(|_| is_current) {
        Some("Available") if is_stale(location, observed.at) => {
            Some(Trouble::StorageSilent { store: store(location), lookup: None })
        }
        Some("Available") => None,
        Some("Unavailable") => {
            let message = location.data.pointer("/status/message").and_then(|message| message.as_str());
            let message = message.map(storage_message::lasting);
            Some(Trouble::StorageUnusable {
                message: message.unwrap_or_else(|| "the server gave no reason".to_owned()),
            })
        }
        // It has said something, which is to be confirmed.
        _ if by_this_server => Some(Trouble::NotValidated { silent_from: None }),
        _ => Some(silence(location, start, observed)),
    }
}

/// Whether the server should have validated a location again by now.
fn is_stale(location: &DynamicObject, now: Timestamp) -> bool {
    let is_regular = location.data.pointer("/spec/validationFrequency").is_none();
    is_regular && freshness::time(location).is_some_and(|validated| now >= validated + STALE)
}

/// Whether the server was started after the last change of the location: it has never known it otherwise.
pub(crate) fn began_with_it(observed: &Observed) -> bool {
    let changed = observed.location.as_ref().and_then(freshness::changed);
    server::start(&observed.pods).zip(changed).is_some_and(|(start, changed)| start > changed)
}

/// Judges a location of which the server has said nothing.
fn silence(location: &DynamicObject, start: Option<Timestamp>, observed: &Observed) -> Trouble {
    let changed = freshness::changed(location);
    // A server begins with validating all locations.
    let silent_from = start.map(|start| changed.map_or(start, |changed| start.max(changed)) + VALIDATION);
    // A server that was restarted for the silence is no reason to think that it has ended, until something is heard.
    let is_unheard = freshness::time(location).is_none();
    let goes_on =
        is_unheard && changed.is_some_and(|changed| Restart::last(observed.server.as_ref(), changed).is_some());
    if goes_on || silent_from.is_some_and(|from| observed.at >= from) {
        Trouble::StorageSilent { store: store(location), lookup: None }
    } else {
        Trouble::NotValidated { silent_from }
    }
}

/// Returns the restart that is due of a server that has said nothing of the location.
pub(crate) fn due_restart(observed: &Observed) -> Option<Restart> {
    let Some(Trouble::StorageSilent { .. }) = assess(observed) else { return None };
    let (start, since) = (server::start(&observed.pods)?, freshness::unheard_since(observed.location.as_ref()?)?);
    Restart::due(Restart::last(observed.server.as_ref(), since), since, start, observed.at)
}

/// Whether no server has said anything of a location since it was changed, for longer than a store needs that answers.
pub(crate) fn is_unanswered(location: &DynamicObject, now: Timestamp) -> bool {
    let waited = freshness::changed(location).is_some_and(|changed| now >= changed + VALIDATION);
    waited && freshness::time(location).is_none()
}

/// Returns the store as a person knows it.
fn store(location: &DynamicObject) -> String {
    let text =
        |pointer: &str| location.data.pointer(pointer).and_then(|text| text.as_str()).filter(|text| !text.is_empty());
    let address =
        ["s3Url", "storageAccountURI", "storeEndpoint"].iter().find_map(|key| text(&format!("/spec/config/{key}")));
    if let Some(address) = address {
        return address.to_owned();
    }
    let bucket = text("/spec/objectStorage/bucket").unwrap_or_default();
    match (text("/spec/config/storageAccount"), text("/spec/config/region")) {
        (Some(account), _) => format!("container {bucket} of storage account {account}"),
        (None, Some(region)) => format!("bucket {bucket} in {region}"),
        (None, None) => format!("bucket {bucket}"),
    }
}
