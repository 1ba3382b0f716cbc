use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::{
    cluster::test_api::TestApi,
    process::tests::write_program,
    velero::{
        Run as VeleroRun,
        drill::archive::tests::archive,
        fixtures::{APPLICATION, empty_cluster},
        runs::{follow::Audience, make::KnownRun, volumes::Volumes},
    },
};

#[tokio::test]
async fn only_a_restore_of_a_user_that_has_not_begun_is_waited_for() {
    let api = TestApi::new();
    api.define("v1", "Restore");
    let restore = |name: &str, labels: Value, status: Value| {
        api.put(&json!({"apiVersion": "velero.io/v1", "kind": "Restore", "status": status,
            "metadata": {"name": name, "namespace": "velero", "labels": labels}}));
    };
    let cluster = api.cluster("velero");
    restore("of-a-drill", json!({DRILL: "0a"}), json!({}));
    restore("begun", json!({}), json!({"phase": "InProgress"}));
    assert_eq!(waiting_restore(&cluster).await.unwrap(), None);
    restore("of-a-user", json!({}), json!({}));
    assert_eq!(waiting_restore(&cluster).await.unwrap().as_deref(), Some("of-a-user"));
}

/// Nobody.
struct Deaf;

impl Audience for Deaf {
    async fn sees(&mut self, _: &VeleroRun, _: &Volumes) {}
}

impl DrillAudience for Deaf {
    async fn hears(&mut self, _: &str) {}
}

/// A CLI that tells of a backup with one object.
fn cli(folder: &TempDir) -> Cli {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "book", "namespace": "ledger"}});
    let content = archive(&[("resources/configmaps/namespaces/ledger/book.json", object)]);
    fs::write(folder.path().join("archive"), content).unwrap();
    let list = json!({"status": {"resourceList": {"v1/ConfigMap": ["ledger/book"]}}});
    fs::write(folder.path().join("list"), list.to_string()).unwrap();
    let program = folder.path().join("velero");
    write_program(&program, "case \"$*\" in *download*) cat \"${0%/*}/archive\";; *) cat \"${0%/*}/list\";; esac");
    Cli::at(program)
}

/// A cluster in which restores bring the object back at once, and pods reach nothing.
fn cluster_with_restores() -> TestApi {
    let api = empty_cluster();
    for (version, kind) in [
        ("v1", "Restore"),
        ("v1", "Backup"),
        ("v1", "PodVolumeBackup"),
        ("v1", "PodVolumeRestore"),
        ("v2alpha1", "DataUpload"),
        ("v2alpha1", "DataDownload"),
    ] {
        api.define(version, kind);
    }
    api.react(|object| {
        let mut object = object.clone();
        match object["kind"].as_str() {
            Some("Restore") if object["status"].is_null() => {
                object["status"] = json!({"phase": "Completed"});
                let scratch = object["spec"]["namespaceMapping"]["ledger"].clone();
                let back = json!({"apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {"name": "book", "namespace": scratch}});
                vec![object, back]
            }
            Some("Pod") if object["status"].is_null() => {
                object["status"] = json!({"phase": "Failed", "reason": "DeadlineExceeded"});
                vec![object]
            }
            _ => Vec::new(),
        }
    });
    api
}

/// What of a drill is there beside the book: what it has restored goes with its namespace.
fn of_drills(api: &TestApi) -> Vec<String> {
    let names = api.names().into_iter();
    let is_of_drill = |name: &String| {
        name.starts_with("Restore ") || name.contains("velero-operator-drill-") || name.starts_with("Namespace drill-")
    };
    names.filter(is_of_drill).collect()
}

/// Lets so much time pass that a drill which nobody has confirmed since counts as abandoned.
fn time_passes(api: &TestApi) {
    let Some(mut book) = api.object("ConfigMap", "velero-operator-drills") else { return };
    let Some(mut under_way) = book["data"]["under-way"].as_str().map(|text| text.parse::<Value>().unwrap()) else {
        return;
    };
    under_way["confirmed"] = json!("2026-01-31T10:00:00Z");
    book["data"]["under-way"] = json!(under_way.to_string());
    api.put(&book);
}

#[tokio::test]
async fn killed_at_any_request_a_drill_leaves_nothing_that_the_next_sweep_does_not_take_away() {
    let folder = TempDir::new().unwrap();
    let cli = cli(&folder);
    let target = ["ledger", "backups", "apps"].map(str::to_owned);
    let backup = KnownRun { name: "nightly".into(), uid: "0a1b".into(), run: VeleroRun::default(), target: None };
    let order = DrillOrder {
        application: APPLICATION.to_owned(),
        conductor: "velero-operator/0".to_owned(),
        target: Some(target.clone()),
        backup,
        keep: false,
        timeout: DrillOrder::DEFAULT_TIMEOUT,
        waits_for_pods: false,
    };
    let mut left_something = 0;
    for requests in 0.. {
        let api = cluster_with_restores();
        let cluster = api.cluster("velero");
        let ended = api.killed_after(requests, Box::pin(conduct(&cli, &cluster, &order, &mut Deaf))).await;
        left_something += usize::from(!of_drills(&api).is_empty());
        time_passes(&api);
        sweep(&cluster, APPLICATION).await.unwrap();
        assert_eq!(of_drills(&api), Vec::<String>::new(), "killed after {requests} requests");
        let book = DrillBook::read(&cluster).await.unwrap();
        assert_eq!(book.under_way, None, "killed after {requests} requests");
        let result = book.record(&target).map(|record| record.result);
        if let Some(report) = ended {
            assert_eq!((report.unwrap().findings, result), (Vec::new(), Some(DrillResult::Good)));
            assert!(requests > 30 && left_something > 10, "{requests} requests, {left_something} with something left");
            return;
        }
        // What was begun and not ended was stopped, and what was noted stays.
        assert!(matches!(result, None | Some(DrillResult::Stopped | DrillResult::Good)), "{result:?}");
    }
}
