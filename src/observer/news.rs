//! Whether a hook would find something that the last one has not.

use std::collections::{BTreeMap, BTreeSet};

use super::note::Told;
use crate::velero::{DrillBook, DrillRecord, Ledger, Look, Observed};

/// What was known as the last hook ended, of what that does not tell itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Baseline {
    /// What was planned of the charm's Schedules.
    schedules: BTreeMap<String, String>,
    /// What the server was at work on.
    running: BTreeSet<String>,
}

impl Baseline {
    /// Returns what is known, if all of it is.
    pub(super) fn of(ledger: &Ledger) -> Option<Self> {
        ledger.is_whole().then(|| Self { schedules: ledger.planned(), running: ledger.running() })
    }

    /// Whether a hook would do something about what has changed since.
    pub(super) fn is_outdated(&self, told: &Told, ledger: &Ledger) -> bool {
        let is_mended = told.leads && self.schedules != ledger.planned();
        // What a change waits for may have been the last.
        is_mended || told.waits && !self.running.is_subset(&ledger.running())
    }
}

/// Whether other drills have failed than the last hook has told of.
pub(super) fn is_drilled_anew(told: &Told, book: &DrillBook) -> bool {
    let failed = || book.failed().map(DrillRecord::id).collect::<BTreeSet<_>>();
    told.failed_drills.as_ref().is_some_and(|told| *told != failed())
}

/// Whether a hook would see something else of what runs than the last one has told.
pub(super) fn is_seen_anew(told: &Told, observed: &Observed) -> bool {
    Look::of(&told.look.expected, observed) != told.look
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::velero::DrillResult;

    #[test]
    fn a_drill_that_has_failed_or_fails_no_more_is_news_where_the_last_hook_has_looked() {
        let mut book = DrillBook::default();
        let record = json!({"target": ["ledger", "backups", "apps"], "backup": "a", "started": "2026-01-31T10:00:00Z",
            "ended": "2026-01-31T10:01:00Z", "result": "failed", "findings": [], "last_good": null});
        book.records = vec![serde_json::from_value(record).unwrap()];
        let told = |failed: Option<BTreeSet<String>>| {
            let look =
                json!({"expected": {"server": {"Hash": "0a"}, "node_agent": null, "location": true}, "seen": "0b"});
            let told = json!({"look": look, "waits": false, "leads": true, "volumes": {}, "failed_drills": failed});
            serde_json::from_value::<Told>(told).unwrap()
        };
        let failed = BTreeSet::from([book.records[0].id()]);
        assert!(is_drilled_anew(&told(Some(BTreeSet::new())), &book));
        assert!(!is_drilled_anew(&told(Some(failed.clone())), &book));
        assert!(!is_drilled_anew(&told(None), &book));
        book.records[0].result = DrillResult::Good;
        assert!(is_drilled_anew(&told(Some(failed)), &book));
    }
}
