//! The embedded cluster: what it can do, and that nothing is left of it.

use std::{
    fmt::Debug,
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
    runtime::wait::await_condition,
};
use sandbox::{
    cluster::{Cluster, ClusterAccess, NodeOptions},
    images,
    object_store::S3Server,
    process,
    progress::Progress,
};
use serde_json::json;

use crate::machine::{Traces, kill_process, this_program};

/// The line by which [`hold_a_cluster`] says where its cluster is.
const HELD: &str = "held: ";

async fn client(access: &ClusterAccess) -> Client {
    let kubeconfig = Kubeconfig::read_from(&access.kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

/// Creates a pod with one container, and waits until `condition` holds of it.
async fn run_pod(client: &Client, name: &str, container: serde_json::Value, condition: fn(&Pod) -> bool) -> Pod {
    let pods = Api::<Pod>::namespaced(client.clone(), "default");
    let pod = json!({
        "metadata": { "name": name },
        "spec": {
            "restartPolicy": "Never",
            "containers": [container],
            "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }],
        },
    });
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    let reached = await_condition(pods, name, |pod: Option<&Pod>| pod.is_some_and(condition));
    within(Duration::from_secs(90), reached).await.unwrap().unwrap()
}

async fn within<T: Debug>(limit: Duration, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, Box::pin(future)).await.unwrap()
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn waiting_reason(pod: &Pod) -> Option<&str> {
    let container = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    container.state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}

/// Creates a pod on a node that runs a script, and waits until `condition` holds of it.
async fn run_on(client: &Client, node: &str, name: &str, script: &str, condition: fn(&Pod) -> bool) -> Pod {
    let pods = Api::<Pod>::namespaced(client.clone(), "default");
    let pod = json!({
        "metadata": { "name": name },
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "nodeSelector": { "kubernetes.io/hostname": node },
            "containers": [{ "name": "shell", "image": images::BUSYBOX, "command": ["sh", "-ec", script] }],
        },
    });
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    let reached = await_condition(pods, name, |pod: Option<&Pod>| pod.is_some_and(condition));
    within(Duration::from_secs(30), reached).await.unwrap().unwrap()
}

/// Pods of both nodes reach each other, the API server at its service's address, and what runs beside the cluster.
async fn check_second_node(client: &Client, cluster: &Cluster, store: &str) {
    let second = cluster.add_node(NodeOptions::default(), &Progress::to_stderr()).await.unwrap();
    let first = cluster.node().name();
    for (from, to) in [(first, second.name()), (second.name(), first)] {
        let listening = |pod: &Pod| phase(pod) == "Running" && address(pod).is_some();
        let listener = format!("listener-{to}");
        let listener = run_on(client, to, &listener, "while true; do nc -l -p 8080 </dev/null; done", listening).await;
        let address = address(&listener).unwrap();
        let script = format!(
            "until nc -w 1 {address} 8080 </dev/null; do sleep 0.2; done; nc -w 5 {store} </dev/null; \
             nc -w 5 $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT </dev/null"
        );
        let ended = |pod: &Pod| matches!(phase(pod), "Succeeded" | "Failed");
        let caller = run_on(client, from, &format!("caller-{from}"), &script, ended).await;
        assert_eq!(phase(&caller), "Succeeded", "{caller:?}");
    }
}

fn address(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.pod_ip.as_deref()
}

#[tokio::test]
async fn a_cluster_runs_pods_and_leaves_nothing_behind() {
    let cluster = Cluster::start(&Progress::to_stderr()).await.unwrap();
    let access = cluster.access().clone();
    let traces = Traces::of(access.server_address, cluster.folder());
    let client = client(&access).await;

    let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), "default");
    let claim = json!({
        "metadata": { "name": "data" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Mi" } } },
    });
    claims.create(&PostParams::default(), &serde_json::from_value(claim).unwrap()).await.unwrap();

    let mut store = S3Server::start(&access, &cluster.folder().join("s3"), &Progress::to_stderr()).await.unwrap();
    let another_name = "docker.io/library/busybox:renamed";
    cluster.node().tag_image(images::BUSYBOX, another_name).await.unwrap();

    let listener = store.access().endpoint.trim_start_matches("http://").replace(':', " ");

    // A volume of its own that it may write as anybody, the API server at its service's address, and the S3 server.
    let script = format!(
        "echo written > /data/file && nc -w 5 $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT </dev/null \
         && nc -w 5 {listener} </dev/null",
    );
    let container = json!({
        "name": "worker",
        "image": another_name,
        "command": ["sh", "-ec", script],
        "securityContext": { "runAsUser": 1000 },
        "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
    });
    let worker = run_pod(&client, "worker", container, |pod| matches!(phase(pod), "Succeeded" | "Failed")).await;
    assert_eq!(phase(&worker), "Succeeded", "{worker:?}");
    let written = fs::read_dir(cluster.folder().join("volumes")).unwrap().flatten();
    assert_eq!(written.filter(|volume| volume.path().join("file").exists()).count(), 1);

    let container = json!({ "name": "unknown", "image": "example/unknown:1" });
    let refused = |pod: &Pod| waiting_reason(pod).is_some_and(|reason| reason != "ContainerCreating");
    let unknown = within(Duration::from_secs(15), run_pod(&client, "unknown", container, refused)).await;
    assert!(matches!(waiting_reason(&unknown), Some("ErrImagePull" | "ImagePullBackOff")), "{unknown:?}");

    let mut inside = tokio::process::Command::from(access.command("busybox"));
    inside.args(["nc", "-w", "5", &access.service_host, &access.service_port.to_string()]);
    process::run(inside, Duration::from_mins(1)).await.unwrap();

    check_second_node(&client, &cluster, &listener).await;
    check_s3(&mut store).await;
    drop(store);
    assert!(!traces.found().is_empty());
    within(Duration::from_secs(90), cluster.stop()).await.unwrap();
    // Nothing is left at once, not only after a while.
    assert_eq!(traces.found(), Vec::<String>::new());
}

