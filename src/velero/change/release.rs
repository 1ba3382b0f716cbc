//! Giving up single objects of the application's: right before that they are looked at again, and what was in a Secret when it was
//! adopted stays.

use kube::{ResourceExt, api::DynamicObject};
use serde_json::{Map, Value, json};

use crate::{
    cluster::{Cluster, ClusterError},
    velero::names::{COMPONENT, CREDENTIALS_KEY, INSTANCE, KEPT_KEYS, MANAGED_BY},
};

/// What has become of an object since it was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Since {
    /// It is the same one, and has the same labels.
    Same,
    /// Somebody has taken it over, or made another one of its name.
    Changed,
    /// It is gone.
    Gone,
}

/// Finds out whether an object is still whose it was when it was read.
pub(super) async fn look_again(cluster: &Cluster, read: &DynamicObject) -> Result<Since, ClusterError> {
    Ok(match cluster.find_metadata(read).await? {
        None => Since::Gone,
        Some(live) if live.uid() == read.uid() && live.labels() == read.labels() => Since::Same,
        Some(_) => Since::Changed,
    })
}

/// Deletes an object; of a Secret that was adopted only what the charm put there, as the rest may be the only copy.
pub(super) async fn delete_or_release(cluster: &Cluster, object: &DynamicObject) -> Result<(), ClusterError> {
    let is_secret = object.types.as_ref().is_some_and(|types| types.kind == "Secret");
    if !(is_secret && object.annotations().contains_key(KEPT_KEYS)) {
        return cluster.delete(object).await;
    }
    let labels: Map<String, Value> =
        [COMPONENT.0, MANAGED_BY.0, INSTANCE].map(|label| (label.to_owned(), Value::Null)).into_iter().collect();
    let patch =
        json!({"metadata": {"labels": labels, "annotations": {KEPT_KEYS: null}}, "data": {CREDENTIALS_KEY: null}});
    cluster.merge(object, &patch).await.map(drop)
}
