//! Whose an object is that has no name of the charm's, when Velero is removed: no I/O here.

use crate::{
    cluster::Head,
    velero::names::{INSTANCE, MANAGED_BY},
};

/// Those who delete what they made themselves.
const OTHER_MANAGERS: [&str; 2] = ["juju", "Helm"];
/// The kinds that say what Velero is to do. Others tell what it has done, and their labels are copies: of a Schedule, or of what
/// another application had put into the store.
const CONFIGURATION: [&str; 3] = ["Schedule", "BackupStorageLocation", "VolumeSnapshotLocation"];
/// The API group of Velero's own kinds, with the stroke before a version.
const OF_VELERO: &str = "velero.io/";

/// Whether a removal deletes an object of one of Velero's kinds: all that users and the server have made in the namespace.
pub(super) fn goes_with_velero(kind: &str, object: &Head, application: &str) -> bool {
    let is_configuration = CONFIGURATION.contains(&kind);
    // Velero makes its objects the owners of others.
    !(is_configuration && is_of_others(object, application))
        && object.owner_references.iter().all(|owner| owner.api_version.starts_with(OF_VELERO))
}

/// Whether an object says that it is this application's.
pub(super) fn bears_label(object: &Head, application: &str) -> bool {
    let says = |(key, value): (&str, &str)| object.labels.get(key).is_some_and(|label| label == value);
    says(MANAGED_BY) && says((INSTANCE, application)) && object.owner_references.is_empty()
}

fn is_of_others(object: &Head, application: &str) -> bool {
    let managed = object.labels.get(MANAGED_BY.0).is_some_and(|manager| OTHER_MANAGERS.contains(&manager.as_str()));
    managed || object.labels.get(INSTANCE).is_some_and(|instance| instance != application)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn head(labels: &Value, owner: Option<&str>) -> Head {
        let owners: Vec<_> =
            owner.iter().map(|of| json!({"apiVersion": of, "kind": "Any", "name": "any", "uid": "any"})).collect();
        serde_json::from_value(json!({"name": "any", "labels": labels, "ownerReferences": owners})).unwrap()
    }

    #[test]
    fn an_object_is_of_the_application_that_it_names() {
        let managed = MANAGED_BY.0;
        for (labels, own, goes) in [
            (json!({managed: "velero-operator", INSTANCE: "here"}), true, true),
            (json!({managed: "velero-operator"}), false, true),
            (json!({managed: "velero-operator", INSTANCE: "another"}), false, false),
            (json!({managed: "juju", INSTANCE: "here"}), false, false),
            (json!({managed: "Helm"}), false, false),
            (json!({}), false, true),
        ] {
            let head = head(&labels, None);
            let told = (bears_label(&head, "here"), goes_with_velero("Schedule", &head, "here"));
            assert_eq!(told, (own, goes), "{labels}");
            assert!(goes_with_velero("Backup", &head, "here"), "{labels}");
        }
    }

    #[test]
    fn what_has_an_owner_goes_with_its_owner() {
        let ours = json!({MANAGED_BY.0: "velero-operator", INSTANCE: "here"});
        assert!(!bears_label(&head(&ours, Some("apps/v1")), "here"));
        assert!(!goes_with_velero("Backup", &head(&json!({}), Some("apps/v1")), "here"));
        assert!(goes_with_velero("Backup", &head(&json!({}), Some("velero.io/v1")), "here"));
    }
}
