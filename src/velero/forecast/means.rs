//! By what means the data of volumes can be backed up in a cluster.

use crate::{
    cluster::{Cluster, ClusterError, named},
    velero::{location::snapshots::snapshot_provider, names::NODE_AGENT},
};

/// By what means data can be backed up.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Means {
    /// Whether there is a node agent, which reads files.
    pub node_agent: bool,
    /// The provider of the place for snapshots, as `aws`, where there is one.
    pub snapshots: Option<String>,
}

impl Means {
    pub(super) async fn read(cluster: &Cluster) -> Result<Self, ClusterError> {
        let (node_agent, snapshots) = futures::try_join!(has_node_agent(cluster), snapshot_provider(cluster))?;
        Ok(Self { node_agent, snapshots })
    }
}

/// Whether there is a node agent.
pub(super) async fn has_node_agent(cluster: &Cluster) -> Result<bool, ClusterError> {
    let agent = cluster.own(named("apps/v1", "DaemonSet", NODE_AGENT));
    Ok(cluster.find_metadata(&agent).await?.is_some())
}
