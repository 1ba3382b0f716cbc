//! Whether an object in the cluster is already what a manifest says.

use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;

use super::ownership::{FieldOwners, is_nothing};

/// The annotation that tells which manifest an object was last applied from.
pub(crate) const MANIFEST_ANNOTATION: &str = "velero-operator/manifest";

/// Whether applying `desired` could change `live`.
///
/// True if it was applied from another manifest (whose extra fields must go), or if somebody changed a field that we applied.
/// Fields that others added beside ours are theirs, unless they were the charm's predecessors.
pub(crate) fn differs(live: &DynamicObject, desired: &DynamicObject) -> bool {
    live.annotations().get(MANIFEST_ANNOTATION) != desired.annotations().get(MANIFEST_ANNOTATION)
        || !desired.labels().iter().all(|(key, value)| live.labels().get(key) == Some(value))
        || !contains(&live.data, &desired.data)
        || FieldOwners::Predecessors.is_due(&live.metadata)
        || selects_others(live, desired)
}

/// A selector is one value to the API server: what somebody added to it changes all that it selects.
fn selects_others(live: &DynamicObject, desired: &DynamicObject) -> bool {
    let selector = |object: &DynamicObject| object.data.pointer("/spec/selector").cloned();
    selector(desired).is_some_and(|wanted| selector(live) != Some(wanted))
}

/// Whether every field of `desired` is in `live` with the same value. Of a list of objects each desired one has to be there,
/// in any order and among others: server-side apply merges such lists by a key of theirs.
pub(crate) fn contains(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => desired.iter().all(|(key, value)| match live.get(key) {
            Some(found) => contains(found, value),
            None => is_nothing(value),
        }),
        (Value::Array(live), Value::Array(desired)) if desired.iter().all(Value::is_object) => {
            desired.iter().all(|value| live.iter().any(|found| contains(found, value)))
        }
        _ => live == desired,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(hash: &str, data: &Value) -> DynamicObject {
        let mut object = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "velero", "labels": {"component": "velero"}, "annotations": {MANIFEST_ANNOTATION: hash}},
        });
        for (key, value) in data.as_object().unwrap() {
            object[key] = value.clone();
        }
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn defaults_of_the_server_and_additions_of_others_are_no_difference() {
        let desired = object(
            "a",
            &json!({"spec": {"replicas": 1, "strategy": {}, "template": {"spec": {"containers": [
            {"name": "velero", "env": [{"name": "A", "value": "1"}], "resources": {}}]}}}}),
        );
        let live = object(
            "a",
            &json!({"spec": {"replicas": 1, "template": {"spec": {"restartPolicy": "Always", "containers": [
            {"name": "sidecar"},
            {"name": "velero", "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]}]}}}}),
        );
        assert!(!differs(&live, &desired));
    }

    #[test]
    fn another_manifest_or_an_edited_field_is_a_difference() {
        let desired = object("a", &json!({"spec": {"replicas": 1}}));
        assert!(differs(&object("b", &json!({"spec": {"replicas": 1}})), &desired));
        assert!(differs(&object("a", &json!({"spec": {"replicas": 0}})), &desired));
        assert!(differs(&object("a", &json!({})), &desired));
        let mut unlabelled = object("a", &json!({"spec": {"replicas": 1}}));
        unlabelled.metadata.labels = None;
        assert!(differs(&unlabelled, &desired));
    }

    #[test]
    fn more_in_a_selector_is_a_difference() {
        let desired = object("a", &json!({"spec": {"selector": {"deploy": "velero"}}}));
        assert!(!differs(&desired, &desired));
        let live = json!({"spec": {"selector": {"deploy": "velero", "tier": "none"}}});
        assert!(differs(&object("a", &live), &desired));
    }

    #[test]
    fn a_field_that_a_predecessor_holds_is_a_difference() {
        let desired = object("a", &json!({"spec": {"replicas": 1}}));
        let mut live = desired.clone();
        live.metadata.managed_fields =
            serde_json::from_value(json!([{"manager": "velero", "operation": "Update"}])).unwrap();
        assert!(differs(&live, &desired));
    }

    #[test]
    fn a_list_of_plain_values_is_compared_as_a_whole() {
        assert!(!contains(
            &json!({"args": ["server", "--features=", "--extra"]}),
            &json!({"args": ["server", "--features="]})
        ));
        assert!(!contains(
            &json!({"env": [{"name": "A", "value": "2"}]}),
            &json!({"env": [{"name": "A", "value": "1"}]})
        ));
    }
}
