//! What a drill has shown.

use std::{collections::BTreeMap, time::Duration};

use thiserror::Error;

use super::{book::DrillResult, network::Network};
use crate::text::shorten;

/// How many objects are named in one finding.
const NAMED: usize = 5;
/// How much is told of an error of others.
const LONGEST_REASON: usize = 300;

/// Something that is not as it was backed up.
#[derive(Clone, Debug, Eq, Error, Ord, PartialEq, PartialOrd)]
pub(crate) enum Finding {
    #[error("the backup cannot be read: {0}")]
    Unreadable(String),
    #[error(
        "there is nothing in it that a drill can restore: objects of a namespace, of kinds that are Kubernetes' own"
    )]
    NothingToRestore,
    #[error("its archive lacks {} that {} on its own list: {}", count(.0), are(.0), names(.0))]
    NotInArchive(Vec<String>),
    #[error("its archive has {} files that are no objects: {}", .0.len(), names(.0))]
    NoObjects(Vec<String>),
    #[error("it was not over within {} s: {}", limit.as_secs(), shorten(waiting_for, LONGEST_REASON))]
    TooLong { limit: Duration, waiting_for: String },
    #[error(
        "its files of volumes are encrypted with another password: set the option repository-password to the one that they were \
         backed up with"
    )]
    RepositoryPassword,
    #[error("{} {} no data in it: {}", claims(.0), have(.0), names(.0))]
    WithoutData(Vec<String>),
    #[error("the files of volume {volume} were not restored: {}", shorten(why, LONGEST_REASON))]
    Volume { volume: String, why: String },
    #[error("of volume {volume} {restored} bytes came back, and {backed_up} were backed up")]
    Bytes { volume: String, backed_up: u64, restored: u64 },
    #[error("{} did not come back: {}", count(.0), names(.0))]
    NotRestored(Vec<String>),
    #[error("Velero's restore has ended as {phase}: {}", shorten(why, LONGEST_REASON))]
    Restore { phase: String, why: String },
    #[error("{} that {} ready {} not become so again: {}", pods(.0), were(.0), have(.0), names(.0))]
    NotReady(Vec<String>),
}

/// What a drill has shown, and what it has not looked at.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct DrillReport {
    pub backup: String,
    /// The most important first.
    pub findings: Vec<Finding>,
    /// How many objects of the backup's list are in its archive.
    pub objects_in_archive: usize,
    /// How many were restored and are there.
    pub objects_restored: usize,
    /// How many volumes came back, and how many bytes of them.
    pub volumes: usize,
    pub bytes: u64,
    /// How many pods were ready and are so again, if that was looked at.
    pub pods_ready: Option<usize>,
    /// Whether its pods could reach anything, if any were restored.
    pub network: Option<Network>,
    /// What was not checked, and why.
    pub unchecked: Vec<String>,
    /// The scratch namespaces that are kept, by those that are restored into them.
    pub kept: BTreeMap<String, String>,
    /// PersistentVolumes that nobody can use again without a person.
    pub left_volumes: Vec<String>,
    pub duration: Duration,
}

impl DrillReport {
    /// Returns how the drill has ended.
    pub(crate) fn result(&self) -> DrillResult {
        if self.findings.is_empty() { DrillResult::Good } else { DrillResult::Failed }
    }
}

impl Network {
    /// Returns what a user should know of it.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Denied => "denied: the pods of the drill reached nothing",
            Self::Open => {
                "open: this cluster's network does not enforce NetworkPolicies, so that the pods of the drill could reach what those \
                 that they are copies of reach"
            }
            Self::Unknown => "unknown: it was not found out whether this cluster's network enforces NetworkPolicies",
        }
    }
}

fn plural(count: usize, one: &str, several: &str) -> String {
    if count == 1 { format!("{count} {one}") } else { format!("{count} {several}") }
}

fn count(names: &[String]) -> String {
    plural(names.len(), "object", "objects")
}

fn claims(names: &[String]) -> String {
    plural(names.len(), "claim", "claims")
}

fn pods(names: &[String]) -> String {
    plural(names.len(), "pod", "pods")
}

fn are(names: &[String]) -> &'static str {
    if names.len() == 1 { "is" } else { "are" }
}

fn were(names: &[String]) -> &'static str {
    if names.len() == 1 { "was" } else { "were" }
}

fn have(names: &[String]) -> &'static str {
    if names.len() == 1 { "has" } else { "have" }
}

/// Returns the first names, and how many more there are.
fn names(all: &[String]) -> String {
    let first = all.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_some_and_counts_all() {
        let many: Vec<_> = (1..=7).map(|number| format!("v1/ConfigMap shop/{number}")).collect();
        let told = Finding::NotInArchive(many).to_string();
        assert!(
            told.starts_with("its archive lacks 7 objects that are on its own list: v1/ConfigMap shop/1, "),
            "{told}"
        );
        assert!(told.ends_with("shop/5 and 2 more"), "{told}");
        assert_eq!(
            Finding::WithoutData(vec!["shop/data".to_owned()]).to_string(),
            "1 claim has no data in it: shop/data"
        );
        assert_eq!(
            Finding::NotReady(vec!["shop/a".to_owned(), "shop/b".to_owned()]).to_string(),
            "2 pods that were ready have not become so again: shop/a, shop/b"
        );
    }

    #[test]
    fn what_pods_could_reach_is_told_by_its_first_word() {
        for (network, word) in
            [(Network::Denied, "denied: "), (Network::Open, "open: "), (Network::Unknown, "unknown: ")]
        {
            assert!(network.in_words().starts_with(word), "{network:?}");
        }
    }
}
