//! The place for snapshots of volumes.

use crate::{
    cluster::{Cluster, ClusterError, named},
    velero::names::LOCATION,
};

/// Returns the provider of the place for snapshots of volumes, as `aws`, where there is one: a backup that names one that is not there
/// fails.
pub(crate) async fn snapshot_provider(cluster: &Cluster) -> Result<Option<String>, ClusterError> {
    let location = cluster.own(named("velero.io/v1", "VolumeSnapshotLocation", LOCATION));
    let provider = |location: kube::api::DynamicObject| {
        let provider = location.data["spec"]["provider"].as_str().unwrap_or_default();
        provider.strip_prefix("velero.io/").unwrap_or(provider).to_owned()
    };
    Ok(cluster.find(&location).await?.map(provider))
}

/// Whether there is a place for snapshots of volumes.
pub(crate) async fn has_snapshot_location(cluster: &Cluster) -> Result<bool, ClusterError> {
    Ok(snapshot_provider(cluster).await?.is_some())
}
