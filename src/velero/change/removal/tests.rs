use std::sync::Mutex;

use http::StatusCode;
use serde_json::Value;

use super::*;
use crate::{
    cluster::test_api::{TestApi, Verb},
    velero::names::{CREDENTIALS_KEY, INSTANCE, KEPT_KEYS, REPOSITORY_KEY},
};

const OURS: &str = "velero-operator";

fn object(api_version: &str, kind: &str, name: &str, metadata: Value) -> Value {
    let mut object = json!({"apiVersion": api_version, "kind": kind});
    object["metadata"] = metadata;
    object["metadata"]["name"] = json!(name);
    if !["ClusterRoleBinding", "Namespace"].contains(&kind) && object["metadata"]["namespace"].is_null() {
        object["metadata"]["namespace"] = json!("velero");
    }
    object
}

fn of(application: &str) -> Value {
    json!({"labels": {"component": "velero", MANAGED_BY.0: MANAGED_BY.1, INSTANCE: application}})
}

/// A cluster with the Velero of an application in the namespace `velero`.
fn installed(application: &str) -> TestApi {
    let api = TestApi::new();
    for kind in ["Backup", "Restore", "PodVolumeBackup", "Schedule", "BackupStorageLocation"] {
        api.define("v1", kind);
        let name = format!("{}s.velero.io", kind.to_lowercase());
        let mut definition = api.object("CustomResourceDefinition", &name).unwrap();
        definition["metadata"]["labels"][MANAGED_BY.0] = json!(MANAGED_BY.1);
        api.put(&definition);
    }
    api.put(&object("v1", "Namespace", "velero", json!({})));
    for (api_version, kind, name) in [
        ("apps/v1", "Deployment", SERVER),
        ("apps/v1", "DaemonSet", NODE_AGENT),
        ("v1", "Secret", CREDENTIALS),
        ("v1", "Service", METRICS),
        ("v1", "ServiceAccount", SERVER),
        ("velero.io/v1", "BackupStorageLocation", LOCATION),
        ("velero.io/v1", "Schedule", "of-a-relation"),
    ] {
        api.put(&object(api_version, kind, name, of(application)));
    }
    let mut binding = object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "velero", of(application));
    binding["subjects"] = json!([{"kind": "ServiceAccount", "namespace": "velero", "name": SERVER}]);
    api.put(&binding);
    for name in ["nightly", "weekly"] {
        api.put(&object("velero.io/v1", "Backup", name, json!({})));
    }
    let finalizers = json!({"finalizers": ["restores.velero.io/external-resources-finalizer"]});
    api.put(&object("velero.io/v1", "Restore", "again", finalizers));
    let owner = json!([{"apiVersion": "velero.io/v1", "kind": "Backup", "name": "nightly", "uid": "1"}]);
    api.put(&object("velero.io/v1", "PodVolumeBackup", "nightly-1", json!({"ownerReferences": owner})));
    api
}

/// What is no part of the charm's Velero.
fn others() -> Vec<Value> {
    vec![
        object("v1", "Secret", "modeloperator", json!({"labels": {MANAGED_BY.0: "juju"}})),
        object("v1", "Service", "wordpress", json!({"labels": {MANAGED_BY.0: "Helm", "component": "velero"}})),
        object("apps/v1", "Deployment", "wordpress", json!({})),
    ]
}

async fn remove_from(api: &TestApi) -> Removal {
    remove(&api.cluster("velero"), OURS).await
}

#[tokio::test]
async fn all_of_the_own_velero_goes_and_nothing_else() {
    let api = installed(OURS);
    api.put_all(&others());
    for name in [node_agent_config(OURS), repository_config(OURS)] {
        api.put(&object("v1", "ConfigMap", &name, of(OURS)));
    }
    api.finishes("Restore");
    assert_eq!(remove_from(&api).await, Removal::default());
    let left = ["Deployment wordpress", "Namespace velero", "Secret modeloperator", "Service wordpress"];
    assert_eq!(api.names(), left);
}

