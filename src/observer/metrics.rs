//! The metrics that the observer serves: what Velero's own cannot tell.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{exposition::Exposition, holdings::Holdings, knowledge::Knowledge};
use crate::velero::{
    BackupResult, DrillBook, DrillRecord, DrillResult, Labels, LastBackups, Ledger, LocationState, ScheduleEntry,
    VolumeCount,
};

/// The results that a backup may have, each with the value of its label.
const RESULTS: [(BackupResult, &str); 3] = [
    (BackupResult::Completed, "completed"),
    (BackupResult::PartiallyFailed, "partially_failed"),
    (BackupResult::Failed, "failed"),
];

/// The same of restore drills.
const DRILL_RESULTS: [(DrillResult, &str); 3] =
    [(DrillResult::Good, "good"), (DrillResult::Failed, "failed"), (DrillResult::Stopped, "stopped")];

/// An application that is backed up, or was.
struct Subject<'a> {
    /// What its Schedule and its backups are labelled with.
    target: &'a Labels,
    /// Its labels, with their whole texts.
    labels: Vec<(&'static str, &'a str)>,
    schedule_name: &'a str,
    schedule: Option<&'a ScheduleEntry>,
    backups: Option<&'a LastBackups>,
}

/// Returns the page of all metrics.
pub(super) fn page(knowledge: &Knowledge, now: Timestamp) -> String {
    let mut page = Exposition::default();
    let subjects = subjects(&knowledge.ledger);
    add_schedules(&mut page, &subjects, now);
    add_volumes(&mut page, &subjects, &knowledge.volumes);
    add_backups(&mut page, &subjects);
    add_holdings(&mut page, &subjects, &knowledge.holdings);
    add_drills(&mut page, &subjects, &knowledge.drills, now);
    add_installation(&mut page, knowledge, now);
    page.into_text()
}

/// Returns each of the charm's Schedules, and each application that has backups and no Schedule.
fn subjects(ledger: &Ledger) -> Vec<Subject<'_>> {
    let mut without: BTreeMap<&Labels, &LastBackups> = ledger.backups.iter().collect();
    let mut subjects = Vec::new();
    for (name, schedule) in &ledger.schedules {
        without.remove(&schedule.labels);
        let labels = labelled(&schedule.target, name);
        let backups = ledger.backups.get(&schedule.labels);
        subjects.push(Subject {
            target: &schedule.labels,
            labels,
            schedule_name: name,
            schedule: Some(schedule),
            backups,
        });
    }
    subjects.extend(without.into_iter().map(|(target, backups)| Subject {
        target,
        labels: labelled(target, ""),
        schedule_name: "",
        schedule: None,
        backups: Some(backups),
    }));
    subjects
}

fn labelled<'a>([application, endpoint, model]: &'a Labels, schedule: &'a str) -> Vec<(&'static str, &'a str)> {
    vec![("app", application), ("endpoint", endpoint), ("model", model), ("schedule", schedule)]
}

