//! The node agent on nodes that are not like those of other tests, and on nodes that come and go.

use std::{
    thread,
    time::{Duration, Instant},
};

use kube::api::DynamicObject;
use sandbox::{
    cluster::NodeOptions,
    juju::{DeployOptions, UnitName},
    progress::Progress,
};
use serde_json::{Value, json};

use crate::{
    deployed::{APPLICATION, Deployed, trusted},
    objects,
    volumes::back_and_forth,
    workload::{Chosen, Workload},
    world,
};

/// How long the cluster may take for what it does on its own.
const PATIENCE: Duration = Duration::from_mins(5);

/// Runs `update-status` until the unit's status is as wanted, as it would be within some minutes anyhow.
fn until(deployed: &mut Deployed, wanted: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        deployed.update_status();
        let status = deployed.status();
        if wanted(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "{status}");
    }
}

/// Waits until the cluster says of the node agent's DaemonSet that it is ready on so many nodes of so many.
fn await_agents(deployed: &Deployed, ready: i64, wanted: i64) {
    let api = objects::api(deployed.world, deployed.namespace(), "DaemonSet");
    let reached = move |agent: Option<&DynamicObject>| {
        let status = |field: &str| agent.and_then(|agent| agent.data["status"][field].as_i64()).unwrap_or(0);
        status("desiredNumberScheduled") == wanted && status("numberAvailable") == ready
    };
    let waiting = kube::runtime::wait::await_condition(api, "node-agent", reached);
    deployed.world.runtime.block_on(async { tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap() });
}

fn pod_security(deployed: &Deployed) -> Value {
    let mut labels = deployed.expect("Namespace", deployed.namespace())["metadata"]["labels"].clone();
    labels.as_object_mut().unwrap().retain(|key, _| key.contains("pod-security"));
    labels
}

/// The directory in which the node agent looks for the pods of its node.
fn host_pods(deployed: &Deployed) -> Value {
    let agent = deployed.expect("DaemonSet", "node-agent");
    let volumes = agent["spec"]["template"]["spec"]["volumes"].as_array().unwrap();
    volumes.iter().find(|volume| volume["name"] == "host-pods").unwrap()["hostPath"]["path"].clone()
}

#[test]
fn where_pod_security_is_enforced_the_namespace_admits_the_node_agent_for_as_long_as_it_is_wanted() {
    let (_turn, world) = world::hardened();
    let mut deployed = Deployed::with(world, "pod-security", &DeployOptions { units: 2, ..trusted() });
    deployed.relate_s3();
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(pod_security(&deployed), json!({}));

    deployed.configure("use-node-agent", "true");
    assert_eq!(deployed.status(), "active: ready");
    let wanted = json!({
        "pod-security.kubernetes.io/audit": "privileged",
        "pod-security.kubernetes.io/audit-version": "latest",
        "pod-security.kubernetes.io/enforce": "privileged",
        "pod-security.kubernetes.io/enforce-version": "latest",
        "pod-security.kubernetes.io/warn": "privileged",
        "pod-security.kubernetes.io/warn-version": "latest",
    });
    assert_eq!(pod_security(&deployed), wanted);
    let version =
        |deployed: &Deployed| deployed.expect("Namespace", "pod-security")["metadata"]["resourceVersion"].clone();
    let before = (version(&deployed), deployed.versions());
    deployed.update_status();
    assert_eq!((version(&deployed), deployed.versions()), before);

    // Without the labels the cluster does not admit it, and a unit that does not write says so.
    let none = json!({"pod-security.kubernetes.io/enforce": null, "pod-security.kubernetes.io/enforce-version": null});
    deployed.edit("Namespace", "pod-security", &json!({"metadata": {"labels": none}}));
    let pods = deployed.list("Pod");
    let agent = pods.iter().find(|pod| pod["metadata"]["labels"]["name"] == "node-agent").unwrap();
    deployed.delete("Pod", agent["metadata"]["name"].as_str().unwrap());
    let deadline = Instant::now() + PATIENCE;
    let other = UnitName::new(APPLICATION, 1);
    let refused =
        "the cluster does not admit the pods of DaemonSet node-agent: violates PodSecurity \"baseline:latest\"";
    while !deployed.status_of(1).contains(refused) {
        assert!(Instant::now() < deadline, "{}", deployed.status_of(1));
        let records = deployed.model.fire(&other, "update-status").unwrap();
        deployed.after(records);
    }

    // The leader mends it, and takes over what somebody has set that would keep the pods out.
    let restricted = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    deployed.edit("Namespace", "pod-security", &restricted);
    until(&mut deployed, |status| status == "active: ready");
    assert_eq!(pod_security(&deployed)["pod-security.kubernetes.io/enforce"], "privileged");

    deployed.configure("use-node-agent", "false");
    assert_eq!(pod_security(&deployed), json!({"pod-security.kubernetes.io/enforce": "restricted"}));
}

#[test]
fn the_labels_go_with_the_application_and_those_of_others_stay() {
    let (_turn, world) = world::hardened();
    let mut deployed = Deployed::with(world, "pod-security-gone", &trusted());
    let theirs = json!({"pod-security.kubernetes.io/warn": "restricted"});
    deployed.edit("Namespace", "pod-security-gone", &json!({"metadata": {"labels": theirs}}));
    deployed.configure("use-node-agent", "true");
    assert_eq!(pod_security(&deployed)["pod-security.kubernetes.io/enforce"], "privileged");
    assert_eq!(pod_security(&deployed)["pod-security.kubernetes.io/warn"], "restricted");
    deployed.model.remove_application(APPLICATION, false).unwrap();
    assert_eq!(pod_security(&deployed), theirs);
}

