//! Taking Velero away without harm to what it backed up.
//!
//! Nothing here touches the object store: the objects of backups go with the namespace's Velero, and another Velero on the
//! same bucket finds the backups again.

use std::{collections::BTreeMap, time::Duration};

use futures::future::{join_all, try_join_all};
use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Secret},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, TypeMeta},
    runtime::{conditions, wait::await_condition},
};
use serde_json::json;
use tokio::time::timeout;

use super::namespace;
use crate::{
    cluster::{Cluster, ClusterError, call, describe, found, named},
    error_chain::ErrorChain,
    velero::names::{COMPONENT_SELECTOR, CREDENTIALS, METRICS, NODE_AGENT, SERVER},
};

/// The API group of Velero's own kinds.
const GROUP: &str = "velero.io";
/// The kinds whose finalizers the running server and node agent take off, restores first: with them goes what a restore left
/// in the bucket.
const FINALIZED_KINDS: [&str; 5] = ["Restore", "DataDownload", "PodVolumeRestore", "DataUpload", "PodVolumeBackup"];
/// How long the server gets to finish them. Juju gives a pod 30 s in all when it shuts down.
const FINALIZERS_PATIENCE: Duration = Duration::from_secs(15);
/// The Secret with the password of the repositories of volume backups, and the password that Velero puts there by itself.
/// Another one is the user's, and without it those backups cannot be read.
const REPOSITORY_PASSWORD: (&str, &str, &[u8]) = ("velero-repo-credentials", "repository-password", b"static-passw0rd");

/// What a removal left behind.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Removal {
    /// What could not be removed, as `Deployment velero`.
    pub left: Vec<String>,
    /// Whether it was left for want of rights.
    pub forbidden: bool,
    /// The CustomResourceDefinitions stay, as another Velero of the cluster uses them.
    pub shared_definitions: bool,
}

impl Removal {
    fn note<T: Default>(&mut self, what: &str, result: Result<T, ClusterError>) -> T {
        result.unwrap_or_else(|error| {
            tracing::warn!("cannot remove {what}: {}", ErrorChain(&error));
            self.forbidden |= error.is_forbidden();
            self.left.push(what.to_owned());
            T::default()
        })
    }
}

/// Removes the Velero of the namespace. What cannot be removed is told, and does not keep the rest.
pub(crate) async fn remove(cluster: &Cluster) -> Removal {
    let mut removal = Removal::default();
    let definitions = definitions(cluster).await;
    let definitions = removal.note("CustomResourceDefinitions of Velero", definitions);
    let kinds: Vec<TypeMeta> = definitions.iter().filter_map(stored_kind).collect();
    let finished = finish(cluster, &kinds).await;
    removal.note("restores and volume operations", finished);
    let programs = [named("apps/v1", "Deployment", SERVER), named("apps/v1", "DaemonSet", NODE_AGENT)];
    delete_all(cluster, &programs, &mut removal).await;
    // Nobody is left now who would take finalizers off.
    for kind in &kinds {
        let deleted = delete_kind(cluster, kind).await;
        removal.note(&format!("the objects of kind {}", kind.kind), deleted);
    }
    let jobs = delete_labelled(cluster, "batch/v1", "Job", "velero.io/repo-name").await;
    removal.note("jobs of Velero", jobs);
    let password = delete_default_password(cluster).await;
    removal.note("Secret velero-repo-credentials", password);
    let rest =
        [named("v1", "Secret", CREDENTIALS), named("v1", "Service", METRICS), named("v1", "ServiceAccount", SERVER)];
    delete_all(cluster, &rest, &mut removal).await;
    let labels = namespace::label(cluster, &BTreeMap::new()).await;
    removal.note(&format!("the labels of Namespace {}", cluster.namespace()), labels);
    let bindings = delete_bindings(cluster).await;
    removal.note("ClusterRoleBinding of Velero", bindings);
    let definitions = delete_unused(cluster, &definitions, &kinds).await;
    removal.shared_definitions = removal.note("CustomResourceDefinitions of Velero", definitions);
    removal
}

async fn definitions(cluster: &Cluster) -> Result<Vec<CustomResourceDefinition>, ClusterError> {
    let api = cluster.cluster_wide::<CustomResourceDefinition>();
    let mut definitions = cluster.list(&api, "CustomResourceDefinitions", COMPONENT_SELECTOR).await?;
    definitions.retain(|definition| definition.spec.group == GROUP);
    Ok(definitions)
}

fn stored_kind(definition: &CustomResourceDefinition) -> Option<TypeMeta> {
    let version = definition.spec.versions.iter().find(|version| version.storage)?;
    Some(TypeMeta { api_version: format!("{GROUP}/{}", version.name), kind: definition.spec.names.kind.clone() })
}

