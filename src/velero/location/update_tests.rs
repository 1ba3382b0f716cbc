use http::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::{
    cluster::test_api::{TestApi, Verb},
    velero::seen::expected::ExpectedManifest,
};

fn location(spec: &Value) -> DynamicObject {
    let mut location = named("velero.io/v1", "BackupStorageLocation", "default");
    location.metadata.namespace = Some("velero".to_owned());
    location.data = json!({"spec": spec});
    location
}

fn bucket(name: &str) -> DynamicObject {
    location(&json!({"provider": "aws", "objectStorage": {"bucket": name}}))
}

fn expected() -> Expected {
    Expected { server: ExpectedManifest::Any, node_agent: None, location: true }
}

fn object(kind: &str, name: &str, status: &Value) -> Value {
    json!({"apiVersion": "velero.io/v1", "kind": kind, "status": status, "metadata": {"name": name, "namespace": "velero",
        "creationTimestamp": Timestamp::now().to_string(), "labels": {"velero.io/storage-location": "default"}}})
}

/// A cluster whose location is the bucket `old`, with one backup there, and a server that has run for a minute.
fn cluster_with_old_bucket() -> TestApi {
    let api = TestApi::new();
    for kind in ["Backup", "Restore", "DeleteBackupRequest", "BackupRepository", "BackupStorageLocation"] {
        api.define("v1", kind);
    }
    let mut old = serde_json::to_value(bucket("old")).unwrap();
    old["status"] = json!({"phase": "Available"});
    api.put(&old);
    api.put(&object("Backup", "nightly", &json!({"phase": "Completed"})));
    let started = Timestamp::now() - jiff::SignedDuration::from_mins(1);
    let labels = json!({"component": "velero", "deploy": "velero"});
    api.put(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "velero-1", "namespace": "velero",
        "labels": labels}, "status": {"containerStatuses": [{"name": "velero", "image": "", "imageID": "",
        "ready": true, "restartCount": 0, "state": {"running": {"startedAt": started.to_string()}}}]}}));
    api
}

fn credentials() -> CredentialsSecret {
    CredentialsSecret {
        application: "velero-operator".to_owned(),
        namespace: "velero".to_owned(),
        file: "aws_access_key_id=new".to_owned().into(),
    }
}

async fn change_to_new_bucket(api: &TestApi) -> LocationsUpdated {
    to_new_bucket(api, Extent::Locations).await
}

async fn to_new_bucket(api: &TestApi, extent: Extent) -> LocationsUpdated {
    let (credentials, locations) = (credentials(), [bucket("new")]);
    let update = LocationUpdate {
        credentials: &credentials,
        locations: &locations,
        extent,
        adopts_secret: false,
        postponed: None,
    };
    apply(&api.cluster("velero"), &expected(), &update, Instant::now()).await.unwrap()
}

fn bucket_of(api: &TestApi) -> Value {
    api.object("BackupStorageLocation", "default").unwrap()["spec"]["objectStorage"]["bucket"].clone()
}

#[test]
fn a_place_is_a_folder_of_a_bucket_of_a_store() {
    let spec = json!({"provider": "aws", "objectStorage": {"bucket": "backups", "prefix": ""},
        "config": {"region": "eu-west-3", "s3Url": "http://10.0.0.1:9000"}});
    let was = location(&spec);
    for (pointer, value, moves) in [
        ("/objectStorage/bucket", "others", true),
        ("/objectStorage/prefix", "folder", true),
        ("/config/s3Url", "http://10.0.0.2:9000", true),
        ("/provider", "azure", true),
        ("/config/region", "us-east-1", false),
    ] {
        let mut changed = spec.clone();
        *changed.pointer_mut(pointer).unwrap() = json!(value);
        assert_eq!(store_identity(&location(&changed)) != store_identity(&was), moves, "{pointer}");
    }
    let mut without_folder = spec;
    without_folder["objectStorage"].as_object_mut().unwrap().remove("prefix");
    assert_eq!(store_identity(&location(&without_folder)), store_identity(&was));
}

/// A location, and what the server says of it.
fn with_phase(location: &DynamicObject, phase: &str) -> Value {
    let mut location = serde_json::to_value(location).unwrap();
    location["status"] = json!({"phase": phase});
    location
}

/// Manifests of nothing but a location and its credentials.
fn manifests(location: DynamicObject) -> Manifests {
    Manifests {
        namespace: "velero".to_owned(),
        namespace_labels: BTreeMap::new(),
        definitions: Vec::new(),
        objects: Vec::new(),
        credentials: Some(credentials()),
        locations: vec![location],
    }
}

