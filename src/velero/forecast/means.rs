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
        let agent = cluster.own(named("apps/v1", "DaemonSet", NODE_AGENT));
        let (agent, snapshots) = futures::try_join!(cluster.find_metadata(&agent), snapshot_provider(cluster))?;
        Ok(Self { node_agent: agent.is_some(), snapshots })
    }
}
