//! The newest backups of applications, among any number of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    cluster::{Cluster, ClusterError, Listed},
    velero::{
        phase::Phase,
        wanted::{
            backup::backup_kind,
            label_value::label_value,
            schedule::{TARGET_LABELS, target_of},
        },
    },
};

/// Of which applications backups are listed; all where nothing is said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct BackupFilter {
    pub application: Option<String>,
    pub endpoint: Option<String>,
    pub model: Option<String>,
    /// Whether only those are listed that are Completed.
    pub completed_only: bool,
}

/// A backup of an application.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ListedBackup {
    pub uid: String,
    pub name: String,
    pub application: String,
    pub endpoint: String,
    pub model: String,
    pub phase: Phase,
    pub started: Option<Timestamp>,
    pub completed: Option<Timestamp>,
}

/// The newest backups, and how many there are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct BackupList {
    /// The newest first.
    pub newest: Vec<ListedBackup>,
    pub total: usize,
}

impl BackupFilter {
    /// Whether it is for this target.
    pub(crate) fn is_for(&self, application: &str, endpoint: &str, model: &str) -> bool {
        let is = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|wanted| wanted == name);
        is(&self.application, application) && is(&self.endpoint, endpoint) && is(&self.model, model)
    }

    /// Returns the selector of the backups. Those that no application has declared lack the labels.
    fn selector(&self) -> String {
        let wanted = [&self.application, &self.endpoint, &self.model];
        let term = |(label, wanted): (&str, &Option<String>)| match wanted {
            Some(text) => format!("{label}={}", label_value(text)),
            None => label.to_owned(),
        };
        TARGET_LABELS.into_iter().zip(wanted).map(term).collect::<Vec<_>>().join(",")
    }
}

/// Returns the newest backups.
pub(crate) async fn newest(cluster: &Cluster, filter: &BackupFilter, limit: usize) -> Result<BackupList, ClusterError> {
    let (mut kept, mut total) = (BTreeMap::new(), 0);
    let add = |backup: Seen| {
        if filter.completed_only && backup.status.phase != Phase::Completed {
            return;
        }
        total += 1;
        kept.insert((backup.at(), backup.metadata.name.clone()), backup);
        if kept.len() > limit {
            kept.pop_first();
        }
    };
    cluster.collect(&cluster.here(&backup_kind()), "the backups", &filter.selector(), add).await?;
    let newest = kept.into_values().rev().map(Seen::listed).collect();
    Ok(BackupList { newest, total })
}

/// What is read of each Backup.
#[derive(Deserialize)]
struct Seen {
    metadata: SeenMetadata,
    #[serde(default)]
    status: SeenStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SeenMetadata {
    name: String,
    uid: String,
    creation_timestamp: Option<Timestamp>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SeenStatus {
    phase: Phase,
    start_timestamp: Option<Timestamp>,
    completion_timestamp: Option<Timestamp>,
}

impl Listed for Seen {}

impl Seen {
    /// Returns when it began. Where the records of a store were read by another cluster, they are newer than the backups.
    fn at(&self) -> Timestamp {
        self.status.start_timestamp.or(self.metadata.creation_timestamp).unwrap_or_default()
    }

    fn listed(self) -> ListedBackup {
        let Self { metadata: SeenMetadata { name, uid, labels, annotations, .. }, status } = self;
        let [application, endpoint, model] = target_of(&labels, &annotations);
        let SeenStatus { phase, start_timestamp: started, completion_timestamp: completed } = status;
        ListedBackup { uid, name, application, endpoint, model, phase, started, completed }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::test_api::TestApi;

    fn backup(name: &str, application: &str, started: Option<&str>) -> Value {
        json!({"apiVersion": "velero.io/v1", "kind": "Backup",
            "metadata": {"name": name, "namespace": "velero", "creationTimestamp": "2026-01-31T10:00:00Z",
                "labels": {"app": label_value(application), "endpoint": "backups", "model": "apps"},
                "annotations": {"velero-operator/app": application}},
            "status": {"phase": "Completed", "startTimestamp": started}})
    }

    async fn list(api: &TestApi, filter: &BackupFilter, limit: usize) -> (Vec<String>, usize) {
        let BackupList { newest, total } = newest(&api.cluster("velero"), filter, limit).await.unwrap();
        (newest.into_iter().map(|backup| backup.name).collect(), total)
    }

    fn api() -> TestApi {
        let api = TestApi::new();
        api.define("v1", "Backup");
        api.put_all(&[
            backup("old", "ledger", Some("2026-01-01T00:00:00Z")),
            backup("new", "ledger", Some("2026-02-01T00:00:00Z")),
            backup("not-begun", "mail", None),
            json!({"apiVersion": "velero.io/v1", "kind": "Backup",
                "metadata": {"name": "by-hand", "namespace": "velero", "labels": {"app": "ledger"}}}),
        ]);
        api
    }

    #[tokio::test]
    async fn the_newest_come_first_and_no_more_than_wanted() {
        let all = BackupFilter::default();
        assert_eq!(list(&api(), &all, 10).await, (vec!["new".into(), "not-begun".into(), "old".into()], 3));
        assert_eq!(list(&api(), &all, 2).await, (vec!["new".into(), "not-begun".into()], 3));
        let ledger = BackupFilter { application: Some("ledger".into()), ..all };
        assert_eq!(list(&api(), &ledger, 10).await, (vec!["new".into(), "old".into()], 2));
        let elsewhere = BackupFilter { model: Some("others".into()), ..ledger };
        assert_eq!(list(&api(), &elsewhere, 10).await, (vec![], 0));
    }

    #[tokio::test]
    async fn only_completed_ones_are_listed_where_that_is_asked_for() {
        let api = api();
        let mut failed = backup("failed", "ledger", Some("2026-03-01T00:00:00Z"));
        failed["status"]["phase"] = "Failed".into();
        api.put(&failed);
        assert_eq!(list(&api, &BackupFilter::default(), 10).await.1, 4);
        let completed = BackupFilter { completed_only: true, ..BackupFilter::default() };
        assert_eq!(list(&api, &completed, 10).await, (vec!["new".into(), "not-begun".into(), "old".into()], 3));
    }

    #[tokio::test]
    async fn names_that_no_label_holds_are_found_and_told_as_they_are() {
        let api = api();
        let long = "a".repeat(70);
        api.put(&backup("long", &long, None));
        let filter = BackupFilter { application: Some(long.clone()), ..BackupFilter::default() };
        let listed = newest(&api.cluster("velero"), &filter, 10).await.unwrap();
        assert_eq!(listed.newest[0].application, long);
    }
}
