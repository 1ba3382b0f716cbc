//! Whether a hook would find something that the last one has not.

use std::collections::{BTreeMap, BTreeSet};

use super::note::Told;
use crate::velero::{Ledger, Look, Observed};

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

/// Whether a hook would see something else of what runs than the last one has told.
pub(super) fn is_seen_anew(told: &Told, observed: &Observed) -> bool {
    Look::of(&told.look.expected, observed) != told.look
}