/// Has the Velero of an application be one of a former revision, which did not say whose it is.
fn unlabel(api: &TestApi) {
    for (kind, name) in [
        ("Deployment", SERVER),
        ("DaemonSet", NODE_AGENT),
        ("Secret", CREDENTIALS),
        ("Service", METRICS),
        ("ServiceAccount", SERVER),
        ("ClusterRoleBinding", "velero"),
        ("BackupStorageLocation", LOCATION),
    ] {
        let mut former = api.object(kind, name).unwrap();
        former["metadata"]["labels"].as_object_mut().unwrap().remove(INSTANCE);
        former["metadata"]["creationTimestamp"] = json!(MADE);
        api.put(&former);
    }
}

/// When the Velero of a former revision was made, and times around it.
const BEFORE: &str = "2026-01-31T10:00:00Z";
const MADE: &str = "2026-01-31T11:00:00Z";
const AFTER: &str = "2026-01-31T12:00:00Z";

/// What Juju has for an application that is trusted.
fn juju_has(api: &TestApi, application: &str, since: &str) {
    let labels = json!({MANAGED_BY.0: "juju", "app.kubernetes.io/name": application});
    let metadata = json!({"labels": labels, "creationTimestamp": since});
    api.put(&object("apps/v1", "StatefulSet", application, metadata.clone()));
    let name = format!("velero-{application}");
    let mut binding = object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", &name, metadata);
    binding["subjects"] = json!([{"kind": "ServiceAccount", "namespace": "velero", "name": application}]);
    api.put(&binding);
}

#[tokio::test]
async fn the_velero_of_a_former_revision_goes_too_also_where_the_stateful_set_is_gone() {
    for is_there in [true, false] {
        let api = installed(OURS);
        unlabel(&api);
        let mut left = vec!["Namespace velero".to_owned()];
        if is_there {
            juju_has(&api, OURS, BEFORE);
            left = vec![format!("ClusterRoleBinding velero-{OURS}"), left.remove(0), format!("StatefulSet {OURS}")];
        }
        api.finishes("Restore");
        assert_eq!(remove_from(&api).await, Removal::default());
        assert_eq!(api.names(), left);
    }
}

#[tokio::test]
async fn a_former_revisions_velero_of_a_rival_stays() {
    for is_there in [true, false] {
        let api = installed(OURS);
        unlabel(&api);
        juju_has(&api, "first", BEFORE);
        if is_there {
            juju_has(&api, OURS, AFTER);
        }
        // What the application has made itself goes.
        api.put(&object("velero.io/v1", "Schedule", "of-a-relation", of("first")));
        api.put(&object("velero.io/v1", "Schedule", "ours", of(OURS)));
        let mut before = api.versions();
        before.retain(|(name, _)| !name.contains("\"ours\""));
        assert_eq!(remove_from(&api).await, Removal::default());
        assert_eq!(api.versions(), before);
    }
}

#[tokio::test]
async fn where_it_is_not_known_whose_a_former_revisions_velero_is_it_stays() {
    let api = installed(OURS);
    unlabel(&api);
    juju_has(&api, OURS, BEFORE);
    let before = api.versions();
    api.refuse(|call| (call.key.plural == "statefulsets").then_some(StatusCode::FORBIDDEN));
    let removal = remove_from(&api).await;
    assert!(removal.forbidden && removal.left[0].contains("Deployment velero, "), "{removal:?}");
    // But for what names the application.
    let named: Vec<_> = before.iter().filter(|(name, _)| !name.contains("of-a-relation")).cloned().collect();
    assert_eq!(api.versions(), named);
}

#[tokio::test]
async fn beside_another_server_only_what_names_the_application_goes() {
    let api = installed(OURS);
    let labels = json!({"component": "velero", MANAGED_BY.0: "Helm"});
    api.put(&object("apps/v1", "Deployment", "backup-velero", json!({"labels": labels})));
    assert_eq!(remove_from(&api).await, Removal::default());
    let mut left = api.names();
    left.retain(|name| !name.starts_with("CustomResourceDefinition"));
    let theirs = [
        "Backup nightly",
        "Backup weekly",
        "Deployment backup-velero",
        "Namespace velero",
        "PodVolumeBackup nightly-1",
        "Restore again",
    ];
    assert_eq!(left, theirs);
}

/// Has the Secret of the credentials be one that was there before the application.
fn adopt_secret(api: &TestApi) {
    let mut adopted = api.object("Secret", CREDENTIALS).unwrap();
    adopted["metadata"]["annotations"] = json!({KEPT_KEYS: "cloud"});
    adopted["data"] = json!({"cloud": "b25lIA==", CREDENTIALS_KEY: "b3Vycw=="});
    api.put(&adopted);
}

