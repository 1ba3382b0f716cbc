//! A workload whose backup or restore waits for the test: its pod has hooks that end when a file appears.

use std::{fs, path::PathBuf};

use kube::{
    Api,
    api::{DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};

use crate::{deployed::Deployed, objects, world::World};

/// The workload, in a namespace of its own.
pub struct Gate {
    world: &'static World,
    pub namespace: String,
    folder: PathBuf,
}

impl Gate {
    /// Makes a pod whose backup waits for [`Gate::open`] of `backup`, and whose restore for that of `restore`.
    pub fn new(deployed: &Deployed) -> Self {
        let world = deployed.world;
        let namespace = format!("{}-workload", deployed.namespace());
        let folder = world.cluster.folder().join("gates").join(&namespace);
        fs::create_dir_all(&folder).unwrap();
        objects::make_namespace(world, &namespace);
        let gate = Self { world, namespace, folder };
        gate.make_pod();
        gate
    }

    /// Lets the hooks of `backup` or `restore` end.
    pub fn open(&self, which: &str) {
        fs::write(self.folder.join(which), "").unwrap();
    }

    fn make_pod(&self) {
        let wait =
            |which: &str| json!(["sh", "-c", format!("until [ -e /gate/{which} ]; do sleep 0.2; done")]).to_string();
        let annotations = json!({
            "pre.hook.backup.velero.io/container": "workload",
            "pre.hook.backup.velero.io/command": wait("backup"),
            "pre.hook.backup.velero.io/timeout": "5m",
            "post.hook.restore.velero.io/container": "workload",
            "post.hook.restore.velero.io/command": wait("restore"),
            "post.hook.restore.velero.io/exec-timeout": "5m",
            "post.hook.restore.velero.io/wait-timeout": "5m",
        });
        let pod = pod("gated", &annotations, &json!({"hostPath": {"path": self.folder}}), "/gate");
        create_pod(self.world, &self.namespace, &pod);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // Nothing of the cluster waits on after the test, however it ended.
        self.open("backup");
        self.open("restore");
        objects::forget(self.world, &self.namespace);
    }
}

/// A pod that does nothing, with one volume.
pub fn pod(name: &str, annotations: &Value, volume: &Value, path: &str) -> Value {
    let mut volume = volume.clone();
    volume["name"] = json!("data");
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "workload",
                "image": "busybox:1.36",
                "command": ["sh", "-c", "trap exit TERM; while true; do sleep 3600 & wait; done"],
                "volumeMounts": [{"name": "data", "mountPath": path}],
            }],
            "volumes": [volume],
        },
    })
}

/// Makes a pod and waits until it runs.
pub fn create_pod(world: &World, namespace: &str, pod: &Value) {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"));
    let api: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), namespace, &resource);
    let name = pod["metadata"]["name"].as_str().unwrap();
    world.runtime.block_on(async {
        // The namespace's default ServiceAccount comes a moment after the namespace.
        let accounts = objects::api(world, namespace, "ServiceAccount");
        let limit = std::time::Duration::from_mins(2);
        let made = kube::runtime::wait::await_condition(accounts, "default", kube::runtime::conditions::is_created());
        tokio::time::timeout(limit, made).await.unwrap().unwrap();
        api.create(&PostParams::default(), &serde_json::from_value(pod.clone()).unwrap()).await.unwrap();
        let runs = |pod: Option<&DynamicObject>| {
            pod.is_some_and(|pod| pod.data["status"]["containerStatuses"][0]["ready"] == true)
        };
        let running = kube::runtime::wait::await_condition(api, name, runs);
        tokio::time::timeout(limit, running).await.unwrap().unwrap();
    });
}
