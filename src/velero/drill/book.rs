//! What is remembered of drills: one ConfigMap of the application, with a record for each application that is backed up.

use jiff::{SignedDuration, Timestamp};
use kube::api::{DynamicObject, TypeMeta};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::marks::own_labels;
use crate::{
    cluster::{Cluster, ClusterError, named},
    velero::{
        names::{DRILL_BOOK, INSTANCE},
        wanted::label_value::{label_value, short_hash},
    },
};

/// The key with the drill that is under way.
const UNDER_WAY: &str = "under-way";
/// The key with the schedule that drills are conducted by.
const SCHEDULE: &str = "schedule";
/// How long a drill counts as under way that its conductor has not confirmed.
const STALE: SignedDuration = SignedDuration::from_mins(3);

/// How a drill has ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DrillResult {
    /// What was checked is as it was backed up.
    Good,
    /// Something is not.
    Failed,
    /// It was stopped before that was known: the unit or its observer has ended.
    Stopped,
}

/// What is known of the last drill of an application's backups that is over.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct DrillRecord {
    /// Whose backup it was: application, endpoint, model.
    pub target: [String; 3],
    pub backup: String,
    pub started: Timestamp,
    pub ended: Timestamp,
    pub result: DrillResult,
    /// What was wrong, the most important first.
    pub findings: Vec<String>,
    /// When the last drill ended that was good.
    pub last_good: Option<Timestamp>,
}

/// A drill that is under way.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct UnderWay {
    /// What tells it from others.
    pub id: String,
    /// Who conducts it: a unit.
    pub conductor: String,
    /// When it was last confirmed that somebody does.
    pub confirmed: Timestamp,
    pub started: Timestamp,
    /// Which backup is restored.
    pub backup: String,
    /// Whose backup that is, if it is known.
    #[serde(default)]
    pub target: Option<[String; 3]>,
}

/// Since when drills go by which schedule.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct DrillsSince {
    /// The cron expression.
    pub schedule: String,
    pub since: Timestamp,
}

/// All that is remembered of the drills of an application.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct DrillBook {
    /// The last drill of each application.
    pub records: Vec<DrillRecord>,
    /// Since when there is which schedule, if there is one.
    pub schedule: Option<DrillsSince>,
    pub(super) under_way: Option<UnderWay>,
    /// What the book was when it was read, so that two do not write into it at once.
    pub(super) version: Option<String>,
}

impl DrillBook {
    /// Reads it from its ConfigMap. What another revision of the charm may have written, and this one does not read, is left out.
    pub(crate) fn of(object: &DynamicObject) -> Self {
        let mut book = Self { version: object.metadata.resource_version.clone(), ..Self::default() };
        for (key, text) in object.data["data"].as_object().into_iter().flatten() {
            let text = text.as_str().unwrap_or_default();
            match key.as_str() {
                UNDER_WAY => book.under_way = serde_json::from_str(text).ok(),
                SCHEDULE => book.schedule = serde_json::from_str(text).ok(),
                _ => book.records.extend(serde_json::from_str::<DrillRecord>(text).ok()),
            }
        }
        book.records.sort_by(|one, other| one.target.cmp(&other.target));
        book
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.schedule.is_none() && self.under_way.is_none()
    }

    /// Returns the record of an application.
    pub(crate) fn record(&self, target: &[String; 3]) -> Option<&DrillRecord> {
        self.records.iter().find(|record| record.target == *target)
    }

    /// Returns the record of the application with these labels.
    pub(crate) fn record_of(&self, labels: &[String; 3]) -> Option<&DrillRecord> {
        self.records.iter().find(|record| record.is_of(labels.each_ref().map(String::as_str)))
    }

    /// Returns the applications of which the last drill has failed.
    pub(crate) fn failed(&self) -> impl Iterator<Item = &DrillRecord> {
        self.records.iter().filter(|record| record.result == DrillResult::Failed)
    }

    /// Returns when the last drill of an application ended that was good.
    pub(super) fn last_good(&self, target: Option<&[String; 3]>) -> Option<Timestamp> {
        self.record(target?)?.last_good
    }

    /// Whether somebody conducts a drill now.
    pub(crate) fn is_busy(&self, now: Timestamp) -> bool {
        self.under_way.as_ref().is_some_and(|drill| !drill.is_stale(now))
    }

    /// Whether a drill was begun that nobody conducts any more.
    pub(crate) fn is_abandoned(&self, now: Timestamp) -> bool {
        self.under_way.as_ref().is_some_and(|drill| drill.is_stale(now))
    }

    /// Returns the record of a drill that nobody conducts any more, unless it was over but for the taking away.
    pub(super) fn abandoned(&self) -> Option<DrillRecord> {
        let drill = self.under_way.as_ref()?;
        let record = drill.record(DrillResult::Stopped, Vec::new(), self.last_good(drill.target.as_ref()))?;
        let is_known = self.record(&record.target).is_some_and(|known| known.started == record.started);
        (!is_known).then_some(record)
    }

