//! What the cluster says of its nodes.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use k8s_openapi::api::{apps::v1::DaemonSet, core::v1::Node};
use kube::{Api, ResourceExt, api::ListParams};
use serde::Deserialize;
use tokio::time::timeout;

use super::kubelet_root::{self, FoundRoot, NodeFacts};
use crate::{
    cluster::{Cluster, ClusterError, call},
    velero::{names::NODE_AGENT, wanted::KubeletRoot},
};

/// The nodes that the node agent runs on: those that are not Windows', as in its DaemonSet.
const LINUX: &str = "kubernetes.io/os!=windows";
/// The flag of the kubelet with its directory.
const ROOT_DIR: &str = "root-dir";
/// What a kubelet calls its list of flags, in the form that programs may read.
const FLAGS: &str = "application/json;v=v1beta1;g=config.k8s.io;as=Flagz";
/// How long a kubelet may take to tell its flags: one that does not answer must not hold a hook.
const KUBELET_PATIENCE: Duration = Duration::from_secs(2);
/// As many kubelets are asked. Where there are more nodes, they are made by the same hand; and on a node that is unlike them
/// the node agent ends, so that it does not go unnoticed.
const KUBELETS_ASKED: usize = 32;

/// The flags of a program of Kubernetes, as its `/flagz` has them.
#[derive(Deserialize)]
struct Flags {
    #[serde(default)]
    flags: BTreeMap<String, String>,
}

/// Finds out where the node agent has to look for the volumes of pods.
pub(crate) async fn kubelet_root(cluster: &Cluster) -> Result<FoundRoot, ClusterError> {
    let agents: Api<DaemonSet> = cluster.namespaced();
    let agent = call("get", format!("DaemonSet {NODE_AGENT}"), || agents.get_opt(NODE_AGENT)).await?;
    if let Some(root) = agent.as_ref().and_then(kubelet_root::proven) {
        return Ok(FoundRoot::Common(root));
    }
    let nodes = facts(cluster).await?;
    Ok(kubelet_root::choose(agent.as_ref(), &nodes))
}

async fn facts(cluster: &Cluster) -> Result<Vec<NodeFacts>, ClusterError> {
    let nodes: Api<Node> = cluster.cluster_wide();
    // All else of a node, such as the list of its images, is long.
    let parameters = ListParams::default().labels(LINUX);
    let listed = call("list", "nodes".to_owned(), || nodes.list_metadata(&parameters)).await?;
    let mut facts: Vec<_> = listed
        .items
        .into_iter()
        .map(|node| NodeFacts { name: node.name_any(), labels: node.metadata.labels.unwrap_or_default(), told: None })
        .collect();
    let asked = facts.iter_mut().take(KUBELETS_ASKED).map(|node| async {
        node.told = told(cluster, &node.name).await;
    });
    join_all(asked).await;
    Ok(facts)
}

/// The directory that a kubelet tells; `None` where it does not tell, as it is older or cannot be reached.
async fn told(cluster: &Cluster, node: &str) -> Option<KubeletRoot> {
    let path = format!("/api/v1/nodes/{node}/proxy/flagz");
    match timeout(KUBELET_PATIENCE, cluster.read::<Flags>(&path, FLAGS)).await {
        Ok(Ok(answer)) => answer.flags.get(ROOT_DIR)?.parse().ok(),
        Ok(Err(error)) => {
            tracing::debug!("the kubelet of node {node} does not tell its flags: {error}");
            None
        }
        Err(_) => {
            tracing::debug!("the kubelet of node {node} does not answer");
            None
        }
    }
}