fn add_schedules(page: &mut Exposition, subjects: &[Subject<'_>], now: Timestamp) {
    let of_each = |value: &dyn Fn(&ScheduleEntry) -> Option<i64>| {
        let values = subjects.iter().filter_map(|subject| Some((subject.labels.clone(), value(subject.schedule?)?)));
        values.collect::<Vec<_>>()
    };
    page.gauge(
        "velero_operator_schedule_info",
        "A schedule by which an application is backed up.",
        of_each(&|_| Some(1)),
    );
    page.gauge(
        "velero_operator_schedule_created_timestamp_seconds",
        "When the schedule was made.",
        of_each(&|schedule| Some(schedule.created?.as_second())),
    );
    page.gauge(
        "velero_operator_schedule_period_seconds",
        "The longest time from one run of the schedule to the next.",
        of_each(&|schedule| Some(schedule.cron.as_ref()?.longest_gap(now)?.as_secs())),
    );
    page.gauge(
        "velero_operator_schedule_paused",
        "Whether the schedule is paused.",
        of_each(&|schedule| Some(schedule.paused.into())),
    );
}

fn add_volumes(page: &mut Exposition, subjects: &[Subject<'_>], volumes: &BTreeMap<String, VolumeCount>) {
    let of_each = subjects.iter().filter_map(|subject| {
        let VolumeCount { with_data, without_data } = *volumes.get(subject.schedule_name)?;
        Some(by_data(&subject.labels, with_data, without_data))
    });
    page.gauge(
        "velero_operator_schedule_volumes",
        "How many volumes the backups of the schedule are going to hold, with their data and without.",
        of_each.flatten(),
    );
}

fn add_backups(page: &mut Exposition, subjects: &[Subject<'_>]) {
    let of_each = |value: &dyn Fn(&LastBackups) -> Option<i64>| {
        let values = subjects.iter().filter_map(|subject| Some((subject.labels.clone(), value(subject.backups?)?)));
        values.collect::<Vec<_>>()
    };
    page.gauge(
        "velero_operator_backup_last_success_timestamp_seconds",
        "When the newest backup was completed that has ended well.",
        of_each(&|last| Some(last.newest_good.as_ref()?.0.as_second())),
    );
    page.gauge(
        "velero_operator_backup_last_timestamp_seconds",
        "When the newest backup began that has ended.",
        of_each(&|last| Some(last.newest.as_ref()?.started.as_second())),
    );
    let results = subjects.iter().filter_map(|subject| {
        let newest = subject.backups?.newest.as_ref()?;
        Some(RESULTS.map(|(result, word)| {
            let labels = subject.labels.iter().copied().chain([("result", word)]);
            (labels.collect::<Vec<_>>(), u8::from(result == newest.result))
        }))
    });
    page.gauge(
        "velero_operator_backup_last_result",
        "How the newest backup has ended: 1 for its result, 0 for the others.",
        results.flatten(),
    );
    page.gauge(
        "velero_operator_backup_last_duration_seconds",
        "How long the newest backup took that has ended.",
        of_each(&|last| {
            let newest = last.newest.as_ref()?;
            Some(newest.completed?.duration_since(newest.started).as_secs())
        }),
    );
    page.gauge(
        "velero_operator_backup_last_items",
        "How many objects are in the newest backup that has ended.",
        of_each(&|last| i64::try_from(last.newest.as_ref()?.items).ok()),
    );
}

fn add_holdings(page: &mut Exposition, subjects: &[Subject<'_>], holdings: &Holdings) {
    let known: Vec<_> = subjects
        .iter()
        .filter_map(|subject| Some((&subject.labels, holdings.of(&subject.backups?.newest.as_ref()?.uid)?)))
        .collect();
    let counts = known.iter().flat_map(|(labels, holding)| by_data(labels, holding.with_data, holding.failed));
    page.gauge(
        "velero_operator_backup_last_volumes",
        "How many volumes were read for the newest backup that has ended: those whose data is in it, and those that failed.",
        counts,
    );
    page.gauge(
        "velero_operator_backup_last_volume_bytes",
        "How many bytes of volumes were read for the newest backup that has ended.",
        known.iter().map(|(labels, holding)| ((*labels).clone(), holding.bytes)),
    );
}

fn add_drills(page: &mut Exposition, subjects: &[Subject<'_>], drills: &DrillBook, now: Timestamp) {
    let records: Vec<_> =
        subjects.iter().filter_map(|subject| Some((&subject.labels, drills.record_of(subject.target)?))).collect();
    let of_each = |value: &dyn Fn(&DrillRecord) -> Option<i64>| {
        let values = records.iter().filter_map(|(labels, record)| Some(((*labels).clone(), value(record)?)));
        values.collect::<Vec<_>>()
    };
    page.gauge(
        "velero_operator_drill_last_success_timestamp_seconds",
        "When the last restore drill ended that was good.",
        of_each(&|record| Some(record.last_good?.as_second())),
    );
    page.gauge(
        "velero_operator_drill_last_timestamp_seconds",
        "When the last restore drill began that is over.",
        of_each(&|record| Some(record.started.as_second())),
    );
    let results = records.iter().flat_map(|(labels, record)| {
        DRILL_RESULTS.map(|(result, word)| {
            let labels = labels.iter().copied().chain([("result", word)]);
            (labels.collect::<Vec<_>>(), u8::from(result == record.result))
        })
    });
    page.gauge(
        "velero_operator_drill_last_result",
        "How the last restore drill has ended: 1 for its result, 0 for the others.",
        results,
    );
    page.gauge(
        "velero_operator_drill_last_duration_seconds",
        "How long the last restore drill took.",
        of_each(&|record| Some(record.ended.duration_since(record.started).as_secs())),
    );
    let schedule = drills.schedule.as_ref();
    let period = schedule.and_then(|schedule| schedule.longest_gap(now));
    // Without a good backup, there is nothing to restore.
    let drilled = |subject: &&Subject<'_>| subject.backups.is_some_and(|last| last.newest_good.is_some());
    let drilled: Vec<_> = subjects.iter().filter(drilled).collect();
    page.gauge(
        "velero_operator_drill_period_seconds",
        "The longest time from one restore drill to the next by their schedule.",
        drilled.iter().filter_map(|subject| Some((subject.labels.clone(), period?.as_secs()))),
    );
    page.gauge(
        "velero_operator_drill_scheduled_timestamp_seconds",
        "Since when restore drills of the application go by their schedule.",
        drilled.iter().filter_map(|subject| {
            let created = subject.schedule.and_then(|schedule| schedule.created);
            Some((subject.labels.clone(), created.into_iter().fold(schedule?.since, Timestamp::max).as_second()))
        }),
    );
}

/// Returns a sample for the volumes with their data, and one for those without.
fn by_data<'a>(
    labels: &[(&'static str, &'a str)],
    with_data: usize,
    without_data: usize,
) -> [(Vec<(&'static str, &'a str)>, usize); 2] {
    [("yes", with_data), ("no", without_data)]
        .map(|(data, count)| (labels.iter().copied().chain([("data", data)]).collect(), count))
}

fn add_installation(page: &mut Exposition, knowledge: &Knowledge, now: Timestamp) {
    let summary = &knowledge.summary;
    let location = summary.location.as_ref();
    let of_location = |value: i64| location.map(|location| (vec![("location", location.name.as_str())], value));
    page.gauge(
        "velero_operator_storage_location_available",
        "Whether the server can use the storage location.",
        of_location(location.is_some_and(LocationState::is_available).into()),
    );
    page.gauge(
        "velero_operator_storage_location_phase_timestamp_seconds",
        "Since when the storage location is in its phase, as far as the observer has seen.",
        knowledge.phase_since.and_then(|since| of_location(since.as_second())),
    );
    let of_agents = |count: Option<i32>| count.map(|count| (Vec::new(), count));
    page.gauge(
        "velero_operator_node_agent_wanted",
        "How many pods the node agent should have.",
        of_agents(summary.node_agent.map(|agent| agent.wanted)),
    );
    page.gauge(
        "velero_operator_node_agent_ready",
        "How many pods of the node agent are ready.",
        of_agents(summary.node_agent.map(|agent| agent.ready)),
    );
    page.gauge(
        "velero_operator_repository_password_is_public",
        "Whether files of volumes are encrypted with Velero's own password, which everybody knows.",
        knowledge.public_password.map(|is_public| (Vec::new(), u8::from(is_public))),
    );
    let drills = &knowledge.drills;
    page.gauge(
        "velero_operator_drill_under_way",
        "Whether a restore drill is under way.",
        (!drills.is_empty()).then(|| (Vec::new(), u8::from(drills.is_busy(now)))),
    );
    let is_known = knowledge.is_whole();
    page.gauge(
        "velero_operator_server_available",
        "Whether a pod of the Velero server is available.",
        is_known.then(|| (Vec::new(), u8::from(summary.server_available))),
    );
    page.gauge(
        "velero_operator_server_info",
        "The version of the Velero server.",
        summary.server_version.as_deref().map(|version| (vec![("version", version)], 1)),
    );
    page.gauge(
        "velero_operator_observer_last_look_timestamp_seconds",
        "When the cluster answered the observer last.",
        knowledge.answered.map(|answered| (Vec::new(), answered.as_second())),
    );
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
