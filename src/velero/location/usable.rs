//! Whether a storage location can be used now.

use kube::api::DynamicObject;
use thiserror::Error;

use crate::velero::seen::{
    freshness::{self, Freshness},
    storage_message,
};

/// Why a storage location cannot be used now.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub(crate) enum LocationTrouble {
    #[error(
        "there is no storage for backups: no BackupStorageLocation {name} in namespace {namespace}; see juju status"
    )]
    Missing { name: String, namespace: String },
    #[error("Velero has not validated the storage yet: wait until juju status says active")]
    NotValidated,
    #[error("the storage is not usable: {message}")]
    Unavailable {
        /// Velero's own words.
        message: String,
    },
}

/// Judges what the server says of a location.
pub(crate) fn trouble(location: Option<&DynamicObject>, name: &str, namespace: &str) -> Option<LocationTrouble> {
    let Some(location) = location else {
        return Some(LocationTrouble::Missing { name: name.to_owned(), namespace: namespace.to_owned() });
    };
    if matches!(Freshness::of(location), Freshness::Marked | Freshness::Never) {
        return Some(LocationTrouble::NotValidated);
    }
    match freshness::phase(location) {
        Some("Available") => None,
        Some("Unavailable") => {
            let message = location.data.pointer("/status/message").and_then(|message| message.as_str());
            let message = message.map_or_else(|| "the server gave no reason".to_owned(), storage_message::lasting);
            Some(LocationTrouble::Unavailable { message })
        }
        _ => Some(LocationTrouble::NotValidated),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{cluster::named, velero::seen::freshness::TO_BE_VALIDATED};

    fn told(status: &Value) -> String {
        let mut location = named("velero.io/v1", "BackupStorageLocation", "default");
        location.data = json!({"status": status});
        trouble(Some(&location), "default", "backups").map(|trouble| trouble.to_string()).unwrap_or_default()
    }

    #[test]
    fn only_what_was_validated_after_the_last_change_is_used() {
        let time = "2026-01-31T10:20:30Z";
        assert_eq!(told(&json!({"phase": "Available", "lastValidationTime": time})), "");
        let waits = "Velero has not validated the storage yet: wait until juju status says active";
        assert_eq!(told(&json!({"phase": "Available", "message": TO_BE_VALIDATED})), waits);
        assert_eq!(told(&json!({})), waits);
        let refused = json!({"phase": "Unavailable", "lastValidationTime": time, "message": "no such bucket"});
        assert_eq!(told(&refused), "the storage is not usable: no such bucket");
        let missing = trouble(None, "default", "backups").unwrap().to_string();
        assert!(missing.contains("no BackupStorageLocation default in namespace backups"), "{missing}");
    }
}
