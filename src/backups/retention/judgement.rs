//! The decision: what is kept of the backups of an application, and for which rule.

use std::{cmp::Reverse, collections::BTreeSet, fmt};

use jiff::{SignedDuration, Timestamp};

use super::policy::{Period, Retention};

/// How long a backup that has failed is there at least, so that somebody can look into it.
const FAILED_STAYS: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A backup of an application, as far as it matters whether it is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PastBackup {
    pub name: String,
    /// When it began.
    pub at: Timestamp,
    pub standing: Standing,
    /// Whether something reads it.
    pub is_read: bool,
}

/// What a backup is worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    Good,
    /// Something of it has failed.
    Partial,
    /// There is nothing to restore.
    Failed,
    /// It has not ended, or nobody knows how.
    Underway,
    /// It is being deleted, or could not be.
    Deleting,
}

/// What becomes of a backup, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// It is kept as one of these periods.
    Kept(Vec<&'static str>),
    /// It is kept because it has not ended.
    Underway,
    /// It is kept although it has failed: no newer one is good, or it is not old.
    FailedLately,
    /// It is kept as long as something reads it.
    Read,
    /// It goes, as no rule keeps it.
    Superseded,
    /// It goes, as it has failed and a newer one is good.
    FailedLongAgo,
    /// Its deletion was begun.
    Deleting,
}

impl Verdict {
    /// Whether the backup goes.
    pub(crate) fn goes(&self) -> bool {
        matches!(self, Self::Superseded | Self::FailedLongAgo | Self::Deleting)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Kept(rules) => return formatter.write_str(&rules.join(", ")),
            Self::Underway => "has not ended",
            Self::FailedLately => "failed lately",
            Self::Read => "a restore reads it",
            Self::Superseded => "no rule keeps it",
            Self::FailedLongAgo => "failed, and a newer one is good",
            Self::Deleting => "its deletion has begun",
        })
    }
}

/// Decides what becomes of the backups of one application, in their order.
///
/// Of each of the newest periods that have one, the newest backup is kept, and a good one rather than one that has failed in part.
/// Where some periods have none that is good, so many more are kept that as many are good as the rule says.
pub(crate) fn judge(retention: &Retention, backups: &[PastBackup], now: Timestamp) -> Vec<Verdict> {
    let mut newest_first: Vec<usize> = (0..backups.len()).collect();
    newest_first.sort_by_key(|&index| Reverse((backups[index].at, &backups[index].name)));
    let with = |standing: Standing| {
        newest_first.iter().copied().filter(move |&index| backups[index].standing == standing).collect::<Vec<_>>()
    };
    let good = with(Standing::Good);
    // In each period, the good ones come first.
    let usable = [good.clone(), with(Standing::Partial)].concat();
    let mut rules: Vec<Vec<&'static str>> = vec![Vec::new(); backups.len()];
    for rule in retention.rules() {
        let kept = [&good, &usable].map(|candidates| one_each(rule.period, rule.count, candidates, backups));
        for index in kept.into_iter().flatten().collect::<BTreeSet<_>>() {
            rules[index].push(rule.period.word());
        }
    }
    let newest_good = good.first().map(|&index| backups[index].at);
    let verdict = |(backup, rules): (&PastBackup, Vec<&'static str>)| {
        let verdict = match backup.standing {
            Standing::Underway => Verdict::Underway,
            Standing::Deleting => Verdict::Deleting,
            Standing::Good | Standing::Partial if !rules.is_empty() => Verdict::Kept(rules),
            Standing::Good | Standing::Partial => Verdict::Superseded,
            Standing::Failed => {
                let is_outdone = newest_good.is_some_and(|good| backup.at < good);
                let is_old = now.duration_since(backup.at) > FAILED_STAYS;
                if is_outdone && is_old { Verdict::FailedLongAgo } else { Verdict::FailedLately }
            }
        };
        if backup.is_read && verdict.goes() { Verdict::Read } else { verdict }
    };
    backups.iter().zip(rules).map(verdict).collect()
}

/// Returns the first candidate of each period, of so many of the newest periods.
fn one_each(period: Period, count: usize, candidates: &[usize], backups: &[PastBackup]) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let is_first = |index: &usize| seen.insert(period.of(backups[*index].at, *index));
    let mut first: Vec<_> = candidates.iter().copied().filter(is_first).collect();
    first.sort_by_key(|&index| Reverse((backups[index].at, &backups[index].name)));
    first.truncate(count);
    first
}

#[cfg(test)]
#[path = "judgement_tests.rs"]
mod tests;