#[test]
fn the_files_of_volumes_are_read_where_the_kubelet_keeps_them() {
    let (_turn, world) = world::hardened();
    let mut deployed = Deployed::with(world, "kubelet-root", &trusted());
    deployed.relate_s3();
    deployed.configure("use-node-agent", "true");
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(host_pods(&deployed), "/var/snap/microk8s/common/var/lib/kubelet/pods");
    let workload = Workload::new(world, "kubelet-root-workload", Chosen::ByAnnotation);
    back_and_forth(&deployed, &workload);

    deployed.configure("kubelet-root-dir", "../kubelet");
    assert_eq!(
        deployed.status(),
        "blocked: the option kubelet-root-dir is no absolute path: juju config --reset kubelet-root-dir"
    );
    assert_eq!(host_pods(&deployed), "/var/snap/microk8s/common/var/lib/kubelet/pods");
    // Where almost all others keep them, and this one does not.
    deployed.configure("kubelet-root-dir", "/var/lib/kubelet/");
    assert_eq!(host_pods(&deployed), "/var/lib/kubelet/pods");
    let status = deployed.status();
    assert!(status.starts_with("blocked: container node-agent of pod node-agent-"), "{status}");
    assert!(status.contains("corresponds to the pods subdirectory of the kubelet root directory"), "{status}");
    deployed.run_well("backup create waiting --include-namespaces kubelet-root-workload");
    let phase = |deployed: &Deployed| {
        let volumes = deployed.list("PodVolumeBackup");
        let volume = volumes.iter().find(|volume| volume["metadata"]["labels"]["velero.io/backup-name"] == "waiting");
        volume.map(|volume| volume["status"]["phase"].clone())
    };
    let deadline = Instant::now() + PATIENCE;
    while phase(&deployed).is_none() {
        assert!(Instant::now() < deadline, "the volume's turn does not come");
    }
    deployed.update_status();
    assert!(deployed.status().starts_with("blocked"), "{}", deployed.status());
    assert_eq!(phase(&deployed), Some(Value::Null), "nobody is there to take it on");

    // An agent that does no work is replaced also while a backup waits for it, which then goes on.
    deployed.reset("kubelet-root-dir");
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(host_pods(&deployed), "/var/snap/microk8s/common/var/lib/kubelet/pods");
    let api = objects::api(world, deployed.namespace(), "Backup");
    let completed =
        |backup: Option<&DynamicObject>| backup.is_some_and(|backup| backup.data["status"]["phase"] == "Completed");
    let waiting = kube::runtime::wait::await_condition(api, "waiting", completed);
    world.runtime.block_on(async { tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap() });
}

#[test]
fn the_node_agent_follows_nodes_that_come_and_go() {
    let (_turn, world) = world::growing();
    let mut deployed = Deployed::with(world, "growing", &trusted());
    deployed.relate_s3();
    deployed.configure("use-node-agent", "true");
    assert_eq!(deployed.status(), "active: ready");

    let (second, seen) = thread::scope(|scope| {
        let joining = scope.spawn(|| {
            let progress = Progress::to_stderr();
            let joining = world.cluster.add_node(NodeOptions::default(), &progress);
            world.runtime.block_on(Box::pin(joining)).unwrap()
        });
        let while_it_starts = until(&mut deployed, |status| status != "active: ready");
        await_agents(&deployed, 2, 2);
        (joining.join().unwrap(), while_it_starts)
    });
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(
        seen,
        format!("waiting: for DaemonSet node-agent to run on every node: 1 of 2 ready, not yet on {}", second.name())
    );
    let workload = Workload::on(world, "growing-workload", Chosen::ByAnnotation, Some(second.name()));
    back_and_forth(&deployed, &workload);
    let nodes: Vec<_> = deployed.list("PodVolumeBackup").iter().map(|volume| volume["spec"]["node"].clone()).collect();
    assert_eq!(nodes, [json!(second.name())]);
    drop(workload);

    deployed.edit("Node", second.name(), &json!({"spec": {"unschedulable": true}}));
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");

    // Once Kubernetes has not heard of a node for most of a minute, it does not count it among those that should run the agent.
    second.power_off().unwrap();
    await_agents(&deployed, 1, 1);
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    deployed.delete("Node", second.name());
    await_agents(&deployed, 1, 1);
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
}

#[test]
fn nodes_whose_kubelets_differ_are_named_and_the_option_asked_for() {
    let (_turn, world) = world::growing();
    let odd = NodeOptions { kubelet_root: "/var/data/kubelet".into(), ..NodeOptions::default() };
    let odd = world.runtime.block_on(Box::pin(world.cluster.add_node(odd, &Progress::to_stderr()))).unwrap();
    let mut deployed = Deployed::with(world, "odd-node", &trusted());
    deployed.relate_s3();
    deployed.configure("use-node-agent", "true");
    assert_eq!(
        deployed.status(),
        format!(
            "blocked: the nodes' kubelets keep their files in different directories, /var/data/kubelet on {}; /var/lib/kubelet \
             on sandbox: set the option kubelet-root-dir to the one whose volumes are to be backed up",
            odd.name()
        )
    );
    assert!(deployed.object("DaemonSet", "node-agent").is_none());
    // Its kubelet alone says where it keeps its files.
    odd.power_off().unwrap();
    deployed.delete("Node", odd.name());
    until(&mut deployed, |status| status == "active: ready");
    assert_eq!(host_pods(&deployed), "/var/lib/kubelet/pods");
}
