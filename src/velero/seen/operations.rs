//! The backups and restores in progress, and the deletions of backups.
//!
//! What is in progress holds changes back, but not for ever: a server that starts marks what it finds in progress as failed, so
//! what began before the server did is not at work any more; and what the server itself waits for has time limits.

use std::ops::ControlFlow;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;

use crate::{
    cluster::{Cluster, ClusterError, Deletable, Head, Listed},
    velero::{
        names::{SERVER, velero_kind},
        phase::Phase,
    },
};

/// The pods of the server.
const SERVER_PODS: &str = "deploy=velero";
/// How long a server lets a backup's or restore's volumes be read or written as files (`--fs-backup-timeout`), and how long it
/// waits for plugins where neither says otherwise (`--default-item-operation-timeout`).
const SERVERS_LIMIT: SignedDuration = SignedDuration::from_hours(4);
/// Added to both: 10 minutes each for snapshots and resources that it waits for.
const MORE: SignedDuration = SignedDuration::from_mins(30);
/// How long the deletion of a backup may take: a server has no limit for it, and forgets a request after a day.
const DELETION_LIMIT: SignedDuration = SignedDuration::from_hours(1);
/// After this time a message says how to end what is in progress.
const LONG: SignedDuration = SignedDuration::from_mins(30);

/// A backup, a restore or a deletion that the server has begun and not ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Operation {
    /// As messages name it: `backup nightly`.
    pub name: String,
    /// As `kubectl` takes it: `backup.velero.io/nightly`.
    object: String,
    /// Whether another server could not go on with it: it marks what it finds in progress as failed (see
    /// `markInProgress…Failed` in Velero's server), knows nothing of the hooks that a restore runs as its last part, and leaves a
    /// deletion that was begun.
    pub needs_this_server: bool,
    /// Since when, as far as that is known.
    pub since: Option<Timestamp>,
    /// When the server itself would have given it up.
    pub until: Option<Timestamp>,
}

impl Operation {
    /// Returns what a change waits for, such as `to restart Velero`. After a while it says for how long, and how to end it
    /// before.
    pub(crate) fn holds(&self, change: &str, now: Timestamp) -> String {
        let waits = format!("{change} until {} has ended", self.name);
        match (self.since, self.until) {
            (Some(since), Some(until)) if now.duration_since(since) > LONG => {
                let sooner = if self.needs_this_server {
                    "to end it, kubectl rollout restart deployment velero".to_owned()
                } else {
                    format!("to give it up, kubectl delete {}", self.object)
                };
                format!("{waits}, in progress since {}, {} at the latest; {sooner}", minute(since), minute(until))
            }
            _ => waits,
        }
    }

    /// Whether the server may still be running it.
    fn is_alive(&self, now: Timestamp, server: ServerRun) -> bool {
        if self.until.is_some_and(|until| until < now) {
            return false;
        }
        match server {
            _ if !self.needs_this_server => true,
            ServerRun::None => false,
            ServerRun::Since(started) => self.since.is_none_or(|since| since >= started),
            ServerRun::Unknown => true,
        }
    }
}

fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Since when a server runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ServerRun {
    /// None does.
    None,
    Since(Timestamp),
    Unknown,
}

impl ServerRun {
    /// Of several servers the oldest counts.
    fn among(pods: &[Pod]) -> Self {
        let mut oldest = Self::None;
        for status in pods.iter().filter_map(|pod| pod.status.as_ref()) {
            let containers = status.container_statuses.iter().flatten();
            for container in containers.filter(|container| container.name == SERVER) {
                let Some(running) = container.state.as_ref().and_then(|state| state.running.as_ref()) else { continue };
                let started = running.started_at.as_ref().map(|time| time.0);
                oldest = match (oldest, started) {
                    (Self::Unknown, _) | (_, None) => Self::Unknown,
                    (Self::None, Some(started)) => Self::Since(started),
                    (Self::Since(other), Some(started)) => Self::Since(other.min(started)),
                };
            }
        }
        oldest
    }
}

/// What is read of a Backup or a Restore.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Run {
    pub(crate) metadata: Head,
    #[serde(default)]
    spec: RunSpec,
    #[serde(default)]
    pub(crate) status: RunStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RunSpec {
    item_operation_timeout: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RunStatus {
    pub(crate) phase: Phase,
    pub(crate) start_timestamp: Option<Timestamp>,
    pub(crate) completion_timestamp: Option<Timestamp>,
}

impl Listed for Run {}

impl Deletable for Run {
    fn head(&self) -> &Head {
        &self.metadata
    }
}

impl Run {
    fn operation(&self, word: &str) -> Option<Operation> {
        let phase = &self.status.phase;
        let runs_hooks = word == "restore" && phase.is_finalizing();
        phase.is_in_progress().then(|| {
            let since = self.status.start_timestamp.or(self.metadata.creation_timestamp);
            let operations = self.spec.item_operation_timeout.as_deref().and_then(|limit| limit.parse().ok());
            let limit = SERVERS_LIMIT + operations.unwrap_or(SERVERS_LIMIT) + MORE;
            Operation {
                name: format!("{word} {}", self.metadata.name),
                object: format!("{word}.velero.io/{}", self.metadata.name),
                needs_this_server: *phase == Phase::InProgress || runs_hooks,
                since,
                until: since.and_then(|since| since.checked_add(limit).ok()),
            }
        })
    }
}

/// What is read of a `DeleteBackupRequest`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Deletion {
    metadata: Head,
    #[serde(default)]
    spec: DeletionSpec,
    #[serde(default)]
    status: DeletionStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DeletionSpec {
    backup_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DeletionStatus {
    phase: String,
}

impl Listed for Deletion {}

impl Deletion {
    /// A backup has the phase `Deleting` while it is being deleted, and for ever where that has failed: only the request tells.
    fn operation(&self) -> Option<Operation> {
        (self.status.phase != "Processed").then(|| {
            let since = self.metadata.creation_timestamp;
            Operation {
                name: format!("the deletion of backup {}", self.spec.backup_name),
                object: format!("deletebackuprequest.velero.io/{}", self.metadata.name),
                needs_this_server: self.status.phase == "InProgress",
                since,
                until: since.and_then(|since| since.checked_add(DELETION_LIMIT).ok()),
            }
        })
    }
}

/// Returns the backups, restores and deletions in progress. They need the server and the node agent, and the storage location
/// as it was when they began.
pub(crate) async fn operations_in_progress(cluster: &Cluster) -> Result<Vec<Operation>, ClusterError> {
    let mut operations = Vec::new();
    for (kind, word) in [("Backup", "backup"), ("Restore", "restore")] {
        let visit = |run: Run| {
            operations.extend(run.operation(word));
            ControlFlow::Continue(())
        };
        cluster.walk(&cluster.here(&velero_kind("v1", kind)), &format!("the {word}s"), visit).await?;
    }
    let visit = |deletion: Deletion| {
        operations.extend(deletion.operation());
        ControlFlow::Continue(())
    };
    cluster.walk(&cluster.here(&velero_kind("v1", "DeleteBackupRequest")), "the deletions of backups", visit).await?;
    if operations.is_empty() {
        return Ok(operations);
    }
    let pods = cluster.list(&cluster.namespaced::<Pod>(), "the pods of the server", SERVER_PODS).await?;
    let server = ServerRun::among(&pods);
    let now = Timestamp::now();
    operations.retain(|operation| operation.is_alive(now, server));
    Ok(operations)
}

#[cfg(test)]
#[path = "operations_tests.rs"]
mod tests;
