//! What kubelets, controllers and Velero would write, written at once: so that a case takes a second and not a minute.

use std::{
    collections::{BTreeSet, HashMap},
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

use super::{
    drills::{self, DRILLS, SCRATCH},
    etcd::{Etcd, State},
    files::Files,
    objects::{listed, stored_at},
};

/// The only node.
const NODE: &str = "storm-1";

/// What the server that is played calls itself.
const VERSION: &str = "v1.18.3";

/// How long a controller is behind its pods.
const BEHIND: Duration = Duration::from_millis(30);

/// How often what cannot be done is tried at a time.
const TRIES: usize = 3;

/// A key that the store that is played refuses.
pub(in crate::storm) const REFUSED_KEY: &str = "refused-by-the-store";

/// Which generation of which object was seen last, by the object's uid.
pub(in crate::storm) type Memory = HashMap<String, i64>;

/// The kinds that it acts on, by group and plural.
const ACTS_ON: [(&str, &str); 10] = [
    ("", "pods"),
    ("", "secrets"),
    ("apps", "daemonsets"),
    ("apps", "deployments"),
    ("velero.io", "backups"),
    ("velero.io", "backupstoragelocations"),
    ("velero.io", "downloadrequests"),
    ("velero.io", "restores"),
    ("velero.io", "schedules"),
    ("velero.io", "serverstatusrequests"),
];

/// Which server runs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Server {
    #[default]
    None,
    /// One that was not there before.
    Starts,
    Runs,
}

impl Server {
    /// Returns what it is once it has done what it does at its start.
    fn after_start(self) -> Self {
        if self == Self::Starts { Self::Runs } else { self }
    }
}

/// What there is nothing left to do for.
#[derive(Default)]
struct Settled {
    /// How each kind that it acts on was stored then.
    states: Vec<State>,
    server: Server,
}

/// The player of one cluster's only application.
pub(in crate::storm) struct Player {
    client: Client,
    etcd: Etcd,
    namespace: &'static str,
    /// What lies in the store of each backup.
    files: Files,
    memory: Mutex<Memory>,
    /// Nobody plays twice at a time.
    settled: tokio::sync::Mutex<Settled>,
}

impl Player {
    pub(in crate::storm) fn new(client: Client, etcd: Etcd, files: Files, namespace: &'static str) -> Self {
        Self { client, etcd, namespace, files, memory: Mutex::default(), settled: tokio::sync::Mutex::default() }
    }

    /// Returns what it remembers.
    pub(in crate::storm) fn memory(&self) -> Memory {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets it remember what it did when the cluster was as it has become again.
    pub(in crate::storm) async fn remember(&self, memory: Memory) {
        *self.settled.lock().await = Settled::default();
        *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = memory;
    }

    /// Makes the only node.
    pub(in crate::storm) async fn make_node(&self) -> Result<(), kube::Error> {
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
    pub(in crate::storm) async fn play(&self) {
        let mut settled = self.settled.lock().await;
        let own = ACTS_ON.map(|(group, plural)| (plural, format!("{}{}/", stored_at(group, plural), self.namespace)));
        let of_drills = ["namespaces", "pods"].map(|plural| (DRILLS, format!("{}{SCRATCH}", stored_at("", plural))));
        let (plurals, prefixes): (Vec<_>, Vec<_>) = own.into_iter().chain(of_drills).unzip();
        for _ in 0..TRIES {
            let now = self.etcd.states(&prefixes).await.unwrap_or_default();
            let is_settled = |index: usize| now.get(index).is_some_and(|now| settled.states.get(index) == Some(now));
            let changed = plurals.iter().enumerate().filter(|(index, _)| !is_settled(*index));
            let changed: BTreeSet<_> = changed.map(|(_, plural)| *plural).collect();
            if changed.is_empty() {
                break;
            }
            let (server, is_done) = self.play_all(&changed, settled.server).await;
            if is_done {
                // What was done here has changed something: the next time that is looked at once more.
                *settled = Settled { states: now, server: server.after_start() };
                break;
            }
            settled.server = server;
        }
    }

    /// Does what is to be done for the kinds that have changed. Returns which server runs then, and whether all could be done.
    async fn play_all(&self, changed: &BTreeSet<&str>, before: Server) -> (Server, bool) {
        let mut done = Vec::new();
        let mut server = before;
        if ["pods", "deployments", "daemonsets"].iter().any(|plural| changed.contains(plural)) {
            done.push(self.end_pods().await);
            match self.deployment().await {
                // It has started, and not yet done what it does then.
                Ok(Server::Runs) if before == Server::Starts => {}
                Ok(now) => server = now,
                // It may have made the pod before: then a server has started.
                Err(_) => return (Server::Starts, false),
            }
            done.extend([self.daemon_set().await, self.pods_of_nobody().await]);
        }
        let is_another = server != before || server == Server::Starts;
        let concerns = |plural: &str| server != Server::None && (is_another || changed.contains(plural));
        if concerns("backupstoragelocations") {
            done.push(self.locations(server).await);
        }
        if concerns("serverstatusrequests") {
            done.push(self.requests().await);
        }
        if concerns("downloadrequests") {
            done.push(self.downloads().await);
        }
        for (plural, kind) in [("backups", "Backup"), ("restores", "Restore")] {
            if concerns(plural) {
                done.push(self.runs(kind).await);
            }
        }
        if changed.contains(DRILLS) {
            done.push(drills::attend(&self.client).await);
        }
        done.push(self.orphans(changed).await);
        (server, done.iter().all(Result::is_ok))
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
    pub(in crate::storm) async fn validate_again(&self) -> Result<(), kube::Error> {
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

    /// Tells those who ask for a file where it is.
    async fn downloads(&self) -> Result<(), kube::Error> {
        let api = self.velero("DownloadRequest");
        for request in listed(&api).await? {
            let kind = request.data["spec"]["target"]["kind"].as_str().unwrap_or_default();
            if !request.data["status"]["downloadURL"].is_string() {
                let status = json!({"status": {"phase": "Processed", "downloadURL": self.files.address_of(kind)}});
                api.patch(&request.name_any(), &PatchParams::default(), &Patch::Merge(status)).await?;
            }
        }
        Ok(())
    }

    /// Makes what is asked for: backups, or restores of one object if the namespace is mapped that it was in.
    async fn runs(&self, kind: &str) -> Result<(), kube::Error> {
        let api = self.velero(kind);
        for run in listed(&api).await? {
            if run.data["status"]["phase"].as_str().is_none_or(|phase| phase == "New") {
                drills::bring_back(&self.client, &run).await?;
                let now = Timestamp::now().to_string();
                let status =
                    json!({"status": {"phase": "Completed", "startTimestamp": now, "completionTimestamp": now}});
                api.patch(&run.name_any(), &PatchParams::default(), &Patch::Merge(status)).await?;
            }
        }
        Ok(())
    }

    /// Plays the garbage collector, without which an object whose dependents are to stay never goes.
    async fn orphans(&self, changed: &BTreeSet<&str>) -> Result<(), kube::Error> {
        for plural in changed {
            match *plural {
                "deployments" => free(&self.api::<Deployment>()).await?,
                "daemonsets" => free(&self.api::<DaemonSet>()).await?,
                "secrets" => free(&self.api::<Secret>()).await?,
                "backupstoragelocations" => free(&self.velero("BackupStorageLocation")).await?,
                "schedules" => free(&self.velero("Schedule")).await?,
                "backups" => free(&self.velero("Backup")).await?,
                _ => {}
            }
        }
        Ok(())
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
