//! What runs, as the charm judges it: pods that have ended are no trouble, what admission makes of an image is as planned, and a pod
//! that no node takes is not waited for.

use std::time::Duration;

use kube::{
    ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};
use sandbox::juju::{DeployOptions, HookRecord, UnitName};
use serde_json::{Value, json};

use crate::{
    admission::{Does, Policy, workload},
    deployed::{APPLICATION, Deployed, trusted},
    objects,
    world::{self, World},
};

/// Makes a pod of an older Velero as it stays behind of a node that evicted it, with the labels of Velero's own.
fn evict(deployed: &Deployed, name: &str, labels: &Value) {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": {
        // No kubelet gets to see it.
        "schedulingGates": [{"name": "example.test/held-by-the-test"}],
        "containers": [{"name": "velero", "image": "velero/velero:v1.17.2"}]}});
    deployed.create("Pod", &pod);
    let ended = |code: u32, reason: &str| {
        json!({"terminated": {"exitCode": code, "reason": reason, "startedAt": "2026-01-31T10:20:30Z",
            "finishedAt": "2026-01-31T10:20:40Z"}})
    };
    let container = json!({"name": "velero", "image": "velero/velero:v1.17.2", "imageID": "", "ready": false,
        "restartCount": 3, "state": ended(137, "Error"), "lastState": ended(1, "Error")});
    let status = json!({"status": {"phase": "Failed", "reason": "Evicted", "containerStatuses": [container],
        "message": "The node was low on resource: memory."}});
    let api = objects::api(deployed.world, deployed.namespace(), "Pod");
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(&status));
    deployed.world.runtime.block_on(api.patch_status(name, &parameters, &patch)).unwrap();
}

#[test]
fn a_pod_that_has_ended_does_not_change_what_is_said_of_those_that_run() {
    let mut deployed = Deployed::with(world::shared(), "evicted", &DeployOptions { units: 2, ..trusted() });
    deployed.configure("use-node-agent", "true");
    deployed.relate_s3();
    assert_eq!(deployed.status(), "active: ready");
    let before = deployed.versions();
    // By its name one is before the server's pod, and one after it; both are younger.
    for name in ["velero-000", "velero-zzz"] {
        evict(&deployed, name, &json!({"component": "velero", "deploy": "velero"}));
    }
    evict(&deployed, "node-agent-zzz", &json!({"component": "velero", "name": "node-agent", "role": "node-agent"}));
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(deployed.status_of(1), "active: ready, standing by for the leader");
    assert_eq!(deployed.versions(), before);
    let version = deployed.model.status().unwrap().applications[APPLICATION].version.clone();
    assert!(version.contains("1.18"), "{version}");
    // Who leads next tells the version anew.
    let records = deployed.model.elect(&UnitName::new(APPLICATION, 1)).unwrap();
    deployed.after(records);
    assert_eq!(deployed.status_of(1), "active: ready");
    assert_eq!(deployed.model.status().unwrap().applications[APPLICATION].version, version);
}

/// How long a hook may take that does not wait for what lasts; one that waits takes a minute.
const SOON: Duration = Duration::from_secs(30);

/// The nodes of a cluster, which take no pods as long as this lives.
struct Cordon<'a> {
    world: &'a World,
}

impl<'a> Cordon<'a> {
    fn new(world: &'a World) -> Self {
        let cordon = Self { world };
        cordon.set(true);
        cordon
    }

    fn set(&self, on: bool) {
        let nodes = objects::api(self.world, "", "Node");
        let patch = Patch::Merge(json!({"spec": {"unschedulable": on}}));
        for node in self.world.runtime.block_on(nodes.list(&ListParams::default())).unwrap() {
            let (name, parameters) = (node.name_any(), PatchParams::default());
            self.world.runtime.block_on(nodes.patch(&name, &parameters, &patch)).unwrap();
        }
    }
}

impl Drop for Cordon<'_> {
    fn drop(&mut self) {
        self.set(false);
    }
}

