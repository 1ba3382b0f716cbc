//! What the cluster says of its nodes.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::api::ObjectMeta;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;
use url::form_urlencoded;

use super::kubelet_root::{self, FoundRoot, NodeFacts};
use crate::{
    cluster::{Cluster, ClusterError, call},
    velero::wanted::KubeletRoot,
};

/// The nodes that the node agent runs on, a page at a time: those that are not Windows', as in its DaemonSet. (`!=` is escaped as
/// in an address.)
const LINUX_NODES: &str = "/api/v1/nodes?labelSelector=kubernetes.io%2Fos%21%3Dwindows&limit=500";
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

/// Finds out where the node agent has to look for the volumes of pods, given the one that there is.
pub(crate) async fn kubelet_root(cluster: &Cluster, agent: Option<&DaemonSet>) -> Result<FoundRoot, ClusterError> {
    if let Some(root) = agent.and_then(kubelet_root::proven) {
        return Ok(FoundRoot::Common(root));
    }
    let nodes = facts(cluster).await?;
    Ok(kubelet_root::choose(agent, &nodes))
}

/// A page of the nodes as a table.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Table {
    metadata: ListMeta,
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
    let (mut nodes, mut down) = (Vec::new(), Vec::new());
    let mut page = LINUX_NODES.to_owned();
    loop {
        let table: Table = call("list", "nodes".to_owned(), || cluster.read(&page, TABLE)).await?;
        let rest = table.metadata.continue_.clone().filter(|token| !token.is_empty());
        // The kubelet of a node that is down would not answer.
        let (ready_here, down_here) = table.nodes();
        nodes.extend(ready_here);
        down.extend(down_here);
        let Some(token) = rest else { break };
        page =
            format!("{LINUX_NODES}&continue={}", form_urlencoded::byte_serialize(token.as_bytes()).collect::<String>());
    }
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
    use std::{
        convert::Infallible,
        future::pending,
        sync::{Arc, Mutex},
    };

    use http::{Request, Response};
    use kube::{Client, client::Body};
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;

    /// The table that `kubectl get nodes` shows, with the columns that matter here.
    fn table(rows: &[(&str, &str)]) -> Table {
        serde_json::from_value(page(rows, None)).unwrap()
    }

    fn page(rows: &[(&str, &str)], rest: Option<&str>) -> Value {
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
        json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "1", "continue": rest},
            "columnDefinitions": columns, "rows": rows})
    }

    /// A cluster of two pages of 20 nodes each, whose kubelets tell a directory, but for two: one that has no flags to tell, and one
    /// that does not answer. With it comes what was asked of it.
    fn forty_nodes() -> (Cluster, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let asked = request.uri().to_string();
            log.lock().unwrap().push(asked.clone());
            async move {
                if asked.contains("node-3/proxy") {
                    return pending().await;
                }
                let numbers = if asked.contains("continue=a%2Fb") { 20..40 } else { 0..20 };
                let names: Vec<_> = numbers.map(|number| format!("node-{number}")).collect();
                let rows: Vec<_> = names.iter().map(|name| (name.as_str(), "Ready")).collect();
                let answer = match &asked {
                    path if path.contains("node-4/proxy") => json!({"kind": "Flagz", "flags": {}}),
                    path if path.contains("/proxy/") => {
                        json!({"kind": "Flagz", "flags": {"root-dir": "/data/kubelet"}})
                    }
                    path if path.contains("continue=") => page(&rows, None),
                    _ => page(&rows, Some("a/b")),
                };
                Ok::<_, Infallible>(Response::new(Body::from(answer.to_string().into_bytes())))
            }
        });
        (Cluster::with_client(Client::new(service, "velero"), "velero".to_owned()), asked)
    }

    #[tokio::test(start_paused = true)]
    async fn every_page_is_read_and_no_more_kubelets_are_asked_or_waited_for_than_there_is_time_for() {
        let (cluster, asked) = forty_nodes();
        let begin = Instant::now();
        let nodes = facts(&cluster).await.unwrap();
        assert_eq!(begin.elapsed().as_secs(), KUBELET_PATIENCE.as_secs());
        assert_eq!(nodes.len(), 40);
        let told = |number: usize| nodes[number].told.as_ref().map(ToString::to_string);
        for number in [0, 2, 5, 20, 31] {
            assert_eq!(told(number).as_deref(), Some("/data/kubelet"), "{number}");
        }
        // The silent one, the old one, and the first that is not asked any more.
        for number in [3, 4, 32, 39] {
            assert_eq!(told(number), None, "{number}");
        }
        let kubelets = asked.lock().unwrap().iter().filter(|path| path.contains("/proxy/flagz")).count();
        assert_eq!(kubelets, KUBELETS_ASKED);
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
