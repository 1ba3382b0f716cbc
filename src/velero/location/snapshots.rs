//! The place for snapshots of volumes.

use crate::{
    cluster::{Cluster, ClusterError, named},
    velero::names::LOCATION,
};

/// Whether there is a place for snapshots of volumes: a backup that names one that is not there fails.
pub(crate) async fn has_snapshot_location(cluster: &Cluster) -> Result<bool, ClusterError> {
    let location = cluster.own(named("velero.io/v1", "VolumeSnapshotLocation", LOCATION));
    Ok(cluster.find_metadata(&location).await?.is_some())
}
