//! Objects of a cluster, by their kind's name.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};

use crate::world::World;

/// Kinds that Velero's objects have: group, version, kind and whether they are in a namespace.
const KINDS: &[(&str, &str, &str, bool)] = &[
    ("apps", "v1", "Deployment", true),
    ("apps", "v1", "DaemonSet", true),
    ("", "v1", "Secret", true),
    ("", "v1", "Service", true),
    ("", "v1", "ServiceAccount", true),
    ("", "v1", "Pod", true),
    ("", "v1", "ConfigMap", true),
    ("", "v1", "Namespace", false),
    ("", "v1", "Node", false),
    ("", "v1", "Event", true),
    ("batch", "v1", "Job", true),
    ("velero.io", "v1", "BackupStorageLocation", true),
    ("velero.io", "v1", "VolumeSnapshotLocation", true),
    ("velero.io", "v1", "Backup", true),
    ("velero.io", "v1", "Restore", true),
    ("velero.io", "v1", "BackupRepository", true),
    ("velero.io", "v1", "PodVolumeBackup", true),
    ("velero.io", "v1", "PodVolumeRestore", true),
    ("velero.io", "v1", "DeleteBackupRequest", true),
    ("velero.io", "v1", "Schedule", true),
    ("velero.io", "v1", "ServerStatusRequest", true),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", false),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", false),
];

/// Kinds by which the administrators of a cluster rule what others may make, as above.
const RULES: &[(&str, &str, &str, bool)] = &[
    ("", "v1", "ResourceQuota", true),
    ("admissionregistration.k8s.io", "v1", "MutatingAdmissionPolicy", false),
    ("admissionregistration.k8s.io", "v1", "MutatingAdmissionPolicyBinding", false),
    ("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", false),
    ("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicyBinding", false),
];

/// The API of a kind.
pub fn api(world: &World, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let (group, version, kind, namespaced) = *KINDS.iter().chain(RULES).find(|entry| entry.2 == kind).unwrap();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    if namespaced {
        Api::namespaced_with(world.client.clone(), namespace, &resource)
    } else {
        Api::all_with(world.client.clone(), &resource)
    }
}

/// Everything that belongs to the Velero of a namespace, its definitions too, by kind and name, with what tells that somebody
/// wrote to it. What programs of the cluster write at their own time is left out: pods, what the server makes for itself, and
/// what controllers say of an object in its status.
pub fn versions(world: &World, namespace: &str) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for (_, _, kind, _) in
        KINDS.iter().filter(|(_, _, kind, _)| !matches!(*kind, "Pod" | "ConfigMap" | "Namespace" | "Node" | "Event"))
    {
        let selector = ListParams::default().labels("component=velero");
        let listed = world.runtime.block_on(api(world, namespace, kind).list(&selector));
        let Ok(listed) = listed else { continue };
        for object in listed {
            versions.insert(format!("{kind} {}", object.name_any()), fingerprint(&object));
        }
    }
    versions.retain(|name, _| !name.starts_with("ClusterRoleBinding") || name.ends_with(namespace));
    versions
}

/// Everything that is in a namespace, whoever made it, with the rights that anything in it has over the cluster, and the
/// definitions of Velero; by kind and name, with what tells that somebody wrote to it. Left out is what comes and goes by itself,
/// what a cluster makes in every namespace, and what is Juju's.
pub fn everything(world: &World, namespace: &str) -> BTreeMap<String, String> {
    let mut everything = BTreeMap::new();
    let comes_and_goes = ["Pod", "Event", "ServerStatusRequest"];
    let is_everywhere = |object: &DynamicObject| ["default", "kube-root-ca.crt"].contains(&object.name_any().as_str());
    let is_jujus = |object: &DynamicObject| {
        object.labels().get("app.kubernetes.io/managed-by").is_some_and(|manager| manager == "juju")
    };
    let is_about = |object: &DynamicObject| {
        let subjects = object.data["subjects"].as_array();
        subjects.is_some_and(|subjects| subjects.iter().any(|subject| subject["namespace"] == namespace))
            || object.name_any() == format!("velero-{namespace}")
    };
    let is_veleros = |object: &DynamicObject| object.data["spec"]["group"] == "velero.io";
    for (_, _, kind, is_namespaced) in KINDS {
        let belongs = |object: &DynamicObject| match *kind {
            _ if is_jujus(object) => false,
            "ServiceAccount" | "ConfigMap" => !is_everywhere(object),
            "ClusterRoleBinding" => is_about(object),
            "CustomResourceDefinition" => is_veleros(object),
            kind => *is_namespaced && !comes_and_goes.contains(&kind),
        };
        let listed = world.runtime.block_on(api(world, namespace, kind).list(&ListParams::default()));
        let objects = match listed {
            Ok(objects) => objects.items,
            Err(kube::Error::Api(status)) if status.code == 404 => continue,
            Err(error) => panic!("{kind}: {error}"),
        };
        let named = |object: &DynamicObject| (format!("{kind} {}", object.name_any()), fingerprint(object));
        everything.extend(objects.iter().filter(|object| belongs(object)).map(named));
    }
    everything
}

