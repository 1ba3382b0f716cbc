//! Which fields the charm adopts from those who made its objects before it.
//!
//! Server-side apply removes a field that is no longer applied only if nobody else holds it. The Python charm of the same name
//! had the `velero` CLI make its objects and changed them by a client of its own; an installation by hand was made by the CLI
//! too. What they have set and the charm does not would stay forever: arguments, variables, plugins, keys of a location's
//! configuration. So before the charm applies such an object, it adopts their fields.

use futures::future::try_join_all;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, ObjectMeta};
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Map, Value, json};

use super::{
    call::{ClusterError, call},
    client::{Cluster, FIELD_MANAGER, describe},
};

/// The field manager of the Python charm's client.
const PYTHON_CHARM: &str = "velero-operator-lightkube";
/// The field managers of the CLI, and of the Python charm's client.
const PREDECESSORS: [&str; 2] = ["velero", PYTHON_CHARM];

/// Whose fields the charm adopts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FieldOwners {
    /// Those of the Python charm's own client.
    PythonCharm,
    /// Those of the Python charm and of the CLI.
    Predecessors,
    /// Everybody's: for what has to be as the charm makes it, to the last field.
    Everybody,
}

impl FieldOwners {
    /// Whether the charm has to adopt fields of an object before it applies it.
    pub(crate) fn is_due(self, metadata: &ObjectMeta) -> bool {
        metadata.managed_fields.iter().flatten().any(|entry| self.includes(entry))
    }

    /// Returns who holds which fields of an object once the charm has adopted them; `None` if there are none to adopt.
    fn adopted(self, metadata: &ObjectMeta) -> Option<Vec<ManagedFieldsEntry>> {
        let entries = metadata.managed_fields.clone().unwrap_or_default();
        let (taken, mut kept): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| self.includes(entry));
        let (position, api_version) = (kept.iter().position(is_charms), taken.first()?.api_version.clone());
        let mut charms = position.map_or_else(|| nothing_applied(api_version), |position| kept.remove(position));
        let held = charms.fields_v1.get_or_insert_with(no_fields);
        for fields in taken.into_iter().filter_map(|entry| entry.fields_v1) {
            unite(&mut held.0, adoptable(fields.0));
        }
        kept.push(charms);
        Some(kept)
    }

    fn includes(self, entry: &ManagedFieldsEntry) -> bool {
        let manager = entry.manager.as_deref().unwrap_or_default();
        // Nobody who installs writes subresources.
        let is_included = match self {
            Self::PythonCharm => manager == PYTHON_CHARM,
            Self::Predecessors => PREDECESSORS.contains(&manager),
            Self::Everybody => true,
        };
        entry.subresource.is_none() && !is_charms(entry) && is_included
    }
}

impl Cluster {
    /// Adopts the fields that the charm's predecessors have set in live objects.
    pub(crate) async fn adopt_predecessors_fields(
        &self,
        live: impl IntoIterator<Item = &DynamicObject>,
    ) -> Result<(), ClusterError> {
        let owners = FieldOwners::Predecessors;
        let due = live.into_iter().filter(|live| owners.is_due(&live.metadata));
        try_join_all(due.map(|live| self.adopt_fields(live, owners))).await.map(drop)
    }

    /// Makes the charm the holder of fields that others have set, so that its next apply removes those that it does not set.
    /// Does nothing where there is no such object or field.
    pub(crate) async fn adopt_fields(&self, object: &DynamicObject, owners: FieldOwners) -> Result<(), ClusterError> {
        let api = &self.api_of(object);
        let name = object.metadata.name.as_deref().unwrap_or_default();
        // Each attempt reads the object anew, as the server refuses what is based on an older one.
        call("adopt fields of", describe(object), || async move {
            let Some(live) = api.get_opt(name).await? else { return Ok(()) };
            let Some(entries) = owners.adopted(&live.metadata) else { return Ok(()) };
            let version = live.metadata.resource_version;
            let patch = json!({"metadata": {"resourceVersion": version, "managedFields": entries}});
            api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
        })
        .await
    }
}

/// Whether the charm holds every field of `data` since it has applied them. A field that somebody else changes becomes
/// theirs, so that all of these have the values that the charm has applied last.
pub(crate) fn holds(metadata: &ObjectMeta, data: &Value) -> bool {
    let charms = metadata.managed_fields.iter().flatten().find(|entry| is_charms(entry));
    charms.and_then(|entry| entry.fields_v1.as_ref()).is_some_and(|fields| includes(&fields.0, data))
}

/// Whether the API server would not store a value.
pub(super) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Array(entries) => entries.is_empty(),
        _ => false,
    }
}

/// Whether a set of fields includes those of an object. A field without any within it is held as a whole.
fn includes(fields: &Value, data: &Value) -> bool {
    let Value::Object(data) = data else { return true };
    data.iter().filter(|(_, value)| !is_nothing(value)).all(|(name, value)| {
        fields
            .get(format!("f:{name}"))
            .is_some_and(|held| held.as_object().is_some_and(Map::is_empty) || includes(held, value))
    })
}

fn is_charms(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(FIELD_MANAGER) && entry.operation.as_deref() == Some("Apply")
}

fn nothing_applied(api_version: Option<String>) -> ManagedFieldsEntry {
    ManagedFieldsEntry {
        api_version,
        fields_type: Some("FieldsV1".to_owned()),
        fields_v1: Some(no_fields()),
        manager: Some(FIELD_MANAGER.to_owned()),
        operation: Some("Apply".to_owned()),
        subresource: None,
        time: None,
    }
}

