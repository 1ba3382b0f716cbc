//! What the charm has on the namespace, which is Juju's: only labels.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::Namespace,
    apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta},
};
use kube::{Api, api::PartialObjectMeta};

use crate::cluster::{Cluster, ClusterError, FIELD_MANAGER, asked_twice, call};

/// The namespace of Kubernetes itself.
const SYSTEM: &str = "kube-system";

/// Labels with their values.
pub(crate) type Labels = BTreeMap<String, String>;

/// Returns since when the namespace has the charm's labels as they are; `None` if it has none of them.
pub(crate) fn labelled_since(live: &ObjectMeta) -> Option<Timestamp> {
    Some(own_fields(live)?.time.as_ref()?.0)
}

/// Returns the namespace's metadata, as far as it is there.
pub(crate) async fn read(cluster: &Cluster) -> Result<Option<PartialObjectMeta<Namespace>>, ClusterError> {
    let namespaces: Api<Namespace> = cluster.cluster_wide();
    let name = cluster.namespace();
    asked_twice(|| call("get", format!("Namespace {name}"), || namespaces.get_metadata_opt(name))).await
}

/// Returns the uid of the namespace that no cluster is without, and that lives as long as its cluster.
pub(crate) async fn cluster_uid(cluster: &Cluster) -> Result<Option<String>, ClusterError> {
    let namespaces: Api<Namespace> = cluster.cluster_wide();
    let system = call("get", format!("Namespace {SYSTEM}"), || namespaces.get_metadata_opt(SYSTEM)).await?;
    Ok(system.and_then(|system| system.metadata.uid))
}

/// Returns the labels that the charm has applied, with the values that they have now.
pub(crate) fn own_labels(live: &ObjectMeta) -> Labels {
    let fields = own_fields(live).and_then(|entry| entry.fields_v1.as_ref());
    let owned = |key: &str| {
        fields.is_some_and(|fields| {
            fields.0.pointer("/f:metadata/f:labels").is_some_and(|labels| labels.get(format!("f:{key}")).is_some())
        })
    };
    live.labels
        .iter()
        .flatten()
        .filter(|(key, _)| owned(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Returns what the charm has applied of an object, and when it changed that last.
pub(super) fn own_fields(live: &ObjectMeta) -> Option<&ManagedFieldsEntry> {
    live.managed_fields
        .iter()
        .flatten()
        .find(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER) && entry.operation.as_deref() == Some("Apply"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::test_api::TestApi;

    #[test]
    fn only_what_the_charm_has_applied_counts_as_its_labels() {
        let live = |manager: &str, operation: &str| -> ObjectMeta {
            serde_json::from_value(json!({"labels": {"ours": "a", "theirs": "b"}, "managedFields": [
                {"manager": "juju", "operation": "Update", "time": "2026-01-31T09:00:00Z"},
                {"manager": manager, "operation": operation, "time": "2026-01-31T10:20:30Z",
                    "fieldsV1": {"f:metadata": {"f:labels": {"f:ours": {}}}}}]}))
            .unwrap()
        };
        let applied = live(FIELD_MANAGER, "Apply");
        assert_eq!(labelled_since(&applied), Some("2026-01-31T10:20:30Z".parse().unwrap()));
        assert_eq!(own_labels(&applied), Labels::from([("ours".to_owned(), "a".to_owned())]));
        for others in [live(FIELD_MANAGER, "Update"), live("another", "Apply")] {
            assert_eq!((labelled_since(&others), own_labels(&others)), (None, Labels::new()));
        }
    }

    #[tokio::test]
    async fn a_cluster_is_told_from_others_by_the_namespace_of_kubernetes_itself() {
        let api = TestApi::new();
        assert_eq!(cluster_uid(&api.cluster("velero")).await.unwrap(), None);
        api.put(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": "0a1b"}}));
        assert_eq!(cluster_uid(&api.cluster("velero")).await.unwrap().as_deref(), Some("0a1b"));
    }
}
