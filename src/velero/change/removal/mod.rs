//! Taking Velero away without harm to what it backed up.
//!
//! The objects of backups go with the namespace's Velero, and another Velero on the same bucket finds the backups again. Of what
//! is in the object store only the logs of restores go: the server deletes them with the objects of the restores.
//!
//! A removal may end at any step, and another run goes on. A pod has 30 s to terminate, so the whole removal has one
//! deadline, and what gives rights or is secret goes before what is many.

mod ending;
mod ownership;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{StreamExt, future::join_all, pin_mut};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams, TypeMeta},
    core::PartialObjectMeta,
    runtime::watcher::{Config, Event, watcher},
};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

pub(crate) use ending::application_ends;
use ownership::{bears_label, goes_with_velero};

use super::{
    namespace, policies, proxies,
    release::{self, Since},
};
use crate::{
    cluster::{Cluster, ClusterError, Head, Listed, MetadataOnly, call_if_there, describe, found, named},
    error_chain::ErrorChain,
    velero::{
        drill,
        names::{
            COMPONENT_SELECTOR, CREDENTIALS, INSTANCE, LOCATION, LOCATION_KINDS, MANAGED_BY, METRICS, NODE_AGENT,
            REPOSITORY_SECRET, SERVER, node_agent_config, policies_name, proxies_secret, repository_config,
        },
        seen::{
            holdings::{Claim, Holdings, PartlyRead},
            repository,
        },
    },
};

/// The API group of Velero's own kinds.
const GROUP: &str = "velero.io";
/// Kinds whose finalizers only the running server and node agent take off. That of a restore deletes its logs from the bucket.
const FINALIZED_KINDS: [&str; 5] = ["Restore", "DataDownload", "PodVolumeRestore", "DataUpload", "PodVolumeBackup"];
/// How long the server and the node agent get to take them off.
const FINALIZERS_PATIENCE: Duration = Duration::from_secs(6);
/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(19);

/// What a removal left behind.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Removal {
    /// What could not be removed, as `Deployment velero`.
    pub left: Vec<String>,
    /// Whether all of that was left because permissions are missing: running it again would not help.
    pub forbidden: bool,
    /// The CustomResourceDefinitions stay, as somebody else uses them.
    pub shared_definitions: bool,
}

impl Removal {
    fn note<T>(&mut self, what: &str, result: Result<T, ClusterError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::warn!("cannot remove {what}: {}", ErrorChain(&error));
                self.leave(what, error.is_forbidden());
                None
            }
        }
    }

    fn leave(&mut self, what: &str, forbidden: bool) {
        self.forbidden = forbidden && (self.left.is_empty() || self.forbidden);
        if !self.left.iter().any(|left| left == what) {
            self.left.push(what.to_owned());
        }
    }
}

/// One of Velero's CustomResourceDefinitions.
#[derive(Deserialize)]
struct Definition {
    metadata: Head,
    spec: DefinitionSpec,
}

#[derive(Deserialize)]
struct DefinitionSpec {
    group: String,
    names: KindName,
    versions: Vec<KindVersion>,
}

#[derive(Deserialize)]
struct KindName {
    kind: String,
}

#[derive(Deserialize)]
struct KindVersion {
    name: String,
    storage: bool,
}

impl Listed for Definition {}

impl Definition {
    fn stored_kind(&self) -> Option<TypeMeta> {
        let version = self.spec.versions.iter().find(|version| version.storage)?;
        Some(TypeMeta { api_version: format!("{GROUP}/{}", version.name), kind: self.spec.names.kind.clone() })
    }
}

/// Removes the Velero of an application. What cannot be removed is reported, and the rest is removed all the same. Another's
/// Velero in the namespace stays, with all of its objects.
pub(crate) async fn remove(cluster: &Cluster, application: &str) -> Removal {
    let mut removal = Removal::default();
    let run = Run { cluster, application };
    if timeout(LIMIT, run.all(&mut removal)).await.is_err() {
        removal.leave("what could not be removed in time", false);
    }
    removal
}

/// A removal under way.
struct Run<'a> {
    cluster: &'a Cluster,
    application: &'a str,
}

