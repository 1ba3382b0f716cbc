//! Objects of a cluster, by their kind's name.

use std::collections::BTreeMap;

use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::json;

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
    ("velero.io", "v1", "BackupStorageLocation", true),
    ("velero.io", "v1", "VolumeSnapshotLocation", true),
    ("velero.io", "v1", "Backup", true),
    ("velero.io", "v1", "Restore", true),
    ("velero.io", "v1", "PodVolumeBackup", true),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", false),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", false),
];

/// The API of a kind.
pub fn api(world: &World, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let (group, version, kind, namespaced) = *KINDS.iter().find(|entry| entry.2 == kind).unwrap();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    if namespaced {
        Api::namespaced_with(world.client.clone(), namespace, &resource)
    } else {
        Api::all_with(world.client.clone(), &resource)
    }
}

/// The name and resourceVersion of everything that belongs to the Velero of a namespace, its definitions too. What programs
/// of the cluster write at their own time, such as pods and what the server makes for itself, is left out.
pub fn versions(world: &World, namespace: &str) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for (_, _, kind, _) in
        KINDS.iter().filter(|(_, _, kind, _)| !matches!(*kind, "Pod" | "ConfigMap" | "Namespace" | "Node" | "Event"))
    {
        let selector = ListParams::default().labels("component=velero");
        let listed = world.runtime.block_on(api(world, namespace, kind).list(&selector));
        let Ok(listed) = listed else { continue };
        for object in listed {
            // The server renews its validation of the location about once a minute.
            let version = match object.data.get("status") {
                Some(_) if *kind == "BackupStorageLocation" => object.data["spec"].to_string(),
                _ => object.resource_version().unwrap(),
            };
            versions.insert(format!("{kind} {}", object.name_any()), version);
        }
    }
    versions.retain(|name, _| !name.starts_with("ClusterRoleBinding") || name.ends_with(namespace));
    versions
}

pub fn make_namespace(world: &World, namespace: &str) {
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
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
