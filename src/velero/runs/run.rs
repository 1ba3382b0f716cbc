//! What Velero says of a backup or a restore.

use jiff::{SignedDuration, Timestamp};
use kube::api::{DynamicObject, TypeMeta};
use serde::Deserialize;

use crate::velero::{
    names::velero_kind,
    phase::Phase,
    wanted::{backup::backup_kind, restore::restore_kind},
};

/// Which of the two it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RunKind {
    Backup,
    Restore,
}

impl RunKind {
    /// Returns the word for it, which is also the CLI's.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
        }
    }

    pub(super) fn kind(self) -> TypeMeta {
        match self {
            Self::Backup => backup_kind(),
            Self::Restore => restore_kind(),
        }
    }

    /// Returns the kind of the objects that tell of each volume whose files are read or written.
    pub(super) fn of_volumes(self) -> TypeMeta {
        let kind = match self {
            Self::Backup => "PodVolumeBackup",
            Self::Restore => "PodVolumeRestore",
        };
        velero_kind("v1", kind)
    }

    /// Returns the selector of what belongs to a run. Names are cut where a label cannot hold them; uids are not.
    pub(crate) fn belongings(self, uid: &str) -> String {
        format!("velero.io/{}-uid={uid}", self.word())
    }
}

/// A backup or a restore, as far as Velero says how it is.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub(crate) struct Run {
    #[serde(default)]
    pub spec: RunSpec,
    #[serde(default)]
    pub status: RunStatus,
}

/// What is read of what was asked for.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RunSpec {
    /// Of a backup: where it lies.
    pub storage_location: String,
    /// The namespaces that it is of, if not of all.
    pub included_namespaces: Vec<String>,
}

/// What became of it so far.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RunStatus {
    pub phase: Phase,
    pub validation_errors: Vec<String>,
    pub failure_reason: String,
    pub warnings: u64,
    pub errors: u64,
    pub start_timestamp: Option<Timestamp>,
    pub completion_timestamp: Option<Timestamp>,
    pub progress: Items,
    pub volume_snapshots_completed: u64,
    pub csi_volume_snapshots_completed: u64,
}

/// How many of the items are done.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Items {
    #[serde(rename = "totalItems")]
    pub total: u64,
    #[serde(alias = "itemsBackedUp", alias = "itemsRestored")]
    pub done: u64,
}

impl Run {
    /// Reads it from an object. What is not as Velero writes it counts as not said.
    pub(super) fn of(object: &DynamicObject) -> Self {
        Self::deserialize(&object.data).unwrap_or_default()
    }

    /// Whether Velero does nothing more about it.
    pub(crate) fn has_ended(&self) -> bool {
        self.status.phase.has_ended()
    }

    /// Returns how long it took.
    pub(crate) fn duration(&self) -> Option<SignedDuration> {
        let (start, end) = self.status.start_timestamp.zip(self.status.completion_timestamp)?;
        Some(end.duration_since(start))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::named;

    fn run(status: &Value) -> Run {
        let mut object = named("velero.io/v1", "Backup", "nightly");
        object.data = json!({"spec": {"storageLocation": "default"}, "status": status});
        Run::of(&object)
    }

    #[test]
    fn it_is_read_as_velero_writes_it() {
        let run =
            run(&json!({"phase": "PartiallyFailed", "errors": 2, "progress": {"totalItems": 9, "itemsBackedUp": 8},
            "startTimestamp": "2026-01-31T10:20:30Z", "completionTimestamp": "2026-01-31T10:21:35Z"}));
        assert_eq!((run.status.errors, run.status.progress), (2, Items { total: 9, done: 8 }));
        assert_eq!(format!("{:#}", run.duration().unwrap()), "1m 5s");
        assert!(run.has_ended() && run.spec.storage_location == "default");
    }

    #[test]
    fn what_has_no_status_yet_is_new() {
        for status in [Value::Null, json!({}), json!({"progress": {"totalItems": 9}})] {
            assert_eq!((run(&status).status.phase, run(&status).has_ended()), (Phase::New, false));
        }
        let restore = run(&json!({"progress": {"totalItems": 9, "itemsRestored": 8}}));
        assert_eq!(restore.status.progress.done, 8);
    }
}
