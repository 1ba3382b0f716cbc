//! A workload that has something to lose: a pod with a volume of random bytes, in a namespace of its own.

use std::{fs, io::Read, path::PathBuf, time::Duration};

use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::{
    Api, Resource,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    runtime::{conditions, wait::await_condition},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{objects, world::World};

/// The name of the pod and of its claim.
const NAME: &str = "notes";

/// How long a pod may take to run, or a namespace to go.
const PATIENCE: Duration = Duration::from_mins(2);

/// How the volume is chosen for a backup of its files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Chosen {
    /// As every volume is.
    ByDefault,
    /// By its pod's annotation.
    ByAnnotation,
}

pub struct Workload {
    world: &'static World,
    namespace: String,
}

impl Workload {
    /// Makes it on any node, and waits until it runs.
    pub fn new(world: &'static World, namespace: &str, chosen: Chosen) -> Self {
        Self::on(world, namespace, chosen, None)
    }

    /// Makes it, on a node if one is named, and waits until it runs.
    pub fn on(world: &'static World, namespace: &str, chosen: Chosen, node: Option<&str>) -> Self {
        let workload = Self { world, namespace: namespace.to_owned() };
        objects::make_namespace(world, namespace);
        workload.create::<PersistentVolumeClaim>(json!({
            "metadata": {"name": NAME},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}},
        }));
        let mut pod = json!({
            "metadata": {"name": NAME, "annotations": {}},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": NAME,
                    "image": "busybox:1.36",
                    "command": ["sleep", "3600"],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": NAME}}],
            },
        });
        if chosen == Chosen::ByAnnotation {
            pod["metadata"]["annotations"]["backup.velero.io/backup-volumes"] = "data".into();
        }
        if let Some(node) = node {
            pod["spec"]["nodeSelector"] = json!({"kubernetes.io/hostname": node});
        }
        // The service account of a new namespace comes a moment after it.
        workload.world.runtime.block_on(async {
            let accounts = Api::<k8s_openapi::api::core::v1::ServiceAccount>::namespaced(
                workload.world.client.clone(),
                &workload.namespace,
            );
            let made = await_condition(accounts, "default", conditions::is_created());
            tokio::time::timeout(PATIENCE, made).await.unwrap().unwrap();
        });
        workload.create::<Pod>(pod);
        workload.runs();
        workload
    }

    /// The one that a restore has made in that namespace. Waits until it runs.
    pub fn restored(world: &'static World, namespace: &str) -> Self {
        let workload = Self { world, namespace: namespace.to_owned() };
        workload.runs();
        workload
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    fn create<K>(&self, object: Value)
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        let api = Api::<K>::namespaced(self.world.client.clone(), &self.namespace);
        let object: K = serde_json::from_value(object).unwrap();
        self.world.runtime.block_on(api.create(&PostParams::default(), &object)).unwrap();
    }

    /// Waits until it runs.
    pub fn runs(&self) {
        self.pod_runs(NAME);
    }

    fn pod_runs(&self, name: &str) {
        let pods = Api::<Pod>::namespaced(self.world.client.clone(), &self.namespace);
        self.world.runtime.block_on(async {
            let running = await_condition(pods, name, conditions::is_pod_running());
            tokio::time::timeout(PATIENCE, running).await.expect("the workload runs in time").unwrap();
        });
    }

    /// Puts annotations on the pod.
    pub fn annotate(&self, annotations: &Value) {
        let pods = Api::<Pod>::namespaced(self.world.client.clone(), &self.namespace);
        let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        self.world.runtime.block_on(pods.patch(NAME, &PatchParams::default(), &patch)).unwrap();
    }

    /// Puts a label on the claim.
    pub fn label_claim(&self, key: &str, value: &str) {
        let claims = Api::<PersistentVolumeClaim>::namespaced(self.world.client.clone(), &self.namespace);
        let patch = Patch::Merge(json!({"metadata": {"labels": {key: value}}}));
        self.world.runtime.block_on(claims.patch(NAME, &PatchParams::default(), &patch)).unwrap();
    }

    /// Adds a pod with a claim that is bound to a folder of its node, as MicroK8s' default storage makes them, and waits until it runs.
    pub fn add_folder_of_node(&self) {
        let (name, volume) = ("folder", format!("{}-folder", self.namespace));
        let volumes = Api::<PersistentVolume>::all(self.world.client.clone());
        let space = json!({"storage": "16Mi"});
        let made = json!({"metadata": {"name": volume}, "spec": {"capacity": space, "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": self.world.state, "type": "Directory"}}});
        let made = serde_json::from_value(made).unwrap();
        self.world.runtime.block_on(volumes.create(&PostParams::default(), &made)).unwrap();
        self.create::<PersistentVolumeClaim>(json!({
            "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": space}, "storageClassName": "",
                "volumeName": volume},
        }));
        self.create::<Pod>(json!({
            "metadata": {"name": name},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": name, "image": "busybox:1.36", "command": ["sleep", "3600"],
                    "volumeMounts": [{"name": "data", "mountPath": "/data", "readOnly": true}]}],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}],
            },
        }));
        self.pod_runs(name);
    }

    /// The file, where its volume's node keeps it.
    fn file(&self) -> PathBuf {
        let claims = Api::<PersistentVolumeClaim>::namespaced(self.world.client.clone(), &self.namespace);
        let volumes = Api::<PersistentVolume>::all(self.world.client.clone());
        self.world.runtime.block_on(async {
            let claim = claims.get(NAME).await.unwrap();
            let volume = volumes.get(&claim.spec.unwrap().volume_name.unwrap()).await.unwrap();
            PathBuf::from(volume.spec.unwrap().local.unwrap().path).join("file")
        })
    }

    /// Writes bytes that nobody can write a second time; their digest.
    pub fn write(&self) -> Vec<u8> {
        let mut content = Vec::new();
        fs::File::open("/dev/urandom").unwrap().take(100_000).read_to_end(&mut content).unwrap();
        fs::write(self.file(), content).unwrap();
        self.digest()
    }

    /// The digest of what is in the file now.
    pub fn digest(&self) -> Vec<u8> {
        Sha256::digest(fs::read(self.file()).unwrap()).to_vec()
    }

    /// Deletes it with its namespace, and waits until all of it has gone.
    pub fn lose(&self) {
        let namespaces = Api::<Namespace>::all(self.world.client.clone());
        let pods = Api::<Pod>::namespaced(self.world.client.clone(), &self.namespace);
        self.world.runtime.block_on(async {
            // A namespace that still has a claim in use looks again only after a while.
            let pod = pods.delete(NAME, &DeleteParams::default().grace_period(0)).await.unwrap();
            if let Some(pod) = pod.left() {
                let uid = pod.metadata.uid.unwrap();
                let gone = await_condition(pods, NAME, conditions::is_deleted(&uid));
                tokio::time::timeout(PATIENCE, gone).await.unwrap().unwrap();
            }
            let deleted = namespaces.delete(&self.namespace, &DeleteParams::default()).await.unwrap();
            if let Some(namespace) = deleted.left() {
                let uid = namespace.metadata.uid.unwrap();
                let gone = await_condition(namespaces, &self.namespace, conditions::is_deleted(&uid));
                tokio::time::timeout(PATIENCE, gone).await.expect("the namespace goes in time").unwrap();
            }
        });
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        objects::forget(self.world, &self.namespace);
    }
}
