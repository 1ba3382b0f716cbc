use std::cell::{Cell, RefCell};

use futures::{FutureExt, stream};
use http::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::{
    cluster::test_api::{Call, TestApi, Verb},
    velero::seen::expected::ExpectedManifest,
};

fn watches(of_each: Vec<Vec<Change>>) -> Watches {
    let mut watches = Watches::default();
    for changes in of_each {
        // Watches go on for ever.
        watches.changes.push(stream::iter(changes).chain(stream::pending()).boxed());
    }
    watches
}

#[test]
fn a_watch_that_begins_anew_does_not_stand_for_another_that_has_not_begun() {
    let twice = vec![Change::Begun(0), Change::Other, Change::Begun(0), Change::Other];
    assert_eq!(watches(vec![twice.clone(), Vec::new()]).whole().now_or_never(), None);
    assert_eq!(watches(vec![twice, vec![Change::Begun(1)]]).whole().now_or_never(), Some(Some(())));
}

#[test]
fn each_change_is_told_once_the_picture_is_whole() {
    let mut watches = watches(vec![vec![Change::Begun(0), Change::Other]]);
    assert_eq!(watches.whole().now_or_never(), Some(Some(())));
    assert_eq!(watches.whole().now_or_never(), Some(Some(())));
    assert_eq!(watches.whole().now_or_never(), None);
}

const PATIENCE: Duration = Duration::from_mins(1);

fn expected() -> Expected {
    Expected { server: ExpectedManifest::Any, node_agent: None, location: true }
}

fn deployment(replicas: u8) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": SERVER, "namespace": "velero"},
        "spec": {"selector": {}, "template": {}}, "status": {"readyReplicas": replicas}})
}

fn cluster_with_server() -> TestApi {
    let api = TestApi::new();
    api.define("v1", "BackupStorageLocation");
    api.put(&deployment(0));
    api
}

fn is_ready(observed: &Observed) -> bool {
    let status = observed.server.as_ref().and_then(|server| server.status.as_ref());
    status.and_then(|status| status.ready_replicas) == Some(1)
}

fn unsettled() -> Vec<Trouble> {
    vec![Trouble::NotValidated { silent_from: None }]
}

/// Waits with a judge that is settled when the server is ready, and makes it ready by `help` when it is asked first. Returns whether
/// it was ready in the end, how often it was judged, and how long that took.
async fn wait(api: &TestApi, help: impl Fn()) -> (bool, usize, Duration) {
    let (begun, judgements) = (Instant::now(), Cell::new(0));
    let judge = |_: &Expected, observed: &Observed| {
        judgements.set(judgements.get() + 1);
        if judgements.get() == 1 {
            help();
        }
        if is_ready(observed) { Vec::new() } else { unsettled() }
    };
    let observed = until(&api.cluster("velero"), &expected(), begun + PATIENCE, judge).await.unwrap();
    (is_ready(&observed), judgements.get(), begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn the_wait_ends_with_the_first_settled_judgement_and_asks_for_nothing_more() {
    let api = cluster_with_server();
    let (ready, judgements, took) = wait(&api, || api.put(&deployment(1))).await;
    assert!(ready && judgements == 2 && took < Duration::from_secs(1), "{judgements} judgements in {took:?}");
    assert!(!api.requests().iter().any(|request| request.contains("/deployments/velero")));
}

#[tokio::test(start_paused = true)]
async fn of_a_node_agent_that_does_not_run_everywhere_the_watches_tell_what_reading_tells() {
    let api = cluster_with_server();
    let labelled = json!([{"manager": "velero-operator", "operation": "Apply", "time": "2026-01-31T10:20:30Z",
        "fieldsV1": {"f:metadata": {"f:labels": {"f:pod-security.kubernetes.io/enforce": {}}}}}]);
    let status = |ready: u8| {
        json!({"observedGeneration": 9, "desiredNumberScheduled": 2, "currentNumberScheduled": 2, "updatedNumberScheduled": 2,
            "numberAvailable": ready, "numberReady": ready, "numberMisscheduled": 0})
    };
    let agent = |ready: u8| {
        json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": NODE_AGENT, "namespace": "velero"},
            "spec": {"selector": {}, "template": {}}, "status": status(ready)})
    };
    api.put_all(&[
        agent(1),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "velero", "managedFields": labelled,
            "labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}),
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "refused", "namespace": "velero"},
            "reason": "FailedCreate", "involvedObject": {"kind": "DaemonSet", "name": NODE_AGENT}}),
    ]);
    let expected = Expected { node_agent: Some(ExpectedManifest::Any), ..expected() };
    let cluster = api.cluster("velero");
    let read = observed::read(&cluster, &expected).await.unwrap();
    assert_eq!(read.refusals.len(), 1);
    assert!(read.labelled_since.is_some());
    let watched = stream(&cluster, &expected).boxed().next().await.unwrap();
    assert_eq!((&watched.refusals, watched.labelled_since), (&read.refusals, read.labelled_since));
    // Where it runs on every node, nobody asks why it does not.
    api.put(&agent(2));
    assert_eq!(observed::read(&cluster, &expected).await.unwrap().refusals, []);
}

