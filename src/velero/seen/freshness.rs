//! Whether what the server says of a BackupStorageLocation was found out after the last change of it.
//!
//! The server validates a location when its spec changes and about once a minute, and leaves in the status what it found and
//! when. That is not enough to know: after a change of the credentials alone an old "Available" stands there for up to a minute,
//! and a validation that began before a change may end after it, with a store that does not answer much later. The server makes
//! one validation after the other, though. So the charm has it make two: when the first one that ends after a change has ended,
//! it marks the status and touches the location again. What takes the mark away is about the change for sure.

use jiff::Timestamp;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::json;

/// The annotation with what the status of a location is about.
const STANDS_FOR_ANNOTATION: &str = "velero-operator/stands-for";
/// What follows in it as long as the status may be from before.
const IN_DOUBT: &str = " in doubt";
/// The message that marks a status as found out before a change.
pub(crate) const TO_BE_VALIDATED: &str = "changed by the charm, and to be validated again";

/// The location with the note that its status is about `stands_for`.
pub(crate) fn sure(location: &DynamicObject, stands_for: &str) -> DynamicObject {
    noted(location, stands_for.to_owned())
}

/// The location with the note that its status may be about what it was before. Its spec differs from that of the other in a
/// field that means nothing, so that the server validates the location at once when one takes the place of the other.
pub(crate) fn in_doubt(location: &DynamicObject, stands_for: &str) -> DynamicObject {
    let mut doubted = noted(location, format!("{stands_for}{IN_DOUBT}"));
    doubted.data["spec"]["credential"]["optional"] = json!(false);
    doubted
}

fn noted(location: &DynamicObject, note: String) -> DynamicObject {
    let mut noted = location.clone();
    noted.annotations_mut().insert(STANDS_FOR_ANNOTATION.to_owned(), note);
    noted
}

fn note(location: &DynamicObject) -> &str {
    location.annotations().get(STANDS_FOR_ANNOTATION).map_or("", String::as_str)
}

/// Whether the last change of a location was made for `stands_for`.
pub(crate) fn is_for(location: &DynamicObject, stands_for: &str) -> bool {
    note(location).trim_end_matches(IN_DOUBT) == stands_for
}

/// Whether the status of a location may be about what it was before its last change.
pub(crate) fn is_in_doubt(location: &DynamicObject) -> bool {
    note(location).ends_with(IN_DOUBT)
}

/// Whether the server has said something of a location that is about its last change.
pub(crate) fn is_current(location: &DynamicObject) -> bool {
    time(location).is_some() && !is_marked(location) && !is_in_doubt(location)
}

/// What the server says of a location: `Available`, `Unavailable` or nothing yet.
pub(crate) fn phase(location: &DynamicObject) -> Option<&str> {
    location.data.pointer("/status/phase")?.as_str()
}

/// When the server wrote what it says.
pub(crate) fn time(location: &DynamicObject) -> Option<Timestamp> {
    location.data.pointer("/status/lastValidationTime")?.as_str()?.parse().ok()
}

fn is_marked(location: &DynamicObject) -> bool {
    location.data.pointer("/status/message").is_some_and(|message| message == TO_BE_VALIDATED)
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
        assert!(is_current(&location(TIME, "")));
        assert!(!is_current(&location(None, "")));
        assert!(!is_current(&location(TIME, TO_BE_VALIDATED)));
    }

    #[test]
    fn what_is_in_doubt_is_not_believed_and_makes_another_spec() {
        let location = location(TIME, "");
        let (doubted, sure) = (in_doubt(&location, "0a1b"), sure(&location, "0a1b"));
        for noted in [&doubted, &sure] {
            assert!(is_for(noted, "0a1b") && !is_for(noted, "0a1c"));
        }
        assert!(is_in_doubt(&doubted) && !is_current(&doubted));
        assert!(!is_in_doubt(&sure) && is_current(&sure));
        assert_eq!(sure.data["spec"], location.data["spec"]);
        assert_ne!(doubted.data["spec"], sure.data["spec"]);
    }
}