/// What is due in a cluster with a backup in progress: nothing, a change now (of the credentials alone?), or later.
async fn due_during_a_backup(live: Value, has_credentials: bool, desired: DynamicObject) -> (&'static str, usize) {
    let api = cluster_with_old_bucket();
    api.put(&live);
    if has_credentials {
        let secret = credentials().manifest(BTreeMap::new());
        api.put(&serde_json::to_value(&secret).unwrap());
    }
    let started = json!({"phase": "InProgress", "startTimestamp": Timestamp::now().to_string()});
    api.put(&object("Backup", "begun", &started));
    let manifests = manifests(desired);
    let cluster = api.cluster("velero");
    let (holdings, _) = Sighting::take(&cluster, "velero-operator").await.unwrap();
    match due_update(&cluster, &manifests, &holdings, None).await.unwrap() {
        DueUpdate::None => ("none", 0),
        DueUpdate::Postponed(_) => ("postponed", 0),
        DueUpdate::Now(update) if update.is_of_credentials_only() => ("credentials", update.postponed.iter().count()),
        DueUpdate::Now(update) => ("all", update.postponed.iter().count()),
    }
}

#[tokio::test]
async fn a_backup_in_progress_gets_new_keys_of_its_store_at_once_and_no_other_place() {
    let region = |name: &str| {
        location(&json!({"provider": "aws", "objectStorage": {"bucket": "old"}, "config": {"region": name}}))
    };
    let (old, new) = (region("eu-west-3"), region("us-east-1"));
    // New keys and another region: the keys now, the region later.
    assert_eq!(due_during_a_backup(with_phase(&old, "Available"), false, new.clone()).await, ("credentials", 1));
    // Another region alone.
    assert_eq!(due_during_a_backup(with_phase(&old, "Available"), true, new.clone()).await, ("postponed", 0));
    // New keys for another bucket are none of the old one.
    let moved = due_during_a_backup(with_phase(&bucket("old"), "Available"), false, bucket("new")).await;
    assert_eq!(moved, ("postponed", 0));
    // With a location that cannot be used the backup may never end.
    let unusable = due_during_a_backup(with_phase(&bucket("old"), "Unavailable"), false, bucket("new")).await;
    assert_eq!(unusable, ("all", 0));
    // New keys alone.
    assert_eq!(due_during_a_backup(with_phase(&old, "Available"), false, old.clone()).await, ("credentials", 0));
}

#[tokio::test]
async fn a_backup_that_began_since_the_update_was_found_due_postpones_it() {
    let api = cluster_with_old_bucket();
    api.put(&object(
        "Backup",
        "begun",
        &json!({"phase": "InProgress", "startTimestamp": Timestamp::now().to_string()}),
    ));
    let applied = change_to_new_bucket(&api).await;
    let waiting = Status::Waiting("to change the storage location until backup begun has ended".to_owned());
    assert_eq!((applied.changed, applied.postponed), (Vec::new(), vec![waiting]));
    assert_eq!(bucket_of(&api), "old");
    assert!(api.object("Secret", CREDENTIALS).is_none());
    assert!(api.object("Backup", "nightly").is_some());
}

#[tokio::test]
async fn a_deletion_under_way_postpones_a_change_too() {
    let api = cluster_with_old_bucket();
    let mut deletion = object("DeleteBackupRequest", "nightly-1", &json!({"phase": "InProgress"}));
    deletion["spec"] = json!({"backupName": "nightly"});
    api.put(&deletion);
    assert_eq!(change_to_new_bucket(&api).await.postponed.len(), 1);
    assert_eq!(bucket_of(&api), "old");
}

#[tokio::test]
async fn records_of_the_former_place_that_come_during_the_change_are_forgotten_too() {
    let api = cluster_with_old_bucket();
    let late = api.clone();
    api.when(move |call| {
        // A server that goes on with taking the content of the old bucket over.
        if call.verb == crate::cluster::test_api::Verb::Apply && call.key.plural == "backupstoragelocations" {
            late.put(&object("Backup", "late", &json!({"phase": "Completed"})));
        }
    });
    let applied = change_to_new_bucket(&api).await;
    assert_eq!(bucket_of(&api), "new");
    assert!(applied.changed.iter().any(|changed| changed == "BackupStorageLocation default"), "{applied:?}");
    assert!(api.object("Backup", "late").is_none() && api.object("Backup", "nightly").is_none());
}

