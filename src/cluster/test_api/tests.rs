use std::time::Duration;

use futures::{StreamExt, pin_mut};
use kube::{
    api::{DynamicObject, ListParams},
    runtime::{WatchStreamExt, conditions, wait::await_condition, watcher},
};

use super::*;
use crate::cluster::named;

fn backup(name: &str, more: &Value) -> Value {
    let mut backup = json!({"apiVersion": "velero.io/v1", "kind": "Backup",
        "metadata": {"name": name, "namespace": "velero", "labels": {"place": "here"}}});
    for (field, value) in more.as_object().unwrap() {
        backup["metadata"][field] = value.clone();
    }
    backup
}

fn service(app: &str) -> DynamicObject {
    let mut service = named("v1", "Service", "velero-metrics");
    service.metadata.namespace = Some("velero".to_owned());
    service.data = json!({"spec": {"selector": {"app": app}}});
    service
}

#[tokio::test]
async fn an_apply_that_changes_nothing_makes_no_new_version_and_one_without_a_field_removes_it() {
    let api = TestApi::new();
    let cluster = api.cluster("velero");
    let mut wanted = service("velero");
    let first = cluster.apply(&wanted).await.unwrap();
    assert_eq!(cluster.apply(&wanted).await.unwrap().metadata.resource_version, first.metadata.resource_version);
    cluster.merge(&wanted, &json!({"spec": {"theirs": "kept"}})).await.unwrap();
    wanted.data = json!({"spec": {"ports": [1]}});
    let changed = cluster.apply(&wanted).await.unwrap();
    assert_eq!(changed.data["spec"], json!({"ports": [1], "theirs": "kept"}));
    assert_ne!(changed.metadata.resource_version, first.metadata.resource_version);
}

#[tokio::test]
async fn a_dry_run_tells_what_would_be_and_stores_nothing() {
    let api = TestApi::new();
    let cluster = api.cluster("velero");
    assert_eq!(cluster.try_apply(&service("velero")).await.unwrap().data["spec"]["selector"]["app"], "velero");
    assert!(cluster.accepts(&service("velero")).await);
    assert_eq!(api.names(), Vec::<String>::new());
    let made = cluster.apply(&service("velero")).await.unwrap();
    assert_eq!(cluster.try_apply(&service("other")).await.unwrap().data["spec"]["selector"]["app"], "other");
    let live = cluster.find(&service("velero")).await.unwrap().unwrap();
    assert_eq!((live.metadata.resource_version, live.data), (made.metadata.resource_version, made.data));
    assert_eq!(api.writes().len(), 1);
}

#[tokio::test]
async fn what_admission_rewrites_is_told_by_a_dry_run_too_and_changes_nothing_the_next_time() {
    let api = TestApi::new();
    api.rewrite(|object| object["spec"]["selector"]["app"] = json!("rewritten"));
    let cluster = api.cluster("velero");
    let made = cluster.apply(&service("velero")).await.unwrap();
    assert_eq!(made.data["spec"]["selector"]["app"], "rewritten");
    assert_eq!(cluster.try_apply(&service("velero")).await.unwrap().data, made.data);
    assert_eq!(
        cluster.apply(&service("velero")).await.unwrap().metadata.resource_version,
        made.metadata.resource_version
    );
}

#[tokio::test]
async fn there_are_no_objects_of_a_kind_without_its_definition() {
    let api = TestApi::new();
    let cluster = api.cluster("velero");
    let backup = cluster.own(named("velero.io/v1", "Backup", "nightly"));
    assert!(cluster.apply(&backup).await.unwrap_err().is_not_found());
    api.define("v1", "Backup");
    cluster.apply(&backup).await.unwrap();
    cluster.delete(&named("apiextensions.k8s.io/v1", "CustomResourceDefinition", "backups.velero.io")).await.unwrap();
    assert_eq!(api.names(), Vec::<String>::new());
}

#[tokio::test]
async fn lists_come_in_pages_and_select_by_labels() {
    let api = TestApi::new();
    api.define("v1", "Backup");
    for name in ["a", "b", "c"] {
        api.put(&backup(name, &json!({})));
    }
    api.put(&backup("d", &json!({"labels": {}})));
    let backups = api.cluster("velero").here(&velero_kind("v1", "Backup"));
    let page = ListParams::default().labels("place in (here,there),!other").limit(2);
    let first = backups.list_metadata(&page).await.unwrap();
    assert_eq!(first.items.len(), 2);
    let second = backups.list(&page.clone().continue_token(&first.metadata.continue_.unwrap())).await.unwrap();
    assert_eq!((second.items.len(), second.metadata.continue_), (1, None));
}

#[tokio::test]
async fn what_has_finalizers_goes_when_they_are_off() {
    let api = TestApi::new();
    api.define("v1", "Backup");
    api.put(&backup("held", &json!({"finalizers": ["example.test/held"]})));
    api.put(&backup("free", &json!({})));
    let cluster = api.cluster("velero");
    let backups = cluster.here(&velero_kind("v1", "Backup"));
    backups.delete_collection(&kube::api::DeleteParams::default(), &ListParams::default()).await.unwrap();
    assert!(api.object("Backup", "free").is_none());
    let held = api.object("Backup", "held").unwrap();
    let uid = held["metadata"]["uid"].as_str().unwrap();
    let gone = await_condition(backups, "held", conditions::is_deleted(uid));
    let held = cluster.own(named("velero.io/v1", "Backup", "held"));
    let without = json!({"metadata": {"finalizers": null}});
    let freed = cluster.merge(&held, &without);
    let (gone, freed) = futures::join!(tokio::time::timeout(Duration::from_secs(5), gone), freed);
    gone.unwrap().unwrap();
    freed.unwrap();
}

#[tokio::test]
async fn a_watch_begins_with_what_is_there_and_goes_on() {
    let api = TestApi::new();
    api.define("v1", "Backup");
    api.put(&backup("a", &json!({})));
    let backups = api.cluster("velero").here(&velero_kind("v1", "Backup"));
    let seen = watcher(backups, watcher::Config::default()).default_backoff().applied_objects();
    pin_mut!(seen);
    assert_eq!(seen.next().await.unwrap().unwrap().metadata.name.unwrap(), "a");
    api.put(&backup("b", &json!({})));
    assert_eq!(seen.next().await.unwrap().unwrap().metadata.name.unwrap(), "b");
}

#[tokio::test]
async fn who_is_killed_makes_as_many_requests_and_no_more() {
    let api = TestApi::new();
    let cluster = api.cluster("velero");
    let write_two = || async {
        cluster.apply(&service("one")).await.unwrap();
        cluster.delete(&service("one")).await.unwrap();
    };
    assert_eq!(api.killed_after(1, write_two()).await, None);
    assert_eq!(api.names(), ["Service velero-metrics"]);
    assert_eq!(api.killed_after(2, write_two()).await, Some(()));
    assert_eq!(api.names(), Vec::<String>::new());
}

#[tokio::test]
async fn a_refused_request_says_so() {
    let api = TestApi::new();
    api.refuse(|call| (call.verb == Verb::Delete).then_some(StatusCode::FORBIDDEN));
    let cluster = api.cluster("velero");
    cluster.apply(&service("velero")).await.unwrap();
    assert!(cluster.delete(&service("velero")).await.unwrap_err().is_forbidden());
    api.refuse_nothing();
    cluster.delete(&service("velero")).await.unwrap();
    assert_eq!(api.requests().len(), 3);
}

fn velero_kind(version: &str, kind: &str) -> TypeMeta {
    TypeMeta { api_version: format!("velero.io/{version}"), kind: kind.to_owned() }
}
