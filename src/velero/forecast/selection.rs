//! What a backup takes, by Velero's own rules.
//!
//! Reference: `pkg/backup/item_backupper.go` and `pkg/util/collections/includes_excludes.go` of Velero 1.18.

use std::collections::{BTreeMap, BTreeSet};

use regex_lite::Regex;
use serde::Deserialize;
use serde_json::Value;

use crate::backups::ResourceKind;

/// The label of an object that no backup takes.
const LEFT_OUT: &str = "velero.io/exclude-from-backup";

/// What a backup takes.
#[derive(Debug, Default)]
pub(super) struct Selection {
    spec: Spec,
    included_namespaces: Vec<Pattern>,
    excluded_namespaces: Vec<Pattern>,
}

/// What is read of a Backup's spec, which a Schedule has as its template.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    included_namespaces: Vec<String>,
    excluded_namespaces: Vec<String>,
    included_resources: Vec<String>,
    excluded_resources: Vec<String>,
    include_cluster_resources: Option<bool>,
    label_selector: LabelSelector,
    default_volumes_to_fs_backup: bool,
    snapshot_volumes: Option<bool>,
    resource_policy: Option<PolicyReference>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PolicyReference {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LabelSelector {
    match_labels: BTreeMap<String, String>,
}

/// The name of a namespace, or a pattern of such names.
#[derive(Debug)]
enum Pattern {
    Name(String),
    /// Nothing for one that says nothing.
    Pattern(Option<Regex>),
}

impl Selection {
    /// Reads a Backup's spec. One that Velero itself could not read takes nothing.
    pub(super) fn of(spec: &Value) -> Self {
        let spec = Spec::deserialize(spec)
            .unwrap_or_else(|_| Spec { excluded_resources: vec!["*".to_owned()], ..Spec::default() });
        let patterns = |names: &[String]| names.iter().map(|name| Pattern::of(name)).collect();
        Self {
            included_namespaces: patterns(&spec.included_namespaces),
            excluded_namespaces: patterns(&spec.excluded_namespaces),
            spec,
        }
    }

    /// Whether there are claims that it may take.
    pub(super) fn takes_claims(&self) -> bool {
        self.takes(ResourceKind::CLAIMS)
    }

    /// Whether there are pods that it may take. Those that use a claim which it takes need no label for that: the claim brings them.
    pub(super) fn takes_pods(&self) -> bool {
        self.takes(ResourceKind::PODS)
    }

    /// Whether it names pods among what it leaves out.
    pub(super) fn excludes_pods(&self) -> bool {
        self.excludes(ResourceKind::PODS)
    }

    /// Whether it says of volumes that they are left out.
    pub(super) fn excludes_volumes(&self) -> bool {
        self.spec.include_cluster_resources == Some(false) || self.excludes(ResourceKind::VOLUMES)
    }

    /// Whether the volume of a claim comes with it, without which there is no snapshot.
    pub(super) fn brings_volumes(&self) -> bool {
        match self.spec.include_cluster_resources {
            Some(false) => false,
            Some(true) => !self.excludes(ResourceKind::VOLUMES),
            None => self.takes(ResourceKind::VOLUMES),
        }
    }

    /// Whether snapshots of volumes may be made.
    pub(super) fn makes_snapshots(&self) -> bool {
        self.spec.snapshot_volumes != Some(false)
    }

    /// Whether volumes are read by their files unless something says otherwise.
    pub(super) fn reads_files_by_default(&self) -> bool {
        self.spec.default_volumes_to_fs_backup
    }

    /// Returns the name of the ConfigMap that says what becomes of volumes, if one does.
    pub(super) fn policies(&self) -> Option<&str> {
        self.spec.resource_policy.as_ref().map(|policy| policy.name.as_str())
    }

    pub(super) fn takes_namespace(&self, name: &str) -> bool {
        let is_in = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.holds(name));
        (self.included_namespaces.is_empty() || is_in(&self.included_namespaces)) && !is_in(&self.excluded_namespaces)
    }

    /// Returns the namespaces that it takes, if it names them.
    pub(super) fn namespaces(&self) -> Option<BTreeSet<&str>> {
        if self.included_namespaces.is_empty() {
            return None;
        }
        self.included_namespaces.iter().map(Pattern::name).collect()
    }

    /// Whether an object has the labels of what it takes.
    pub(super) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let wanted = &self.spec.label_selector.match_labels;
        wanted.iter().all(|(key, value)| labels.get(key) == Some(value)) && !is_left_out(labels)
    }

    fn takes(&self, kind: ResourceKind) -> bool {
        let included = &self.spec.included_resources;
        (included.is_empty() || kind.is_among(included)) && !self.excludes(kind)
    }

    fn excludes(&self, kind: ResourceKind) -> bool {
        kind.is_among(&self.spec.excluded_resources)
    }
}

