//! Whose turn it is to be drilled.

use jiff::{SignedDuration, Timestamp};

use super::book::{DrillRecord, DrillResult, DrillsSince};
use crate::backups::Cron;

/// How long after a drill was stopped it is conducted again, if its schedule does not come before.
const AGAIN: SignedDuration = SignedDuration::from_hours(1);

impl DrillsSince {
    /// Returns what tells when it is the turn of an application by its last drill: when the schedule has come since that, or since there
    /// is the schedule.
    pub(crate) fn turns(&self) -> Option<impl Fn(Option<&DrillRecord>) -> Option<Timestamp>> {
        let (cron, since) = (Cron::parse(&self.schedule).ok()?, self.since);
        Some(move |last: Option<&DrillRecord>| {
            let next = cron.next_after(last.map_or(since, |last| last.started.max(since)));
            let stopped = last.filter(|last| last.result == DrillResult::Stopped);
            let again = stopped.and_then(|last| last.ended.checked_add(AGAIN).ok());
            next.into_iter().chain(again).min()
        })
    }

    /// Returns the longest time from one drill to the next, around a moment.
    pub(crate) fn longest_gap(&self, around: Timestamp) -> Option<SignedDuration> {
        Cron::parse(&self.schedule).ok()?.longest_gap(around)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_that_was_stopped_is_conducted_again_after_an_hour() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let weekly = DrillsSince { schedule: "@weekly".to_owned(), since: at("2026-01-31T10:00:00Z") };
        let turn = weekly.turns().unwrap();
        let stopped = DrillRecord {
            target: ["ledger", "backups", "apps"].map(str::to_owned),
            backup: "a".to_owned(),
            started: at("2026-01-31T11:00:00Z"),
            ended: at("2026-01-31T11:05:00Z"),
            result: DrillResult::Stopped,
            findings: Vec::new(),
            last_good: None,
        };
        assert_eq!(turn(Some(&stopped)), Some(at("2026-01-31T12:05:00Z")));
        assert_eq!(turn(Some(&DrillRecord { result: DrillResult::Good, ..stopped })), Some(at("2026-02-01T00:00:00Z")));
        assert_eq!(turn(None), Some(at("2026-02-01T00:00:00Z")));
    }
}