fn no_fields() -> FieldsV1 {
    FieldsV1(Value::Object(Map::new()))
}

/// Returns the fields without those that the charm must not remove: the status, and finalizers and owners, which somebody
/// relies on.
fn adoptable(mut fields: Value) -> Value {
    if let Some(fields) = fields.as_object_mut() {
        fields.remove("f:status");
        if let Some(Value::Object(metadata)) = fields.get_mut("f:metadata") {
            metadata.retain(|field, _| matches!(field.as_str(), "f:labels" | "f:annotations"));
        }
    }
    fields
}

/// Adds fields to others; each level of both is a map.
fn unite(held: &mut Value, more: Value) {
    let (Value::Object(held), Value::Object(more)) = (held, more) else { return };
    for (field, within) in more {
        unite(held.entry(field).or_insert_with(|| Value::Object(Map::new())), within);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(entries: &Value) -> ObjectMeta {
        serde_json::from_value(json!({"managedFields": entries})).unwrap()
    }

    fn entry(manager: &str, operation: &str, fields: &Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "velero.io/v1", "fieldsType": "FieldsV1",
               "fieldsV1": fields})
    }

    fn fields_of(entries: &[ManagedFieldsEntry], manager: &str) -> Vec<Value> {
        let of_manager = entries.iter().filter(|entry| entry.manager.as_deref() == Some(manager));
        of_manager.map(|entry| entry.fields_v1.clone().unwrap().0).collect()
    }

    #[test]
    fn the_fields_of_the_predecessors_become_the_charms() {
        let metadata = metadata(&json!([
            entry("velero", "Update", &json!({"f:spec": {"f:config": {".": {}, "f:region": {}}}})),
            entry("velero-operator-lightkube", "Update", &json!({"f:spec": {"f:config": {"f:profile": {}}}})),
            entry("somebody", "Update", &json!({"f:metadata": {"f:labels": {"f:theirs": {}}}})),
        ]));
        let entries = FieldOwners::Predecessors.adopted(&metadata).unwrap();
        let config = json!({".": {}, "f:region": {}, "f:profile": {}});
        assert_eq!(fields_of(&entries, "velero-operator"), [json!({"f:spec": {"f:config": config}})]);
        assert_eq!(fields_of(&entries, "somebody").len(), 1);
        assert_eq!(entries.len(), 2);
        let charms = serde_json::to_value(entries.last().unwrap()).unwrap();
        assert_eq!(charms["operation"], "Apply");
        assert_eq!(charms["apiVersion"], "velero.io/v1");
        assert_eq!(charms["fieldsType"], "FieldsV1");
    }

    #[test]
    fn what_the_charm_holds_already_stays_with_it() {
        let metadata = metadata(&json!([
            entry("velero-operator", "Apply", &json!({"f:spec": {"f:replicas": {}}})),
            entry("velero", "Update", &json!({"f:spec": {"f:strategy": {"f:type": {}}}})),
        ]));
        let entries = FieldOwners::Predecessors.adopted(&metadata).unwrap();
        let spec = json!({"f:replicas": {}, "f:strategy": {"f:type": {}}});
        assert_eq!(fields_of(&entries, "velero-operator"), [json!({"f:spec": spec})]);
    }

    #[test]
    fn what_the_charm_holds_is_as_it_has_applied_it() {
        let data = json!({"spec": {"group": "velero.io", "names": {"kind": "Backup", "shortNames": []}, "versions": [{"name": "v1"}]}});
        let fields = |versions: &str, names: &Value| json!({"f:spec": {"f:group": {}, "f:names": names, versions: {}}});
        let held_by =
            |manager: &str, fields: &Value| holds(&metadata(&json!([entry(manager, "Apply", fields)])), &data);
        let kind = json!({"f:kind": {}});
        assert!(held_by("velero-operator", &fields("f:versions", &kind)));
        // A list, or a map, may be held as a whole.
        assert!(held_by("velero-operator", &fields("f:versions", &json!({}))));
        // Somebody has changed the versions, or taken the kind away.
        assert!(!held_by("velero-operator", &fields("f:scope", &kind)));
        assert!(!held_by("velero-operator", &fields("f:versions", &json!({"f:plural": {}}))));
        assert!(!held_by("another", &fields("f:versions", &kind)));
        assert!(!holds(&ObjectMeta::default(), &data));
    }

    #[test]
    fn status_finalizers_and_owners_are_not_taken() {
        let metadata = metadata(&json!([entry(
            "velero",
            "Update",
            &json!({
                "f:status": {},
                "f:metadata": {"f:labels": {"f:a": {}}, "f:finalizers": {}, "f:ownerReferences": {}},
            })
        )]));
        let entries = FieldOwners::Predecessors.adopted(&metadata).unwrap();
        assert_eq!(fields_of(&entries, "velero-operator"), [json!({"f:metadata": {"f:labels": {"f:a": {}}}})]);
    }

    #[test]
    fn nothing_is_due_where_the_charm_alone_or_a_subresource_was_written() {
        let mut status = entry("velero", "Update", &json!({"f:status": {}}));
        status["subresource"] = json!("status");
        let charms = entry("velero-operator", "Apply", &json!({"f:spec": {}}));
        let others = entry("kube-controller-manager", "Update", &json!({"f:metadata": {}}));
        let metadata = metadata(&json!([charms, others, status]));
        assert!(!FieldOwners::Predecessors.is_due(&metadata));
        assert!(FieldOwners::Predecessors.adopted(&metadata).is_none());
        assert!(FieldOwners::Everybody.is_due(&metadata));
        assert!(!FieldOwners::Everybody.is_due(&ObjectMeta::default()));
    }
}