impl Run<'_> {
    async fn all(&self, removal: &mut Removal) {
        // While its server is there, which takes what a drill's restore has written out of the store.
        let drills = Box::pin(drill::conduct::remove(self.cluster, self.application)).await;
        removal.note("what restore drills have made", drills);
        let PartlyRead { holdings, unread } = Holdings::read_at_the_end(self.cluster, self.application).await;
        if !unread.is_empty() {
            // It is not known whose Velero it is: only what certainly is this application's goes.
            for (what, error) in unread {
                removal.note::<()>(&what, Err(error));
            }
            return self.only_own(&holdings, removal).await;
        }
        if !is_own_velero(&holdings) {
            tracing::info!("the Velero of the namespace is not this application's: it stays");
            return self.only_own(&holdings, removal).await;
        }
        let Some(definitions) = removal.note("the objects of Velero", self.definitions().await) else {
            return self.only_own(&holdings, removal).await;
        };
        let kinds: Vec<_> = definitions.iter().filter_map(Definition::stored_kind).collect();
        if holdings.find(&named("apps/v1", "Deployment", SERVER)).is_some() {
            let finished = self.finish(&kinds).await;
            removal.note("restores and volume operations", finished);
        }
        self.programs(&holdings, removal).await;
        let kept = self.objects(&kinds, removal).await;
        let labels = namespace::label(self.cluster, &BTreeMap::new()).await;
        removal.note(&format!("the labels of Namespace {}", self.cluster.namespace()), labels);
        let shared = if kept { Ok(true) } else { self.delete_unused(&definitions, &kinds).await };
        removal.shared_definitions = removal.note("CustomResourceDefinitions of Velero", shared).unwrap_or_default();
        self.last_trace(&holdings, removal).await;
    }

    /// Deletes what is this application's, where the namespace's Velero is not or that is not known.
    async fn only_own(&self, holdings: &Holdings, removal: &mut Removal) {
        self.programs(holdings, removal).await;
        for kind in LOCATION_KINDS {
            self.delete_own(&named("velero.io/v1", kind, LOCATION), holdings, removal).await;
        }
        let schedules = TypeMeta { api_version: "velero.io/v1".to_owned(), kind: "Schedule".to_owned() };
        let goes = |object: &MetadataOnly| bears_label(&object.metadata, self.application);
        let api = self.cluster.here(&schedules);
        let deleted = self.cluster.delete_where(&api, "the objects of kind Schedule", "", goes).await;
        removal.note("the objects of kind Schedule", deleted);
        self.last_trace(holdings, removal).await;
    }

    /// Deletes the last trace of the application: while it is there, another run knows whose the rest is.
    async fn last_trace(&self, holdings: &Holdings, removal: &mut Removal) {
        if removal.left.is_empty() {
            self.delete_own(&named("v1", "Service", METRICS), holdings, removal).await;
        }
    }

    /// Deletes the programs, and then what gives rights or is secret.
    async fn programs(&self, holdings: &Holdings, removal: &mut Removal) {
        for object in [named("apps/v1", "Deployment", SERVER), named("apps/v1", "DaemonSet", NODE_AGENT)] {
            self.delete_own(&object, holdings, removal).await;
        }
        let bindings = self.delete_bindings(holdings).await;
        removal.note("ClusterRoleBinding of Velero", bindings);
        for object in [
            named("v1", "Secret", CREDENTIALS),
            named("v1", "ServiceAccount", SERVER),
            named("v1", "ConfigMap", &node_agent_config(self.application)),
            named("v1", "ConfigMap", &repository_config(self.application)),
        ] {
            self.delete_own(&object, holdings, removal).await;
        }
        let proxies = proxies::delete(self.cluster, self.application).await;
        removal.note(&format!("Secret {}", proxies_secret(self.application)), proxies);
        let policies = policies::delete(self.cluster, self.application).await;
        removal.note(&format!("ConfigMap {}", policies_name(self.application)), policies);
    }

    /// Deletes the objects of Velero in the namespace, of all kinds at once. Returns whether any of them is somebody else's and
    /// stays.
    async fn objects(&self, kinds: &[TypeMeta], removal: &mut Removal) -> bool {
        let deletions = kinds.iter().map(|kind| async move { (&kind.kind, self.delete_kind(kind).await) });
        let mut kept = false;
        for (kind, deleted) in join_all(deletions).await {
            kept |= removal.note(&format!("the objects of kind {kind}"), deleted).unwrap_or_default();
        }
        let jobs = TypeMeta { api_version: "batch/v1".to_owned(), kind: "Job".to_owned() };
        let jobs = self.cluster.here(&jobs);
        let deleted = self.cluster.delete_where::<MetadataOnly>(&jobs, "jobs", "velero.io/repo-name", |_| true).await;
        removal.note("jobs of Velero", deleted);
        let password = self.leave_users_password().await;
        removal.note(&format!("Secret {REPOSITORY_SECRET}"), password);
        kept
    }

    /// Deletes the object of a kind and name if it is this application's.
    async fn delete_own(&self, object: &DynamicObject, holdings: &Holdings, removal: &mut Removal) {
        let Some(held) = holdings.find(object).filter(|held| held.claim == Claim::Own).map(|held| &held.object) else {
            return;
        };
        let what = describe(held);
        match removal.note(&what, release::look_again(self.cluster, held).await) {
            Some(Since::Same) => {
                let gone = release::delete_or_release(self.cluster, held).await;
                removal.note(&what, gone);
            }
            // Whose it is now, another run finds out.
            Some(Since::Changed) => removal.leave(&what, false),
            Some(Since::Gone) | None => {}
        }
    }

    async fn definitions(&self) -> Result<Vec<Definition>, ClusterError> {
        let kind = named("apiextensions.k8s.io/v1", "CustomResourceDefinition", "").types.unwrap_or_default();
        let api = self.cluster.everywhere(&kind);
        let mut definitions = Vec::new();
        let add = |definition: Definition| {
            if definition.spec.group == GROUP {
                definitions.push(definition);
            }
        };
        self.cluster.collect(&api, "CustomResourceDefinitions", COMPONENT_SELECTOR, add).await?;
        Ok(definitions)
    }

    /// Deletes what has finalizers, and gives the server and the node agent the time to take them off. Objects
    /// without finalizers may be many, and are deleted later.
    async fn finish(&self, kinds: &[TypeMeta]) -> Result<(), ClusterError> {
        let finalized = kinds.iter().filter(|kind| FINALIZED_KINDS.contains(&kind.kind.as_str()));
        let finishing = finalized.map(|kind| async move {
            let api = self.cluster.here(kind);
            let goes = |object: &MetadataOnly| {
                !object.metadata.finalizers.is_empty()
                    && goes_with_velero(&kind.kind, &object.metadata, self.application)
            };
            let finished = async {
                let deleted = self.cluster.delete_where(&api, &kind.kind, "", goes).await?;
                if deleted.held > 0 {
                    none_goes(self.cluster.metadata_here(kind)).await;
                }
                Ok(())
            };
            // What is not deleted by then is so afterwards.
            timeout(FINALIZERS_PATIENCE, finished).await.unwrap_or_else(|_| {
                tracing::warn!("Velero did not finish every {}: traces of it may stay in the bucket", kind.kind);
                Ok(())
            })
        });
        join_all(finishing).await.into_iter().collect()
    }

    /// Deletes the objects of a kind in the namespace, finalizers or not: nobody is left to remove those. Returns whether any
    /// of the objects is somebody else's and stays.
    async fn delete_kind(&self, kind: &TypeMeta) -> Result<bool, ClusterError> {
        let api = self.cluster.here(kind);
        let goes = |object: &MetadataOnly| goes_with_velero(&kind.kind, &object.metadata, self.application);
        let deleted = self.cluster.delete_where(&api, &kind.kind, "", goes).await?;
        if deleted.held > 0 {
            let without = &json!({"metadata": {"finalizers": null}});
            let release = |object: MetadataOnly| async move {
                if goes(&object) && !object.metadata.finalizers.is_empty() {
                    let mut held = self.cluster.own(named(&kind.api_version, &kind.kind, &object.metadata.name));
                    held.metadata.uid.clone_from(&object.metadata.uid);
                    found(self.cluster.merge(&held, without).await)?;
                }
                Ok(())
            };
            self.cluster.for_each(&api, &kind.kind, release).await?;
        }
        Ok(deleted.kept > 0)
    }

    /// Deletes the Secret with the password that Velero put there by itself. Another one is the user's, and without it the backups
    /// of volumes cannot be read: it is nobody's then, so that no application replaces what may be the only copy.
    async fn leave_users_password(&self) -> Result<(), ClusterError> {
        let secret = self.cluster.own(named("v1", "Secret", REPOSITORY_SECRET));
        match repository::read(self.cluster).await? {
            Some(live) if live.is_public() => self.cluster.delete(&secret).await,
            Some(live) if live.is_of(self.application) => {
                let without = json!({"metadata": {"labels": {MANAGED_BY.0: null, INSTANCE: null}}});
                found(self.cluster.merge(&secret, &without).await).map(drop)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Deletes the ClusterRoleBindings of the namespace's own server, whichever name they have.
    async fn delete_bindings(&self, holdings: &Holdings) -> Result<(), ClusterError> {
        let kind = named("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "").types.unwrap_or_default();
        let api = self.cluster.everywhere(&kind);
        for binding in self.cluster.list(&api, "ClusterRoleBindings", COMPONENT_SELECTOR).await? {
            let is_of_server = binding.data["subjects"].as_array().is_some_and(|subjects| {
                subjects
                    .iter()
                    .all(|subject| subject["namespace"] == self.cluster.namespace() && subject["name"] == SERVER)
            });
            let labels = binding.metadata.labels.clone().unwrap_or_default();
            let owner_references = binding.metadata.owner_references.clone().unwrap_or_default();
            let binding = named(&kind.api_version, &kind.kind, &binding.name_any());
            let is_own = match holdings.find(&binding) {
                Some(held) => held.claim == Claim::Own,
                None => bears_label(&Head { labels, owner_references, ..Head::default() }, self.application),
            };
            if is_of_server && is_own {
                self.cluster.delete(&binding).await?;
            }
        }
        Ok(())
    }

    /// Deletes the definitions that the charm brought, unless anything in another namespace uses them. Returns whether anything
    /// does.
    async fn delete_unused(&self, definitions: &[Definition], kinds: &[TypeMeta]) -> Result<bool, ClusterError> {
        let elsewhere = format!("metadata.namespace!={}", self.cluster.namespace());
        let servers = self.cluster.in_all_namespaces::<Deployment>();
        let parameters = ListParams::default().labels(COMPONENT_SELECTOR).fields(&elsewhere).limit(1);
        let others = call_if_there("list", "Deployments".to_owned(), || servers.list_metadata(&parameters)).await?;
        if others.is_none_or(|others| !others.items.is_empty()) {
            return Ok(true);
        }
        for kind in kinds {
            if self.cluster.has_any(&self.cluster.everywhere(kind), &kind.kind, &elsewhere).await? {
                return Ok(true);
            }
        }
        let brought = |definition: &&Definition| {
            definition.metadata.labels.get(MANAGED_BY.0).is_some_and(|manager| manager == MANAGED_BY.1)
        };
        for definition in definitions.iter().filter(brought) {
            let name = &definition.metadata.name;
            self.cluster.delete(&named("apiextensions.k8s.io/v1", "CustomResourceDefinition", name)).await?;
        }
        Ok(false)
    }
}

/// Whether the Velero of the namespace is the application's: its server or, where that is gone already, anything else under its
/// names; and no other server works on the same objects.
fn is_own_velero(holdings: &Holdings) -> bool {
    if holdings.other_server().is_some() {
        return false;
    }
    match holdings.find(&named("apps/v1", "Deployment", SERVER)) {
        Some(server) => server.claim == Claim::Own,
        // A ClusterRoleBinding may be of a former namespace of the same name.
        None => holdings.own().any(|object| object.metadata.namespace.is_some()),
    }
}

/// Watches a kind until none of its objects is being deleted.
async fn none_goes(api: Api<PartialObjectMeta>) {
    let events = watcher(api, Config::default());
    pin_mut!(events);
    let mut going = BTreeSet::new();
    let mut whole = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => {
                going.clear();
                whole = false;
            }
            Ok(Event::InitApply(object) | Event::Apply(object)) => {
                if object.metadata.deletion_timestamp.is_some() {
                    going.insert(object.name_any());
                }
            }
            Ok(Event::Delete(object)) => {
                going.remove(&object.name_any());
            }
            Ok(Event::InitDone) => whole = true,
            Err(error) => {
                tracing::debug!("cannot watch what is being deleted: {error}");
                return;
            }
        }
        if whole && going.is_empty() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
