//! What the observer knows of the cluster at a moment.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio::time::Instant;

use super::holdings::Holdings;
use crate::velero::{DrillBook, Ledger, Observed, Summary, VolumeCount};

/// All that the observer knows, which is little whatever is in the cluster.
#[derive(Debug, Default)]
pub(super) struct Knowledge {
    /// What an installation is judged by; nothing until it is known as a whole.
    observed: Option<Observed>,
    /// The same in numbers.
    pub summary: Summary,
    /// Since when the storage location has the phase that it has.
    pub phase_since: Option<Timestamp>,
    /// What has become of backups.
    pub ledger: Ledger,
    /// How many volumes the backups of each Schedule are going to hold, by its name, as the last hook has found.
    pub volumes: BTreeMap<String, VolumeCount>,
    /// Whether files of volumes are encrypted with the password that everybody knows, where the last hook has told.
    pub public_password: Option<bool>,
    /// What is remembered of restore drills.
    pub drills: DrillBook,
    /// What the newest backups hold of volumes.
    pub holdings: Holdings,
    /// When the cluster answered last.
    pub answered: Option<Timestamp>,
}

impl Knowledge {
    /// Takes note of what runs.
    pub(super) fn see(&mut self, observed: Observed, now: Timestamp) {
        let summary = Summary::of(&observed);
        let phase = |summary: &Summary| summary.location.as_ref().map(|location| location.phase.clone());
        if self.observed.is_none() || phase(&summary) != phase(&self.summary) {
            self.phase_since = Some(now);
        }
        self.summary = summary;
        self.observed = Some(observed);
        self.answered = Some(now);
    }

    /// Returns what runs, as it is to be judged now.
    pub(super) fn observed_at(&mut self, now: Timestamp) -> Option<&Observed> {
        let observed = self.observed.as_mut()?;
        observed.at = now;
        Some(observed)
    }

    /// Returns the backup of which is to be read next what it holds of volumes, by its uid.
    pub(super) fn next_to_read(&mut self, now: Instant) -> Option<String> {
        self.holdings.next(&self.ledger, now)
    }

    /// Whether it is known what runs.
    pub(super) fn is_whole(&self) -> bool {
        self.observed.is_some()
    }

    /// Forgets what runs, as it is read anew.
    pub(super) fn look_away(&mut self) {
        self.observed = None;
    }
}
