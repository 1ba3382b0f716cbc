//! Watching a backup or a restore until it has ended, however long that takes.

use std::time::Duration;

use futures::{StreamExt, pin_mut};
use kube::{
    api::DynamicObject,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watch_object, watcher},
    },
};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{
    run::{Run, RunKind},
    volumes::Volumes,
};
use crate::cluster::{Cluster, ClusterError, named};

/// How often it is told how far a run is though nothing has changed.
const TICK: Duration = Duration::from_secs(1);

/// Takes what is seen of a run, with each change and each second.
pub(crate) trait Audience {
    fn sees(&mut self, run: &Run, volumes: &Volumes) -> impl Future<Output = ()>;
}

/// How the watching ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ended {
    /// Velero has ended it.
    Run(Box<Run>, Volumes),
    /// Somebody has deleted it.
    Gone,
}

/// Watches a run until it has ended or is gone. A connection that is lost is made again.
///
/// # Errors
///
/// When it may not be watched any more.
pub(crate) async fn follow(
    cluster: &Cluster,
    kind: RunKind,
    name: &str,
    uid: &str,
    audience: &mut impl Audience,
) -> Result<Ended, ClusterError> {
    let runs = watch_object(cluster.here(&kind.kind()), name).default_backoff();
    let of_run = watcher::Config::default().labels(&kind.belongings(uid));
    let changes = watcher(cluster.here(&kind.of_volumes()), of_run).default_backoff();
    pin_mut!(runs, changes);
    let mut ticks = interval_at(Instant::now() + TICK, TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut run, mut volumes) = (Run::default(), Volumes::default());
    loop {
        tokio::select! {
            seen = runs.next() => match seen {
                Some(Ok(Some(object))) if object.metadata.uid.as_deref().is_none_or(|seen| seen == uid) => {
                    run = Run::of(&object);
                    if run.has_ended() {
                        break;
                    }
                }
                // Another one of its name is not it. The watch itself goes on for ever.
                Some(Ok(_)) | None => return Ok(Ended::Gone),
                Some(Err(error)) => {
                    tracing::debug!("the watch of {} {name} was interrupted: {error}", kind.word());
                    may_go_on(cluster, kind, name).await?;
                }
            },
            Some(change) = changes.next() => match change {
                Ok(change) => put(&mut volumes, &change),
                Err(error) => tracing::debug!("the watch of volumes was interrupted: {error}"),
            },
            _ = ticks.tick() => {}
        }
        audience.sees(&run, &volumes).await;
    }
    // The last of them may not have been told yet.
    let listed = cluster.list(&cluster.here(&kind.of_volumes()), "the volumes", &kind.belongings(uid)).await?;
    Ok(Ended::Run(Box::new(run), listed.iter().collect()))
}

fn put(volumes: &mut Volumes, change: &Event<DynamicObject>) {
    match change {
        Event::Apply(object) | Event::InitApply(object) => volumes.put(object),
        Event::Delete(object) => volumes.remove(object),
        Event::Init => *volumes = Volumes::default(),
        Event::InitDone => {}
    }
}

