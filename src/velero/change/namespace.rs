//! The pod-security labels of the model's namespace.
//!
//! Where a cluster enforces the pod security standards, the node agent's pods are not admitted into a namespace that does not
//! allow privileged ones: they mount folders of their node. The CLI prints the labels that allow them, on a Namespace. That is
//! Juju's, so of it the charm applies these labels alone, and only for as long as the node agent is wanted: a model is not
//! opened further than it needs to be. What somebody else has set stays, unless the pods would not be admitted with it; then it
//! is saved in a label, and set again when the charm's labels go.

use kube::api::{DynamicObject, ObjectMeta};
use serde_json::json;

use crate::{
    cluster::{Cluster, ClusterError, named},
    velero::{
        seen::namespace::{Labels, own_labels, read},
        wanted::pod_security::{ENFORCE, VERSION},
    },
};

/// The label with what [`ENFORCE`] was before the charm took it over.
const FORMER: &str = "velero-operator/former-pod-security-enforce";

/// Brings the labels of the namespace to those that are wanted, if they were not that when it was sighted. Returns what
/// was changed, if anything.
pub(super) async fn label_sighted(
    cluster: &Cluster,
    wanted: &Labels,
    sighted: Option<&ObjectMeta>,
) -> Result<Option<String>, ClusterError> {
    match sighted {
        Some(sighted) if labels_to_apply(sighted, wanted) != own_labels(sighted) => label(cluster, wanted).await,
        _ => Ok(None),
    }
}

/// Brings the labels of the namespace to those that are wanted. Returns what was changed, if anything.
pub(crate) async fn label(cluster: &Cluster, wanted: &Labels) -> Result<Option<String>, ClusterError> {
    let Some(live) = read(cluster).await? else { return Ok(None) };
    let metadata = &live.metadata;
    let labels = labels_to_apply(metadata, wanted);
    if labels == own_labels(metadata) {
        return Ok(None);
    }
    if wanted.is_empty()
        && let Some(former) = own_labels(metadata).get(FORMER)
    {
        let restored = json!({"metadata": {"labels": {ENFORCE: former, FORMER: null}}});
        cluster.merge(&object(cluster, metadata, Labels::new()), &restored).await?;
    }
    cluster.apply(&object(cluster, metadata, labels)).await?;
    Ok(Some(format!("the labels of Namespace {}", cluster.namespace())))
}

/// Returns the namespace with these labels, and with its uid, so that one that is gone is not created again.
fn object(cluster: &Cluster, live: &ObjectMeta, labels: Labels) -> DynamicObject {
    let mut object = named("v1", "Namespace", cluster.namespace());
    object.metadata.uid.clone_from(&live.uid);
    object.metadata.labels = Some(labels).filter(|labels| !labels.is_empty());
    object
}

/// Returns the labels that the charm is to have on the namespace, of those that are wanted there.
fn labels_to_apply(live: &ObjectMeta, wanted: &Labels) -> Labels {
    let own = own_labels(live);
    let present = live.labels.clone().unwrap_or_default();
    let somebodys = |key: &str| present.get(key).filter(|_| !own.contains_key(key));
    let mut labels = Labels::new();
    for (key, value) in wanted {
        let mode = key.strip_suffix(VERSION).unwrap_or(key);
        match somebodys(mode).or(somebodys(key)) {
            None => {
                labels.insert(key.clone(), value.clone());
            }
            Some(stricter) if key == ENFORCE && stricter != value => {
                labels.insert(key.clone(), value.clone());
                labels.insert(FORMER.to_owned(), stricter.clone());
            }
            // It allows as much, or keeps nothing out.
            Some(_) => {}
        }
    }
    if labels.contains_key(ENFORCE)
        && let Some(former) = own.get(FORMER)
    {
        labels.entry(FORMER.to_owned()).or_insert_with(|| former.clone());
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(entries: &[(&str, &str)]) -> Labels {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    /// A namespace with labels of somebody's and labels of the charm's.
    fn namespace(somebodys: &[(&str, &str)], own: &[(&str, &str)]) -> ObjectMeta {
        let fields: serde_json::Map<_, _> = own.iter().map(|(key, _)| (format!("f:{key}"), json!({}))).collect();
        serde_json::from_value(json!({
            "name": "model",
            "labels": labels(&[somebodys, own].concat()),
            "managedFields": [
                {"manager": "juju", "operation": "Update", "fieldsV1": {"f:metadata": {"f:labels": {}}}},
                {"manager": "velero-operator", "operation": "Apply", "fieldsV1": {"f:metadata": {"f:labels": fields}}},
            ],
        }))
        .unwrap()
    }

    const VERSIONED: &str = "pod-security.kubernetes.io/enforce-version";
    const WARN: &str = "pod-security.kubernetes.io/warn";
    const WANTED: &[(&str, &str)] = &[(ENFORCE, "privileged"), (VERSIONED, "latest"), (WARN, "privileged")];

    #[test]
    fn what_is_there_already_is_not_applied_again() {
        let all = labels(WANTED);
        assert_eq!(labels_to_apply(&namespace(&[], &[]), &all), all);
        let labelled = namespace(&[], WANTED);
        assert_eq!(labels_to_apply(&labelled, &all), own_labels(&labelled));
        assert_eq!(labels_to_apply(&labelled, &Labels::new()), Labels::new());
        let edited = namespace(&[], &[(ENFORCE, "baseline"), WANTED[1], WANTED[2]]);
        assert_eq!(labels_to_apply(&edited, &all), all);
        assert_ne!(own_labels(&edited), all);
    }

    #[test]
    fn what_somebody_else_allows_is_left_to_them() {
        let open = namespace(&[(ENFORCE, "privileged"), (WARN, "restricted")], &[]);
        assert_eq!(labels_to_apply(&open, &labels(WANTED)), Labels::new());
    }

    #[test]
    fn what_would_keep_pods_out_is_taken_over_and_kept_in_mind() {
        let strict = namespace(&[(ENFORCE, "restricted"), (VERSIONED, "v1.30")], &[]);
        let taken = labels(&[(ENFORCE, "privileged"), (FORMER, "restricted"), (WARN, "privileged")]);
        assert_eq!(labels_to_apply(&strict, &labels(WANTED)), taken);
        let after = namespace(&[(VERSIONED, "v1.30")], &[(ENFORCE, "privileged"), (FORMER, "restricted"), WANTED[2]]);
        assert_eq!(labels_to_apply(&after, &labels(WANTED)), own_labels(&after));
        assert_eq!(own_labels(&after), taken);
    }
}