#[tokio::test]
async fn records_that_a_removed_location_has_left_are_not_taken_for_those_of_the_new_one() {
    let api = cluster_with_old_bucket();
    let mut going = api.object("BackupStorageLocation", "default").unwrap();
    going["metadata"]["deletionTimestamp"] = json!("2026-01-31T10:20:30Z");
    api.put(&going);
    assert!(api.object("BackupStorageLocation", "default").is_none());
    to_new_bucket(&api, Extent::NewLocation).await;
    assert_eq!(bucket_of(&api), "new");
    assert!(api.object("Backup", "nightly").is_none());
}

#[tokio::test]
async fn the_records_of_a_location_that_was_there_a_moment_ago_stay_until_it_is_known_to_be_gone() {
    let api = cluster_with_old_bucket();
    api.refuse(|call| (call.key.plural == "backupstoragelocations").then_some(StatusCode::NOT_FOUND));
    let updated = change_to_new_bucket(&api).await;
    assert_eq!((updated.changed, updated.postponed), (Vec::new(), vec![missing()]));
    assert_eq!(bucket_of(&api), "old");
    assert!(api.object("Backup", "nightly").is_some());
}

#[tokio::test]
async fn a_location_that_goes_while_it_is_changed_is_not_taken_for_a_new_one() {
    let api = cluster_with_old_bucket();
    let mut same = serde_json::to_value(bucket("new")).unwrap();
    same["status"] = json!({"phase": "Available", "lastValidationTime": "2026-01-31T10:20:30Z"});
    api.put(&same);
    let reads = std::sync::atomic::AtomicUsize::new(0);
    api.refuse(move |call| {
        let is_it = call.verb == Verb::Get && call.key.plural == "backupstoragelocations";
        let is_second = is_it && reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 1;
        is_second.then_some(StatusCode::NOT_FOUND)
    });
    let updated = to_new_bucket(&api, Extent::Credentials).await;
    assert_eq!(updated.postponed, [missing()]);
    assert_eq!(api.object("BackupStorageLocation", "default").unwrap()["metadata"].get("annotations"), None);
}

#[tokio::test]
async fn a_location_that_cannot_be_used_is_not_kept_for_a_backup() {
    for (status, changed, becomes) in [
        (json!({"phase": "Unavailable"}), 0, "new"),
        // Nobody has got an answer from it.
        (json!({"phase": "Available"}), 31, "new"),
        (json!({"phase": "Available"}), 10, "old"),
    ] {
        let api = cluster_with_old_bucket();
        let mut old = serde_json::to_value(bucket("old")).unwrap();
        let changed = Timestamp::now() - jiff::SignedDuration::from_secs(changed);
        old["metadata"]["managedFields"] =
            json!([{"manager": FIELD_MANAGER, "operation": "Apply", "time": changed.to_string()}]);
        old["status"] = status;
        api.put(&old);
        api.put(&object(
            "Backup",
            "begun",
            &json!({"phase": "InProgress", "startTimestamp": Timestamp::now().to_string()}),
        ));
        change_to_new_bucket(&api).await;
        assert_eq!(bucket_of(&api), becomes);
    }
}

/// Marks the bucket's location as changed, and lets a server that started `after` that many seconds say something of it. Returns
/// what there is then, and what the next hook makes of it.
async fn confirmed(after: i64) -> (Value, Value) {
    let api = cluster_with_old_bucket();
    let secret = apply_credentials(&api.cluster("velero"), &credentials(), BTreeMap::new()).await.unwrap();
    let version = secret.resource_version().unwrap();
    let now = Timestamp::now();
    // The server has run for a minute.
    let changed = now - jiff::SignedDuration::from_secs(60 + after);
    let doubted = freshness::unconfirmed(&bucket("old"), &validated_for(&bucket("old"), &version));
    let mut live = serde_json::to_value(doubted).unwrap();
    live["metadata"]["managedFields"] =
        json!([{"manager": FIELD_MANAGER, "operation": "Apply", "time": changed.to_string()}]);
    live["status"] = json!({"phase": "Available", "lastValidationTime": now.to_string()});
    api.put(&live);
    let manifests = manifests(bucket("old"));
    let cluster = api.cluster("velero");
    let DueUpdate::Now(update) = due_update(&cluster, &manifests, &Holdings::default(), None).await.unwrap() else {
        panic!("nothing is due");
    };
    assert!(update.confirms_only());
    apply(&cluster, &expected(), &update, Instant::now()).await.unwrap();
    let confirmed = api.object("BackupStorageLocation", "default").unwrap();
    assert!(matches!(due_update(&cluster, &manifests, &Holdings::default(), None).await.unwrap(), DueUpdate::None));
    (live, confirmed)
}

