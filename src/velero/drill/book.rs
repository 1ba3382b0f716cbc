//! What is remembered of drills: one ConfigMap of the application, with a record for each application that is backed up.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kube::api::{DynamicObject, TypeMeta};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, ClusterError, named},
    velero::{
        names::{INSTANCE, MANAGED_BY},
        wanted::label_value::{label_value, short_hash},
    },
};

/// The name of the ConfigMap.
const BOOK: &str = "velero-operator-drills";
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

/// What is known of the last drill of an application's backups.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct DrillRecord {
    /// Whose backup it was: application, endpoint, model.
    pub target: [String; 3],
    pub backup: String,
    pub started: Timestamp,
    /// When it ended, and how; nothing as long as it is under way.
    pub ended: Option<(Timestamp, DrillResult)>,
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
    /// Which backup is restored.
    pub backup: String,
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

    /// Returns the record of an application.
    pub(crate) fn record(&self, target: &[String; 3]) -> Option<&DrillRecord> {
        self.records.iter().find(|record| record.target == *target)
    }

    /// Returns the applications of which the last drill has failed.
    pub(crate) fn failed(&self) -> impl Iterator<Item = &DrillRecord> {
        let has_failed = |record: &&DrillRecord| matches!(record.ended, Some((_, DrillResult::Failed)));
        self.records.iter().filter(has_failed)
    }

    /// Whether somebody conducts a drill now.
    pub(crate) fn is_busy(&self, now: Timestamp) -> bool {
        self.under_way.as_ref().is_some_and(|drill| !drill.is_stale(now))
    }

    /// Whether a drill was begun that nobody conducts any more.
    pub(crate) fn is_abandoned(&self, now: Timestamp) -> bool {
        self.under_way.as_ref().is_some_and(|drill| drill.is_stale(now))
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

impl UnderWay {
    fn is_stale(&self, now: Timestamp) -> bool {
        now.duration_since(self.confirmed) > STALE
    }
}

/// Returns the kind of the book.
fn kind() -> TypeMeta {
    TypeMeta { api_version: "v1".to_owned(), kind: "ConfigMap".to_owned() }
}

fn book(cluster: &Cluster) -> DynamicObject {
    let TypeMeta { api_version, kind } = kind();
    cluster.own(named(&api_version, &kind, BOOK))
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
    let labels = [(MANAGED_BY.0, MANAGED_BY.1.into()), (INSTANCE, label_value(application))];
    let labels: BTreeMap<_, _> = labels.into_iter().map(|(key, value)| (key.to_owned(), value.into_owned())).collect();
    object.metadata.labels = Some(labels);
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
