use serde_json::{Value, json};

use super::*;
use crate::cluster::test_api::TestApi;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn run(kind: &str, name: &str, status: &Value) -> Value {
    json!({"apiVersion": "velero.io/v1", "kind": kind, "metadata": {"name": name, "namespace": "velero"}, "spec": {},
        "status": status})
}

fn of(word: &str, status: &Value) -> Option<Operation> {
    serde_json::from_value::<Run>(run("Any", "nightly", status)).unwrap().operation(word)
}

fn server(started: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "velero-1", "namespace": "velero",
        "labels": {"deploy": "velero"}}, "status": {"containerStatuses": [{"name": "velero", "image": "", "imageID": "",
        "ready": true, "restartCount": 0, "state": {"running": {"startedAt": started}}}]}})
}

/// A cluster whose server runs since the start of an hour that is not over, and that time.
fn cluster_with(objects: &[Value]) -> TestApi {
    let api = TestApi::new();
    for kind in ["Backup", "Restore", "DeleteBackupRequest"] {
        api.define("v1", kind);
    }
    api.put_all(objects);
    api
}

fn ago(time: SignedDuration) -> String {
    (Timestamp::now() - time).to_string()
}

async fn in_progress(objects: &[Value]) -> Vec<String> {
    let operations = operations_in_progress(&cluster_with(objects).cluster("velero")).await.unwrap();
    operations.into_iter().map(|operation| operation.name).collect()
}

#[test]
fn what_is_done_or_not_begun_needs_nothing() {
    for phase in ["", "New", "Queued", "ReadyToStart", "Completed", "Failed", "PartiallyFailed", "FailedValidation"] {
        assert_eq!(of("backup", &json!({"phase": phase})), None, "{phase}");
    }
    assert_eq!(of("backup", &json!({})), None);
}

#[test]
fn another_server_goes_on_with_the_last_part_of_a_backup_but_not_of_a_restore() {
    let nightly = of("backup", &json!({"phase": "InProgress"})).unwrap();
    assert_eq!((nightly.name.as_str(), nightly.needs_this_server), ("backup nightly", true));
    for (word, phase, needs_this_server) in [
        ("backup", "WaitingForPluginOperations", false),
        ("backup", "Finalizing", false),
        ("restore", "InProgress", true),
        ("restore", "WaitingForPluginOperationsPartiallyFailed", false),
        ("restore", "FinalizingPartiallyFailed", true),
    ] {
        let operation = of(word, &json!({"phase": phase})).unwrap();
        assert_eq!(operation.needs_this_server, needs_this_server, "{word} {phase}");
    }
}

#[tokio::test]
async fn a_backup_that_began_before_its_server_is_not_in_progress() {
    let began = |ago: String| run("Backup", "nightly", &json!({"phase": "InProgress", "startTimestamp": ago}));
    let (before, after) = (ago(SignedDuration::from_mins(20)), ago(SignedDuration::from_mins(5)));
    let started = server(&ago(SignedDuration::from_mins(10)));
    assert_eq!(in_progress(&[began(after), started.clone()]).await, ["backup nightly"]);
    assert_eq!(in_progress(&[began(before.clone()), started.clone()]).await, Vec::<String>::new());
    // No server is at work on it at all.
    assert_eq!(in_progress(&[began(before.clone())]).await, Vec::<String>::new());
    // The next server goes on with it.
    let waits = run("Backup", "nightly", &json!({"phase": "Finalizing", "startTimestamp": before}));
    assert_eq!(in_progress(&[waits, started]).await, ["backup nightly"]);
}

#[tokio::test]
async fn what_hangs_holds_nothing_back_for_ever() {
    let started = server(&ago(SignedDuration::from_hours(100)));
    for (phase, limit, hours, held) in [
        ("InProgress", None, 8, true),
        ("InProgress", None, 9, false),
        ("WaitingForPluginOperations", None, 9, false),
        ("WaitingForPluginOperations", Some("24h0m0s"), 28, true),
        ("WaitingForPluginOperations", Some("24h0m0s"), 29, false),
    ] {
        let status = json!({"phase": phase, "startTimestamp": ago(SignedDuration::from_hours(hours))});
        let mut backup = run("Backup", "nightly", &status);
        if let Some(limit) = limit {
            backup["spec"]["itemOperationTimeout"] = json!(limit);
        }
        assert_eq!(in_progress(&[backup, started.clone()]).await.len(), usize::from(held), "{phase} {hours} h");
    }
}

