//! What runs in the namespace.

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    core::v1::{Event, Node, Pod},
};
use kube::api::{DynamicObject, ListParams};

use super::namespace;
use crate::{
    cluster::{Cluster, ClusterError, call, found},
    velero::{
        names::{COMPONENT_SELECTOR, LOCATION, NODE_AGENT, SERVER, backup_location_kind},
        wanted::Installation,
    },
};

/// The events that tell of pods of the node agent that could not be made.
pub(crate) const REFUSALS: &str = "involvedObject.kind=DaemonSet,involvedObject.name=node-agent,reason=FailedCreate";

/// The objects that tell whether an installation works.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
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

/// Reads what an installation is judged by.
pub(crate) async fn read(cluster: &Cluster, installation: &Installation) -> Result<Observed, ClusterError> {
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
        futures::try_join!(server, agent, cluster.list(&pods, "the pods of Velero", COMPONENT_SELECTOR), location)?;
    let mut observed = Observed { server, node_agent, pods, location, ..Observed::default() };
    // Only then is it asked for; all else is asked for in every hook.
    if observed.node_agent.as_ref().is_some_and(|agent| !runs_everywhere(agent)) {
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
pub(crate) async fn machines(cluster: &Cluster) -> Result<Vec<String>, ClusterError> {
    let nodes = cluster.cluster_wide::<Node>();
    let parameters = ListParams::default().limit(NODES);
    let listed = call("list", "the nodes".to_owned(), || nodes.list(&parameters)).await?;
    Ok(listed.items.into_iter().filter_map(|node| node.spec?.provider_id).collect())
}

/// Whether a DaemonSet has pods on all nodes that it should have, which are its latest and have been looked at.
pub(crate) fn runs_everywhere(agent: &DaemonSet) -> bool {
    agent.status.as_ref().is_some_and(|status| {
        let wanted = status.desired_number_scheduled;
        status.observed_generation >= agent.metadata.generation
            && wanted > 0
            && status.updated_number_scheduled == Some(wanted)
            && status.number_available == Some(wanted)
    })
}

/// Whether the pods of a DaemonSet count as ready only when their program says so.
pub(crate) fn is_probed(agent: &DaemonSet) -> bool {
    let pod = agent.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    pod.is_some_and(|pod| pod.containers.iter().all(|container| container.readiness_probe.is_some()))
}
