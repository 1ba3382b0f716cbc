//! What kubelets, controllers and Velero would write, written at once: so that a case takes a second and not a minute.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    core::v1::{Node, Pod, PodTemplateSpec, Secret},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::objects::listed;

/// The only node.
const NODE: &str = "storm-1";

/// What the server that is played calls itself.
const VERSION: &str = "v1.18.3";

/// How long a controller is behind its pods.
const BEHIND: Duration = Duration::from_millis(30);

/// How often what cannot be done is tried at a time.
const TRIES: usize = 3;

/// A key that the store that is played refuses.
pub(super) const REFUSED_KEY: &str = "refused-by-the-store";

/// Which generation of which object was seen last, by the object's uid.
pub(super) type Memory = HashMap<String, i64>;

/// Which server runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Server {
    None,
    /// One that was not there before.
    Starts,
    Runs,
}

/// The player of one cluster's only application.
pub(super) struct Player {
    client: Client,
    namespace: &'static str,
    memory: Mutex<Memory>,
    /// Nobody plays twice at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Player {
    pub(super) fn new(client: Client, namespace: &'static str) -> Self {
        Self { client, namespace, memory: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    /// A client with an administrator's rights.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Returns what it remembers.
    pub(super) fn memory(&self) -> Memory {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets it remember what it did when the cluster was as it has become again.
    pub(super) fn remember(&self, memory: Memory) {
        *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = memory;
    }

    /// Makes the only node.
    pub(super) async fn make_node(&self) -> Result<(), kube::Error> {
        let node: Node = typed(json!({"metadata": {"name": NODE, "labels": {"kubernetes.io/os": "linux"}},
            "spec": {}, "status": {}}))?;
        let nodes: Api<Node> = Api::all(self.client.clone());
        nodes.create(&PostParams::default(), &node).await?;
        let status = json!({"status": {
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "capacity": {"cpu": "4", "memory": "8Gi", "pods": "110"},
            "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"},
            "nodeInfo": {"kubeletVersion": "v1.36.3", "operatingSystem": "linux", "architecture": "amd64", "machineID": "",
                "systemUUID": "", "bootID": "", "kernelVersion": "", "osImage": "", "containerRuntimeVersion": "",
                "kubeProxyVersion": ""},
        }});
        nodes.patch_status(NODE, &PatchParams::default(), &Patch::Merge(status)).await.map(drop)
    }

    /// Does all that is to be done now. What cannot be done is tried again, as the charm changes things meanwhile, and in the end left
    /// for the next time.
    pub(super) async fn play(&self) {
        let _turn = self.turn.lock().await;
        for _ in 0..TRIES {
            if self.play_all().await {
                break;
            }
        }
    }

    /// Returns whether all could be done.
    async fn play_all(&self) -> bool {
        let mut done = vec![self.end_pods().await];
        let server = match self.deployment().await {
            Ok(server) => server,
            Err(error) => {
                done.push(Err(error));
                Server::None
            }
        };
        done.extend([self.daemon_set().await, self.pods_of_nobody().await]);
        if server != Server::None {
            done.extend([self.locations(server).await, self.requests().await, self.runs().await]);
        }
        done.push(self.orphans().await);
        done.iter().all(Result::is_ok)
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), self.namespace)
    }