    /// Reads the book of the namespace; an empty one where there is none.
    pub(crate) async fn read(cluster: &Cluster) -> Result<Self, ClusterError> {
        Ok(cluster.find(&book(cluster)).await?.as_ref().map(Self::of).unwrap_or_default())
    }

    /// Notes since when drills go by which schedule, or that they go by none.
    pub(crate) async fn note_schedule(
        cluster: &Cluster,
        application: &str,
        schedule: Option<&DrillsSince>,
    ) -> Result<(), ClusterError> {
        let entry = schedule.map_or(Value::Null, text);
        write(cluster, application, None, json!({SCHEDULE: entry})).await.map(drop)
    }

    /// Begins a drill under the application's name, unless another one is under way or somebody else has written meanwhile.
    pub(super) async fn begin(
        &self,
        cluster: &Cluster,
        application: &str,
        drill: &UnderWay,
    ) -> Result<(), ClusterError> {
        // Without a version to compare, two might both make it.
        let version = match &self.version {
            Some(version) => version.clone(),
            None => make(cluster, application).await?.version.unwrap_or_default(),
        };
        write(cluster, application, Some(version), json!({UNDER_WAY: text(drill)})).await.map(drop)
    }

    /// Confirms that a drill is under way. Returns whether it still is this one.
    pub(super) async fn confirm(cluster: &Cluster, application: &str, drill: &UnderWay) -> Result<bool, ClusterError> {
        let book = Self::read(cluster).await?;
        if book.under_way.as_ref().is_none_or(|other| other.id != drill.id) {
            return Ok(false);
        }
        write(cluster, application, book.version, json!({UNDER_WAY: text(drill)})).await.map(|_| true)
    }

    /// Writes a record.
    pub(super) async fn note(cluster: &Cluster, application: &str, record: &DrillRecord) -> Result<(), ClusterError> {
        write(cluster, application, None, json!({key(&record.target): text(record)})).await.map(drop)
    }

    /// Deletes the book, if it is the application's.
    pub(super) async fn delete(cluster: &Cluster, application: &str) -> Result<(), ClusterError> {
        let live = cluster.find_metadata(&book(cluster)).await?;
        let instance = live.as_ref().and_then(|live| live.metadata.labels.as_ref()?.get(INSTANCE));
        if instance.is_some_and(|instance| *instance == label_value(application)) {
            cluster.delete(&book(cluster)).await?;
        }
        Ok(())
    }

    /// Ends what is under way.
    pub(super) async fn end(cluster: &Cluster, application: &str) -> Result<(), ClusterError> {
        write(cluster, application, None, json!({UNDER_WAY: Value::Null})).await.map(drop)
    }
}

impl DrillRecord {
    /// Whether it is of an application, of which the texts or the labels are given.
    pub(crate) fn is_of(&self, target: [&str; 3]) -> bool {
        self.target.iter().zip(target).all(|(own, other)| label_value(own) == label_value(other))
    }

    /// Returns what tells the drill from others.
    pub(crate) fn id(&self) -> String {
        format!("{}-{}", key(&self.target), self.started)
    }
}

impl UnderWay {
    /// Returns what is to be remembered of a drill that ends now, if it is known whose it is.
    pub(super) fn record(
        &self,
        result: DrillResult,
        findings: Vec<String>,
        last_good: Option<Timestamp>,
    ) -> Option<DrillRecord> {
        let ended = Timestamp::now();
        Some(DrillRecord {
            target: self.target.clone()?,
            backup: self.backup.clone(),
            started: self.started,
            ended,
            result,
            findings,
            last_good: if result == DrillResult::Good { Some(ended) } else { last_good },
        })
    }

    fn is_stale(&self, now: Timestamp) -> bool {
        now.duration_since(self.confirmed) > STALE
    }
}

/// Returns the kind of the book, and of the rules of a drill.
pub(super) fn kind() -> TypeMeta {
    TypeMeta { api_version: "v1".to_owned(), kind: "ConfigMap".to_owned() }
}

fn book(cluster: &Cluster) -> DynamicObject {
    let TypeMeta { api_version, kind } = kind();
    cluster.own(named(&api_version, &kind, DRILL_BOOK))
}

/// Returns the key of an application's record.
fn key(target: &[String; 3]) -> String {
    short_hash(&[&target[0], &target[1], &target[2]])
}

fn text(value: &impl Serialize) -> Value {
    Value::String(serde_json::to_string(value).unwrap_or_default())
}

/// Makes the book where there is none. Of what is in it, nothing changes.
async fn make(cluster: &Cluster, application: &str) -> Result<DrillBook, ClusterError> {
    let mut object = book(cluster);
    object.metadata.labels = Some(own_labels(application, None));
    Ok(DrillBook::of(&cluster.apply(&object).await?))
}

