use http::StatusCode;
use serde_json::json;

use super::*;
use crate::{
    cluster::test_api::{TestApi, Verb},
    velero::{
        fixtures::{APPLICATION, backup_in_progress, empty_cluster, installation, own},
        names::{CREDENTIALS_KEY, INSTANCE, KEPT_KEYS, MANAGED_BY},
        seen::sighting::Sighting,
    },
};

/// A cluster with a location, its credentials and a node agent, all of them the application's.
fn cluster_with_all() -> TestApi {
    let api = empty_cluster();
    for kind in [
        "Backup",
        "BackupRepository",
        "BackupStorageLocation",
        "VolumeSnapshotLocation",
        "Restore",
        "DeleteBackupRequest",
    ] {
        api.define("v1", kind);
    }
    let mut secret = own("v1", "Secret", CREDENTIALS);
    secret["data"] = json!({CREDENTIALS_KEY: "b3Vycw=="});
    api.put(&secret);
    api.put(&own("apps/v1", "DaemonSet", NODE_AGENT));
    api.put(&own("velero.io/v1", "VolumeSnapshotLocation", LOCATION));
    let mut location = own("velero.io/v1", "BackupStorageLocation", LOCATION);
    location["spec"] = json!({"provider": "aws"});
    location["status"] = json!({"phase": "Available"});
    api.put(&location);
    api
}

fn nothing_but_a_server() -> Installation {
    Installation { node_agent: false, location: LocationPlan::None, ..installation() }
}

async fn holdings(api: &TestApi) -> Holdings {
    Sighting::take(&api.cluster("velero"), APPLICATION).await.unwrap().0
}

async fn prune_by(api: &TestApi, holdings: &Holdings) -> Applied {
    let mut applied = Applied::default();
    prune(&api.cluster("velero"), &nothing_but_a_server(), &[], holdings, &mut applied).await.unwrap();
    applied
}

fn left(api: &TestApi) -> Vec<String> {
    let mut names = api.names();
    names.retain(|name| !name.starts_with("CustomResourceDefinition") && !name.starts_with("Namespace"));
    names
}

const ALL: [&str; 4] = [
    "BackupStorageLocation default",
    "DaemonSet node-agent",
    "Secret cloud-credentials",
    "VolumeSnapshotLocation default",
];

#[tokio::test]
async fn what_an_installation_does_not_hold_any_more_goes_with_the_records_of_the_location() {
    let api = cluster_with_all();
    api.put(&json!({"apiVersion": "velero.io/v1", "kind": "Backup", "status": {"phase": "Completed"}, "metadata":
        {"name": "nightly", "namespace": "velero", "labels": {"velero.io/storage-location": LOCATION}}}));
    let mut gone = prune_by(&api, &holdings(&api).await).await.changed;
    gone.sort();
    assert_eq!(gone, ALL);
    assert_eq!(left(&api), Vec::<String>::new());
}

#[tokio::test]
async fn records_that_a_removed_location_has_left_go_in_the_next_hook() {
    let api = empty_cluster();
    for kind in ["Backup", "BackupRepository", "BackupStorageLocation"] {
        api.define("v1", kind);
    }
    let record = |name: &str, phase: &str, made: &str| {
        json!({"apiVersion": "velero.io/v1", "kind": "Backup", "status": {"phase": phase}, "metadata":
            {"name": name, "namespace": "velero", "creationTimestamp": made,
                "labels": {"velero.io/storage-location": LOCATION}}})
    };
    api.put_all(&[
        record("nightly", "Completed", "2026-01-31T10:20:30Z"),
        record("unstored", "FailedValidation", "2026-01-31T10:20:30Z"),
        record("of-somebody-before", "Completed", "2026-01-01T00:00:00Z"),
    ]);
    // There was no server of ours that could have made them.
    prune_by(&api, &holdings(&api).await).await;
    assert_eq!(left(&api).len(), 3);
    let mut server = own("apps/v1", "Deployment", SERVER);
    server["metadata"]["creationTimestamp"] = json!("2026-01-15T00:00:00Z");
    api.put(&server);
    // A location that was not sighted, and is there.
    let before = holdings(&api).await;
    let mut location = own("velero.io/v1", "BackupStorageLocation", LOCATION);
    api.put(&location);
    prune_by(&api, &before).await;
    assert_eq!(left(&api).len(), 5);
    location["metadata"]["deletionTimestamp"] = json!("2026-01-31T10:20:30Z");
    api.put(&location);
    prune_by(&api, &holdings(&api).await).await;
    assert_eq!(left(&api), ["Backup of-somebody-before", "Backup unstored", "Deployment velero"]);
}