#[test]
fn a_server_that_no_node_takes_is_told_of_in_the_schedulers_words_and_no_hook_waits_for_it() {
    let (_turn, world) = world::alone();
    let cordon = Cordon::new(world);
    let mut deployed = Deployed::with(world, "no-room", &trusted());
    deployed.relate_s3();
    let pod = deployed.pods_of("deploy=velero")[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let told = format!("waiting: for pod {pod} to find a node: 0/1 nodes are available: 1 node(s) ");
    assert!(deployed.status().starts_with(&told), "{}", deployed.status());
    deployed.update_status();
    assert!(deployed.status().starts_with(&told), "{}", deployed.status());
    let took = |record: &HookRecord| (record.name.clone(), record.outcome.wall);
    let long: Vec<_> = deployed.records.iter().map(took).filter(|(_, wall)| *wall > SOON).collect();
    assert!(long.is_empty(), "{long:?}");

    drop(cordon);
    deployed.until("Deployment", "velero", |server| {
        server.is_some_and(|server| server["status"]["availableReplicas"] == 1)
    });
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(deployed.pods_of("deploy=velero")[0]["metadata"]["name"], pod);
}

/// The images of a Deployment's containers, those that run first apart.
fn images(deployment: &Value) -> Vec<&str> {
    let pod = &deployment["spec"]["template"]["spec"];
    let containers = ["initContainers", "containers"].into_iter().filter_map(|list| pod[list].as_array());
    containers.flatten().map(|container| container["image"].as_str().unwrap()).collect()
}

#[test]
fn images_that_a_policy_has_rewritten_are_as_planned_and_no_reason_to_change_anything() {
    let mut deployed = Deployed::with(world::shared(), "rewritten", &DeployOptions { units: 0, ..trusted() });
    // As a cluster does that has its images from a registry of its own; this one is the same as none.
    let rewrite = Does::Rewrite {
        by: "(has(object.spec.template.spec.initContainers) && \
               !object.spec.template.spec.initContainers[0].image.startsWith('docker.io/') ? [JSONPatch{op: 'replace', \
               path: '/spec/template/spec/initContainers/0/image', \
               value: 'docker.io/' + object.spec.template.spec.initContainers[0].image}] : []) + \
             (!object.spec.template.spec.containers[0].image.startsWith('docker.io/') ? [JSONPatch{op: 'replace', \
               path: '/spec/template/spec/containers/0/image', \
               value: 'docker.io/' + object.spec.template.spec.containers[0].image}] : [])",
    };
    let is_rewritten = |answer: kube::Result<DynamicObject>| {
        let made = json!(answer.unwrap());
        images(&made)[0].starts_with("docker.io/")
    };
    let _policies = [("deployments", "Deployment"), ("daemonsets", "DaemonSet")].map(|(plural, kind)| {
        Policy::new(&deployed, plural, rewrite).in_force(kind, &workload(kind, "tried"), is_rewritten)
    });
    let records = deployed.model.add_units(APPLICATION, 2).unwrap();
    deployed.after(records);
    deployed.configure("use-node-agent", "true");
    deployed.relate_s3();
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(deployed.status_of(1), "active: ready, standing by for the leader");
    let server = deployed.expect("Deployment", "velero");
    assert_eq!(images(&server), ["docker.io/velero/velero-plugin-for-aws:v1.14.3", "docker.io/velero/velero:v1.18.3"]);
    assert_eq!(images(&deployed.expect("DaemonSet", "node-agent")), ["docker.io/velero/velero:v1.18.3"]);
    let before = deployed.standing();
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(deployed.status_of(1), "active: ready, standing by for the leader");
    assert_eq!(deployed.standing(), before);

    // What the charm changes is still changed, and is rewritten again.
    deployed.configure("default-volumes-to-fs-backup", "true");
    assert_eq!(deployed.status(), "active: ready");
    let server = deployed.expect("Deployment", "velero");
    assert!(images(&server).iter().all(|image| image.starts_with("docker.io/")), "{:?}", images(&server));
    assert!(server["spec"]["template"].to_string().contains("--default-volumes-to-fs-backup=true"), "{server}");
}
