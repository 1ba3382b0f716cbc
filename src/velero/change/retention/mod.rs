//! Retention: which of the backups of the application's Schedules go, and asking Velero to delete them.
//!
//! Velero deletes a backup by a `DeleteBackupRequest`, object, store and restores of it alike. What was asked for already, and what it
//! could not do, is not asked for again until it has forgotten that.

mod census;
mod requests;

use futures::{TryStreamExt, stream};
use jiff::Timestamp;

use self::{
    census::{Census, Counted},
    requests::{Asked, Reading, Requests, request},
};
use crate::{
    backups::{Retention, Verdict, judge},
    cluster::{Cluster, ClusterError, named},
    velero::{location::usable, names::LOCATION, phase::Phase},
};

/// How many deletions are asked for at a time, and how many are waited for: Velero makes one after the other.
const AT_ONCE: usize = 8;
const MOST: usize = 50;

/// What is to become of the backups of an application's Schedules.
#[derive(Debug, Default)]
pub(crate) struct RetentionReview {
    /// Those of one target after the other, the newest first.
    pub backups: Vec<ReviewedBackup>,
    /// How many others there are that a charm of this kind has made by a Schedule: of another application, or in another cluster.
    pub others: usize,
    /// Why nothing can be deleted now.
    pub obstacle: Option<String>,
}

/// What is to become of a backup.
#[derive(Clone, Debug)]
pub(crate) struct ReviewedBackup {
    pub uid: String,
    pub name: String,
    pub application: String,
    pub endpoint: String,
    pub model: String,
    pub phase: Phase,
    pub started: Timestamp,
    pub verdict: Verdict,
    /// What has become of a request to delete it.
    asked: Option<Asked>,
}

/// What a hook has done about it.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct RetentionApplied {
    /// Whether more is to be deleted than one hook asks for.
    pub is_partial: bool,
    /// The backups that Velero could not delete, with its own words.
    pub failed: Vec<(String, String)>,
}

impl ReviewedBackup {
    fn of(target: &[String; 3], backup: Counted, verdict: Verdict, asked: Option<Asked>) -> Self {
        let [application, endpoint, model] = target.clone();
        let Counted { uid, phase, past, .. } = backup;
        Self { uid, name: past.name, application, endpoint, model, phase, started: past.at, verdict, asked }
    }

    #[cfg(test)]
    pub(crate) fn new(name: &str, application: &str, phase: Phase, started: Timestamp, verdict: Verdict) -> Self {
        let name = name.to_owned();
        let [application, endpoint, model] = [application, "backups", "apps"].map(str::to_owned);
        Self { uid: name.clone(), name, application, endpoint, model, phase, started, verdict, asked: None }
    }

    /// Why Velero could not delete it, if it has tried.
    pub(crate) fn failure(&self) -> Option<&str> {
        match &self.asked {
            Some(Asked::Failed { why }) => Some(why),
            Some(Asked::Pending) | None => None,
        }
    }
}

/// Decides what is to become of the backups of an application's Schedules; nothing is changed.
pub(crate) async fn review(
    cluster: &Cluster,
    application: &str,
    retention: &Retention,
) -> Result<RetentionReview, ClusterError> {
    // What is asked for while the backups are read is not seen as being deleted, and unasked for.
    let requests = Requests::read(cluster).await?;
    let mut census = Census::take(cluster, application).await?;
    let reading = Reading::read(cluster).await?;
    let now = Timestamp::now();
    let mut review = RetentionReview { backups: Vec::new(), others: census.others, obstacle: obstacle(cluster).await? };
    for (target, counted) in &mut census.of_targets {
        counted.sort_by(|one, other| (other.past.at, &other.past.name).cmp(&(one.past.at, &one.past.name)));
        for backup in counted.iter_mut() {
            backup.past.is_read = reading.has(backup);
        }
        let past: Vec<_> = counted.iter().map(|backup| backup.past.clone()).collect();
        for (backup, verdict) in counted.drain(..).zip(judge(retention, &past, now)) {
            let asked = requests.of(&backup).cloned();
            review.backups.push(ReviewedBackup::of(target, backup, verdict, asked));
        }
    }
    Ok(review)
}

/// Returns why nothing can be deleted in the store now.
async fn obstacle(cluster: &Cluster) -> Result<Option<String>, ClusterError> {
    let location = cluster.find(&cluster.own(named("velero.io/v1", "BackupStorageLocation", LOCATION))).await?;
    if let Some(trouble) = usable::trouble(location.as_ref(), LOCATION, cluster.namespace()) {
        return Ok(Some(trouble.to_string()));
    }
    let mode = location.as_ref().and_then(|location| location.data["spec"]["accessMode"].as_str());
    Ok((mode == Some("ReadOnly")).then(|| "the storage is read-only".to_owned()))
}

/// Asks Velero to delete what goes.
pub(crate) async fn apply(
    cluster: &Cluster,
    application: &str,
    retention: &Retention,
) -> Result<RetentionApplied, ClusterError> {
    let review = review(cluster, application, retention).await?;
    let failed = |backup: &ReviewedBackup| Some((backup.name.clone(), backup.failure()?.to_owned()));
    let goes = || review.backups.iter().filter(|backup| backup.verdict.goes());
    let mut applied = RetentionApplied { is_partial: false, failed: goes().filter_map(failed).collect() };
    for (name, why) in &applied.failed {
        tracing::warn!("Velero could not delete backup {name}, and is asked again when it has forgotten that: {why}");
    }
    if let Some(obstacle) = &review.obstacle {
        tracing::info!("no backup is deleted now: {obstacle}");
        return Ok(applied);
    }
    // A server that is slow is not given more and more to do: changes of it wait for what it has begun.
    let room = MOST.saturating_sub(goes().filter(|backup| backup.asked == Some(Asked::Pending)).count());
    let due: Vec<_> = goes().filter(|backup| backup.asked.is_none()).collect();
    applied.is_partial = due.len() > room;
    let requests = stream::iter(due.into_iter().take(room).map(Ok));
    requests
        .try_for_each_concurrent(AT_ONCE, |backup: &ReviewedBackup| async move {
            let ReviewedBackup { name, uid, application, endpoint, model, verdict, .. } = backup;
            cluster.apply(&request(cluster.namespace(), name, uid)).await?;
            tracing::info!(
                "asked Velero to delete backup {name} of {application}:{endpoint} of model {model}: {verdict} of retention {retention}"
            );
            Ok(())
        })
        .await?;
    Ok(applied)
}

#[cfg(test)]
mod tests;
