//! The backups that the application's Schedules have made here. Of those of others, and where that is not certain, nothing is decided.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    backups::{PastBackup, Standing},
    cluster::{Cluster, ClusterError, Listed},
    velero::{
        change::schedules::{Live, is_own},
        names::{LOCATION, SPEC},
        phase::Phase,
        wanted::{
            SCHEDULED_BY, TARGET_LABELS,
            backup::backup_kind,
            schedule::{ScheduleSettings, schedule_kind, target_of},
        },
    },
};

/// The label by which Velero tells which Schedule has made a backup.
pub(super) const MADE_BY: &str = "velero.io/schedule-name";

/// The backups of the application's Schedules.
#[derive(Debug, Default)]
pub(super) struct Census {
    /// Those of each target: application, endpoint, model.
    pub of_targets: BTreeMap<[String; 3], Vec<Counted>>,
    /// How many others there are that a charm of this kind has made by a Schedule.
    pub others: usize,
}

/// A backup of one of the application's Schedules.
#[derive(Debug)]
pub(super) struct Counted {
    pub uid: String,
    pub schedule: String,
    pub phase: Phase,
    pub past: PastBackup,
}

/// The names of the Schedules that there are.
#[derive(Debug, Default)]
struct Schedules {
    own: BTreeSet<String>,
    others: BTreeSet<String>,
}

/// What is read of each Backup.
#[derive(Deserialize)]
pub(super) struct Seen {
    metadata: SeenMetadata,
    #[serde(default)]
    spec: SeenSpec,
    #[serde(default)]
    status: SeenStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SeenMetadata {
    name: String,
    uid: String,
    creation_timestamp: Option<Timestamp>,
    deletion_timestamp: Option<Timestamp>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SeenSpec {
    storage_location: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SeenStatus {
    phase: Phase,
    start_timestamp: Option<Timestamp>,
    completion_timestamp: Option<Timestamp>,
}

impl Listed for Seen {}

impl Census {
    /// Reads the backups of an application's Schedules: none of them as a whole.
    pub(super) async fn take(cluster: &Cluster, application: &str) -> Result<Self, ClusterError> {
        let mut schedules = Schedules::default();
        let add = |Live { object }: Live| {
            let names = if is_own(&object, application) { &mut schedules.own } else { &mut schedules.others };
            names.extend(object.metadata.name);
        };
        cluster.collect(&cluster.here(&schedule_kind()), "Schedules", "", add).await?;
        let settings = ScheduleSettings {
            application,
            namespace: cluster.namespace(),
            default_volumes_to_fs_backup: false,
            has_snapshot_location: false,
            policies: None,
        };
        let mut census = Self::default();
        let add = |backup: Seen| {
            // Whoever deletes just the record wants the backup to stay in the store.
            if backup.metadata.deletion_timestamp.is_some() {
                return;
            }
            if schedules.have_made(&backup, &settings) {
                let target = target_of(&backup.metadata.labels, &backup.metadata.annotations);
                census.of_targets.entry(target).or_default().push(backup.counted());
            } else {
                census.others += 1;
            }
        };
        let selector = format!("{}={},{MADE_BY},{}", SCHEDULED_BY.0, SCHEDULED_BY.1, TARGET_LABELS.join(","));
        cluster.collect(&cluster.here(&backup_kind()), "the backups", &selector, add).await?;
        Ok(census)
    }
}

impl Schedules {
    /// Whether a backup is certainly of one of the application's Schedules, and was made here.
    fn have_made(&self, backup: &Seen, settings: &ScheduleSettings<'_>) -> bool {
        let made_by = backup.schedule();
        let is_own = self.own.contains(made_by) || !self.others.contains(made_by) && backup.was_named_by(settings);
        is_own && backup.was_made_here() && backup.spec.storage_location == LOCATION
    }
}

impl Seen {
    fn schedule(&self) -> &str {
        self.metadata.labels.get(MADE_BY).map_or("", String::as_str)
    }

    /// Whether a Schedule that is gone had the name that the application gives to the Schedules of such a spec.
    fn was_named_by(&self, settings: &ScheduleSettings<'_>) -> bool {
        let SeenMetadata { labels, annotations, .. } = &self.metadata;
        let target = target_of(labels, annotations);
        annotations.get(SPEC).is_some_and(|spec| settings.gave_name(self.schedule(), spec, &target))
    }

    /// Whether Velero has made it here, and not read of it in a store in which others may write, too: what it reads of has ended before it
    /// is known here. Times are whole seconds.
    pub(super) fn was_made_here(&self) -> bool {
        let SeenStatus { phase, start_timestamp, completion_timestamp } = &self.status;
        let known = self.metadata.creation_timestamp;
        match (known, start_timestamp, completion_timestamp) {
            (Some(known), Some(began), _) if known <= *began => true,
            (Some(known), _, Some(ended)) => known < *ended,
            // Such a one is not stored.
            _ => !phase.has_ended() || *phase == Phase::FailedValidation,
        }
    }

    pub(super) fn standing(&self) -> Standing {
        match self.status.phase {
            Phase::Completed => Standing::Good,
            Phase::PartiallyFailed => Standing::Partial,
            Phase::Failed | Phase::FailedValidation => Standing::Failed,
            Phase::Deleting => Standing::Deleting,
            _ => Standing::Underway,
        }
    }

    pub(super) fn counted(self) -> Counted {
        let standing = self.standing();
        let schedule = self.schedule().to_owned();
        let at = self.status.start_timestamp.or(self.metadata.creation_timestamp).unwrap_or_default();
        let SeenMetadata { name, uid, .. } = self.metadata;
        Counted { uid, schedule, phase: self.status.phase, past: PastBackup { name, at, standing, is_read: false } }
    }
}