async fn check_s3(store: &mut S3Server) {
    store.create_user("another-access", "another-secret").await.unwrap();
    store.create_user("another-access", "another-secret").await.unwrap_err();
    store.delete_user("another-access").await.unwrap();

    let bucket = store.access().bucket("bucket").unwrap();
    assert_eq!(bucket.keys().unwrap(), Vec::<String>::new());
    store.pause().await.unwrap();
    store.create_user("another-access", "another-secret").await.unwrap_err();
    store.resume().await.unwrap();
    store.create_user("another-access", "another-secret").await.unwrap();
}

/// Not a test: what [`nothing_outlives_a_killed_owner`] kills.
#[tokio::test]
#[ignore = "it is run by another test, which kills it"]
async fn hold_a_cluster() {
    let cluster = Cluster::start(&Progress::to_stderr()).await.unwrap();
    println!("{HELD}{} {}", cluster.access().server_address, cluster.folder().display());
    std::io::stdout().flush().unwrap();
    std::future::pending::<()>().await;
}

/// Another process that owns a cluster, and keeps its state in the folder `state`.
fn owner_of_a_cluster(state: &Path) -> (Child, Traces) {
    let mut owner = Command::new(this_program())
        .args(["--ignored", "--exact", "--nocapture", "cluster::hold_a_cluster"])
        .env("XDG_STATE_HOME", state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let held = lines.find_map(|line| line.unwrap().split_once(HELD).map(|(_, held)| held.to_owned())).unwrap();
    let (address, folder) = held.split_once(' ').unwrap();
    let traces = Traces::of(address.parse().unwrap(), Path::new(folder));
    assert!(!traces.found().is_empty());
    (owner, traces)
}

#[test]
fn nothing_outlives_a_killed_owner() {
    let state = tempfile::tempdir().unwrap();
    let (mut owner, traces) = owner_of_a_cluster(state.path());
    owner.kill().unwrap();
    owner.wait().unwrap();
    traces.expect_none();
    assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0, "the state folder is left");
}

#[test]
fn what_a_killed_guard_leaves_is_removed_by_the_next_command() {
    let state = tempfile::tempdir().unwrap();
    let (mut owner, traces) = owner_of_a_cluster(state.path());
    kill_process(traces.guard());
    owner.kill().unwrap();
    owner.wait().unwrap();
    traces.expect_no_process();

    let down = Command::new(env!("CARGO_BIN_EXE_sandbox")).arg("down").env("XDG_STATE_HOME", state.path()).status();
    assert!(down.unwrap().success());
    assert_eq!(traces.found(), Vec::<String>::new());
    assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0, "the state folder is left");
}