#[tokio::test]
async fn a_deletion_is_in_progress_until_it_is_processed() {
    let started = server(&ago(SignedDuration::from_mins(10)));
    let deletion = |phase: &str, ago: String| {
        json!({"apiVersion": "velero.io/v1", "kind": "DeleteBackupRequest", "metadata": {"name": "nightly-1",
            "namespace": "velero", "creationTimestamp": ago}, "spec": {"backupName": "nightly"}, "status": {"phase": phase}})
    };
    let minutes = |minutes: i64| ago(SignedDuration::from_mins(minutes));
    let in_progress = async |phase, ago| in_progress(&[deletion(phase, ago), started.clone()]).await;
    for phase in ["", "New", "InProgress"] {
        assert_eq!(in_progress(phase, minutes(5)).await, ["the deletion of backup nightly"], "{phase}");
    }
    assert!(in_progress("Processed", minutes(5)).await.is_empty());
    // A server that starts leaves what another one began, and takes what was not begun.
    assert!(in_progress("InProgress", minutes(20)).await.is_empty());
    assert!(!in_progress("New", minutes(20)).await.is_empty());
    assert!(in_progress("New", minutes(90)).await.is_empty());
}

#[tokio::test]
async fn of_many_backups_a_page_is_read_at_a_time() {
    let mut objects: Vec<_> =
        (0..1_200).map(|number| run("Backup", &format!("b-{number:04}"), &json!({"phase": "Completed"}))).collect();
    objects[1_100]["status"] = json!({"phase": "Finalizing", "startTimestamp": ago(SignedDuration::from_mins(5))});
    let api = cluster_with(&objects);
    let operations = operations_in_progress(&api.cluster("velero")).await.unwrap();
    assert_eq!(operations.len(), 1);
    let pages = api.requests().iter().filter(|request| request.contains("/backups?")).count();
    assert_eq!(pages, 3);
}

#[test]
fn of_several_servers_the_oldest_counts() {
    let pod = |started: &str| serde_json::from_value::<Pod>(server(started)).unwrap();
    let pods = [pod("2026-01-31T10:30:00Z"), pod("2026-01-31T10:20:00Z")];
    assert_eq!(ServerRun::among(&pods), ServerRun::Since(time("2026-01-31T10:20:00Z")));
    assert_eq!(ServerRun::among(&[]), ServerRun::None);
}

#[test]
fn a_message_says_how_to_let_go_of_what_takes_long() {
    let operation = of("backup", &json!({"phase": "InProgress", "startTimestamp": "2026-01-31T10:20:30Z"})).unwrap();
    let holds = |now: &str| operation.holds("to restart Velero", time(now));
    assert_eq!(holds("2026-01-31T10:40:00Z"), "to restart Velero until backup nightly has ended");
    assert_eq!(
        holds("2026-01-31T10:51:00Z"),
        "to restart Velero until backup nightly has ended, in progress since 2026-01-31 10:20 UTC, \
         2026-01-31 18:50 UTC at the latest; to end it, kubectl rollout restart deployment velero"
    );
    assert_eq!(holds("2026-01-31T10:51:00Z"), holds("2026-01-31T17:51:00Z"));
}

#[test]
fn an_operation_is_alive_until_its_last_moment_and_long_only_after_a_while() {
    let now = Timestamp::now();
    let since = now - LONG;
    let operation = |until: Timestamp| Operation {
        name: "backup nightly".to_owned(),
        object: "backup.velero.io/nightly".to_owned(),
        needs_this_server: false,
        since: Some(since),
        until: Some(until),
    };
    let second = jiff::SignedDuration::from_secs(1);
    assert!(operation(now).is_alive(now, ServerRun::None) && !operation(now - second).is_alive(now, ServerRun::None));
    assert!(!operation(now).holds("to wait", now).contains("in progress since"));
    assert!(operation(now).holds("to wait", now + second).contains("in progress since"));
}
