//! Volumes for workloads: folders of the node. Velero backs up the files of `local` volumes, and refuses `hostPath` ones.

use std::{
    fs, io,
    ops::Range,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use k8s_openapi::api::{core::v1::PersistentVolume, storage::v1::StorageClass};
use kube::{Api, Client, Resource, api::PostParams};
use serde_json::json;

use super::{
    ClusterAccess,
    blueprint::NODE,
    readiness::{self, ReadinessError},
};

/// The storage class of the volumes, which is the default one.
pub const LOCAL_STORAGE_CLASS: &str = "local";

/// Why there are no volumes.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// There is no client.
    #[error("cannot reach the cluster")]
    Client(#[from] ReadinessError),
    /// The folder could not be made.
    #[error("cannot make the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The object is not one that Kubernetes knows.
    #[error("cannot describe the volume")]
    Object(#[from] serde_json::Error),
    /// The API server refused the object.
    #[error("cannot create {name}")]
    Create {
        /// The object's name.
        name: String,
        /// What the API server said.
        #[source]
        source: Box<kube::Error>,
    },
}

/// Makes the storage class.
pub(super) async fn create_storage(access: &ClusterAccess) -> Result<(), VolumeError> {
    let class: StorageClass = serde_json::from_value(json!({
        "metadata": {
            "name": LOCAL_STORAGE_CLASS,
            "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }))?;
    create_object(readiness::client(access).await?, &class).await
}

/// Makes the volumes of these numbers on a node, with a folder each in the cluster's folder.
pub(super) async fn create(
    access: &ClusterAccess,
    folder: &Path,
    node: &str,
    numbers: Range<u16>,
) -> Result<(), VolumeError> {
    let client = readiness::client(access).await?;
    for number in numbers {
        let name = if node == NODE { format!("local-{number}") } else { format!("local-{node}-{number}") };
        let path = folder.join("volumes").join(&name);
        let failed = |source| VolumeError::Folder { path: path.clone(), source };
        fs::create_dir_all(&path).map_err(failed)?;
        // Whoever a pod runs as may write its volume.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).map_err(failed)?;
        create_object(client.clone(), &volume(&name, &path, node)?).await?;
    }
    Ok(())
}

fn volume(name: &str, path: &Path, node: &str) -> Result<PersistentVolume, serde_json::Error> {
    serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": {
            "capacity": { "storage": "1Gi" },
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": LOCAL_STORAGE_CLASS,
            "local": { "path": path },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{
                "matchExpressions": [{ "key": "kubernetes.io/hostname", "operator": "In", "values": [node] }],
            }] } },
        },
    }))
}

async fn create_object<K>(client: Client, object: &K) -> Result<(), VolumeError>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let created = Api::<K>::all(client).create(&PostParams::default(), object).await;
    created.map(drop).map_err(|source| VolumeError::Create {
        name: object.meta().name.clone().unwrap_or_default(),
        source: Box::new(source),
    })
}