/// Fails where the server refuses to be asked. One that does not answer is asked again for as long as it takes.
async fn may_go_on(cluster: &Cluster, kind: RunKind, name: &str) -> Result<(), ClusterError> {
    let types = kind.kind();
    let object = cluster.own(named(&types.api_version, &types.kind, name));
    match cluster.find_metadata(&object).await {
        Err(error) if error.is_refusal() => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::time::timeout;

    use super::*;
    use crate::{
        cluster::test_api::{TestApi, Verb},
        velero::phase::Phase,
    };

    const UID: &str = "0a1b";

    fn backup(uid: &str, status: &Value) -> Value {
        json!({"apiVersion": "velero.io/v1", "kind": "Backup",
            "metadata": {"name": "nightly", "namespace": "velero", "uid": uid}, "status": status})
    }

    fn volume(name: &str, uid: &str, phase: &str) -> Value {
        json!({"apiVersion": "velero.io/v1", "kind": "PodVolumeBackup",
            "metadata": {"name": name, "namespace": "velero", "labels": {"velero.io/backup-uid": uid}},
            "status": {"phase": phase, "progress": {"totalBytes": 10, "bytesDone": 4}}})
    }

    fn api() -> TestApi {
        let api = TestApi::new();
        api.define("v1", "Backup");
        api.define("v1", "PodVolumeBackup");
        api
    }

    /// Does something to the cluster with each new thing that is seen.
    struct Script<'a> {
        api: &'a TestApi,
        steps: Vec<Value>,
        seen: Vec<(Phase, u64)>,
    }

    impl Audience for Script<'_> {
        async fn sees(&mut self, run: &Run, volumes: &Volumes) {
            let now = (run.status.phase.clone(), volumes.bytes().0);
            if self.seen.last() != Some(&now) {
                self.seen.push(now);
                if !self.steps.is_empty() {
                    self.api.put(&self.steps.remove(0));
                }
            }
        }
    }

    async fn follow_in(api: &TestApi, steps: Vec<Value>) -> (Result<Ended, ClusterError>, Vec<(Phase, u64)>) {
        let mut script = Script { api, steps, seen: Vec::new() };
        let cluster = api.cluster("velero");
        let following = follow(&cluster, RunKind::Backup, "nightly", UID, &mut script);
        let ended = timeout(Duration::from_mins(1), following).await.unwrap();
        (ended, script.seen)
    }

    #[tokio::test]
    async fn it_is_watched_with_its_volumes_until_it_has_ended() {
        let api = api();
        api.put(&backup(UID, &json!({"phase": "InProgress"})));
        api.put(&volume("of-another", "0a1c", "Completed"));
        let steps = vec![
            volume("a", UID, "InProgress"),
            backup(UID, &json!({"phase": "Finalizing"})),
            backup(UID, &json!({"phase": "Completed"})),
        ];
        let (ended, seen) = follow_in(&api, steps).await;
        let Ended::Run(run, volumes) = ended.unwrap() else { panic!("it has ended") };
        assert_eq!((run.status.phase, volumes.count()), (Phase::Completed, 1));
        assert!(seen.contains(&(Phase::Finalizing, 4)), "{seen:?}");
    }

    #[test]
    fn a_volume_that_goes_counts_no_more() {
        let volume = |name: &str| serde_json::from_value::<DynamicObject>(volume(name, UID, "InProgress")).unwrap();
        let mut seen = Volumes::default();
        put(&mut seen, &Event::Apply(volume("a")));
        put(&mut seen, &Event::InitApply(volume("b")));
        put(&mut seen, &Event::InitDone);
        assert_eq!(seen.count(), 2);
        put(&mut seen, &Event::Delete(volume("a")));
        assert_eq!(seen.count(), 1);
        put(&mut seen, &Event::Init);
        assert_eq!(seen.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_has_too_much_to_do_may_be_asked_again() {
        let api = api();
        let cluster = api.cluster("velero");
        api.refuse(|_| Some(http::StatusCode::INTERNAL_SERVER_ERROR));
        assert!(may_go_on(&cluster, RunKind::Backup, "nightly").await.is_ok());
        api.refuse_nothing();
        api.refuse(|_| Some(http::StatusCode::FORBIDDEN));
        assert!(may_go_on(&cluster, RunKind::Backup, "nightly").await.is_err());
    }

    #[tokio::test]
    async fn one_that_is_gone_or_another_of_its_name_is_not_waited_for() {
        let (ended, _) = follow_in(&api(), Vec::new()).await;
        assert_eq!(ended.unwrap(), Ended::Gone);
        let another = api();
        another.put(&backup("0a1c", &json!({"phase": "InProgress"})));
        assert_eq!(follow_in(&another, Vec::new()).await.0.unwrap(), Ended::Gone);
    }

    #[tokio::test]
    async fn lost_rights_end_the_waiting() {
        let api = api();
        api.put(&backup(UID, &json!({"phase": "InProgress"})));
        api.refuse(|call| (call.verb != Verb::Watch).then_some(http::StatusCode::FORBIDDEN));
        assert!(follow_in(&api, Vec::new()).await.0.unwrap_err().is_forbidden());
    }
}