    fn velero(&self, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("velero.io", "v1", kind));
        Api::namespaced_with(self.client.clone(), self.namespace, &resource)
    }

    /// Whether an object is another than the one that was dealt with last.
    fn is_new(&self, object: &impl ResourceExt) -> bool {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.get(&object.uid().unwrap_or_default()).copied() != Some(object.meta().generation.unwrap_or_default())
    }

    /// Notes that an object was dealt with as it is.
    fn has_dealt_with(&self, object: &impl ResourceExt) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.insert(object.uid().unwrap_or_default(), object.meta().generation.unwrap_or_default());
    }

    /// Plays the Deployment's controller and its kubelet. Returns which server runs.
    async fn deployment(&self) -> Result<Server, kube::Error> {
        let deployments: Api<Deployment> = self.api();
        let Some(deployment) = deployments.get_opt("velero").await? else { return Ok(Server::None) };
        let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let template = deployment.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
        let name = format!("velero-{}", fingerprint(&template));
        // Of a pod that somebody has deleted there is another one soon.
        let lacks_pod = replicas > 0 && self.api::<Pod>().get_metadata_opt(&name).await?.is_none();
        if self.is_new(&deployment) || lacks_pod {
            let wanted = (replicas > 0).then_some(name.as_str());
            self.only_pod(
                "deploy=velero",
                wanted,
                &template,
                json!({"kind": "ReplicaSet", "apiVersion": "apps/v1", "name": name}),
            )
            .await?;
            // Who watches both hears of the pod first, as of a real one, which is ready some time before its Deployment is.
            tokio::time::sleep(BEHIND).await;
            let status = json!({"status": {
                "observedGeneration": deployment.metadata.generation,
                "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
                "conditions": [
                    {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
                    {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
                ],
            }});
            deployments.patch_status("velero", &PatchParams::default(), &Patch::Merge(status)).await?;
            self.has_dealt_with(&deployment);
        }
        Ok(match replicas {
            0 => Server::None,
            _ if lacks_pod => Server::Starts,
            _ => Server::Runs,
        })
    }

    async fn daemon_set(&self) -> Result<(), kube::Error> {
        let sets: Api<DaemonSet> = self.api();
        let Some(set) = sets.get_opt("node-agent").await? else { return Ok(()) };
        let template = set.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
        let name = format!("node-agent-{}", fingerprint(&template));
        let lacks_pod = self.api::<Pod>().get_metadata_opt(&name).await?.is_none();
        if !self.is_new(&set) && !lacks_pod {
            return Ok(());
        }
        self.only_pod(
            "name=node-agent",
            Some(&name),
            &template,
            json!({"kind": "DaemonSet", "apiVersion": "apps/v1", "name": "node-agent"}),
        )
        .await?;
        tokio::time::sleep(BEHIND).await;
        let status = json!({"status": {
            "observedGeneration": set.metadata.generation,
            "currentNumberScheduled": 1, "desiredNumberScheduled": 1, "numberAvailable": 1, "numberMisscheduled": 0,
            "numberReady": 1, "updatedNumberScheduled": 1,
        }});
        sets.patch_status("node-agent", &PatchParams::default(), &Patch::Merge(status)).await?;
        self.has_dealt_with(&set);
        Ok(())
    }

    /// Makes a pod by the template and no other with these labels, or none.
    async fn only_pod(
        &self,
        labels: &str,
        name: Option<&str>,
        template: &PodTemplateSpec,
        owner: Value,
    ) -> Result<(), kube::Error> {
        let pods: Api<Pod> = self.api();
        for pod in pods.list(&ListParams::default().labels(labels)).await? {
            if Some(pod.name_any().as_str()) != name {
                pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await?;
            }
        }
        let Some(name) = name else { return Ok(()) };
        if pods.get_opt(name).await?.is_some() {
            return Ok(());
        }
        let mut pod = json!({"metadata": {"name": name}, "spec": template.spec});
        let metadata = template.metadata.clone().unwrap_or_default();
        let mut owner = owner;
        owner["uid"] = json!("11111111-2222-3333-4444-555555555555");
        owner["controller"] = json!(true);
        pod["metadata"]["labels"] = json!(metadata.labels);
        pod["metadata"]["annotations"] = json!(metadata.annotations);
        pod["metadata"]["ownerReferences"] = json!([owner]);
        pod["spec"]["nodeName"] = json!(NODE);
        let pod: Pod = typed(pod)?;
        pods.create(&PostParams::default(), &pod).await?;
        let now = Timestamp::now().to_string();
        let spec = pod.spec.unwrap_or_default();
        let container = |container: &k8s_openapi::api::core::v1::Container, state: Value, ready: bool| {
            json!({"name": container.name, "image": container.image, "imageID": "", "ready": ready, "started": ready,
                "restartCount": 0, "state": state})
        };
        let running = |each| container(each, json!({"running": {"startedAt": now}}), true);
        let ended = |each| container(each, json!({"terminated": {"exitCode": 0, "reason": "Completed"}}), true);
        let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
            .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": now}));
        let status = json!({"status": {
            "phase": "Running", "startTime": now, "conditions": conditions,
            "containerStatuses": spec.containers.iter().map(running).collect::<Vec<_>>(),
            "initContainerStatuses": spec.init_containers.unwrap_or_default().iter().map(ended).collect::<Vec<_>>(),
        }});
        pods.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.map(drop)
    }

    /// Plays the kubelet of pods that are to end, which are there until it says so.
    async fn end_pods(&self) -> Result<(), kube::Error> {
        let pods: Api<Pod> = self.api();
        for pod in pods.list_metadata(&ListParams::default()).await? {
            if pod.metadata.deletion_timestamp.is_some() {
                pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await?;
            }
        }
        Ok(())
    }

    /// Takes away the pods of a Deployment or DaemonSet that is there no more.
    async fn pods_of_nobody(&self) -> Result<(), kube::Error> {
        let none = PodTemplateSpec::default();
        if self.api::<Deployment>().get_metadata_opt("velero").await?.is_none() {
            self.only_pod("deploy=velero", None, &none, json!({})).await?;
        }
        if self.api::<DaemonSet>().get_metadata_opt("node-agent").await?.is_none() {
            self.only_pod("name=node-agent", None, &none, json!({})).await?;
        }
        Ok(())
    }

    /// Plays the server that validates storage locations: when it starts, when they change, or nobody has said anything of them.
    async fn locations(&self, server: Server) -> Result<(), kube::Error> {
        let api = self.velero("BackupStorageLocation");
        for location in listed(&api).await? {
            let said = location.data["status"]["lastValidationTime"].is_string();
            let is_new = self.is_new(&location);
            if said && !is_new && server == Server::Runs {
                continue;
            }
            self.validate(&api, &location).await?;
        }
        Ok(())
    }

    /// Plays the server that has validated locations before, and does so each minute.
    pub(super) async fn validate_again(&self) -> Result<(), kube::Error> {
        let api = self.velero("BackupStorageLocation");
        for location in listed(&api).await? {
            if location.data["status"]["lastValidationTime"].is_string() {
                self.validate(&api, &location).await?;
            }
        }
        Ok(())
    }

    async fn validate(&self, api: &Api<DynamicObject>, location: &DynamicObject) -> Result<(), kube::Error> {
        let now = Timestamp::now().to_string();
        let message = self.refusal(location).await?;
        let phase = if message.is_empty() { "Available" } else { "Unavailable" };
        let status =
            json!({"status": {"phase": phase, "message": message, "lastValidationTime": now, "lastSyncedTime": now}});
        // A change of the status alone is none of the spec, but of the generation where the kind has no part of its own for it.
        let validated = api.patch(&location.name_any(), &PatchParams::default(), &Patch::Merge(status)).await?;
        self.has_dealt_with(&validated);
        Ok(())
    }

    /// Returns why a store refuses; an empty text where it does not.
    async fn refusal(&self, location: &DynamicObject) -> Result<String, kube::Error> {
        let credential = &location.data["spec"]["credential"];
        let (Some(name), Some(key)) = (credential["name"].as_str(), credential["key"].as_str()) else {
            return Ok(String::new());
        };
        let secret = self.api::<Secret>().get_opt(name).await?;
        let content = secret.and_then(|secret| secret.data?.get(key).cloned());
        Ok(match content {
            None => format!("unable to get credentials: unable to get key for secret: Secret \"{name}\" not found"),
            Some(content) if String::from_utf8_lossy(&content.0).contains(REFUSED_KEY) => {
                "rpc error: code = Unknown desc = api error InvalidAccessKeyId: The Access Key Id you provided does not exist".to_owned()
            }
            Some(_) => String::new(),
        })
    }

    /// Answers those who ask the server for its version.
    async fn requests(&self) -> Result<(), kube::Error> {
        let api = self.velero("ServerStatusRequest");
        for request in listed(&api).await? {
            if request.data["status"]["phase"] != "Processed" {
                let status = json!({"status": {"phase": "Processed", "serverVersion": VERSION,
                    "processedTimestamp": Timestamp::now().to_string()}});
                api.patch(&request.name_any(), &PatchParams::default(), &Patch::Merge(status)).await?;
            }
        }
        Ok(())
    }

    /// Makes what is asked for: backups and restores of nothing.
    async fn runs(&self) -> Result<(), kube::Error> {
        for kind in ["Backup", "Restore"] {
            let api = self.velero(kind);
            for run in listed(&api).await? {
                if run.data["status"]["phase"].as_str().is_none_or(|phase| phase == "New") {
                    let now = Timestamp::now().to_string();
                    let status =
                        json!({"status": {"phase": "Completed", "startTimestamp": now, "completionTimestamp": now}});
                    api.patch(&run.name_any(), &PatchParams::default(), &Patch::Merge(status)).await?;
                }
            }
        }
        Ok(())
    }

    /// Plays the garbage collector, without which an object whose dependents are to stay never goes.
    async fn orphans(&self) -> Result<(), kube::Error> {
        free(&self.api::<Deployment>()).await?;
        free(&self.api::<DaemonSet>()).await?;
        free(&self.api::<Secret>()).await?;
        free(&self.velero("BackupStorageLocation")).await?;
        free(&self.velero("Schedule")).await?;
        free(&self.velero("Backup")).await
    }
}

async fn free<K>(api: &Api<K>) -> Result<(), kube::Error>
where
    K: Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let objects = match api.list_metadata(&ListParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        objects => objects?,
    };
    for object in objects {
        let finalizers = object.metadata.finalizers.unwrap_or_default();
        let is_collectors = |each: &String| matches!(each.as_str(), "orphan" | "foregroundDeletion");
        if object.metadata.deletion_timestamp.is_some() && finalizers.iter().any(is_collectors) {
            let patch = json!({"metadata": {"finalizers": null}});
            let name = object.metadata.name.unwrap_or_default();
            api.patch_metadata(&name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        }
    }
    Ok(())
}

fn typed<K: serde::de::DeserializeOwned>(value: Value) -> Result<K, kube::Error> {
    serde_json::from_value(value).map_err(kube::Error::SerdeError)
}

/// Returns what two templates have in common only if they are the same.
fn fingerprint(template: &PodTemplateSpec) -> String {
    let text = serde_json::to_vec(template).unwrap_or_default();
    data_encoding::HEXLOWER.encode(&Sha256::digest(text))[..10].to_owned()
}