#[tokio::test]
async fn records_stay_where_a_location_is_about_to_be_made() {
    let api = empty_cluster();
    for kind in ["Backup", "BackupRepository", "BackupStorageLocation"] {
        api.define("v1", kind);
    }
    let mut server = own("apps/v1", "Deployment", SERVER);
    server["metadata"]["creationTimestamp"] = json!("2026-01-15T00:00:00Z");
    api.put(&server);
    api.put(&json!({"apiVersion": "velero.io/v1", "kind": "Backup", "status": {"phase": "Completed"}, "metadata":
        {"name": "nightly", "namespace": "velero", "creationTimestamp": "2026-01-31T10:20:30Z",
            "labels": {"velero.io/storage-location": LOCATION}}}));
    let mut applied = Applied::default();
    let wanted = [named("velero.io/v1", "BackupStorageLocation", LOCATION)];
    prune(&api.cluster("velero"), &installation(), &wanted, &holdings(&api).await, &mut applied).await.unwrap();
    assert_eq!(left(&api), ["Backup nightly", "Deployment velero"]);
}

#[tokio::test]
async fn settings_go_once_nothing_starts_with_them_whether_a_backup_is_in_progress_or_not() {
    let waiting = Status::Waiting("for something".to_owned());
    for (postponed, refused, goes) in
        [(vec![waiting.clone()], vec![], false), (vec![], vec![waiting.clone()], false), (vec![], vec![], true)]
    {
        let api = empty_cluster();
        api.define("v1", "Backup");
        let settings = node_agent_config(APPLICATION);
        api.put_all(&[own("v1", "ConfigMap", &settings), backup_in_progress("nightly")]);
        let mut applied = Applied { postponed: postponed.clone(), refused, ..Applied::default() };
        let everything_else = Installation { node_agent: true, ..installation() };
        let location = [named("velero.io/v1", "BackupStorageLocation", LOCATION)];
        prune(&api.cluster("velero"), &everything_else, &location, &holdings(&api).await, &mut applied).await.unwrap();
        assert_eq!(api.object("ConfigMap", &settings).is_none(), goes);
        assert_eq!(applied.postponed, postponed);
    }
}

#[tokio::test]
async fn what_another_application_or_helm_holds_or_nobody_claims_stays() {
    for labels in [
        json!({"app.kubernetes.io/managed-by": "Helm"}),
        json!({MANAGED_BY.0: MANAGED_BY.1, INSTANCE: "another"}),
        json!({"component": "velero"}),
    ] {
        let api = cluster_with_all();
        for (kind, name) in ALL.map(|object| object.split_once(' ').unwrap()) {
            let mut theirs = api.object(kind, name).unwrap();
            theirs["metadata"]["labels"] = labels.clone();
            api.put(&theirs);
        }
        api.put(&json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "another",
            "namespace": "velero", "labels": {"app.kubernetes.io/managed-by": "juju"}}}));
        let holdings = holdings(&api).await;
        api.writes();
        assert_eq!(prune_by(&api, &holdings).await.changed, Vec::<String>::new(), "{labels}");
        assert_eq!(api.writes(), Vec::<String>::new(), "{labels}");
    }
}

#[tokio::test]
async fn what_somebody_has_taken_over_or_made_anew_since_it_was_read_stays() {
    let api = cluster_with_all();
    let holdings = holdings(&api).await;
    let mut taken_over = api.object("DaemonSet", NODE_AGENT).unwrap();
    taken_over["metadata"]["labels"][INSTANCE] = json!("another");
    api.put(&taken_over);
    let mut made_anew = api.object("Secret", CREDENTIALS).unwrap();
    made_anew["metadata"]["uid"] = json!("another");
    api.put(&made_anew);
    prune_by(&api, &holdings).await;
    assert_eq!(left(&api), ["DaemonSet node-agent", "Secret cloud-credentials"]);
}

