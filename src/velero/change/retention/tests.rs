use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::{
    backups::{BackupSpec, Cron, ScheduledBackup, SpecId, Standing, Target},
    cluster::test_api::TestApi,
    velero::{fixtures::APPLICATION, names::MANAGED_BY, wanted::schedule::ScheduleSettings},
};

const NAMESPACE: &str = "velero";

fn settings(application: &str) -> ScheduleSettings<'_> {
    ScheduleSettings {
        application,
        namespace: NAMESPACE,
        default_volumes_to_fs_backup: false,
        has_snapshot_location: false,
        policies: None,
    }
}

/// The Schedule of a target, and the backups that Velero makes of it.
fn schedule(application: &str, target: &str) -> Value {
    let target = Target { application: target.into(), endpoint: "backups".into(), model: Some("apps".into()) };
    let id = SpecId { relation: 3, position: 0 };
    let backup = ScheduledBackup { cron: Cron::parse("@daily").unwrap(), ttl: None, spec: BackupSpec::default() };
    let settings = settings(application);
    let mut schedule = settings.schedule(id, &target, &backup);
    schedule.metadata.name = Some(settings.new_name(id, &target, |_| false));
    serde_json::to_value(schedule).unwrap()
}

/// A backup that began so many days ago, and took a minute.
fn backup(schedule: &Value, name: &str, days: i64, phase: &str) -> Value {
    let began = Timestamp::now() - SignedDuration::from_hours(24 * days);
    let mut labels = schedule["spec"]["template"]["metadata"]["labels"].clone();
    labels["velero.io/schedule-name"] = schedule["metadata"]["name"].clone();
    let mut status = json!({"phase": phase, "startTimestamp": began.to_string()});
    if phase != "InProgress" {
        status["completionTimestamp"] = json!((began + SignedDuration::from_mins(1)).to_string());
    }
    json!({"apiVersion": "velero.io/v1", "kind": "Backup", "spec": {"storageLocation": "default"}, "status": status,
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels, "creationTimestamp": began.to_string(),
            "annotations": schedule["metadata"]["annotations"]}})
}

fn location(spec: &Value, phase: &str) -> Value {
    json!({"apiVersion": "velero.io/v1", "kind": "BackupStorageLocation", "spec": spec,
        "metadata": {"name": "default", "namespace": NAMESPACE},
        "status": {"phase": phase, "lastValidationTime": "2026-01-31T10:20:30Z"}})
}

/// A cluster with a store and the Schedule of an application.
fn api() -> (TestApi, Value) {
    let api = TestApi::new();
    for kind in ["Backup", "BackupStorageLocation", "DeleteBackupRequest", "Restore", "Schedule"] {
        api.define("v1", kind);
    }
    let schedule = schedule(APPLICATION, "ledger");
    api.put_all(&[location(&json!({}), "Available"), schedule.clone()]);
    (api, schedule)
}

fn put(api: &TestApi, schedule: &Value, backups: &[(&str, i64, &str)]) {
    let backups: Vec<_> = backups.iter().map(|(name, days, phase)| backup(schedule, name, *days, phase)).collect();
    api.put_all(&backups);
}

async fn apply_to(api: &TestApi, retention: &str) -> RetentionApplied {
    apply(&api.cluster(NAMESPACE), APPLICATION, &Retention::parse(retention).unwrap()).await.unwrap()
}

fn requests(api: &TestApi) -> Vec<Value> {
    let names = api.names().into_iter();
    let of = |name: String| api.object("DeleteBackupRequest", name.strip_prefix("DeleteBackupRequest ")?);
    names.filter_map(of).collect()
}

/// The backups whose deletion was asked for.
fn asked(api: &TestApi) -> Vec<String> {
    requests(api).iter().map(|request| request["spec"]["backupName"].as_str().unwrap().to_owned()).collect()
}

const NONE: &[&str] = &[];

#[tokio::test]
async fn what_no_rule_keeps_is_asked_to_be_deleted_once() {
    let (api, schedule) = api();
    put(
        &api,
        &schedule,
        &[("a", 4, "Completed"), ("b", 3, "Completed"), ("c", 2, "Completed"), ("d", 0, "InProgress")],
    );
    let retention = Retention::parse("2").unwrap();
    let seen = review(&api.cluster(NAMESPACE), APPLICATION, &retention).await.unwrap();
    let told: Vec<_> = seen.backups.iter().map(|backup| format!("{} {}", backup.name, backup.verdict)).collect();
    assert_eq!(told, ["d has not ended", "c newest", "b newest", "a no rule keeps it"]);
    assert_eq!((asked(&api).as_slice(), seen.obstacle, seen.others), ([].as_slice(), None, 0));
    assert_eq!(apply_to(&api, "2").await, RetentionApplied::default());
    assert_eq!(asked(&api), ["a"]);
    let request = &requests(&api)[0];
    let labels = &request["metadata"]["labels"];
    assert_eq!(labels["velero.io/backup-uid"], api.object("Backup", "a").unwrap()["metadata"]["uid"]);
    assert_eq!((&labels["velero.io/backup-name"], &labels[MANAGED_BY.0]), (&json!("a"), &json!(MANAGED_BY.1)));
    api.writes();
    apply_to(&api, "2").await;
    assert_eq!(api.writes(), NONE);
}