fn assert_is_released(api: &TestApi, when: &str) {
    let released = api.object("Secret", CREDENTIALS).unwrap_or_else(|| panic!("it is gone {when}"));
    assert_eq!(released["data"], json!({"cloud": "b25lIA=="}), "{when}");
    assert_eq!(released["metadata"]["labels"], json!({}), "{when}");
    assert_eq!(released["metadata"]["annotations"], json!({}), "{when}");
}

#[tokio::test]
async fn a_secret_that_was_adopted_is_released_and_not_deleted() {
    let api = installed(OURS);
    api.finishes("Restore");
    adopt_secret(&api);
    assert_eq!(remove_from(&api).await, Removal::default());
    assert_eq!(api.names(), ["Namespace velero", "Secret cloud-credentials"]);
    assert_is_released(&api, "after a run");
    // Also where the Velero is not the application's any more.
    let api = installed("another");
    let mut secret = api.object("Secret", CREDENTIALS).unwrap();
    secret["metadata"]["labels"][INSTANCE] = json!(OURS);
    api.put(&secret);
    adopt_secret(&api);
    assert_eq!(remove_from(&api).await, Removal::default());
    assert_is_released(&api, "beside another Velero");
}

#[tokio::test]
async fn the_velero_of_another_application_stays_whole() {
    let api = installed("another");
    let before = api.versions();
    assert_eq!(remove_from(&api).await, Removal::default());
    assert_eq!(api.versions(), before);
}

#[tokio::test]
async fn beside_anothers_velero_only_what_names_its_application_goes() {
    let api = installed("another");
    let before = api.versions();
    api.put(&object("v1", "Service", METRICS, of(OURS)));
    api.put(&object("velero.io/v1", "Schedule", "ours", of(OURS)));
    assert_eq!(remove_from(&api).await, Removal::default());
    assert!(api.object("Service", METRICS).is_none() && api.object("Schedule", "ours").is_none());
    assert_eq!(api.versions().len(), before.len() - 1);
}

#[tokio::test]
async fn objects_without_a_server_are_nobodys_unless_a_trace_says_whose() {
    let api = installed("another");
    api.cluster("velero").delete(&api.cluster("velero").own(named("apps/v1", "Deployment", SERVER))).await.unwrap();
    let before = api.versions();
    assert_eq!(remove_from(&api).await, Removal::default());
    assert_eq!(api.versions(), before);
}

