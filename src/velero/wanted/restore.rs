//! The Restore of a backup.

use std::collections::BTreeMap;

use kube::api::{DynamicObject, ObjectMeta, TypeMeta};
use serde_json::json;

use super::manifests::remove_nulls;
use crate::velero::names::velero_kind;

/// What becomes of objects that are there already.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum ExistingResourcePolicy {
    /// They stay as they are.
    #[default]
    None,
    /// They are changed to what is in the backup.
    Update,
}

/// What of a backup is restored, and how: all of it where nothing is said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct RestoreOrder {
    pub existing: ExistingResourcePolicy,
    pub include_namespaces: Vec<String>,
    pub exclude_namespaces: Vec<String>,
    pub include_resources: Vec<String>,
    pub exclude_resources: Vec<String>,
    /// The sets of labels of which an object must have one as a whole.
    pub selectors: Vec<BTreeMap<String, String>>,
    /// The new names of namespaces.
    pub namespace_mapping: BTreeMap<String, String>,
}

impl ExistingResourcePolicy {
    fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Update => "update",
        }
    }
}

/// Returns the kind of Restores.
pub(crate) fn restore_kind() -> TypeMeta {
    velero_kind("v1", "Restore")
}

impl RestoreOrder {
    /// Returns the Restore of a backup in a namespace.
    pub(crate) fn restore(&self, name: &str, namespace: &str, backup: &str) -> DynamicObject {
        let named = |names: &Vec<String>| (!names.is_empty()).then(|| names.clone());
        // Velero takes one of the two fields or the other.
        let (one, several) = match self.selectors.as_slice() {
            [] => (None, None),
            [labels] => (Some(json!({"matchLabels": labels})), None),
            several => (None, Some(several.iter().map(|labels| json!({"matchLabels": labels})).collect::<Vec<_>>())),
        };
        let mut data = json!({"spec": {
            "backupName": backup,
            "existingResourcePolicy": self.existing.as_str(),
            "includedNamespaces": named(&self.include_namespaces),
            "excludedNamespaces": named(&self.exclude_namespaces),
            "includedResources": named(&self.include_resources),
            "excludedResources": named(&self.exclude_resources),
            "labelSelector": one,
            "orLabelSelectors": several,
            "namespaceMapping": (!self.namespace_mapping.is_empty()).then_some(&self.namespace_mapping),
        }});
        remove_nulls(&mut data);
        let metadata =
            ObjectMeta { name: Some(name.to_owned()), namespace: Some(namespace.to_owned()), ..ObjectMeta::default() };
        DynamicObject { types: Some(restore_kind()), metadata, data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_chosen_is_said() {
        let restore = RestoreOrder::default().restore("again", "backups", "nightly");
        assert_eq!(restore.data["spec"], json!({"backupName": "nightly", "existingResourcePolicy": "none"}));
        let label = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let order = RestoreOrder {
            existing: ExistingResourcePolicy::Update,
            include_namespaces: vec!["shop".into()],
            exclude_resources: vec!["pods".into()],
            selectors: vec![label("tier", "data")],
            namespace_mapping: label("shop", "shop-again"),
            ..RestoreOrder::default()
        };
        let expected = json!({"backupName": "nightly", "existingResourcePolicy": "update",
            "includedNamespaces": ["shop"], "excludedResources": ["pods"],
            "labelSelector": {"matchLabels": {"tier": "data"}}, "namespaceMapping": {"shop": "shop-again"}});
        assert_eq!(order.restore("again", "backups", "nightly").data["spec"], expected);
        let selectors = vec![label("tier", "data"), label("tier", "web")];
        let restore = RestoreOrder { selectors, ..order }.restore("again", "backups", "nightly");
        let either = json!([{"matchLabels": {"tier": "data"}}, {"matchLabels": {"tier": "web"}}]);
        assert_eq!(restore.data["spec"]["orLabelSelectors"], either);
        assert!(restore.data["spec"].get("labelSelector").is_none());
    }
}