#[tokio::test]
async fn what_a_backup_in_progress_needs_stays_until_it_has_ended() {
    let api = cluster_with_all();
    api.put(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "velero-1", "namespace": "velero",
        "labels": {"deploy": "velero"}}, "status": {"containerStatuses": [{"name": "velero", "image": "", "imageID": "",
        "ready": true, "restartCount": 0, "state": {"running": {}}}]}}));
    api.put(&backup_in_progress("nightly"));
    let holdings = holdings(&api).await;
    api.writes();
    let applied = prune_by(&api, &holdings).await;
    let waiting = Status::Waiting("to remove DaemonSet node-agent until backup nightly has ended".to_owned());
    assert_eq!((applied.changed, applied.postponed), (Vec::new(), vec![waiting]));
    assert_eq!(api.writes(), Vec::<String>::new());
    // With a location that cannot be used it may never end.
    let mut location = api.object("BackupStorageLocation", LOCATION).unwrap();
    location["status"]["phase"] = json!("Unavailable");
    api.put(&location);
    prune_by(&api, &self::holdings(&api).await).await;
    assert_eq!(left(&api), ["Backup nightly", "Pod velero-1"]);
}

#[tokio::test]
async fn a_secret_that_was_adopted_is_released_with_what_was_in_it() {
    let api = cluster_with_all();
    let mut adopted = api.object("Secret", CREDENTIALS).unwrap();
    adopted["metadata"]["annotations"] = json!({KEPT_KEYS: "cloud,creds.adopted"});
    adopted["data"] = json!({"cloud": "b25lIA==", "creds.adopted": "dHdv", CREDENTIALS_KEY: "b3Vycw=="});
    api.put(&adopted);
    prune_by(&api, &holdings(&api).await).await;
    let released = api.object("Secret", CREDENTIALS).unwrap();
    assert_eq!(released["data"], json!({"cloud": "b25lIA==", "creds.adopted": "dHdv"}));
    assert_eq!(released["metadata"]["labels"], json!({}));
    assert_eq!(released["metadata"]["annotations"], json!({}));
    // It is nobody's now, and stays so.
    api.writes();
    prune_by(&api, &holdings(&api).await).await;
    assert_eq!(api.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn nothing_goes_where_it_is_not_known_what_is_in_progress() {
    let api = cluster_with_all();
    let holdings = holdings(&api).await;
    api.refuse(|call| (call.verb == Verb::List && call.key.plural == "restores").then_some(StatusCode::FORBIDDEN));
    let mut applied = Applied::default();
    let outcome = prune(&api.cluster("velero"), &nothing_but_a_server(), &[], &holdings, &mut applied).await;
    assert!(outcome.unwrap_err().is_forbidden());
    assert_eq!(left(&api), ALL);
}

#[tokio::test]
async fn killed_at_any_request_the_next_run_reaches_the_same_end() {
    for requests in 0.. {
        let api = cluster_with_all();
        let mut adopted = api.object("Secret", CREDENTIALS).unwrap();
        adopted["metadata"]["annotations"] = json!({KEPT_KEYS: "cloud"});
        adopted["data"]["cloud"] = json!("b25lIA==");
        api.put(&adopted);
        let run = || async { prune_by(&api, &holdings(&api).await).await };
        let ended = api.killed_after(requests, run()).await.is_some();
        let has_keys = api.object("Secret", CREDENTIALS).unwrap()["data"].get(CREDENTIALS_KEY).is_some();
        assert!(
            has_keys || api.object("BackupStorageLocation", LOCATION).is_none(),
            "killed after {requests} requests"
        );
        run().await;
        assert_eq!(left(&api), ["Secret cloud-credentials"], "killed after {requests} requests");
        let released = api.object("Secret", CREDENTIALS).unwrap();
        assert_eq!(released["data"], json!({"cloud": "b25lIA=="}), "killed after {requests} requests");
        if ended {
            assert!(requests > 15, "only {requests} requests");
            return;
        }
    }
}

#[tokio::test]
async fn locations_of_the_provider_that_is_to_be_kept_are() {
    let holdings = holdings(&cluster_with_all()).await;
    let keep = |provider| LocationPlan::Keep { provider };
    assert!(is_kept(&keep(None), &holdings) && is_kept(&keep(Some("aws")), &holdings));
    assert!(!is_kept(&keep(Some("azure")), &holdings) && !is_kept(&LocationPlan::None, &holdings));
    assert!(is_kept(&keep(Some("azure")), &Holdings::default()));
}
