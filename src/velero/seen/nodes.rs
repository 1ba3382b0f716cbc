//! What the cluster says of its nodes.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use k8s_openapi::api::apps::v1::DaemonSet;
use kube::{Api, api::ObjectMeta};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use super::kubelet_root::{self, FoundRoot, NodeFacts};
use crate::{
    cluster::{Cluster, ClusterError, call},
    velero::{names::NODE_AGENT, wanted::KubeletRoot},
};

/// The nodes that the node agent runs on: those that are not Windows', as in its DaemonSet. (`!=` is escaped as in an address.)
const LINUX_NODES: &str = "/api/v1/nodes?labelSelector=kubernetes.io%2Fos%21%3Dwindows";
/// A list as it is shown to people: a line for each object, and its metadata. All else of a node, such as the list of its images,
/// is long.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
/// The column that says whether a node is ready.
const STATUS_COLUMN: &str = "Status";
/// The flag of the kubelet with its directory.
const ROOT_DIR: &str = "root-dir";
/// What a kubelet calls its list of flags, in the form that programs may read.
const FLAGS: &str = "application/json;v=v1beta1;g=config.k8s.io;as=Flagz";
/// How long a kubelet may take to tell its flags: one that does not answer must not hold a hook.
const KUBELET_PATIENCE: Duration = Duration::from_secs(2);
/// At most this many kubelets are asked.
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

/// The nodes as a table.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Table {
    column_definitions: Vec<Column>,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
}

#[derive(Deserialize)]
struct Row {
    cells: Vec<Value>,
    object: RowObject,
}

#[derive(Deserialize)]
struct RowObject {
    metadata: ObjectMeta,
}

impl Table {
    /// Returns what it says of the nodes, those first that are worth asking.
    fn nodes(self) -> (Vec<NodeFacts>, Vec<NodeFacts>) {
        let column = self.column_definitions.iter().position(|column| column.name == STATUS_COLUMN);
        // Such as `NotReady` and `Ready,SchedulingDisabled`.
        let is_ready = |row: &Row| {
            let status = column.and_then(|column| row.cells.get(column)?.as_str());
            status.is_none_or(|status| status.split(',').any(|part| part == "Ready"))
        };
        let (ready, down): (Vec<Row>, Vec<Row>) = self.rows.into_iter().partition(is_ready);
        let facts = |rows: Vec<Row>| rows.into_iter().map(|row| row.object.metadata.into()).collect();
        (facts(ready), facts(down))
    }
}

impl From<ObjectMeta> for NodeFacts {
    fn from(metadata: ObjectMeta) -> Self {
        Self { name: metadata.name.unwrap_or_default(), labels: metadata.labels.unwrap_or_default(), told: None }
    }
}

async fn facts(cluster: &Cluster) -> Result<Vec<NodeFacts>, ClusterError> {
    let table: Table = call("list", "nodes".to_owned(), || cluster.read(LINUX_NODES, TABLE)).await?;
    // The kubelet of a node that is down would not answer.
    let (mut nodes, down) = table.nodes();
    let asked = nodes.iter_mut().take(KUBELETS_ASKED).map(|node| async {
        node.told = told(cluster, &node.name).await;
    });
    join_all(asked).await;
    nodes.extend(down);
    Ok(nodes)
}

/// Returns the directory that a kubelet tells; `None` where it does not tell, as it is older or cannot be reached.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The table that `kubectl get nodes` shows, with the columns that matter here.
    fn table(rows: &[(&str, &str)]) -> Table {
        let rows: Vec<_> = rows
            .iter()
            .map(|(name, status)| {
                json!({"cells": [name, status, "<none>", "5d", "v1.33.1"], "object": {
                    "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                    "metadata": {"name": name, "labels": {"kubernetes.io/os": "linux"}}}})
            })
            .collect();
        let columns = ["Name", "Status", "Roles", "Age", "Version"]
            .map(|name| json!({"name": name, "type": "string", "format": "", "description": "", "priority": 0}));
        serde_json::from_value(
            json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "1"},
            "columnDefinitions": columns, "rows": rows}),
        )
        .unwrap()
    }

    #[test]
    fn the_kubelet_of_a_node_that_is_down_is_not_asked() {
        let rows = [
            ("up", "Ready"),
            ("down", "NotReady"),
            ("drained", "Ready,SchedulingDisabled"),
            ("gone", "NotReady,SchedulingDisabled"),
        ];
        let (asked, down) = table(&rows).nodes();
        let names = |nodes: &[NodeFacts]| nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&asked), ["up", "drained"]);
        assert_eq!(names(&down), ["down", "gone"]);
        assert_eq!(down[0].labels["kubernetes.io/os"], "linux");
    }

    #[test]
    fn where_the_table_does_not_say_it_every_node_is_asked() {
        let mut table = table(&[("up", "Ready"), ("down", "NotReady")]);
        table.column_definitions[1].name = "Condition".to_owned();
        assert_eq!(table.nodes().0.len(), 2);
    }
}
