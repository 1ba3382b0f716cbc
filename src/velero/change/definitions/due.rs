//! What to do with Velero's CustomResourceDefinitions, which all Veleros of a cluster share.
//!
//! An older Velero's definitions in place of a newer one's would make the API server drop fields that the newer writes, and
//! refuse phases that it sets. So what a newer Velero needs is never taken back. Which Velero's definitions are is told by an
//! annotation of the charm, as long as nobody has changed them since. Otherwise their schema decides:
//!
//! - A definition that allows nothing that ours does not know can be replaced: nobody needs more than ours. Neither does a value
//!   or a kind that Velero has dropped count, nor what is within a field of which ours keeps everything.
//! - One that knows all that ours does, and more, is a newer Velero's, or somebody has added to it. It stays, and our server finds
//!   in it what it needs.
//! - One that both adds and lacks something is an older one that somebody has edited, or a newer one of a Velero that has
//!   dropped something. That cannot be told, and our server cannot work with it: a person has to decide.

use std::collections::{BTreeMap, BTreeSet};

use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;

use crate::{
    cluster::{FIELD_MANAGER, FieldOwners, MANIFEST_ANNOTATION, differs, holds},
    velero::{names::VERSION_ANNOTATION, wanted::Version},
};

/// What Velero has dropped, of all releases from 1.6 to 1.18: a kind of download, in 1.11. Beside it only `ResticRepository` was
/// dropped, a kind that no release of ours has, and the schema within a restore's init containers, of which everything is kept.
const DROPPED: [(&str, &str); 1] = [("downloadrequests.velero.io", "v1.spec.target.kind=BackupItemSnapshots")];

/// What to do with the definitions of a cluster.
#[derive(Debug, Default)]
pub(crate) struct DueDefinitions<'a> {
    /// Those to apply.
    pub apply: Vec<&'a DynamicObject>,
    /// The names of those among them that are still being deleted, and have to be gone before.
    pub terminating: Vec<String>,
    /// Those that another, newer Velero of the cluster needs: they stay as they are.
    pub newer: Vec<String>,
    /// Those of which it cannot be told whether somebody needs them.
    pub unclear: Vec<Unclear>,
}

/// A definition that has something that ours does not know, and lacks something that it does.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Unclear {
    pub name: String,
    /// One of the things that it has more.
    pub has: String,
    /// One of the things that it lacks.
    pub lacks: String,
}

/// What a definition in the cluster is, next to ours.
#[derive(Debug, Eq, PartialEq)]
enum Standing {
    /// Nobody needs it to be other than ours.
    Replaceable,
    Newer,
    Unclear {
        has: String,
        lacks: String,
    },
}

/// Whether a definition is as the charm has applied it from this very manifest, by the metadata of those that there
/// are: nobody has changed a field since, or that field would be theirs.
pub(crate) fn is_as_applied(heads: &[DynamicObject], desired: &DynamicObject) -> bool {
    let Some(head) = heads.iter().find(|head| head.metadata.name == desired.metadata.name) else { return false };
    let has_all = |live: &BTreeMap<String, String>, desired: &BTreeMap<String, String>| {
        desired.iter().all(|(key, value)| live.get(key) == Some(value))
    };
    head.metadata.deletion_timestamp.is_none()
        && desired.annotations().contains_key(MANIFEST_ANNOTATION)
        && has_all(head.annotations(), desired.annotations())
        && has_all(head.labels(), desired.labels())
        && !FieldOwners::Predecessors.is_due(&head.metadata)
        && holds(&head.metadata, &desired.data)
}

/// Decides what to do with the `desired` definitions, given the `live` ones.
pub(crate) fn due<'a>(
    desired: impl IntoIterator<Item = &'a DynamicObject>,
    live: &[DynamicObject],
) -> DueDefinitions<'a> {
    let live_of = |definition: &DynamicObject| live.iter().find(|live| live.metadata.name == definition.metadata.name);
    let mut due = DueDefinitions::default();
    for definition in desired {
        match live_of(definition) {
            None => due.apply.push(definition),
            Some(live) if live.metadata.deletion_timestamp.is_some() => {
                due.terminating.push(definition.name_any());
                due.apply.push(definition);
            }
            Some(live) => match standing(live, definition) {
                Standing::Replaceable if differs(live, definition) => due.apply.push(definition),
                Standing::Replaceable => {}
                Standing::Newer => due.newer.push(definition.name_any()),
                Standing::Unclear { has, lacks } => {
                    due.unclear.push(Unclear { name: definition.name_any(), has, lacks });
                }
            },
        }
    }
    due
}

/// Returns the version of the Velero that the charm made a definition for.
pub(crate) fn version(definition: &DynamicObject) -> Option<Version> {
    definition.annotations().get(VERSION_ANNOTATION).and_then(|version| Version::parse(version))
}

fn standing(live: &DynamicObject, desired: &DynamicObject) -> Standing {
    let told = version(live).filter(|_| has_the_charms_versions(live)).zip(version(desired));
    if told.as_ref().is_some_and(|(live, desired)| live <= desired) {
        return Standing::Replaceable;
    }
    let name = desired.name_any();
    let has = more(live, desired).into_iter().find(|path| !DROPPED.contains(&(name.as_str(), path.as_str())));
    let lacks = more(desired, live).pop_first();
    match (has, lacks, told) {
        // A definition that the charm applied may lack something that Velero has dropped since. Another minor release is
        // reported.
        (has, Some(lacks), Some((live, desired))) if live.agrees_with(&desired) => {
            Standing::Unclear { has: has.unwrap_or_else(|| format!("version {live}")), lacks }
        }
        (_, _, Some(_)) | (Some(_), None, None) => Standing::Newer,
        (None, _, None) => Standing::Replaceable,
        (Some(has), Some(lacks), None) => Standing::Unclear { has, lacks },
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

/// Returns what objects can have under one definition and not under another: `v1.status.phase=Queued`.
fn more(one: &DynamicObject, other: &DynamicObject) -> BTreeSet<String> {
    let other = versions(other);
    let mut more = BTreeSet::new();
    for (name, schema) in versions(one) {
        match other.iter().find(|(other, _)| *other == name) {
            Some((_, other)) => add_more(schema, other, name, &mut more),
            None => drop(more.insert(name.to_owned())),
        }
    }
    more
}

fn versions(definition: &DynamicObject) -> Vec<(&str, &Value)> {
    let versions = definition.data["spec"]["versions"].as_array().into_iter().flatten();
    versions.filter_map(|version| Some((version["name"].as_str()?, &version["schema"]["openAPIV3Schema"]))).collect()
}

fn add_more(one: &Value, other: &Value, path: &str, more: &mut BTreeSet<String>) {
    if other["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    for (name, schema) in one["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match other["properties"].get(name) {
            Some(other) => add_more(schema, other, &path, more),
            None => drop(more.insert(path)),
        }
    }
    match (&one["enum"], &other["enum"]) {
        (Value::Array(values), Value::Array(others)) => {
            let missing = values.iter().filter(|value| !others.contains(value));
            more.extend(missing.map(|value| format!("{path}={}", value.as_str().unwrap_or_default())));
        }
        // Any value is more than some.
        (Value::Null, Value::Array(_)) => drop(more.insert(format!("{path}=*"))),
        _ => {}
    }
    for (key, sign) in [("items", "[]"), ("additionalProperties", "{}")] {
        if one[key].is_object() && other[key].is_object() {
            add_more(&one[key], &other[key], &format!("{path}{sign}"), more);
        }
    }
}

#[cfg(test)]
#[path = "due_tests.rs"]
mod tests;