/// Whether an object says itself that no backup takes it.
pub(super) fn is_left_out(labels: &BTreeMap<String, String>) -> bool {
    labels.get(LEFT_OUT).is_some_and(|value| value == "true")
}

impl Pattern {
    fn of(name: &str) -> Self {
        if !name.contains(['*', '?', '[', '{']) {
            return Self::Name(name.to_owned());
        }
        let part = |each: char| match each {
            '*' => ".*".to_owned(),
            '?' => ".".to_owned(),
            '[' | ']' => each.to_string(),
            '{' => "(?:".to_owned(),
            '}' => ")".to_owned(),
            ',' => "|".to_owned(),
            each => regex_lite::escape(&each.to_string()),
        };
        Self::Pattern(Regex::new(&format!("^(?:{})$", name.chars().map(part).collect::<String>())).ok())
    }

    /// Returns the name, unless it is a pattern.
    fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Pattern(_) => None,
        }
    }

    fn holds(&self, name: &str) -> bool {
        match self {
            Self::Name(wanted) => wanted == name,
            Self::Pattern(pattern) => pattern.as_ref().is_some_and(|pattern| pattern.is_match(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kind_is_known_by_all_its_names() {
        for name in ["persistentvolumeclaims", "PersistentVolumeClaim", "pvc", "*"] {
            assert!(Selection::of(&json!({"includedResources": ["configmaps", name]})).takes_claims(), "{name}");
            assert!(!Selection::of(&json!({"excludedResources": [name]})).takes_claims(), "{name}");
        }
        let of_claims = Selection::of(&json!({"includedResources": ["persistentvolumeclaims"]}));
        assert!(!of_claims.takes_pods() && !of_claims.excludes_pods());
        let all = Selection::of(&json!({}));
        assert!(all.takes_claims() && all.takes_pods());
        // What cannot be read is not told of.
        assert!(!Selection::of(&json!({"includedResources": 1})).takes_claims());
    }

    #[test]
    fn a_claim_brings_its_volume_unless_that_is_left_out() {
        for (spec, brings) in [
            (json!({}), true),
            (json!({"includedResources": ["pvc"]}), false),
            (json!({"includedResources": ["pvc"], "includeClusterResources": true}), true),
            (json!({"includedResources": ["pvc", "persistentvolumes"]}), true),
            (json!({"includeClusterResources": false}), false),
            (json!({"includeClusterResources": true, "excludedResources": ["pv"]}), false),
        ] {
            assert_eq!(Selection::of(&spec).brings_volumes(), brings, "{spec}");
        }
    }

    #[test]
    fn namespaces_are_taken_by_their_names_and_by_patterns() {
        let named = Selection::of(&json!({"includedNamespaces": ["shop", "team"], "excludedNamespaces": ["team"]}));
        assert!(named.takes_namespace("shop") && !named.takes_namespace("team") && !named.takes_namespace("other"));
        assert_eq!(named.namespaces(), Some(["shop", "team"].into()));
        let pattern =
            Selection::of(&json!({"includedNamespaces": ["team-*", "{a,b}.c"], "excludedNamespaces": ["*-[xy]"]}));
        for (name, taken) in [("team-a", true), ("team-x", false), ("a.c", true), ("bxc", false), ("my-team-a", false)]
        {
            assert_eq!(pattern.takes_namespace(name), taken, "{name}");
        }
        assert_eq!(pattern.namespaces(), None);
        for all in [json!({}), json!({"includedNamespaces": ["*"]})] {
            let all = Selection::of(&all);
            assert!(all.takes_namespace("any"));
            assert_eq!(all.namespaces(), None);
        }
    }

    #[test]
    fn objects_are_taken_by_their_labels() {
        let selection = Selection::of(&json!({"labelSelector": {"matchLabels": {"app": "shop"}}}));
        let labels = |value: &serde_json::Value| serde_json::from_value(value.clone()).unwrap();
        assert!(selection.matches(&labels(&json!({"app": "shop", "tier": "data"}))));
        assert!(!selection.matches(&labels(&json!({"tier": "data"}))));
        assert!(!selection.matches(&labels(&json!({"app": "shop", LEFT_OUT: "true"}))));
    }
}
