//! What is to be done with Velero's CustomResourceDefinitions, which all Veleros of a cluster share: no I/O here.
//!
//! An older Velero's definitions in place of a newer one's would make the API server drop fields that the newer writes, and
//! refuse phases that it sets. So what a newer Velero needs is never taken back. Which Velero's definitions are is told by an
//! annotation of the charm, as long as nobody has changed them since. Of others it is told by their schema: from one version
//! to the next Velero has added fields and values and removed none.

use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;

use crate::{
    cluster::{FIELD_MANAGER, differs},
    velero::{names::VERSION_ANNOTATION, wanted::Version},
};

/// What is to be done with the definitions of a cluster.
#[derive(Debug, Default)]
pub(crate) struct DueDefinitions<'a> {
    /// Those to apply.
    pub apply: Vec<&'a DynamicObject>,
    /// The names of those among them that are still being deleted, and have to be gone before.
    pub terminating: Vec<String>,
    /// Those that another, newer Velero of the cluster needs: none that is there is changed then.
    pub newer: Vec<String>,
}

/// Decides what is to be done where `live` is what the cluster has of the `desired` definitions.
pub(crate) fn due<'a>(desired: &'a [DynamicObject], live: &[DynamicObject]) -> DueDefinitions<'a> {
    let live_of = |definition: &DynamicObject| live.iter().find(|live| live.metadata.name == definition.metadata.name);
    let mut due = DueDefinitions::default();
    let mut different = Vec::new();
    for definition in desired {
        match live_of(definition) {
            None => due.apply.push(definition),
            Some(live) if live.metadata.deletion_timestamp.is_some() => {
                due.terminating.push(definition.name_any());
                due.apply.push(definition);
            }
            Some(live) if is_newer(live, definition) => due.newer.push(definition.name_any()),
            Some(live) if differs(live, definition) => different.push(definition),
            Some(_) => {}
        }
    }
    // All definitions of a cluster are to be of one Velero.
    if due.newer.is_empty() {
        due.apply.extend(different);
    }
    due
}

/// The version of the Velero that a definition was made by the charm for.
pub(crate) fn version(definition: &DynamicObject) -> Option<Version> {
    definition.annotations().get(VERSION_ANNOTATION).and_then(|version| Version::parse(version))
}

fn is_newer(live: &DynamicObject, desired: &DynamicObject) -> bool {
    let told = version(live).filter(|_| has_the_charms_versions(live));
    match (told, version(desired)) {
        (Some(live), Some(desired)) => live > desired,
        _ => allows_more(live, desired),
    }
}

/// Whether the versions of the definition are still what a charm applied, this one or another model's.
fn has_the_charms_versions(live: &DynamicObject) -> bool {
    live.managed_fields().iter().any(|entry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer("/f:spec/f:versions").is_some())
    })
}

/// Whether objects can have versions, fields or values under `live` that `desired` does not know.
fn allows_more(live: &DynamicObject, desired: &DynamicObject) -> bool {
    let desired = versions(desired);
    versions(live).into_iter().any(|(name, schema)| {
        let same_version = desired.iter().find(|(desired, _)| *desired == name);
        same_version.is_none_or(|(_, desired)| schema_allows_more(schema, desired))
    })
}

fn versions(definition: &DynamicObject) -> Vec<(&Value, &Value)> {
    let versions = definition.data["spec"]["versions"].as_array();
    versions.into_iter().flatten().map(|version| (&version["name"], &version["schema"]["openAPIV3Schema"])).collect()
}

fn schema_allows_more(live: &Value, desired: &Value) -> bool {
    let properties = live["properties"].as_object();
    let more_properties = properties.into_iter().flatten().any(|(name, schema)| {
        desired["properties"].get(name).is_none_or(|desired| schema_allows_more(schema, desired))
    });
    let more_values = match (&live["enum"], &desired["enum"]) {
        (Value::Array(live), Value::Array(desired)) => live.iter().any(|value| !desired.contains(value)),
        _ => false,
    };
    let within = |key: &str| live[key].is_object() && schema_allows_more(&live[key], &desired[key]);
    more_properties || more_values || within("items") || within("additionalProperties")
}

#[cfg(test)]
#[path = "due_tests.rs"]
mod tests;
