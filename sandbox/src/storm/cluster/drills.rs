//! What the cluster does with the namespaces into which drills restore.

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        core::v1::{ConfigMap, LimitRange, Namespace, Pod, ResourceQuota},
        networking::v1::NetworkPolicy,
    },
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;

/// What the names of these namespaces begin with.
pub(super) const SCRATCH: &str = "drill-";

/// What stands for all that is in them.
pub(super) const DRILLS: &str = "drills";

/// Plays the kubelet, and the controller of namespaces, for those of drills.
pub(super) async fn attend(client: &Client) -> Result<(), kube::Error> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for mut namespace in namespaces.list(&ListParams::default()).await? {
        let name = namespace.name_any();
        if !name.starts_with(SCRATCH) {
            continue;
        }
        if namespace.metadata.deletion_timestamp.is_none() {
            end_probe(client, &name).await?;
            continue;
        }
        empty::<ConfigMap>(client, &name).await?;
        empty::<LimitRange>(client, &name).await?;
        empty::<NetworkPolicy>(client, &name).await?;
        empty::<Pod>(client, &name).await?;
        empty::<ResourceQuota>(client, &name).await?;
        namespace.spec = None;
        namespaces.replace_subresource("finalize", &name, &PostParams::default(), &namespace).await?;
    }
    Ok(())
}

/// Lets the pods of a drill reach nothing until their time is over.
async fn end_probe(client: &Client, scratch: &str) -> Result<(), kube::Error> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), scratch);
    for pod in pods.list(&ListParams::default()).await? {
        if pod.status.as_ref().and_then(|status| status.phase.as_deref()) != Some("Failed") {
            let over = json!({"status": {"phase": "Failed", "reason": "DeadlineExceeded"}});
            pods.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(over)).await?;
        }
    }
    Ok(())
}

/// Deletes all objects of a kind in a namespace.
async fn empty<K>(client: &Client, namespace: &str) -> Result<(), kube::Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    api.delete_collection(&DeleteParams::default().grace_period(0), &ListParams::default()).await.map(drop)
}

/// Restores what is in each backup, if its namespace is mapped to another one.
pub(super) async fn bring_back(client: &Client, restore: &DynamicObject) -> Result<(), kube::Error> {
    let Some(scratch) = restore.data["spec"]["namespaceMapping"]["ledger"].as_str() else { return Ok(()) };
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), scratch);
    let metadata = ObjectMeta { name: Some("book".to_owned()), ..ObjectMeta::default() };
    let book = ConfigMap { metadata, ..ConfigMap::default() };
    maps.patch("book", &PatchParams::apply("velero"), &Patch::Apply(&book)).await.map(drop)
}
