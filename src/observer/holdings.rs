//! What the newest backup of each application holds of volumes: read once for each, one after the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use crate::velero::{Ledger, Velero, Volumes};

/// How long after a failure the next one is read.
const PAUSE: Duration = Duration::from_secs(30);
/// How long after nothing was to be read it is looked again: thousands of backups may be told of in a second.
const TURN: Duration = Duration::from_secs(1);

/// What a backup holds of volumes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Holding {
    /// How many volumes it has the data of.
    pub with_data: usize,
    /// How many it was to have the data of, and has not.
    pub failed: usize,
    pub bytes: u64,
}

/// What is known of the newest backups, by their uids.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    known: BTreeMap<String, Holding>,
    /// Until when nothing more is looked for.
    paused: Option<Instant>,
}

impl Holding {
    /// Reads what a backup holds.
    pub(super) async fn read(velero: &Velero, uid: String) -> (String, Option<Self>) {
        let sum = |mut sum: Self, volumes: &Volumes| {
            sum.with_data += volumes.completed();
            sum.failed += volumes.count() - volumes.completed();
            sum.bytes += volumes.bytes().0;
            sum
        };
        let read = velero.volumes_of_backup(&uid).await;
        (uid, read.ok().map(|volumes| volumes.iter().fold(Self::default(), sum)))
    }
}

impl Holdings {
    pub(super) fn of(&self, uid: &str) -> Option<&Holding> {
        self.known.get(uid)
    }

    /// Takes note of what was read; nothing where that failed.
    pub(super) fn note(&mut self, (uid, holding): (String, Option<Holding>), now: Instant) {
        match holding {
            Some(holding) => drop(self.known.insert(uid, holding)),
            None => self.paused = Some(now + PAUSE),
        }
    }

    /// Returns the backup that is to be read next, and forgets those that are the newest no more.
    pub(super) fn next(&mut self, ledger: &Ledger, now: Instant) -> Option<String> {
        if self.paused.is_some_and(|until| now < until) {
            return None;
        }
        let newest = ledger.backups.values().filter_map(|last| last.newest.as_ref());
        let newest: BTreeSet<_> = newest.map(|backup| backup.uid.as_str()).collect();
        self.known.retain(|uid, _| newest.contains(uid.as_str()));
        let next = newest.into_iter().find(|uid| !self.known.contains_key(*uid)).map(str::to_owned);
        if next.is_none() {
            self.paused = Some(now + TURN);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::*;
    use crate::velero::LedgerEvent;

    fn ended(ledger: &mut Ledger, application: &str, uid: &str, second: i64) {
        let started = jiff::Timestamp::from_second(second).unwrap().to_string();
        let labels =
            json!({"managed-by": "velero-operator", "app": application, "endpoint": "backups", "model": "apps"});
        let backup = json!({"metadata": {"name": uid, "uid": uid, "labels": labels},
            "status": {"phase": "Completed", "startTimestamp": started}});
        let event = LedgerEvent::Backup(Event::Apply(serde_json::from_value(backup).unwrap()));
        let _ = ledger.note(event);
    }

    #[tokio::test]
    async fn each_newest_backup_is_read_once_and_a_failure_waits() {
        let (mut ledger, mut holdings, now) = (Ledger::default(), Holdings::default(), Instant::now());
        ended(&mut ledger, "a", "a-1", 10);
        ended(&mut ledger, "b", "b-1", 10);
        assert_eq!(holdings.next(&ledger, now), Some("a-1".to_owned()));
        holdings.note(("a-1".to_owned(), Some(Holding { with_data: 1, ..Holding::default() })), now);
        assert_eq!(holdings.next(&ledger, now), Some("b-1".to_owned()));
        holdings.note(("b-1".to_owned(), None), now);
        assert_eq!(holdings.next(&ledger, now), None);
        let later = now + PAUSE;
        holdings.note(("b-1".to_owned(), Some(Holding::default())), later);
        assert_eq!(holdings.next(&ledger, later), None);
        ended(&mut ledger, "a", "a-2", 20);
        assert_eq!(holdings.next(&ledger, later), None);
        assert_eq!(holdings.next(&ledger, later + TURN), Some("a-2".to_owned()));
        assert_eq!((holdings.of("a-1"), holdings.of("b-1")), (None, Some(&Holding::default())));
    }
}
