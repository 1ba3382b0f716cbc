//! What runs in the namespace.

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    core::v1::{Event, Node, Pod},
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

/// How many nodes are asked what the cloud calls them. A cluster may have thousands, and each node is some 20 KB.
const NODES: u32 = 20;

/// What the cloud calls the machines of the first few nodes that it calls something.
pub(super) async fn machines(cluster: &Cluster) -> Result<Vec<String>, ClusterError> {
    let nodes = cluster.cluster_wide::<Node>();
    let parameters = ListParams::default().limit(NODES);
    let listed = call("list", "the nodes".to_owned(), || nodes.list(&parameters)).await?;
    Ok(listed.items.into_iter().filter_map(|node| node.spec?.provider_id).collect())
}

/// A backup or a restore that the server has begun and not ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Operation {
    /// As messages name it: `backup nightly`.
    pub name: String,
    /// Whether another server could not go on with it: it marks what it finds in progress as failed (see
    /// `markInProgress…Failed` in Velero's server), and knows nothing of the hooks that a restore runs as its last part.
    pub needs_this_server: bool,
}

impl Operation {
    fn of(word: &str, name: &str, phase: &str) -> Option<Self> {
        let begun = [
            "InProgress",
            "WaitingForPluginOperations",
            "WaitingForPluginOperationsPartiallyFailed",
            "Finalizing",
            "FinalizingPartiallyFailed",
        ];
        let runs_hooks = word == "restore" && phase.starts_with("Finalizing");
        begun
            .contains(&phase)
            .then(|| Self { name: format!("{word} {name}"), needs_this_server: phase == "InProgress" || runs_hooks })
    }
}

/// The backups and restores in progress. They need the server and the node agent, and the storage location as it was when they
/// began.
pub(super) async fn operations_in_progress(cluster: &Cluster) -> Result<Vec<Operation>, ClusterError> {
    let mut operations = Vec::new();
    for (kind, word) in [("Backup", "backup"), ("Restore", "restore")] {
        let api = cluster.here(&velero_kind("v1", kind));
        for object in cluster.list(&api, &format!("the {word}s"), "").await? {
            let phase = object.data.pointer("/status/phase").and_then(|phase| phase.as_str()).unwrap_or_default();
            operations.extend(Operation::of(word, object.metadata.name.as_deref().unwrap_or_default(), phase));
        }
    }
    Ok(operations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_or_not_begun_needs_nothing() {
        for phase in ["", "New", "Queued", "ReadyToStart", "Completed", "Failed", "PartiallyFailed", "FailedValidation"]
        {
            assert_eq!(Operation::of("backup", "nightly", phase), None, "{phase}");
        }
    }

    #[test]
    fn another_server_goes_on_with_the_last_part_of_a_backup_but_not_of_a_restore() {
        let nightly = Operation::of("backup", "nightly", "InProgress").unwrap();
        assert_eq!((nightly.name.as_str(), nightly.needs_this_server), ("backup nightly", true));
        for (word, phase, needs_this_server) in [
            ("backup", "WaitingForPluginOperations", false),
            ("backup", "Finalizing", false),
            ("restore", "InProgress", true),
            ("restore", "WaitingForPluginOperationsPartiallyFailed", false),
            ("restore", "FinalizingPartiallyFailed", true),
        ] {
            let operation = Operation::of(word, "nightly", phase).unwrap();
            assert_eq!(operation.needs_this_server, needs_this_server, "{word} {phase}");
        }
    }
}
