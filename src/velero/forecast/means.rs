//! By what means the data of volumes can be backed up in a cluster.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;

use crate::{
    backups::VolumePolicies,
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
    /// What becomes of volumes, by the names of the ConfigMaps that say so.
    pub policies: BTreeMap<String, VolumePolicies>,
}

impl Means {
    /// Reads them, with the policies of these names.
    pub(super) async fn read(cluster: &Cluster, names: BTreeSet<&str>) -> Result<Self, ClusterError> {
        let policies = join_all(names.into_iter().map(|name| policies(cluster, name)));
        let policies = async { policies.await.into_iter().collect::<Result<Vec<_>, _>>() };
        let (node_agent, snapshots, csi, policies) = futures::try_join!(
            has_node_agent(cluster),
            snapshot_provider(cluster),
            has_csi_snapshots(cluster),
            policies
        )?;
        let snapshot_classes = if csi { Some(snapshot_classes::read(cluster).await?) } else { None };
        let policies = policies.into_iter().flatten().collect();
        Ok(Self { node_agent, snapshots, snapshot_classes, policies })
    }
}

/// Returns the policies in a ConfigMap, with its name. Backups fail by those that cannot be read.
async fn policies(cluster: &Cluster, name: &str) -> Result<Option<(String, VolumePolicies)>, ClusterError> {
    let found = cluster.find(&cluster.own(named("v1", "ConfigMap", name))).await?;
    let text = found.as_ref().and_then(|found| found.data["data"].as_object()?.values().next()?.as_str());
    let policies = text.and_then(|text| VolumePolicies::parse(text).ok());
    Ok(policies.map(|policies| (name.to_owned(), policies)))
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
