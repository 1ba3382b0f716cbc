//! Whether what the server says of a BackupStorageLocation was found out after the last change of it.
//!
//! The server validates a location when its spec changes and about once a minute, and leaves in the status what it found and
//! when. That is not enough to know: after a change of the credentials alone an old "Available" stands there for up to a minute,
//! and a validation that began before a change may end after it, with a store that does not answer much later. The server makes
//! one validation after the other, though. So the charm has it make two: when the first one that ends after a change has ended,
//! it marks the status and touches the location again. The validation that replaces the mark began after the change.

use jiff::Timestamp;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::json;

use super::namespace::own_fields;

/// The annotation with the hash of the spec and the credentials that the status was validated for.
const VALIDATED_FOR_ANNOTATION: &str = "velero-operator/validated-for";
/// What follows in it as long as the status may be from before.
const UNCONFIRMED: &str = " unconfirmed";
/// The message that marks a status as found out before a change.
pub(crate) const TO_BE_VALIDATED: &str = "changed by the charm, and to be validated again";

/// Of when the status of a location is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Freshness {
    /// The server has said nothing yet.
    Never,
    /// Unclear: the validation may be older than the last change. One more decides.
    Doubtful,
    /// From before the last change of the location.
    Marked,
    /// What the location is.
    Current,
}

impl Freshness {
    /// Reads it from a location.
    pub(crate) fn of(location: &DynamicObject) -> Self {
        let is_marked = location.data.pointer("/status/message").is_some_and(|message| message == TO_BE_VALIDATED);
        match () {
            () if note(location).ends_with(UNCONFIRMED) => Self::Doubtful,
            () if is_marked => Self::Marked,
            () if time(location).is_none() => Self::Never,
            () => Self::Current,
        }
    }
}

/// Returns the location with the note that its status is about `validated_for`.
pub(crate) fn confirmed(location: &DynamicObject, validated_for: &str) -> DynamicObject {
    noted(location, validated_for.to_owned())
}

/// Returns the location with the note that its status may be stale. The two forms differ in one meaningless field of the spec:
/// switching between them makes the server validate at once.
pub(crate) fn unconfirmed(location: &DynamicObject, validated_for: &str) -> DynamicObject {
    let mut doubted = noted(location, format!("{validated_for}{UNCONFIRMED}"));
    doubted.data["spec"]["credential"]["optional"] = json!(false);
    doubted
}

fn noted(location: &DynamicObject, note: String) -> DynamicObject {
    let mut noted = location.clone();
    noted.annotations_mut().insert(VALIDATED_FOR_ANNOTATION.to_owned(), note);
    noted
}

fn note(location: &DynamicObject) -> &str {
    location.annotations().get(VALIDATED_FOR_ANNOTATION).map_or("", String::as_str)
}

/// Returns what the status of a location is about, if the charm made it and the server has confirmed it since its last change.
pub(crate) fn validated_for(location: &DynamicObject) -> Option<&str> {
    Some(note(location)).filter(|note| !note.is_empty() && !note.ends_with(UNCONFIRMED))
}

/// Whether the last change of a location was made for `validated_for`.
pub(crate) fn is_validated_for(location: &DynamicObject, validated_for: &str) -> bool {
    note(location).trim_end_matches(UNCONFIRMED) == validated_for
}

/// Whether a validation has ended since a location was changed, and another one has to be made, which is surely about the
/// change. As long as none has ended, there is nothing to do but wait.
pub(crate) fn is_to_be_confirmed(location: &DynamicObject) -> bool {
    Freshness::of(location) == Freshness::Doubtful && time(location).is_some()
}

/// Returns what the server says of a location: `Available`, `Unavailable` or nothing yet.
pub(crate) fn phase(location: &DynamicObject) -> Option<&str> {
    location.data.pointer("/status/phase")?.as_str()
}

/// Returns when the server wrote what it says.
pub(crate) fn time(location: &DynamicObject) -> Option<Timestamp> {
    location.data.pointer("/status/lastValidationTime")?.as_str()?.parse().ok()
}

/// Returns since when nothing was heard of a location: when the server said something of it last, or the charm changed it after that.
pub(crate) fn unheard_since(location: &DynamicObject) -> Option<Timestamp> {
    let changed = changed(location)?;
    Some(time(location).map_or(changed, |said| said.max(changed)))
}

/// Returns when the charm changed a location last, by the API server's clock.
pub(crate) fn changed(location: &DynamicObject) -> Option<Timestamp> {
    Some(own_fields(&location.metadata)?.time.as_ref()?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::named;

    fn location(time: Option<&str>, message: &str) -> DynamicObject {
        let mut location = named("velero.io/v1", "BackupStorageLocation", "default");
        location.data = json!({"spec": {"credential": {"name": "cloud-credentials", "key": "creds"}},
            "status": {"phase": "Available", "lastValidationTime": time, "message": message}});
        location
    }

    const TIME: Option<&str> = Some("2026-01-31T10:20:30Z");

    #[test]
    fn a_marked_status_and_one_without_a_time_are_from_before() {
        assert_eq!(Freshness::of(&location(TIME, "")), Freshness::Current);
        assert_eq!(Freshness::of(&location(None, "")), Freshness::Never);
        assert_eq!(Freshness::of(&location(TIME, TO_BE_VALIDATED)), Freshness::Marked);
        assert_eq!(Freshness::of(&location(None, TO_BE_VALIDATED)), Freshness::Marked);
    }

    #[test]
    fn what_is_not_confirmed_is_not_believed_and_makes_another_spec() {
        let location = location(TIME, "");
        let (doubted, sure) = (unconfirmed(&location, "0a1b"), confirmed(&location, "0a1b"));
        for noted in [&doubted, &sure] {
            assert!(is_validated_for(noted, "0a1b") && !is_validated_for(noted, "0a1c"));
        }
        assert_eq!(Freshness::of(&doubted), Freshness::Doubtful);
        assert_eq!(Freshness::of(&sure), Freshness::Current);
        assert_eq!(sure.data["spec"], location.data["spec"]);
        assert_ne!(doubted.data["spec"], sure.data["spec"]);
    }

    #[test]
    fn there_is_something_to_confirm_only_once_a_validation_has_ended() {
        let doubted = |time| unconfirmed(&location(time, TO_BE_VALIDATED), "0a1b");
        assert!(!is_to_be_confirmed(&doubted(None)));
        assert!(is_to_be_confirmed(&doubted(TIME)));
        assert!(!is_to_be_confirmed(&confirmed(&location(TIME, ""), "0a1b")));
    }

    #[test]
    fn the_last_change_is_the_charms_own() {
        let mut location = location(TIME, "");
        location.metadata.managed_fields = serde_json::from_value(json!([
            {"manager": "velero-server", "operation": "Update", "time": "2026-01-31T10:30:00Z"},
            {"manager": "velero-operator", "operation": "Apply", "time": "2026-01-31T10:20:00Z"},
            {"manager": "velero-operator", "operation": "Update", "time": "2026-01-31T10:25:00Z"}]))
        .unwrap();
        assert_eq!(changed(&location).unwrap().to_string(), "2026-01-31T10:20:00Z");
        assert_eq!(unheard_since(&location).unwrap().to_string(), TIME.unwrap());
        location.data["status"]["lastValidationTime"] = json!("2026-01-31T10:10:00Z");
        assert_eq!(unheard_since(&location), changed(&location));
        location.data["status"] = json!({});
        assert_eq!(unheard_since(&location), changed(&location));
    }
}