#[tokio::test]
async fn restores_go_while_the_server_runs_and_secrets_before_what_is_many() {
    let api = installed(OURS);
    api.finishes("Restore");
    api.requests();
    remove_from(&api).await;
    let requests = api.requests();
    let deleted = |what: &str| {
        let is = |request: &String| request.starts_with("DELETE") && request.contains(what);
        requests.iter().position(is).unwrap_or_else(|| panic!("no deletion of {what} in {requests:#?}"))
    };
    let order = [
        "/restores?",
        "/deployments/velero",
        "/clusterrolebindings/velero",
        "/secrets/cloud-credentials",
        "/serviceaccounts/velero",
        "/backups?",
        "/customresourcedefinitions/",
        "/services/velero-metrics",
    ]
    .map(deleted);
    assert!(order.is_sorted(), "{order:?} in {requests:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_that_nobody_takes_off_is_taken_off() {
    let api = installed(OURS);
    let begun = tokio::time::Instant::now();
    assert_eq!(remove_from(&api).await, Removal::default());
    assert_eq!(api.names(), ["Namespace velero"]);
    // The server had the time to do it.
    assert!(begun.elapsed() >= FINALIZERS_PATIENCE, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_is_left_for_want_of_rights_is_told_as_such() {
    let api = installed(OURS);
    api.refuse(|_| Some(StatusCode::FORBIDDEN));
    let removal = remove_from(&api).await;
    assert!(removal.forbidden);
    for what in ["Deployment velero", "ServiceAccount velero", "Secret cloud-credentials"] {
        assert!(removal.left.iter().any(|left| left == what), "{what} in {:?}", removal.left);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_for_another_reason_is_worth_another_run() {
    let api = installed(OURS);
    api.finishes("Restore");
    api.refuse(|call| match (call.verb, call.key.plural.as_str()) {
        (Verb::Delete, "secrets") => Some(StatusCode::INTERNAL_SERVER_ERROR),
        (Verb::DeleteCollection, "schedules") => Some(StatusCode::FORBIDDEN),
        _ => None,
    });
    let removal = remove_from(&api).await;
    assert!(!removal.forbidden, "{removal:?}");
    assert_eq!(removal.left, ["Secret cloud-credentials", "the objects of kind Schedule"]);
    api.refuse_nothing();
    assert_eq!(remove_from(&api).await, Removal::default());
    assert_eq!(api.names(), ["Namespace velero"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_holds_it_no_longer_than_its_limit() {
    let api = installed(OURS);
    let begun = tokio::time::Instant::now();
    // Paused time goes on only when nothing else can.
    let cluster = api.cluster("velero");
    let unanswered = api.silent_from(10, remove(&cluster, OURS));
    assert!(!unanswered.await.left.is_empty());
    assert!(begun.elapsed() <= LIMIT + Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn definitions_stay_while_anything_elsewhere_uses_them() {
    let elsewhere = json!({"namespace": "elsewhere", "labels": {"component": "velero"}});
    for other in [
        object("velero.io/v1", "Backup", "theirs", json!({"namespace": "elsewhere"})),
        object("apps/v1", "Deployment", "velero", elsewhere),
    ] {
        let api = installed(OURS);
        api.finishes("Restore");
        api.put(&other);
        assert_eq!(remove_from(&api).await, Removal { shared_definitions: true, ..Removal::default() });
        assert!(api.object("CustomResourceDefinition", "backups.velero.io").is_some());
        assert!(api.object("Backup", "nightly").is_none());
    }
}

#[tokio::test]
async fn an_object_that_somebody_elses_tool_made_stays_and_its_definition_with_it() {
    let api = installed(OURS);
    api.finishes("Restore");
    api.put(&object("velero.io/v1", "Schedule", "of-a-chart", json!({"labels": {MANAGED_BY.0: "Helm"}})));
    let removal = remove_from(&api).await;
    assert_eq!(removal, Removal { shared_definitions: true, ..Removal::default() });
    assert!(api.object("Schedule", "of-a-chart").is_some());
    assert!(api.object("Schedule", "of-a-relation").is_none());
}

#[tokio::test]
async fn a_definition_that_the_charm_did_not_bring_stays() {
    let api = installed(OURS);
    api.finishes("Restore");
    api.define("v1", "ResticRepository");
    assert_eq!(remove_from(&api).await, Removal::default());
    assert_eq!(api.names(), ["CustomResourceDefinition resticrepositories.velero.io", "Namespace velero"]);
}

#[tokio::test]
async fn killed_at_any_request_the_next_run_reaches_the_same_end() {
    for requests in 0.. {
        let api = installed(OURS);
        api.finishes("Restore");
        adopt_secret(&api);
        let cluster = api.cluster("velero");
        let ended = api.killed_after(requests, remove(&cluster, OURS)).await.is_some();
        let when = format!("killed after {requests} requests");
        assert_eq!(remove(&cluster, OURS).await, Removal::default(), "{when}");
        assert_eq!(api.names(), ["Namespace velero", "Secret cloud-credentials"], "{when}");
        assert_is_released(&api, &when);
        if ended {
            assert!(requests > 20, "only {requests} requests");
            return;
        }
    }
}

#[tokio::test]
async fn nothing_stays_where_each_kind_and_object_is_said_to_be_missing_once() {
    let api = installed(OURS);
    for name in [node_agent_config(OURS), repository_config(OURS), policies_name(OURS)] {
        api.put(&object("v1", "ConfigMap", &name, of(OURS)));
    }
    api.put(&object("v1", "Secret", &proxies_secret(OURS), of(OURS)));
    api.finishes("Restore");
    let missed = Mutex::new(BTreeSet::new());
    api.refuse(move |call| {
        let is_first = matches!(call.verb, Verb::Get | Verb::List | Verb::Delete | Verb::DeleteCollection)
            && missed.lock().is_ok_and(|mut missed| missed.insert(call.text.clone()));
        is_first.then_some(StatusCode::NOT_FOUND)
    });
    assert_eq!(remove_from(&api).await, Removal::default());
    assert_eq!(api.names(), ["Namespace velero"]);
}

#[tokio::test]
async fn a_namespace_full_of_backups_takes_a_request_for_each_page() {
    let api = installed(OURS);
    api.finishes("Restore");
    for number in 0..1_000 {
        api.put(&object("velero.io/v1", "Backup", &format!("backup-{number}"), json!({})));
        for volume in 0..3 {
            let name = format!("backup-{number}-{volume}");
            api.put(&object("velero.io/v1", "PodVolumeBackup", &name, json!({})));
        }
    }
    api.requests();
    assert_eq!(remove_from(&api).await, Removal::default());
    let requests = api.requests().len();
    assert!(requests < 100, "{requests} requests");
}

#[tokio::test(start_paused = true)]
async fn finalizers_of_what_stays_are_left_on() {
    let api = installed(OURS);
    let held = |name: &str, application: &str| {
        let mut metadata = of(application);
        metadata["finalizers"] = json!(["example.com/held"]);
        object("velero.io/v1", "Schedule", name, metadata)
    };
    let mut owned = json!({"finalizers": ["example.com/held"]});
    owned["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "Any", "name": "any", "uid": "any"}]);
    api.put_all(&[held("ours", OURS), held("theirs", "another"), object("velero.io/v1", "Restore", "owned", owned)]);
    remove_from(&api).await;
    let owned = api.object("Restore", "owned").unwrap();
    assert_eq!(
        (&owned["metadata"]["deletionTimestamp"], owned["metadata"]["finalizers"].is_array()),
        (&Value::Null, true)
    );
    assert!(api.object("Schedule", "ours").is_none());
    let theirs = api.object("Schedule", "theirs").unwrap();
    assert_eq!(theirs["metadata"]["finalizers"], json!(["example.com/held"]));
}

#[tokio::test]
async fn bindings_of_other_names_go_where_they_say_whose_they_are() {
    let api = installed(OURS);
    api.finishes("Restore");
    let binding = |name: &str, metadata: Value, subject: Value| {
        let mut binding = object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", name, metadata);
        binding["subjects"] = json!([{"kind": "ServiceAccount", "namespace": "velero", "name": SERVER}, subject]);
        binding
    };
    let server = || json!({"kind": "ServiceAccount", "namespace": "velero", "name": SERVER});
    let mut owned = of(OURS);
    owned["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Any", "name": "any", "uid": "any"}]);
    let elsewhere = json!({"kind": "ServiceAccount", "namespace": "elsewhere", "name": SERVER});
    let another = json!({"kind": "ServiceAccount", "namespace": "velero", "name": "another"});
    api.put_all(&[
        binding("ours", of(OURS), server()),
        binding("owned", owned, server()),
        binding("theirs", of("another"), server()),
        binding("elsewhere-too", of(OURS), elsewhere),
        binding("of-another-too", of(OURS), another),
    ]);
    assert_eq!(remove_from(&api).await, Removal::default());
    let stays = ["elsewhere-too", "of-another-too", "owned", "theirs"];
    let mut left = api.names();
    left.retain(|name| name.starts_with("ClusterRoleBinding"));
    assert_eq!(left, stays.map(|name| format!("ClusterRoleBinding {name}")));
}

#[tokio::test]
async fn only_the_password_that_everybody_knows_goes() {
    let secret = |password: &str, application: &str| {
        let mut secret = object("v1", "Secret", REPOSITORY_SECRET, of(application));
        let data = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, password);
        secret["data"] = json!({REPOSITORY_KEY: data});
        secret
    };
    for (password, owner, stays, is_released) in
        [("static-passw0rd", OURS, false, false), ("mine", OURS, true, true), ("mine", "another", true, false)]
    {
        let api = installed(OURS);
        api.finishes("Restore");
        api.put(&secret(password, owner));
        assert_eq!(remove_from(&api).await, Removal::default());
        let left = api.object("Secret", REPOSITORY_SECRET);
        assert_eq!(left.is_some(), stays, "{password} of {owner}");
        let owner = left.map(|left| left["metadata"]["labels"][INSTANCE].clone());
        assert_eq!(owner.is_some_and(|owner| owner.is_null()), is_released, "{password}");
    }
}
