//! What came of trying the store of a location by use, noted on the location: one test is enough for a place and its credentials.

use kube::{ResourceExt, api::DynamicObject};
use serde_json::json;

use crate::{
    cluster::{Cluster, ClusterError, found, named},
    velero::{
        names::LOCATION,
        seen::freshness::{self, Freshness},
    },
};

/// The annotation with what a location was tested for, and what came of it.
const TESTED_ANNOTATION: &str = "velero-operator/tested-for";

/// What is known of a store by use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TestOutcome {
    /// Backups can be written and deleted.
    Works,
    /// They can be written, and nothing can be deleted.
    Keeps,
    /// The store was not reached from the charm.
    Untried,
}

/// A location that Velero can list, with what is known of it by use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Tested {
    tested_for: String,
    /// What was noted for the place and the credentials that it has now.
    pub outcome: Option<TestOutcome>,
}

impl TestOutcome {
    const ALL: [Self; 3] = [Self::Works, Self::Keeps, Self::Untried];

    fn word(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Keeps => "keeps",
            Self::Untried => "untried",
        }
    }
}

impl Tested {
    /// Reads it from a location; `None` if that is not for backups, or if Velero has not found it available since its last change.
    pub(crate) fn of(location: &DynamicObject) -> Option<Self> {
        let is_current = Freshness::of(location) == Freshness::Current;
        let is_writable = location.data["spec"]["accessMode"] != "ReadOnly";
        let is_available = freshness::phase(location) == Some("Available");
        let tested_for = freshness::validated_for(location).filter(|_| is_current && is_writable && is_available)?;
        let noted = location.annotations().get(TESTED_ANNOTATION).and_then(|note| note.split_once(' '));
        let word = noted.filter(|(noted_for, _)| *noted_for == tested_for).map(|(_, word)| word);
        let outcome = TestOutcome::ALL.into_iter().find(|outcome| Some(outcome.word()) == word);
        Some(Self { tested_for: tested_for.to_owned(), outcome })
    }

    /// Notes what has come of a test. Returns whether the location is still there: another one is tested anew.
    pub(crate) async fn note(&self, cluster: &Cluster, outcome: TestOutcome) -> Result<bool, ClusterError> {
        let location = cluster.own(named("velero.io/v1", "BackupStorageLocation", LOCATION));
        let note = format!("{} {}", self.tested_for, outcome.word());
        let noted = cluster.merge(&location, &json!({"metadata": {"annotations": {TESTED_ANNOTATION: note}}})).await;
        Ok(found(noted)?.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::test_api::TestApi;

    fn location(note: &str, phase: &str) -> DynamicObject {
        let mut location = freshness::confirmed(&named("velero.io/v1", "BackupStorageLocation", LOCATION), "0a1b");
        location.data = json!({"spec": {"provider": "aws"},
            "status": {"phase": phase, "lastValidationTime": "2026-01-31T10:20:30Z"}});
        location.annotations_mut().insert(TESTED_ANNOTATION.to_owned(), note.to_owned());
        location
    }

    fn outcome(note: &str) -> Option<TestOutcome> {
        Tested::of(&location(note, "Available")).unwrap().outcome
    }

    #[test]
    fn what_was_noted_counts_for_that_place_and_those_credentials_alone() {
        assert_eq!(outcome("0a1b works"), Some(TestOutcome::Works));
        assert_eq!(outcome("0a1b keeps"), Some(TestOutcome::Keeps));
        for stale in ["", "0a1b", "0a1c works", "0a1b of-the-future"] {
            assert_eq!(outcome(stale), None, "{stale}");
        }
    }

    #[test]
    fn nothing_is_tried_where_velero_cannot_write_or_has_not_looked() {
        assert_eq!(Tested::of(&location("", "Unavailable")), None);
        let mut read_only = location("", "Available");
        read_only.data["spec"]["accessMode"] = json!("ReadOnly");
        assert_eq!(Tested::of(&read_only), None);
        let doubted = freshness::unconfirmed(&location("", "Available"), "0a1b");
        assert_eq!(Tested::of(&doubted), None);
        let mut unknown = location("", "Available");
        unknown.annotations_mut().clear();
        assert_eq!(Tested::of(&unknown), None);
    }

    #[tokio::test]
    async fn what_is_noted_is_read_again() {
        let api = TestApi::new();
        api.define("v1", "BackupStorageLocation");
        let mut made = json!(location("", "Available"));
        made["metadata"]["namespace"] = json!("velero");
        api.put_all(&[made]);
        let cluster = api.cluster("velero");
        for wanted in TestOutcome::ALL {
            assert!(Tested::of(&location("", "Available")).unwrap().note(&cluster, wanted).await.unwrap());
            let key = cluster.own(named("velero.io/v1", "BackupStorageLocation", LOCATION));
            let live = cluster.find(&key).await.unwrap().unwrap();
            assert_eq!(Tested::of(&live).unwrap().outcome, Some(wanted));
        }
        let empty = TestApi::new();
        empty.define("v1", "BackupStorageLocation");
        let gone = Tested::of(&location("", "Available")).unwrap();
        assert!(!gone.note(&empty.cluster("velero"), TestOutcome::Works).await.unwrap());
    }
}