#[tokio::test]
async fn what_others_have_asked_for_or_velero_could_not_do_is_not_asked_again() {
    let (api, schedule) = api();
    put(
        &api,
        &schedule,
        &[("a", 4, "Completed"), ("b", 3, "Completed"), ("c", 2, "Completed"), ("stuck", 5, "Deleting")],
    );
    let request = |backup: &str, status: &Value| {
        json!({"apiVersion": "velero.io/v1", "kind": "DeleteBackupRequest", "spec": {"backupName": backup}, "status": status,
            "metadata": {"name": format!("{backup}-x"), "namespace": NAMESPACE}})
    };
    let failed = json!({"phase": "Processed", "errors": ["no such snapshot", "RequestID: 1, gone"]});
    api.put_all(&[request("a", &json!({})), request("b", &failed)]);
    api.writes();
    let applied = apply_to(&api, "1").await;
    assert_eq!(applied.failed, [("b".to_owned(), "no such snapshot; gone".to_owned())]);
    // Nobody deletes it any more.
    assert_eq!(asked(&api), ["a", "b", "stuck"]);
}

#[tokio::test]
async fn only_what_the_applications_own_schedules_have_made_here_goes() {
    let (api, own) = api();
    let another = schedule("another", "ledger");
    api.put(&another);
    let newest = |days: i64| ("newest", days, "Completed");
    put(&api, &own, &[newest(0)]);
    put(&api, &another, &[("of-another", 9, "Completed")]);
    let with = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut backup = backup(&own, name, 9, "Completed");
        change(&mut backup);
        api.put(&backup);
    };
    with("by-hand", &|backup| {
        backup["metadata"]["labels"].as_object_mut().unwrap().remove("velero.io/schedule-name");
    });
    with("from-elsewhere", &|backup| {
        backup["metadata"]["creationTimestamp"] = json!(Timestamp::now().to_string());
    });
    with("of-another-place", &|backup| backup["spec"]["storageLocation"] = json!("others"));
    with("of-unknown", &|backup| backup["metadata"]["labels"]["velero.io/schedule-name"] = json!("theirs"));
    apply_to(&api, "1").await;
    assert_eq!(asked(&api), NONE);
    let retention = Retention::parse("1").unwrap();
    let seen = review(&api.cluster(NAMESPACE), APPLICATION, &retention).await.unwrap();
    assert_eq!((seen.backups.len(), seen.others), (1, 4));
    with("own", &|_| {});
    apply_to(&api, "1").await;
    assert_eq!(asked(&api), ["own"]);
}

#[tokio::test]
async fn those_of_a_schedule_that_is_gone_count_with_those_of_its_target() {
    let (api, schedule) = api();
    put(&api, &schedule, &[("old", 2, "Completed"), ("new", 1, "Completed")]);
    let live = serde_json::from_value(api.object("Schedule", schedule["metadata"]["name"].as_str().unwrap()).unwrap());
    api.cluster(NAMESPACE).delete(&live.unwrap()).await.unwrap();
    apply_to(&api, "1").await;
    assert_eq!(asked(&api), ["old"]);
}

#[tokio::test]
async fn what_a_restore_reads_stays() {
    let (api, schedule) = api();
    put(&api, &schedule, &[("a", 4, "Completed"), ("b", 3, "Completed"), ("c", 2, "Completed")]);
    let restore = |name: &str, spec: &Value, phase: &str| {
        json!({"apiVersion": "velero.io/v1", "kind": "Restore", "spec": spec, "status": {"phase": phase},
            "metadata": {"name": name, "namespace": NAMESPACE}})
    };
    api.put_all(&[
        restore("one", &json!({"backupName": "a"}), "InProgress"),
        restore("two", &json!({"backupName": "b"}), "Completed"),
    ]);
    apply_to(&api, "1").await;
    assert_eq!(asked(&api), ["b"]);
    api.put(&restore("one", &json!({"scheduleName": schedule["metadata"]["name"]}), "New"));
    api.writes();
    apply_to(&api, "1").await;
    assert_eq!(api.writes(), NONE);
}

#[tokio::test]
async fn nothing_is_asked_of_a_store_that_cannot_be_written() {
    for (spec, phase, why) in [
        (json!({"accessMode": "ReadOnly"}), "Available", "the storage is read-only"),
        (json!({}), "Unavailable", "the storage is not usable: the server gave no reason"),
    ] {
        let (api, schedule) = api();
        api.put(&location(&spec, phase));
        put(&api, &schedule, &[("a", 4, "Completed"), ("b", 3, "Completed")]);
        apply_to(&api, "1").await;
        assert_eq!(asked(&api), NONE);
        let seen = review(&api.cluster(NAMESPACE), APPLICATION, &Retention::parse("1").unwrap()).await.unwrap();
        assert_eq!(seen.obstacle.as_deref(), Some(why));
    }
}

