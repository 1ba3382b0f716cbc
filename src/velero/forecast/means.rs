//! By what means the data of volumes can be backed up in a cluster.

use crate::{
    cluster::{Cluster, ClusterError, named},
    velero::{
        location::snapshots::snapshot_provider,
        names::{CSI_FEATURE, NODE_AGENT, SERVER},
        seen::snapshot_classes::{self, SnapshotClasses},
    },
};

/// By what means data can be backed up.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Means {
    /// Whether there is a node agent, which reads files.
    pub node_agent: bool,
    /// The provider of the place for snapshots, as `aws`, where there is one.
    pub snapshots: Option<String>,
    /// By which CSI drivers the server makes snapshots, where it makes any.
    pub snapshot_classes: Option<SnapshotClasses>,
}

impl Means {
    pub(super) async fn read(cluster: &Cluster) -> Result<Self, ClusterError> {
        let (node_agent, snapshots, csi) =
            futures::try_join!(has_node_agent(cluster), snapshot_provider(cluster), has_csi_snapshots(cluster))?;
        let snapshot_classes = if csi { Some(snapshot_classes::read(cluster).await?) } else { None };
        Ok(Self { node_agent, snapshots, snapshot_classes })
    }
}

/// Whether the server makes snapshots by CSI drivers.
async fn has_csi_snapshots(cluster: &Cluster) -> Result<bool, ClusterError> {
    let server = cluster.find(&cluster.own(named("apps/v1", "Deployment", SERVER))).await?;
    let arguments = server.as_ref().and_then(|server| server.data.pointer("/spec/template/spec/containers/0/args"));
    let mut arguments = arguments.and_then(serde_json::Value::as_array).into_iter().flatten();
    Ok(arguments.any(|argument| argument == CSI_FEATURE))
}

/// Whether there is a node agent.
pub(super) async fn has_node_agent(cluster: &Cluster) -> Result<bool, ClusterError> {
    let agent = cluster.own(named("apps/v1", "DaemonSet", NODE_AGENT));
    Ok(cluster.find_metadata(&agent).await?.is_some())
}
