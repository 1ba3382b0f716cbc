//! What the server says of the BackupStorageLocation.

use std::time::Duration;

use jiff::Timestamp;
use kube::api::DynamicObject;

use super::{server, trouble::Trouble};
use crate::velero::seen::{
    freshness::{self, Freshness},
    observed::Observed,
    storage_message,
};

/// What the location is called in messages.
const LOCATION: &str = "BackupStorageLocation default";
/// A server whose store answers has validated a location in a part of this time. It has no time limit of its own for that.
pub(crate) const VALIDATION: Duration = Duration::from_secs(30);

/// Judges the location. A status from before the server's start was found out by another one, with other plugins; one from before
/// a change is told by [`Freshness`].
pub(super) fn assess(observed: &Observed) -> Option<Trouble> {
    let Some(location) = &observed.location else {
        return Some(Trouble::Missing { object: LOCATION });
    };
    let start = server::start(&observed.pods);
    let validated = freshness::time(location);
    let by_this_server = validated.is_some_and(|time| start.is_some_and(|start| time >= start));
    let began_with_it = start.zip(freshness::changed(location)).is_some_and(|(start, changed)| start > changed);
    let is_current = match Freshness::of(location) {
        Freshness::Current => by_this_server,
        // A server that was started after the change has never known the location otherwise.
        Freshness::Doubtful => by_this_server && began_with_it,
        Freshness::Marked | Freshness::Never => false,
    };
    match freshness::phase(location).filter(|_| is_current) {
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
        _ => Some(silence(location, start, observed.at)),
    }
}

fn silence(location: &DynamicObject, start: Option<Timestamp>, now: Timestamp) -> Trouble {
    // A server begins with validating all locations.
    let since = start.map(|start| freshness::changed(location).map_or(start, |changed| start.max(changed)));
    let silent_from = since.map(|since| since + VALIDATION);
    if silent_from.is_some_and(|from| now >= from) {
        Trouble::StorageSilent { store: store(location), lookup: None }
    } else {
        Trouble::NotValidated { silent_from }
    }
}

/// Whether a server that runs since `start` hangs in the validation of what a location was before its last change: it makes
/// one after the other, and none has a time limit. A server that started after the change has nothing older to hang in.
pub(crate) fn is_stuck(observed: &Observed) -> bool {
    let Some(location) = &observed.location else { return false };
    let (Some(start), Some(changed)) = (server::start(&observed.pods), freshness::changed(location)) else {
        return false;
    };
    freshness::time(location).is_none() && start < changed && observed.at >= changed + VALIDATION
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
