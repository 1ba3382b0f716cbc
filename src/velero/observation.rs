//! What runs in the namespace.

use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    core::v1::{Node, Pod},
};
use kube::api::{DynamicObject, ListParams, TypeMeta};

use super::{
    Installation, LOCATION, NODE_AGENT, SERVER,
    cluster::{Cluster, ClusterError, call},
};

/// The label that all pods of Velero have.
pub(super) const PODS: &str = "component=velero";

/// The objects that tell whether an installation works.
#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    /// The server's Deployment.
    pub server: Option<Deployment>,
    /// The node agent's DaemonSet.
    pub node_agent: Option<DaemonSet>,
    /// The pods of both, and others of Velero.
    pub pods: Vec<Pod>,
    /// The BackupStorageLocation.
    pub location: Option<DynamicObject>,
}

/// The kind of the BackupStorageLocation.
pub(super) fn backup_location_kind() -> TypeMeta {
    velero_kind("v1", "BackupStorageLocation")
}

/// A kind of Velero's own API group.
pub(super) fn velero_kind(version: &str, kind: &str) -> TypeMeta {
    TypeMeta { api_version: format!("velero.io/{version}"), kind: kind.to_owned() }
}

/// Reads what an installation is judged by.
pub(super) async fn read(cluster: &Cluster, installation: &Installation) -> Result<Observed, ClusterError> {
    let servers = cluster.namespaced::<Deployment>();
    let agents = cluster.namespaced::<DaemonSet>();
    let pods = cluster.namespaced::<Pod>();
    let locations = cluster.here(&backup_location_kind());
    let server = call("get", format!("Deployment {SERVER}"), || servers.get_opt(SERVER));
    let agent = async {
        if installation.node_agent {
            call("get", format!("DaemonSet {NODE_AGENT}"), || agents.get_opt(NODE_AGENT)).await
        } else {
            Ok(None)
        }
    };
    let location = async {
        if installation.backup_location().is_some() {
            call("get", format!("BackupStorageLocation {LOCATION}"), || locations.get_opt(LOCATION)).await
        } else {
            Ok(None)
        }
    };
    let (server, node_agent, pods, location) =
        futures::try_join!(server, agent, cluster.list(&pods, "the pods of Velero", PODS), location)?;
    Ok(Observed { server, node_agent, pods, location })
}

/// How many nodes are asked what the cloud calls them. A cluster may have thousands, and each node is some 20 KB.
const NODES: u32 = 20;

/// What the cloud calls the machines of the first few nodes that it calls something.
pub(super) async fn machines(cluster: &Cluster) -> Result<Vec<String>, ClusterError> {
    let nodes = cluster.cluster_wide::<Node>();
    let parameters = ListParams::default().limit(NODES);
    let listed = call("list", "the nodes".to_owned(), || nodes.list(&parameters)).await?;
    Ok(listed.items.into_iter().filter_map(|node| node.spec?.provider_id).collect())
}

/// Backups and restores that a restart of the server would fail, as messages name them.
pub(super) async fn operations_in_progress(cluster: &Cluster) -> Result<Vec<String>, ClusterError> {
    let mut names = Vec::new();
    for (kind, word) in [("Backup", "backup"), ("Restore", "restore")] {
        let api = cluster.here(&velero_kind("v1", kind));
        for object in cluster.list(&api, &format!("the {word}s"), "").await? {
            let phase = object.data.pointer("/status/phase").and_then(|phase| phase.as_str());
            if phase.is_some_and(is_in_progress) {
                names.push(format!("{word} {}", object.metadata.name.unwrap_or_default()));
            }
        }
    }
    Ok(names)
}

/// The phases in which the server works on a backup or a restore; a new server marks those as failed. See `markInProgress…Failed`
/// in Velero's server.
fn is_in_progress(phase: &str) -> bool {
    phase == "InProgress"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_or_not_begun_survives_a_restart() {
        assert!(is_in_progress("InProgress"));
        for phase in ["New", "Completed", "Failed", "PartiallyFailed", "FailedValidation", "Deleting"] {
            assert!(!is_in_progress(phase), "{phase}");
        }
    }
}