#[tokio::test(start_paused = true)]
async fn what_waiting_does_not_mend_ends_the_wait_too() {
    let api = cluster_with_server();
    let begun = Instant::now();
    let judge = |_: &Expected, _: &Observed| vec![Trouble::StorageUnusable { message: String::new() }];
    until(&api.cluster("velero"), &expected(), begun + PATIENCE, judge).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_the_wait_ends_and_the_cluster_itself_is_asked() {
    let api = cluster_with_server();
    let (ready, judgements, took) = wait(&api, || ()).await;
    assert!(!ready && judgements == 1, "{judgements} judgements");
    assert!(took >= PATIENCE && took < PATIENCE + Duration::from_secs(1), "{took:?}");
    assert!(api.requests().iter().any(|request| request.contains("/deployments/velero")));
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_watched_is_read_again_and_again() {
    let refuses = |call: &Call| call.verb == Verb::List && call.key.plural == "deployments";
    let api = cluster_with_server();
    api.refuse(move |call| refuses(call).then_some(StatusCode::FORBIDDEN));
    let (ready, judgements, took) = wait(&api, || api.put(&deployment(1))).await;
    assert!(ready && judgements == 2 && took < Duration::from_secs(2), "{judgements} judgements in {took:?}");

    let api = cluster_with_server();
    api.refuse(move |call| refuses(call).then_some(StatusCode::FORBIDDEN));
    let (ready, _, took) = wait(&api, || ()).await;
    assert!(!ready && took >= PATIENCE && took < PATIENCE + Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_judgement_that_changes_with_time_is_made_again_then() {
    let api = cluster_with_server();
    let (begun, judged) = (Instant::now(), RefCell::new(Vec::new()));
    let judge = |_: &Expected, observed: &Observed| {
        judged.borrow_mut().push(begun.elapsed().as_secs());
        if judged.borrow().len() > 1 {
            return Vec::new();
        }
        vec![Trouble::NotValidated { silent_from: Some(observed.at + Duration::from_secs(20)) }]
    };
    until(&api.cluster("velero"), &expected(), begun + PATIENCE, judge).await.unwrap();
    assert_eq!(judged.into_inner(), [0, 20]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_interrupted_begins_anew_and_sees_what_it_missed() {
    let api = cluster_with_server();
    let interrupted = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        api.expire_watches();
        api.put(&deployment(1));
    };
    let ((ready, _, took), ()) = futures::join!(wait(&api, || ()), interrupted);
    assert!(ready && took < PATIENCE, "{took:?}");
    let lists = |request: &&String| request.contains("/deployments?") && !request.contains("watch=true");
    assert_eq!(api.requests().iter().filter(lists).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn watches_that_begin_again_and_again_do_not_stand_for_one_that_never_began() {
    let api = cluster_with_server();
    let is_watchers = |text: &str| text.contains("limit=");
    api.refuse(move |call| {
        let is_it = call.verb == Verb::List && call.key.plural == "pods" && is_watchers(&call.text);
        is_it.then_some(StatusCode::INTERNAL_SERVER_ERROR)
    });
    let interrupted = async {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(5)).await;
            api.expire_watches();
        }
    };
    let ((ready, judgements, took), ()) = futures::join!(wait(&api, || ()), interrupted);
    assert!(!ready && judgements == 0, "{judgements} judgements of a part");
    assert!(took >= PATIENCE && took < PATIENCE + Duration::from_secs(1), "{took:?}");
    let begun = |request: &&String| request.contains("/deployments?") && !request.contains("watch=true");
    assert!(api.requests().iter().filter(begun).count() > 2);
}

#[test]
fn what_has_turned_already_is_not_waited_for() {
    let now = Timestamp::now();
    let at = |seconds: i64| Trouble::NotValidated { silent_from: Some(now + jiff::SignedDuration::from_secs(seconds)) };
    assert_eq!(next_turn(&[at(-1), at(0)], now), None);
    assert_eq!(next_turn(&[at(0), at(20), at(10)], now), Some(Duration::from_secs(10)));
}

#[test]
fn a_refusal_ends_only_watches_that_are_to_end_by_one() {
    let refused = || watches(vec![vec![Change::Refused, Change::Begun(0)]]);
    assert_eq!(refused().whole().now_or_never(), Some(Some(())));
    let mut ending = refused();
    ending.end_when_refused = true;
    assert_eq!(ending.whole().now_or_never(), Some(None));
}