/// What the server does with the requests.
async fn velero_deletes(api: &TestApi) {
    let cluster = api.cluster(NAMESPACE);
    for request in requests(api) {
        let backup = api.object("Backup", request["spec"]["backupName"].as_str().unwrap()).unwrap();
        for object in [backup, request] {
            cluster.delete(&serde_json::from_value(object).unwrap()).await.unwrap();
        }
    }
}

fn put_many(api: &TestApi, schedule: &Value, count: i64) {
    let names: Vec<_> = (0..count).map(|day| format!("b{day:02}")).collect();
    let backups: Vec<_> = names.iter().zip(0..).map(|(name, day)| (name.as_str(), day, "Completed")).collect();
    put(api, schedule, &backups);
}

#[tokio::test]
async fn a_hook_asks_for_a_few_and_the_next_goes_on_when_they_are_done() {
    let (api, schedule) = api();
    put_many(&api, &schedule, 70);
    for _ in 0..2 {
        assert!(apply_to(&api, "10").await.is_partial);
        assert_eq!(asked(&api).len(), 50);
    }
    velero_deletes(&api).await;
    assert!(!apply_to(&api, "10").await.is_partial);
    assert_eq!(asked(&api).len(), 10);
    velero_deletes(&api).await;
    assert!(!apply_to(&api, "10").await.is_partial);
    assert_eq!(asked(&api), NONE);
}

#[tokio::test]
async fn what_just_fits_into_one_hook_is_all() {
    let (api, schedule) = api();
    put_many(&api, &schedule, 60);
    assert!(!apply_to(&api, "10").await.is_partial);
    assert_eq!(asked(&api).len(), 50);
}

#[tokio::test]
async fn killed_at_any_request_the_next_run_asks_for_the_same() {
    for requests in 0.. {
        let (api, schedule) = api();
        put_many(&api, &schedule, 5);
        let ended = api.killed_after(requests, apply_to(&api, "2")).await.is_some();
        apply_to(&api, "2").await;
        assert_eq!(asked(&api), ["b02", "b03", "b04"], "killed after {requests} requests");
        if ended {
            assert!(requests > 6, "only {requests} requests");
            return;
        }
    }
}

/// What is read of a backup with a status, which is known here since an hour.
fn seen(status: &Value) -> census::Seen {
    serde_json::from_value(json!({"metadata": {"name": "nightly", "uid": "0a1b",
        "creationTimestamp": "2026-01-31T11:00:00Z"}, "status": status}))
    .unwrap()
}

#[test]
fn a_backup_was_made_here_unless_it_had_ended_before_it_was_known() {
    let (before, then, after) = ("2026-01-31T10:59:59Z", "2026-01-31T11:00:00Z", "2026-01-31T11:00:01Z");
    for (status, is_ours) in [
        (json!({"phase": "Completed", "startTimestamp": then, "completionTimestamp": after}), true),
        (json!({"phase": "Completed", "startTimestamp": then, "completionTimestamp": then}), true),
        (json!({"phase": "Completed", "startTimestamp": before, "completionTimestamp": after}), true),
        (json!({"phase": "Completed", "startTimestamp": before, "completionTimestamp": then}), false),
        (json!({"phase": "Completed", "startTimestamp": before, "completionTimestamp": before}), false),
        (json!({"phase": "Completed"}), false),
        (json!({"phase": "FailedValidation"}), true),
        (json!({"phase": "New"}), true),
    ] {
        assert_eq!(seen(&status).was_made_here(), is_ours, "{status}");
    }
}

#[test]
fn each_end_has_its_standing() {
    for (phase, standing) in [
        ("Completed", Standing::Good),
        ("PartiallyFailed", Standing::Partial),
        ("Failed", Standing::Failed),
        ("FailedValidation", Standing::Failed),
        ("Deleting", Standing::Deleting),
        ("InProgress", Standing::Underway),
    ] {
        assert_eq!(seen(&json!({"phase": phase})).standing(), standing, "{phase}");
    }
}

#[tokio::test]
async fn of_several_requests_the_one_that_is_pending_counts() {
    let (api, _) = api();
    let request = |name: &str, status: &Value| {
        json!({"apiVersion": "velero.io/v1", "kind": "DeleteBackupRequest",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"velero.io/backup-uid": "0a1b"}},
            "spec": {"backupName": "nightly"}, "status": status})
    };
    let failed = json!({"phase": "Processed", "errors": ["no rights"]});
    let asked = async || {
        let requests = requests::Requests::read(&api.cluster(NAMESPACE)).await.unwrap();
        requests.of(&seen(&json!({"phase": "Completed"})).counted()).cloned()
    };
    assert_eq!(asked().await, None);
    api.put(&request("a", &failed));
    assert_eq!(asked().await, Some(requests::Asked::Failed { why: "no rights".to_owned() }));
    api.put(&request("b", &json!({"phase": "InProgress"})));
    assert_eq!(asked().await, Some(requests::Asked::Pending));
    // Without errors it is not known yet what became of it.
    api.put(&request("b", &json!({"phase": "Processed"})));
    assert_eq!(asked().await, Some(requests::Asked::Pending));
}