/// The pods of the server and the node agent of a namespace, by name, with what tells that one was made anew or started again.
pub fn pods(world: &World, namespace: &str) -> BTreeMap<String, String> {
    let selector = ListParams::default().labels("component=velero");
    let pods = world.runtime.block_on(api(world, namespace, "Pod").list(&selector)).unwrap();
    let controlled = |pod: &DynamicObject| {
        pod.owner_references().iter().any(|owner| matches!(owner.kind.as_str(), "ReplicaSet" | "DaemonSet"))
    };
    pods.into_iter()
        .filter(controlled)
        // One that is told to end takes its time.
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .map(|pod| {
            let starts = &pod.data["status"]["containerStatuses"][0]["restartCount"];
            (format!("Pod {}", pod.name_any()), format!("{} {starts}", pod.uid().unwrap()))
        })
        .collect()
}

/// What changes with every write to an object but those to its status: its resourceVersion, and where there is a status all
/// the rest of it. Then the charm's own writes are seen by when it last wrote, too.
fn fingerprint(object: &DynamicObject) -> String {
    if object.data.get("status").is_none() {
        return object.resource_version().unwrap();
    }
    let (mut metadata, mut data) = (object.metadata.clone(), object.data.clone());
    metadata.resource_version = None;
    let by_the_charm = |entry: &ManagedFieldsEntry| entry.manager.as_deref() == Some("velero-operator");
    metadata.managed_fields.iter_mut().for_each(|entries| entries.retain(by_the_charm));
    // The Deployment's controller counts its revisions in it.
    metadata
        .annotations
        .iter_mut()
        .for_each(|annotations| drop(annotations.remove("deployment.kubernetes.io/revision")));
    data.as_object_mut().unwrap().remove("status");
    if object.types.as_ref().is_some_and(|types| types.api_version.starts_with("velero.io/")) {
        // Velero's kinds have the status among their other fields, and the generation counts its changes as well.
        metadata.generation = None;
    }
    // The whole of it would bury what differs where a test fails.
    let mut hasher = DefaultHasher::new();
    data.to_string().hash(&mut hasher);
    format!("{} {:x}", json!(metadata), hasher.finish())
}

pub fn make_namespace(world: &World, namespace: &str) {
    make_labelled_namespace(world, namespace, &json!({}));
}

/// Makes the namespace of a model in which nothing is deployed yet.
pub fn make_model(world: &World, model: &str) {
    make_labelled_namespace(world, model, &json!({"model.juju.is/name": model}));
}

fn make_labelled_namespace(world: &World, namespace: &str, labels: &Value) {
    let metadata = json!({"name": namespace, "labels": labels});
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
    let parameters = PatchParams::apply("somebody").force();
    let api = api(world, "", "Namespace");
    world.runtime.block_on(api.patch(namespace, &parameters, &Patch::Apply(&object))).unwrap();
}

/// Deletes a namespace and the rights of its Velero, without waiting.
pub fn forget(world: &World, namespace: &str) {
    let parameters = DeleteParams::background();
    let binding = format!("velero-{namespace}");
    let _ = world.runtime.block_on(api(world, "", "ClusterRoleBinding").delete(&binding, &parameters));
    let _ = world.runtime.block_on(api(world, "", "Namespace").delete(namespace, &parameters));
}
