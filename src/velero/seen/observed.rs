//! What runs in the namespace.

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    core::v1::{Event, Node, Pod},
};
use kube::{
    ResourceExt,
    api::{DynamicObject, ListParams},
};

use super::{expected::Expected, namespace};
use crate::{
    cluster::{Cluster, ClusterError, call, found},
    velero::names::{COMPONENT_SELECTOR, LOCATION, NODE_AGENT, SERVER, backup_location_kind},
};

/// The events that tell of pods of the node agent that could not be made.
pub(crate) const REFUSALS: &str = "involvedObject.kind=DaemonSet,involvedObject.name=node-agent,reason=FailedCreate";

/// The objects that tell whether an installation works.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    /// When that was.
    pub at: Timestamp,
    /// The server's Deployment.
    pub server: Option<Deployment>,
    /// The node agent's DaemonSet.
    pub node_agent: Option<DaemonSet>,
    /// The pods of both, and others of Velero, by their names; those that have ended apart.
    pub pods: Vec<Pod>,
    /// The pods that have ended for good: evicted, shut down with their node, or done.
    pub ended: Vec<Pod>,
    /// Events about pods of the node agent that could not be created. A DaemonSet's status does not tell it.
    pub refusals: Vec<Event>,
    /// Since when the namespace has the labels that the charm put there: what was refused before says nothing.
    pub labelled_since: Option<Timestamp>,
    pub location: Option<DynamicObject>,
}

impl Observed {
    /// Returns an observation of nothing but these pods, now.
    pub(crate) fn of_pods(mut pods: Vec<Pod>) -> Self {
        pods.sort_by_key(ResourceExt::name_any);
        let has_ended = |pod: &Pod| {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            matches!(phase, Some("Failed" | "Succeeded"))
        };
        let (ended, pods) = pods.into_iter().partition(has_ended);
        Self {
            at: Timestamp::now(),
            server: None,
            node_agent: None,
            pods,
            ended,
            refusals: Vec::new(),
            labelled_since: None,
            location: None,
        }
    }
}

/// Takes away of a pod what no judgement is made by: there is one of the node agent on every node.
pub(super) fn lessen(pod: &mut Pod) {
    pod.metadata.managed_fields = None;
    let Some(spec) = &mut pod.spec else { return };
    spec.volumes = None;
    spec.tolerations = None;
    spec.affinity = None;
    for container in &mut spec.containers {
        container.env = None;
        container.args = None;
    }
}

/// Reads what an installation is judged by.
pub(crate) async fn read(cluster: &Cluster, expected: &Expected) -> Result<Observed, ClusterError> {
    // Several calls at once are large, and this is deep in every hook's future.
    Box::pin(read_at_once(cluster, expected)).await
}

async fn read_at_once(cluster: &Cluster, expected: &Expected) -> Result<Observed, ClusterError> {
    let servers = cluster.namespaced::<Deployment>();
    let agents = cluster.namespaced::<DaemonSet>();
    let pods = cluster.namespaced::<Pod>();
    let locations = cluster.here(&backup_location_kind());
    let server = call("get", format!("Deployment {SERVER}"), || servers.get_opt(SERVER));
    let agent = async {
        if expected.node_agent.is_some() {
            call("get", format!("DaemonSet {NODE_AGENT}"), || agents.get_opt(NODE_AGENT)).await
        } else {
            Ok(None)
        }
    };
    let location = async {
        if expected.location {
            let got = call("get", format!("BackupStorageLocation {LOCATION}"), || locations.get_opt(LOCATION)).await;
            Ok(found(got)?.flatten())
        } else {
            Ok(None)
        }
    };
    let pods = cluster.list(&pods, "the pods of Velero", COMPONENT_SELECTOR);
    let (server, node_agent, pods, location) = futures::try_join!(server, agent, pods, location)?;
    let mut observed = Observed { server, node_agent, location, ..Observed::of_pods(pods) };
    // It is read only then; all else is read in every hook.
    if observed.node_agent.as_ref().is_some_and(|agent| !runs_everywhere(agent)) {
        let events = cluster.namespaced::<Event>();
        let parameters = ListParams::default().fields(REFUSALS);
        let listed = call("list", format!("the events of DaemonSet {NODE_AGENT}"), || events.list(&parameters));
        let (listed, namespace) = futures::try_join!(listed, namespace::read(cluster))?;
        observed.refusals = listed.items;
        observed.labelled_since = namespace.and_then(|live| namespace::labelled_since(&live.metadata));
    }
    Ok(observed)
}

/// How many nodes are asked what the cloud calls them. A cluster may have thousands, and each node is some 20 KB.
const NODES: u32 = 20;

/// Returns what the cloud calls the machines of the first few nodes that it calls something.
pub(crate) async fn provider_ids(cluster: &Cluster) -> Result<Vec<String>, ClusterError> {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::test_api::TestApi;

    #[tokio::test]
    async fn nodes_that_no_cloud_calls_anything_are_left_out() {
        let api = TestApi::new();
        api.put_all(&[
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}, "spec": {}}),
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "b"}, "spec": {"providerID": "azure:///x"}}),
        ]);
        assert_eq!(provider_ids(&api.cluster("velero")).await.unwrap(), ["azure:///x"]);
    }

    #[test]
    fn a_daemon_set_runs_everywhere_when_its_latest_pods_are_available_on_all_nodes() {
        let runs = |generation: i64, wanted: i32, updated: i32, available: i32| {
            let status = json!({"observedGeneration": 2, "desiredNumberScheduled": wanted, "currentNumberScheduled": wanted,
                "updatedNumberScheduled": updated, "numberAvailable": available, "numberReady": available, "numberMisscheduled": 0});
            let agent = json!({"metadata": {"generation": generation}, "status": status});
            runs_everywhere(&serde_json::from_value(agent).unwrap())
        };
        assert!(runs(2, 3, 3, 3));
        assert!(!runs(3, 3, 3, 3) && !runs(2, 0, 0, 0) && !runs(2, 3, 2, 3) && !runs(2, 3, 3, 2));
        assert!(!runs_everywhere(&DaemonSet::default()));
    }
}
