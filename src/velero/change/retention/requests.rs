//! What was asked of Velero about backups: to delete them, or to restore them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use kube::api::{DynamicObject, ObjectMeta};
use serde::Deserialize;
use serde_json::json;

use super::census::Counted;
use crate::{
    backups::is_label_value,
    cluster::{Cluster, ClusterError, Head, Listed},
    velero::{
        names::{MANAGED_BY, velero_kind},
        phase::Phase,
        seen::storage_message,
        wanted::{backup::new_name, restore::restore_kind},
    },
};

/// The labels by which Velero tells what backup a request is about.
const BACKUP_NAME: &str = "velero.io/backup-name";
const BACKUP_UID: &str = "velero.io/backup-uid";

/// What has become of a request to delete a backup. Velero forgets it with the backup, or a day later.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Asked {
    /// The server has not ended with it.
    Pending,
    /// The server could not delete the backup.
    Failed {
        /// Velero's own words, without what changes from one time to the next.
        why: String,
    },
}

/// The requests to delete backups.
#[derive(Debug, Default)]
pub(super) struct Requests(BTreeMap<String, Vec<Request>>);

#[derive(Debug)]
struct Request {
    /// The uid of the backup, where the request tells it.
    uid: Option<String>,
    asked: Asked,
}

/// What is read of a `DeleteBackupRequest`.
#[derive(Deserialize)]
struct Deletion {
    metadata: Head,
    #[serde(default)]
    spec: OfBackup,
    #[serde(default)]
    status: DeletionStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DeletionStatus {
    phase: String,
    errors: Option<Vec<String>>,
}

/// What is read of a Restore.
#[derive(Deserialize)]
struct Restore {
    #[serde(default)]
    spec: OfBackup,
    #[serde(default)]
    status: RestoreStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OfBackup {
    backup_name: String,
    schedule_name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RestoreStatus {
    phase: Phase,
}

impl Listed for Deletion {}

impl Listed for Restore {}

impl Requests {
    /// Reads the requests, whosever they are.
    pub(super) async fn read(cluster: &Cluster) -> Result<Self, ClusterError> {
        let mut requests = Self::default();
        let visit = |deletion: Deletion| {
            let errors = deletion.status.errors.unwrap_or_default();
            let asked = if deletion.status.phase == "Processed" && !errors.is_empty() {
                Asked::Failed { why: storage_message::lasting(&errors.join("; ")) }
            } else {
                Asked::Pending
            };
            let uid = deletion.metadata.labels.get(BACKUP_UID).cloned();
            requests.0.entry(deletion.spec.backup_name).or_default().push(Request { uid, asked });
            ControlFlow::Continue(())
        };
        cluster
            .walk(&cluster.here(&velero_kind("v1", "DeleteBackupRequest")), "the deletions of backups", visit)
            .await?;
        Ok(requests)
    }

    /// Returns what has become of the requests to delete a backup, if there are any.
    pub(super) fn of(&self, backup: &Counted) -> Option<&Asked> {
        let is_about = |request: &&Request| request.uid.as_ref().is_none_or(|uid| *uid == backup.uid);
        let mut about = self.0.get(&backup.past.name)?.iter().filter(is_about).map(|request| &request.asked);
        let first = about.next()?;
        Some(about.find(|asked| **asked == Asked::Pending).unwrap_or(first))
    }
}

/// The backups that restores read, or are about to.
#[derive(Debug, Default)]
pub(super) struct Reading {
    backups: BTreeSet<String>,
    /// Those of which a restore takes the newest, and does not say yet which that is.
    schedules: BTreeSet<String>,
}

impl Reading {
    /// Reads what restores there are that have not ended.
    pub(super) async fn read(cluster: &Cluster) -> Result<Self, ClusterError> {
        let mut reading = Self::default();
        let visit = |restore: Restore| {
            if !restore.status.phase.has_ended() {
                let OfBackup { backup_name, schedule_name } = restore.spec;
                if backup_name.is_empty() {
                    reading.schedules.insert(schedule_name);
                } else {
                    reading.backups.insert(backup_name);
                }
            }
            ControlFlow::Continue(())
        };
        cluster.walk(&cluster.here(&restore_kind()), "the restores", visit).await?;
        Ok(reading)
    }

    /// Whether one of them reads a backup.
    pub(super) fn has(&self, backup: &Counted) -> bool {
        self.backups.contains(&backup.past.name) || self.schedules.contains(&backup.schedule)
    }
}

/// Returns the request to delete a backup. It always has the same name, so that none is made twice.
pub(super) fn request(namespace: &str, name: &str, uid: &str) -> DynamicObject {
    let labels = [(MANAGED_BY.0, MANAGED_BY.1), (BACKUP_NAME, name), (BACKUP_UID, uid)];
    // Velero adds what is missing, and cuts what a label cannot hold.
    let labels = labels.into_iter().filter(|(_, value)| is_label_value(value));
    DynamicObject {
        types: Some(velero_kind("v1", "DeleteBackupRequest")),
        metadata: ObjectMeta {
            name: Some(new_name(name, &[uid])),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()),
            ..ObjectMeta::default()
        },
        data: json!({"spec": {"backupName": name}}),
    }
}
