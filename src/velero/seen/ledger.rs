//! What has become of the backups of each application: the little that is to be known of very many.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kube::{ResourceExt, runtime::watcher::Event};
use serde_json::Value;

use super::reduced::{ReducedRun, ReducedSchedule};
use crate::{
    backups::Cron,
    velero::{
        phase::Phase,
        wanted::{SCHEDULED_BY, TARGET_LABELS, schedule::target_of},
    },
};

/// Whose backups they are, in the words of the labels that a Schedule and its backups have in common: application, endpoint, model.
pub(crate) type Labels = [String; 3];

/// All that is known of Schedules and of what was made by them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// The charm's Schedules, by their names.
    pub schedules: BTreeMap<String, ScheduleEntry>,
    /// What has become of their backups, and of others with the same labels.
    pub backups: BTreeMap<Labels, LastBackups>,
    /// The backups that the server is at work on, whosever they are.
    running_backups: BTreeSet<String>,
    /// The restores likewise.
    running_restores: BTreeSet<String>,
    /// What is being read anew.
    anew: Anew,
    /// The kinds that have been read as a whole.
    begun: [bool; 3],
}

/// A Schedule of the charm's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ScheduleEntry {
    pub labels: Labels,
    /// The whole texts of which the labels are.
    pub target: Labels,
    pub created: Option<Timestamp>,
    /// When it runs, if Velero reads it.
    pub cron: Option<Cron>,
    pub paused: bool,
    /// What the charm has planned of it.
    planned: String,
}

/// The backups of an application that tell most.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct LastBackups {
    /// The newest one that has ended.
    pub newest: Option<EndedBackup>,
    /// The newest one that has ended well, and when.
    pub newest_good: Option<(Timestamp, String)>,
}

/// A backup that has ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct EndedBackup {
    pub name: String,
    pub uid: String,
    pub started: Timestamp,
    pub completed: Option<Timestamp>,
    pub result: BackupResult,
    pub items: u64,
}

/// How a backup has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BackupResult {
    Completed,
    PartiallyFailed,
    Failed,
}

/// What of a list is known so far: what was known before counts until all of it is.
#[derive(Clone, Debug, Default)]
struct Anew {
    schedules: BTreeMap<String, ScheduleEntry>,
    backups: BTreeMap<Labels, LastBackups>,
    running_backups: BTreeSet<String>,
    running_restores: BTreeSet<String>,
}

/// A change of the objects that a ledger is of.
#[derive(Debug)]
pub(crate) enum LedgerEvent {
    Schedule(Event<ReducedSchedule>),
    Backup(Event<ReducedRun>),
    Restore(Event<ReducedRun>),
}

/// What is to be done after an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(crate) enum Outcome {
    Known,
    /// What was forgotten was the newest of its kind. Only a new list tells which one is now.
    ReadBackupsAnew,
}

impl Ledger {
    /// Whether all that is there is known.
    pub(crate) fn is_whole(&self) -> bool {
        self.begun == [true; 3]
    }

    /// Takes note of a change.
    pub(crate) fn note(&mut self, event: LedgerEvent) -> Outcome {
        match event {
            LedgerEvent::Schedule(event) => self.note_schedule(event),
            LedgerEvent::Backup(event) => return self.note_backup(event),
            LedgerEvent::Restore(event) => self.note_restore(event),
        }
        Outcome::Known
    }

    /// Returns what the charm has planned of its Schedules, as they are now.
    pub(crate) fn planned(&self) -> BTreeMap<String, String> {
        self.schedules.iter().map(|(name, entry)| (name.clone(), entry.planned.clone())).collect()
    }

    /// Returns what the server is at work on.
    pub(crate) fn running(&self) -> BTreeSet<String> {
        let backups = self.running_backups.iter().map(|name| format!("backup {name}"));
        backups.chain(self.running_restores.iter().map(|name| format!("restore {name}"))).collect()
    }

    fn note_schedule(&mut self, event: Event<ReducedSchedule>) {
        let add = |schedules: &mut BTreeMap<String, ScheduleEntry>, schedule: ReducedSchedule| {
            let name = schedule.name_any();
            match ScheduleEntry::of(schedule) {
                Some(entry) => schedules.insert(name, entry),
                None => schedules.remove(&name),
            };
        };
        match event {
            Event::Init => self.anew.schedules.clear(),
            Event::InitApply(schedule) => add(&mut self.anew.schedules, schedule),
            Event::InitDone => {
                self.schedules = std::mem::take(&mut self.anew.schedules);
                self.begun[0] = true;
            }
            Event::Apply(schedule) => add(&mut self.schedules, schedule),
            Event::Delete(schedule) => {
                self.schedules.remove(&schedule.name_any());
            }
        }
    }

