//! The password that the files of volumes are encrypted with, in all repositories of a Velero.

use std::ops::ControlFlow;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    cluster::{Cluster, ClusterError, Head, Listed, asked_twice, call},
    velero::names::{INSTANCE, PUBLIC_PASSWORD, REPOSITORY_KEY, REPOSITORY_SECRET, velero_kind},
};

/// Which password there is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum RepositoryPassword {
    /// None yet: the server makes the public one when it starts.
    None,
    /// The one that Velero itself uses, and everybody knows.
    Public,
    /// Somebody's own.
    Own,
}

/// Returns which password there is.
pub(crate) async fn password(cluster: &Cluster) -> Result<RepositoryPassword, ClusterError> {
    Ok(match read(cluster).await? {
        None => RepositoryPassword::None,
        Some(live) if live.is_public() => RepositoryPassword::Public,
        Some(_) => RepositoryPassword::Own,
    })
}

/// The Secret with the password, as it is in the cluster.
pub(crate) struct LivePassword {
    secret: Secret,
}

/// Reads the Secret.
pub(crate) async fn read(cluster: &Cluster) -> Result<Option<LivePassword>, ClusterError> {
    let api: Api<Secret> = cluster.namespaced();
    let get = || call("get", format!("Secret {REPOSITORY_SECRET}"), || api.get_opt(REPOSITORY_SECRET));
    let secret = asked_twice(get).await?;
    Ok(secret.map(|secret| LivePassword { secret }))
}

/// Whether there is a repository.
pub(crate) async fn has_repositories(cluster: &Cluster) -> Result<bool, ClusterError> {
    cluster.has_any(&cluster.here(&velero_kind("v1", "BackupRepository")), "BackupRepositories", "").await
}

/// Whether files of volumes were written or read with the password, so that it cannot be changed any more.
///
/// That there is a repository does not tell it: Velero calls one `Ready` which another cluster has made with another password. Nor do
/// backups of volumes that Velero has found in the store, whose objects are younger than they are.
pub(crate) async fn is_password_in_use(cluster: &Cluster) -> Result<bool, ClusterError> {
    let is_maintained = |repository: &Repository| {
        repository.status.recent_maintenance.iter().any(|maintenance| maintenance.result == "Succeeded")
    };
    let is_written = |volume: &Transfer| {
        let TransferStatus { phase, start_timestamp: started } = &volume.status;
        let is_found = started.is_some() && *started < volume.metadata.creation_timestamp;
        !is_found && phase != "Failed" && phase != "Canceled"
    };
    let is_read = |volume: &Transfer| volume.status.phase == "Completed";
    Ok(any(cluster, "BackupRepository", is_maintained).await?
        || any(cluster, "PodVolumeRestore", is_read).await?
        || any(cluster, "PodVolumeBackup", is_written).await?)
}

async fn any<T: Listed>(cluster: &Cluster, kind: &str, wanted: impl Fn(&T) -> bool) -> Result<bool, ClusterError> {
    let mut found = false;
    let visit = |object: T| {
        found = wanted(&object);
        if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    cluster.walk(&cluster.here(&velero_kind("v1", kind)), &format!("the objects of kind {kind}"), visit).await?;
    Ok(found)
}

/// What is read of a `BackupRepository`.
#[derive(Deserialize)]
struct Repository {
    #[serde(default)]
    status: RepositoryStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RepositoryStatus {
    recent_maintenance: Vec<Maintenance>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Maintenance {
    result: String,
}

/// What is read of a `PodVolumeBackup` or a `PodVolumeRestore`.
#[derive(Deserialize)]
struct Transfer {
    metadata: Head,
    #[serde(default)]
    status: TransferStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TransferStatus {
    phase: String,
    start_timestamp: Option<Timestamp>,
}

impl Listed for Repository {}

impl Listed for Transfer {}

impl LivePassword {
    /// Whether this is the password.
    pub(crate) fn is_that(&self, password: &SecretString) -> bool {
        self.is(password.expose_secret().as_bytes())
    }

    /// Whether it is the one that everybody knows.
    pub(crate) fn is_public(&self) -> bool {
        self.is(PUBLIC_PASSWORD)
    }

    /// Whether an application has put it there.
    pub(crate) fn is_of(&self, application: &str) -> bool {
        self.secret.labels().get(INSTANCE).is_some_and(|owner| owner == application)
    }

    fn is(&self, password: &[u8]) -> bool {
        self.secret.data.as_ref().and_then(|data| data.get(REPOSITORY_KEY)).is_some_and(|live| live.0 == password)
    }
}