/// Changes entries of the book; `null` removes one. With a version, only if it is still of that one.
async fn write(
    cluster: &Cluster,
    application: &str,
    version: Option<String>,
    entries: Value,
) -> Result<DynamicObject, ClusterError> {
    let patch = json!({"metadata": {"resourceVersion": version}, "data": entries});
    match cluster.merge(&book(cluster), &patch).await {
        Err(error) if error.is_not_found() && version.is_none() => {
            make(cluster, application).await?;
            cluster.merge(&book(cluster), &patch).await
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn target(application: &str) -> [String; 3] {
        [application, "backups", "apps"].map(str::to_owned)
    }

    fn drill() -> UnderWay {
        let started = at("2026-01-31T10:00:00Z");
        let (id, conductor, backup) = ("0a".to_owned(), "velero-operator/0".to_owned(), "nightly".to_owned());
        UnderWay { id, conductor, confirmed: started, started, backup, target: Some(target("ledger")) }
    }

    fn book(entries: &Value) -> DrillBook {
        DrillBook::of(&serde_json::from_value(json!({"metadata": {"name": DRILL_BOOK}, "data": entries})).unwrap())
    }

    #[test]
    fn what_is_written_is_read_and_what_is_not_known_is_left_out() {
        let since = DrillsSince { schedule: "@daily".to_owned(), since: at("2026-01-31T09:00:00Z") };
        let record = drill().record(DrillResult::Good, Vec::new(), None).unwrap();
        assert_eq!(record.last_good, Some(record.ended));
        let read = book(&json!({SCHEDULE: text(&since), UNDER_WAY: text(&drill()), key(&record.target): text(&record),
            "other": "{}"}));
        let expected =
            DrillBook { records: vec![record], schedule: Some(since), under_way: Some(drill()), version: None };
        assert_eq!(read, expected);
        assert_eq!(read.record(&target("mail")), None);
    }

    #[test]
    fn a_drill_that_nobody_confirms_is_abandoned_and_was_stopped() {
        let mut book = DrillBook { under_way: Some(drill()), ..DrillBook::default() };
        let (soon, late) = (at("2026-01-31T10:03:00Z"), at("2026-01-31T10:03:01Z"));
        assert!(book.is_busy(soon) && !book.is_abandoned(soon));
        assert!(!book.is_busy(late) && book.is_abandoned(late));
        let mut before = drill().record(DrillResult::Good, Vec::new(), None).unwrap();
        before.started = at("2026-01-30T10:00:00Z");
        book.records.push(before.clone());
        let stopped = book.abandoned().unwrap();
        assert_eq!((stopped.result, stopped.last_good), (DrillResult::Stopped, before.last_good));
        // Only what it had made was left.
        book.records[0].started = drill().started;
        assert_eq!(book.abandoned(), None);
    }

    #[test]
    fn only_the_last_drill_of_an_application_counts_as_failed() {
        let failed = drill().record(DrillResult::Failed, vec!["1 object did not come back".to_owned()], None).unwrap();
        let mut good = drill().record(DrillResult::Good, Vec::new(), None).unwrap();
        good.target = target("mail");
        let book = DrillBook { records: vec![failed.clone(), good], ..DrillBook::default() };
        assert_eq!(book.failed().collect::<Vec<_>>(), [&failed]);
    }

    #[test]
    fn a_book_is_empty_only_without_all_that_may_be_in_it() {
        let since = DrillsSince { schedule: "@daily".to_owned(), since: at("2026-01-31T09:00:00Z") };
        let record = drill().record(DrillResult::Good, Vec::new(), None).unwrap();
        assert!(DrillBook { version: Some("1".to_owned()), ..DrillBook::default() }.is_empty());
        for book in [
            DrillBook { records: vec![record], ..DrillBook::default() },
            DrillBook { schedule: Some(since), ..DrillBook::default() },
            DrillBook { under_way: Some(drill()), ..DrillBook::default() },
        ] {
            assert!(!book.is_empty(), "{book:?}");
        }
    }

    #[tokio::test]
    async fn what_is_noted_of_a_drill_is_read_again_until_it_ends() {
        let cluster = crate::cluster::test_api::TestApi::new().cluster("velero");
        let read = async || DrillBook::read(&cluster).await.unwrap();
        let drill = drill();
        read().await.begin(&cluster, "ours", &drill).await.unwrap();
        assert_eq!(read().await.under_way, Some(drill.clone()));
        let later = UnderWay { confirmed: at("2026-01-31T10:01:00Z"), ..drill.clone() };
        assert!(DrillBook::confirm(&cluster, "ours", &later).await.unwrap());
        assert_eq!(read().await.under_way, Some(later.clone()));
        // Somebody else's was begun since.
        let another = UnderWay { id: "0b".to_owned(), ..later };
        assert!(!DrillBook::confirm(&cluster, "ours", &another).await.unwrap());
        let record = drill.record(DrillResult::Good, Vec::new(), None).unwrap();
        DrillBook::note(&cluster, "ours", &record).await.unwrap();
        DrillBook::end(&cluster, "ours").await.unwrap();
        let ended = read().await;
        assert_eq!((ended.records, ended.under_way), (vec![record], None));
        DrillBook::delete(&cluster, "another").await.unwrap();
        assert!(!read().await.is_empty());
        DrillBook::delete(&cluster, "ours").await.unwrap();
        assert!(read().await.is_empty());
    }
}