    fn note_backup(&mut self, event: Event<ReducedRun>) -> Outcome {
        match event {
            Event::Init => {
                self.anew.backups.clear();
                self.anew.running_backups.clear();
            }
            Event::InitApply(backup) => {
                note_running(&mut self.anew.running_backups, &backup);
                note_ended(&mut self.anew.backups, &backup);
            }
            Event::InitDone => {
                self.backups = std::mem::take(&mut self.anew.backups);
                self.running_backups = std::mem::take(&mut self.anew.running_backups);
                self.begun[1] = true;
            }
            Event::Apply(backup) => {
                note_running(&mut self.running_backups, &backup);
                note_ended(&mut self.backups, &backup);
            }
            Event::Delete(backup) => {
                let name = backup.name_any();
                self.running_backups.remove(&name);
                if self.backups.values().any(|last| last.has(&name)) {
                    return Outcome::ReadBackupsAnew;
                }
            }
        }
        Outcome::Known
    }

    fn note_restore(&mut self, event: Event<ReducedRun>) {
        match event {
            Event::Init => self.anew.running_restores.clear(),
            Event::InitApply(restore) => note_running(&mut self.anew.running_restores, &restore),
            Event::InitDone => {
                self.running_restores = std::mem::take(&mut self.anew.running_restores);
                self.begun[2] = true;
            }
            Event::Apply(restore) => note_running(&mut self.running_restores, &restore),
            Event::Delete(restore) => {
                self.running_restores.remove(&restore.name_any());
            }
        }
    }
}

impl ScheduleEntry {
    /// Reads a Schedule; `None` for one that is not the charm's.
    fn of(mut schedule: ReducedSchedule) -> Option<Self> {
        let labels = labels(&schedule)?;
        let target = target_of(schedule.labels(), schedule.annotations());
        let cron = schedule.spec["schedule"].as_str().and_then(|text| Cron::parse(text).ok());
        let paused = schedule.spec["paused"].as_bool().unwrap_or_default();
        if let Value::Object(spec) = &mut schedule.spec {
            // The server itself sets it back.
            spec.remove("skipImmediately");
        }
        let planned = format!("{:?} {}", schedule.metadata.uid, schedule.spec);
        let created = schedule.creation_timestamp().map(|time| time.0);
        Some(Self { labels, target, created, cron, paused, planned: short(&planned) })
    }
}

impl LastBackups {
    fn has(&self, name: &str) -> bool {
        self.newest.as_ref().is_some_and(|newest| newest.name == name)
            || self.newest_good.as_ref().is_some_and(|(_, good)| good == name)
    }
}

impl BackupResult {
    fn of(phase: &Phase) -> Option<Self> {
        match phase {
            Phase::Completed => Some(Self::Completed),
            Phase::PartiallyFailed => Some(Self::PartiallyFailed),
            Phase::Failed | Phase::FailedValidation => Some(Self::Failed),
            _ => None,
        }
    }
}

/// Returns a text that differs where another differs, and is short.
fn short(text: &str) -> String {
    use sha2::{Digest, Sha256};
    data_encoding::HEXLOWER.encode(&Sha256::digest(text)[..8])
}

/// Returns the labels of what is made for an application by this charm or the Python one.
fn labels(object: &impl ResourceExt) -> Option<Labels> {
    let labels = object.labels();
    if labels.get(SCHEDULED_BY.0).is_none_or(|manager| manager != SCHEDULED_BY.1) {
        return None;
    }
    let [application, endpoint, model] = TARGET_LABELS.map(|key| labels.get(key).cloned());
    Some([application?, endpoint?, model?])
}

fn note_running(running: &mut BTreeSet<String>, run: &ReducedRun) {
    if run.status.phase.is_in_progress() {
        running.insert(run.name_any());
    } else {
        running.remove(&run.name_any());
    }
}

fn note_ended(backups: &mut BTreeMap<Labels, LastBackups>, backup: &ReducedRun) {
    let status = &backup.status;
    let Some((labels, result)) = labels(backup).zip(BackupResult::of(&status.phase)) else { return };
    // One that was refused has never begun.
    let started = status.start_timestamp.or(backup.creation_timestamp().map(|time| time.0));
    let Some(started) = started else { return };
    let last = backups.entry(labels).or_default();
    let name = backup.name_any();
    if last.newest.as_ref().is_none_or(|newest| started >= newest.started) {
        let (completed, items) = (status.completion_timestamp, status.progress.items_backed_up);
        let uid = backup.uid().unwrap_or_default();
        last.newest = Some(EndedBackup { name: name.clone(), uid, started, completed, result, items });
    }
    if let (BackupResult::Completed, Some(completed)) = (result, status.completion_timestamp)
        && last.newest_good.as_ref().is_none_or(|(other, _)| completed >= *other)
    {
        last.newest_good = Some((completed, name));
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
