//! Restore drills by their schedule: whose turn it is, and conducting them one after the other.

use std::time::Duration;

use futures::{FutureExt, future::LocalBoxFuture};
use jiff::Timestamp;
use tokio::time::Instant;

use super::note::Told;
use crate::velero::{
    Audience, DrillAudience, DrillBook, DrillOrder, DrillOrders, DrillsSince, Ledger, LocationState, Run, Summary,
    Velero, Volumes,
};

/// How often it is looked whose turn it is: cron expressions have no seconds.
const LOOK: Duration = Duration::from_secs(10);
/// How long nothing is begun after a drill could not be, or has left something to take away.
const PAUSE: Duration = Duration::from_mins(1);

/// When it is looked for drills the next time.
#[derive(Debug)]
pub(super) struct Pace {
    next: Instant,
}

/// What there is to be done about drills.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Task {
    /// Conducting a drill of the backup of this name.
    Drill { backup: String, orders: DrillOrders },
    /// Taking away what a drill has left that nobody conducts any more.
    Sweep,
}

/// What has come of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Done {
    /// There may be another one to be conducted.
    Well,
    /// It was not to be done now.
    NotNow,
}

/// A task under way.
pub(super) struct Performance<'a> {
    task: Task,
    pub work: LocalBoxFuture<'a, Done>,
}

impl<'a> Performance<'a> {
    pub(super) fn begin(velero: &'a Velero, unit: &'a str, task: Task) -> Self {
        let work = perform(velero, unit, task.clone()).boxed_local();
        Self { task, work }
    }

    pub(super) fn is_called_off(&self, told: Option<&Told>) -> bool {
        self.task.is_called_off(told)
    }
}

impl Task {
    /// Whether it is to be ended, because another unit leads by now or there are to be no drills. What is not known ends nothing.
    fn is_called_off(&self, told: Option<&Told>) -> bool {
        told.is_some_and(|told| !told.leads || matches!(self, Self::Drill { .. }) && told.drills.is_none())
    }
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { next: now }
    }

    /// Whether it is time to look. If it is, the next time is somewhat later.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        let is_over = now >= self.next;
        if is_over {
            self.next = now + LOOK;
        }
        is_over
    }

    /// Takes note of what has come of a task.
    pub(super) fn note(&mut self, done: Done, now: Instant) {
        self.next = match done {
            Done::Well => now + LOOK,
            Done::NotNow => now + PAUSE,
        };
    }
}

/// Returns what there is to be done. Only the leader does it, and only while Velero works and no change of it waits.
pub(super) fn task(
    told: Option<&Told>,
    summary: &Summary,
    ledger: &Ledger,
    book: &DrillBook,
    now: Timestamp,
) -> Option<Task> {
    let told = told.filter(|told| told.leads)?;
    if book.is_abandoned(now) {
        return Some(Task::Sweep);
    }
    let orders = told.drills.as_ref().filter(|_| !told.waits)?;
    let is_available = summary.location.as_ref().is_some_and(LocationState::is_available);
    if !summary.server_available || !is_available || book.is_busy(now) {
        return None;
    }
    let backup = due(ledger, book, &orders.since, now)?;
    Some(Task::Drill { backup, orders: orders.clone() })
}

/// Returns the newest good backup of the application whose turn it is longest, by its name. None has its turn while the server is at
/// work on something.
fn due(ledger: &Ledger, book: &DrillBook, since: &DrillsSince, now: Timestamp) -> Option<String> {
    if !ledger.is_whole() || !ledger.running().is_empty() {
        return None;
    }
    let turn = since.turns()?;
    let turns = ledger.backups.iter().filter_map(|(labels, last)| {
        let (_, backup) = last.newest_good.as_ref()?;
        Some((turn(book.record_of(labels))?, backup))
    });
    turns.filter(|(turn, _)| *turn <= now).min().map(|(_, backup)| backup.clone())
}

/// Does what is to be done.
async fn perform(velero: &Velero, unit: &str, task: Task) -> Done {
    let application = unit.split_once('/').map_or(unit, |(application, _)| application);
    let is_well = match task {
        Task::Drill { backup, orders } => drill(velero, application, unit, &backup, orders).await,
        Task::Sweep => velero.sweep_drills(application).await.is_ok(),
    };
    if is_well { Done::Well } else { Done::NotNow }
}