/// Deletes what has finalizers, and gives the server and the node agent the time to take them off.
async fn finish(cluster: &Cluster, kinds: &[TypeMeta]) -> Result<(), ClusterError> {
    let mut going = Vec::new();
    for name in FINALIZED_KINDS {
        let Some(kind) = kinds.iter().find(|kind| kind.kind == name) else {
            continue;
        };
        let api = cluster.here(kind);
        for mut object in cluster.list(&api, name, "").await? {
            object.types = Some(kind.clone());
            cluster.delete(&object).await?;
            if !object.finalizers().is_empty() {
                going.push((api.clone(), object));
            }
        }
    }
    let gone = join_all(going.into_iter().map(|(api, object)| async move {
        let uid = object.uid().unwrap_or_default();
        await_condition(api, &object.name_any(), conditions::is_deleted(&uid)).await
    }));
    if timeout(FINALIZERS_PATIENCE, gone).await.is_err() {
        tracing::warn!("Velero did not finish all restores and volume operations: their traces may stay in the bucket");
    }
    Ok(())
}

/// Deletes all objects of a kind in the namespace, finalizers or not.
async fn delete_kind(cluster: &Cluster, kind: &TypeMeta) -> Result<(), ClusterError> {
    for mut object in cluster.list(&cluster.here(kind), &kind.kind, "").await? {
        object.types = Some(kind.clone());
        if !object.finalizers().is_empty() {
            let without = json!({"metadata": {"finalizers": null}});
            found(cluster.merge(&object, &without).await)?;
        }
        cluster.delete(&object).await?;
    }
    Ok(())
}

async fn delete_labelled(cluster: &Cluster, api_version: &str, kind: &str, label: &str) -> Result<(), ClusterError> {
    let kind = TypeMeta { api_version: api_version.to_owned(), kind: kind.to_owned() };
    for mut object in cluster.list(&cluster.here(&kind), &kind.kind, label).await? {
        object.types = Some(kind.clone());
        cluster.delete(&object).await?;
    }
    Ok(())
}

async fn delete_default_password(cluster: &Cluster) -> Result<(), ClusterError> {
    let (name, key, default) = REPOSITORY_PASSWORD;
    let api: Api<Secret> = cluster.namespaced();
    let secret = call("get", format!("Secret {name}"), || api.get_opt(name)).await?;
    let is_default = secret.and_then(|secret| secret.data?.remove(key)).is_some_and(|password| password.0 == default);
    if is_default {
        cluster.delete(&cluster.own(named("v1", "Secret", name))).await?;
    }
    Ok(())
}

async fn delete_all(cluster: &Cluster, objects: &[DynamicObject], removal: &mut Removal) {
    let deletions = objects.iter().map(|object| async {
        let object = cluster.own(object.clone());
        (describe(&object), cluster.delete(&object).await)
    });
    for (what, deleted) in join_all(deletions).await {
        removal.note(&what, deleted);
    }
}

/// Deletes the ClusterRoleBindings of the namespace's own server, whichever name they have.
async fn delete_bindings(cluster: &Cluster) -> Result<(), ClusterError> {
    let kind = named("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "").types.unwrap_or_default();
    let bindings = cluster.list(&cluster.everywhere(&kind), "ClusterRoleBindings", COMPONENT_SELECTOR).await?;
    for mut binding in bindings {
        let is_own = binding.data["subjects"].as_array().is_some_and(|subjects| {
            subjects.iter().all(|subject| subject["namespace"] == cluster.namespace() && subject["name"] == SERVER)
        });
        if is_own {
            binding.types = Some(kind.clone());
            cluster.delete(&binding).await?;
        }
    }
    Ok(())
}

/// Deletes the definitions, unless anything in another namespace uses them; whether that is so.
async fn delete_unused(
    cluster: &Cluster,
    definitions: &[CustomResourceDefinition],
    kinds: &[TypeMeta],
) -> Result<bool, ClusterError> {
    let servers = cluster.in_all_namespaces::<Deployment>();
    let others = cluster.list(&servers, "Deployments", COMPONENT_SELECTOR).await?;
    let elsewhere = |namespace: Option<&str>| namespace.is_some_and(|namespace| namespace != cluster.namespace());
    if others.iter().any(|server| elsewhere(server.metadata.namespace.as_deref())) {
        return Ok(true);
    }
    let uses = try_join_all(kinds.iter().map(|kind| async {
        let objects = cluster.list(&cluster.everywhere(kind), &kind.kind, "").await?;
        Ok::<_, ClusterError>(objects.iter().any(|object| elsewhere(object.metadata.namespace.as_deref())))
    }))
    .await?;
    if uses.contains(&true) {
        return Ok(true);
    }
    try_join_all(definitions.iter().map(|definition| async {
        let object = named("apiextensions.k8s.io/v1", "CustomResourceDefinition", &definition.name_any());
        cluster.delete(&object).await
    }))
    .await?;
    Ok(false)
}
