//! The BackupStorageLocation: when what Velero says of it can be believed.
//!
//! The server validates a location when its spec changes and about once a minute, and leaves what it found in the status.
//! After a change of the credentials alone an old "Available" would stand there for up to a minute. So the charm notes on
//! the location which spec and which version of the credentials it stands for, and clears the status before it changes
//! either: whatever is in the status afterwards was found out later. And it changes neither before an older server has gone.

use kube::{ResourceExt, api::DynamicObject};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    Installation,
    cluster::{Cluster, ClusterError},
    comparison, watch,
};

/// The annotation with what the status stands for.
pub(super) const VALIDATED_ANNOTATION: &str = "velero-operator/stands-for";

/// Applies the location with credentials of the given resourceVersion, and tells whether that changed it.
pub(super) async fn apply(
    cluster: &Cluster,
    installation: &Installation,
    location: &DynamicObject,
    credentials_version: &str,
) -> Result<bool, ClusterError> {
    let mut desired = location.clone();
    let stands_for = stands_for(location, credentials_version);
    desired.annotations_mut().insert(VALIDATED_ANNOTATION.to_owned(), stands_for.clone());
    let live = cluster.find(&desired).await?;
    let is_as_desired = |live: &DynamicObject| {
        !comparison::differs(live, &desired) && live.annotations().get(VALIDATED_ANNOTATION) == Some(&stands_for)
    };
    if live.as_ref().is_some_and(is_as_desired) {
        return Ok(false);
    }
    watch::older_servers_gone(cluster, installation).await;
    if let Some(live) = &live
        && live.data.get("status").is_some_and(|status| *status != json!({}))
    {
        cluster.merge(live, &cleared_status()).await?;
    }
    cluster.apply(&desired).await?;
    Ok(true)
}

fn stands_for(location: &DynamicObject, credentials_version: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(location.data.to_string());
    hash.update(credentials_version);
    super::cli::hex(&hash.finalize()[..8])
}

fn cleared_status() -> Value {
    json!({"status": null})
}