/// Conducts a drill. Returns whether it was: what has come of it is in the book.
async fn drill(velero: &Velero, application: &str, unit: &str, backup: &str, orders: DrillOrders) -> bool {
    let Ok(Some(backup)) = velero.backup_named(backup).await else { return false };
    // That the store is not reached is not the backup's fault.
    if !matches!(velero.location_trouble(backup.location()).await, Ok(None)) {
        return false;
    }
    let order = DrillOrder {
        application: application.to_owned(),
        conductor: unit.to_owned(),
        target: backup.target.clone(),
        backup,
        keep: false,
        timeout: orders.timeout,
        waits_for_pods: orders.waits_for_pods,
    };
    let Ok(velero) = velero.by_servers_proxies(application).await else { return false };
    velero.drill(&order, &mut Nobody).await.is_ok()
}

/// Who looks on while the observer conducts a drill.
struct Nobody;

impl Audience for Nobody {
    async fn sees(&mut self, _: &Run, _: &Volumes) {}
}

impl DrillAudience for Nobody {
    async fn hears(&mut self, _: &str) {}
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    use super::*;
    use crate::velero::{DrillRecord, DrillResult, LedgerEvent};

    const SINCE: &str = "2026-01-31T10:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn labels(application: &str) -> Value {
        json!({"managed-by": "velero-operator", "app": application, "endpoint": "backups", "model": "apps"})
    }

    fn backup(name: &str, application: &str, phase: &str) -> Value {
        json!({"metadata": {"name": name, "labels": labels(application)}, "status": {"phase": phase,
            "startTimestamp": "2026-01-31T01:00:00Z", "completionTimestamp": "2026-01-31T01:05:00Z"}})
    }

    fn ledger(backups: &[Value]) -> Ledger {
        let mut ledger = Ledger::default();
        let lists = [
            LedgerEvent::Schedule(Event::InitDone),
            LedgerEvent::Backup(Event::InitDone),
            LedgerEvent::Restore(Event::InitDone),
        ];
        let backups = backups
            .iter()
            .map(|backup| LedgerEvent::Backup(Event::Apply(serde_json::from_value(backup.clone()).unwrap())));
        for event in lists.into_iter().chain(backups) {
            let _ = ledger.note(event);
        }
        ledger
    }

    fn record(application: &str, started: &str, result: DrillResult) -> DrillRecord {
        DrillRecord {
            target: [application, "backups", "apps"].map(str::to_owned),
            backup: "a".to_owned(),
            started: at(started),
            ended: at(started) + SignedDuration::from_mins(5),
            result,
            findings: Vec::new(),
            last_good: None,
        }
    }

    fn book(records: &[DrillRecord]) -> DrillBook {
        let mut book = DrillBook::default();
        book.records = records.to_vec();
        book
    }

    /// Whose turn it is at a moment, with drills at every full hour.
    fn due_at(ledger: &Ledger, book: &DrillBook, now: &str) -> Option<String> {
        due(ledger, book, &DrillsSince { schedule: "@hourly".to_owned(), since: at(SINCE) }, at(now))
    }

    #[test]
    fn it_is_the_turn_of_an_application_when_the_schedule_has_come_since_its_last_drill() {
        let ledger = ledger(&[backup("a-1", "a", "Completed"), backup("b-1", "b", "Completed")]);
        // The schedule itself is no reason for a drill at once.
        assert_eq!(due_at(&ledger, &book(&[]), "2026-01-31T10:59:59Z"), None);
        assert_eq!(due_at(&ledger, &book(&[]), "2026-01-31T11:00:00Z").as_deref(), Some("a-1"));
        let drilled =
            |a: &str, b: &str| book(&[record("a", a, DrillResult::Good), record("b", b, DrillResult::Failed)]);
        let one = book(&[record("a", "2026-01-31T11:00:00Z", DrillResult::Good)]);
        assert_eq!(due_at(&ledger, &one, "2026-01-31T11:10:00Z").as_deref(), Some("b-1"));
        let both = drilled("2026-01-31T11:00:00Z", "2026-01-31T11:10:00Z");
        assert_eq!(due_at(&ledger, &both, "2026-01-31T11:59:00Z"), None);
        // A failed one is not repeated out of its turn, and whoever waits longest comes first.
        let late = drilled("2026-01-31T13:00:00Z", "2026-01-31T11:10:00Z");
        assert_eq!(due_at(&ledger, &late, "2026-01-31T15:00:00Z").as_deref(), Some("b-1"));
        // One by hand before there was the schedule.
        let before = drilled("2026-01-01T10:00:00Z", "2026-01-01T10:00:00Z");
        assert_eq!(due_at(&ledger, &before, "2026-01-31T10:30:00Z"), None);
    }

    #[test]
    fn an_application_without_a_good_backup_has_no_turn() {
        let ledger = ledger(&[backup("a-1", "a", "PartiallyFailed")]);
        assert_eq!(due_at(&ledger, &book(&[]), "2026-01-31T12:00:00Z"), None);
    }

    #[test]
    fn nothing_is_begun_beside_a_backup_or_before_all_is_known() {
        let good = backup("a-1", "a", "Completed");
        let busy = ledger(&[good.clone(), backup("other", "b", "InProgress")]);
        assert_eq!(due_at(&busy, &book(&[]), "2026-01-31T12:00:00Z"), None);
        let mut partial = Ledger::default();
        let event = LedgerEvent::Backup(Event::Apply(serde_json::from_value(good).unwrap()));
        let _ = partial.note(event);
        assert_eq!(due_at(&partial, &book(&[]), "2026-01-31T12:00:00Z"), None);
    }

    fn told(leads: bool, waits: bool, drills: bool) -> Told {
        let drills = drills.then(|| {
            json!({"since": {"schedule": "@hourly", "since": SINCE}, "timeout": {"secs": 60, "nanos": 0},
                "waits_for_pods": true})
        });
        let look = json!({"expected": {"server": {"Hash": "0a"}, "node_agent": null, "location": true}, "seen": "0b"});
        serde_json::from_value(json!({"look": look, "waits": waits, "leads": leads, "volumes": {}, "drills": drills}))
            .unwrap()
    }

    fn works() -> Summary {
        let location = LocationState { name: "default".to_owned(), phase: "Available".to_owned() };
        Summary { server_available: true, location: Some(location), ..Summary::default() }
    }

    #[test]
    fn only_the_leader_conducts_drills_and_only_while_velero_works_and_no_change_of_it_waits() {
        let (ledger, now) = (ledger(&[backup("a-1", "a", "Completed")]), at("2026-01-31T12:00:00Z"));
        let begins = |told: Option<Told>, summary: &Summary| task(told.as_ref(), summary, &ledger, &book(&[]), now);
        let Some(Task::Drill { backup, orders }) = begins(Some(told(true, false, true)), &works()) else { panic!() };
        assert_eq!((backup.as_str(), orders.timeout, orders.waits_for_pods), ("a-1", Duration::from_mins(1), true));
        for told in [None, Some(told(false, false, true)), Some(told(true, true, true)), Some(told(true, false, false))]
        {
            assert_eq!(begins(told, &works()), None);
        }
        let mut unavailable = works();
        unavailable.location.as_mut().unwrap().phase = "Unavailable".to_owned();
        for summary in [Summary::default(), Summary { server_available: false, ..works() }, unavailable] {
            assert_eq!(begins(Some(told(true, false, true)), &summary), None);
        }
    }

    #[test]
    fn what_an_abandoned_drill_has_left_is_taken_away_by_the_leader_even_without_a_schedule() {
        let (ledger, now) = (ledger(&[]), at("2026-01-31T12:00:00Z"));
        let drill = json!({"id": "0a", "conductor": "velero-operator/1", "confirmed": "2026-01-31T11:50:00Z",
            "started": "2026-01-31T11:40:00Z", "backup": "a-1"});
        let book = json!({"metadata": {"name": "drills"}, "data": {"under-way": drill.to_string()}});
        let book = DrillBook::of(&serde_json::from_value(book).unwrap());
        let begins = |told: &Told| task(Some(told), &Summary::default(), &ledger, &book, now);
        assert_eq!(begins(&told(true, true, false)), Some(Task::Sweep));
        assert_eq!(begins(&told(false, false, true)), None);
    }

    #[test]
    fn a_drill_ends_with_the_leadership_and_with_the_schedule() {
        let drill = task(
            Some(&told(true, false, true)),
            &works(),
            &ledger(&[backup("a-1", "a", "Completed")]),
            &book(&[]),
            at("2026-01-31T12:00:00Z"),
        )
        .unwrap();
        let (followed, unscheduled) = (told(false, false, true), told(true, false, false));
        assert!(drill.is_called_off(Some(&followed)) && drill.is_called_off(Some(&unscheduled)));
        assert!(!drill.is_called_off(Some(&told(true, true, true))) && !drill.is_called_off(None));
        assert!(Task::Sweep.is_called_off(Some(&followed)) && !Task::Sweep.is_called_off(Some(&unscheduled)));
    }

    #[test]
    fn it_is_looked_every_few_seconds_and_later_after_what_could_not_be_done() {
        let begun = Instant::now();
        let mut pace = Pace::new(begun);
        assert!(pace.is_over(begun) && !pace.is_over(begun) && pace.is_over(begun + LOOK));
        pace.note(Done::NotNow, begun);
        assert!(!pace.is_over(begun + LOOK) && pace.is_over(begun + PAUSE));
    }
}
