//! What runs in the namespace.

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    core::v1::{Event, Pod},
};
use kube::api::{DynamicObject, ListParams, TypeMeta};

use super::{
    Installation, LOCATION, NODE_AGENT, SERVER,
    cluster::{Cluster, ClusterError, call, found},
    namespace, readiness,
};

/// The label that all pods of Velero have.
pub(super) const PODS: &str = "component=velero";

/// The events that tell of pods of the node agent that could not be made.
pub(super) const REFUSALS: &str = "involvedObject.kind=DaemonSet,involvedObject.name=node-agent,reason=FailedCreate";

/// The objects that tell whether an installation works.
#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    /// The server's Deployment.
    pub server: Option<Deployment>,
    /// The node agent's DaemonSet.
    pub node_agent: Option<DaemonSet>,
    /// The pods of both, and others of Velero.
    pub pods: Vec<Pod>,
    /// What is told of pods of the node agent that could not be made. A DaemonSet's status does not tell it.
    pub refusals: Vec<Event>,
    /// Since when the namespace has the labels that the charm put there: what was refused before says nothing.
    pub labelled_since: Option<Timestamp>,
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
            let got = call("get", format!("BackupStorageLocation {LOCATION}"), || locations.get_opt(LOCATION)).await;
            Ok(found(got)?.flatten())
        } else {
            Ok(None)
        }
    };
    let (server, node_agent, pods, location) =
        futures::try_join!(server, agent, cluster.list(&pods, "the pods of Velero", PODS), location)?;
    let mut observed = Observed { server, node_agent, pods, location, ..Observed::default() };
    // Only then is it asked for; all else is asked for in every hook.
    if observed.node_agent.as_ref().is_some_and(|agent| !readiness::runs_everywhere(agent)) {
        let events = cluster.namespaced::<Event>();
        let parameters = ListParams::default().fields(REFUSALS);
        let listed = call("list", format!("the events of DaemonSet {NODE_AGENT}"), || events.list(&parameters));
        let (listed, since) = futures::try_join!(listed, namespace::labelled_since(cluster))?;
        observed.refusals = listed.items;
        observed.labelled_since = since;
    }
    Ok(observed)
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