#[tokio::test]
async fn what_a_server_says_that_was_started_after_a_change_is_not_doubted_again() {
    let (live, confirmed_then) = confirmed(30).await;
    assert_eq!(confirmed_then["status"], live["status"]);
    let (live, confirmed_then) = confirmed(-30).await;
    assert_ne!(confirmed_then["status"], live["status"]);
}

#[tokio::test]
async fn killed_at_any_request_the_next_run_reaches_the_same_end() {
    for requests in 0.. {
        let api = cluster_with_old_bucket();
        let ended = api.killed_after(requests, change_to_new_bucket(&api)).await.is_some();
        change_to_new_bucket(&api).await;
        assert_eq!(bucket_of(&api), "new", "killed after {requests} requests");
        assert!(api.object("Backup", "nightly").is_none(), "killed after {requests} requests");
        assert!(api.object("Secret", CREDENTIALS).is_some(), "killed after {requests} requests");
        if ended {
            assert!(requests > 10, "only {requests} requests");
            return;
        }
    }
}

#[tokio::test]
async fn new_keys_of_the_same_place_replace_the_old_ones_and_have_it_validated_again() {
    let api = cluster_with_old_bucket();
    let cluster = api.cluster("velero");
    let old = CredentialsSecret { file: "aws_access_key_id=old".to_owned().into(), ..credentials() };
    let secret = apply_credentials(&cluster, &old, BTreeMap::new()).await.unwrap();
    let version = secret.resource_version().unwrap();
    let validated = freshness::confirmed(&bucket("old"), &validated_for(&bucket("old"), &version));
    cluster.apply(&validated).await.unwrap();
    let manifests = manifests(bucket("old"));
    let due = async || due_update(&cluster, &manifests, &Holdings::default(), None).await.unwrap();
    let DueUpdate::Now(update) = due().await else { panic!("nothing is due") };
    let change = async || apply(&cluster, &expected(), &update, Instant::now()).await.unwrap().changed;
    assert_eq!(change().await, ["Secret cloud-credentials", "BackupStorageLocation default"]);
    let written = api.object("Secret", CREDENTIALS).unwrap()["data"].clone();
    assert_eq!(written, serde_json::to_value(credentials().manifest(BTreeMap::new())).unwrap()["data"]);
    let version = api.object("Secret", CREDENTIALS).unwrap()["metadata"]["resourceVersion"].clone();
    let location = api.object("BackupStorageLocation", "default").unwrap();
    let location: DynamicObject = serde_json::from_value(location).unwrap();
    assert!(freshness::is_validated_for(&location, &validated_for(&bucket("old"), version.as_str().unwrap())));
    assert!(matches!(due().await, DueUpdate::None));
    assert_eq!(change().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_secret_is_adopted_where_it_is_nobodys_and_a_backup_keeps_only_the_location_as_it_is() {
    let api = cluster_with_old_bucket();
    api.put(&with_phase(&bucket("old"), "Available"));
    let started = json!({"phase": "InProgress", "startTimestamp": Timestamp::now().to_string()});
    api.put(&object("Backup", "begun", &started));
    let mut desired = bucket("old");
    desired.data["spec"]["config"] = json!({"region": "us-east-1"});
    let manifests = manifests(desired);
    let cluster = api.cluster("velero");
    let adopts = async || {
        let (holdings, _) = Sighting::take(&cluster, "velero-operator").await.unwrap();
        let DueUpdate::Now(update) = due_update(&cluster, &manifests, &holdings, None).await.unwrap() else {
            panic!("nothing is due");
        };
        assert!(update.locations.is_empty() && update.is_of_credentials_only());
        update.adopts_secret
    };
    assert!(!adopts().await);
    let mut secret = json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": CREDENTIALS, "namespace": "velero"}, "data": {"cloud": "b25l"}});
    api.put(&secret);
    assert!(adopts().await);
    let labels = credentials().manifest(BTreeMap::new()).metadata.labels;
    secret["metadata"]["labels"] = json!(labels);
    api.put(&secret);
    assert!(!adopts().await);
}
