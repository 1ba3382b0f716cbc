use http::StatusCode;
use serde_json::json;

use super::*;
use crate::{
    cluster::test_api::{TestApi, Verb},
    settings::{Group, NodeAgentSettings, RepositorySettings, Settings},
    velero::{
        fixtures::{APPLICATION, backup_in_progress, empty_cluster, installation, manifests},
        names::INSTANCE,
        wanted::{HeldBack, LocationPlan},
    },
};

const QUOTA: &str =
    "services \"velero-metrics\" is forbidden: exceeded quota: few, requested: services=1, used: services=5";

async fn try_to_apply(api: &TestApi, installation: &Installation) -> Result<Applied, ClusterError> {
    let cluster = api.cluster("velero");
    let (holdings, sighting) = Sighting::take(&cluster, &installation.application).await?;
    apply(&cluster, installation, &manifests(installation), &holdings, &sighting).await
}

async fn apply_to(api: &TestApi, installation: &Installation) -> Applied {
    try_to_apply(api, installation).await.unwrap()
}

fn of_image(image: &str) -> Installation {
    Installation { image: image.to_owned(), ..installation() }
}

fn image_of(api: &TestApi, kind: &str, name: &str) -> Value {
    api.object(kind, name).unwrap()["spec"]["template"]["spec"]["containers"][0]["image"].clone()
}

fn delete_service(api: &TestApi) -> impl Future<Output = ()> {
    let cluster = api.cluster("velero");
    async move { cluster.delete(&cluster.own(named("v1", "Service", "velero-metrics"))).await.unwrap() }
}

#[tokio::test]
async fn an_empty_cluster_gets_all_but_the_locations() {
    let api = empty_cluster();
    let applied = apply_to(&api, &installation()).await;
    let mut made = api.names();
    made.retain(|name| !name.starts_with("CustomResourceDefinition"));
    let all = [
        "ClusterRoleBinding velero",
        "DaemonSet node-agent",
        "Deployment velero",
        "Namespace kube-system",
        "Namespace velero",
        "Pod velero-1",
        "Service velero-metrics",
        "ServiceAccount velero",
    ];
    assert_eq!(made, all);
    assert_eq!(applied.postponed, []);
    let changed = [
        "8 CustomResourceDefinitions",
        "the labels of Namespace velero",
        "Service velero-metrics",
        "ClusterRoleBinding velero",
        "ServiceAccount velero",
        "Deployment velero",
        "DaemonSet node-agent",
    ];
    assert_eq!(applied.changed, changed);
    for (kind, name) in [("Deployment", "velero"), ("DaemonSet", "node-agent"), ("ClusterRoleBinding", "velero")] {
        assert_eq!(api.object(kind, name).unwrap()["metadata"]["labels"][INSTANCE], APPLICATION);
    }
}

#[tokio::test]
async fn definitions_and_the_labels_of_the_namespace_come_before_what_needs_them() {
    let api = empty_cluster();
    apply_to(&api, &installation()).await;
    let writes = api.writes();
    let kind = |write: &String| match write.split(['?', ' ']).nth(1).unwrap_or_default() {
        path if path.contains("customresourcedefinitions") => 0,
        "/api/v1/namespaces/velero" => 1,
        _ => 2,
    };
    assert!(writes.iter().map(kind).is_sorted(), "{writes:#?}");
}

#[tokio::test]
async fn a_second_run_only_reads() {
    let api = empty_cluster();
    apply_to(&api, &installation()).await;
    api.requests();
    let before = api.versions();
    let applied = apply_to(&api, &installation()).await;
    assert_eq!((applied.changed, applied.postponed), (Vec::new(), Vec::new()));
    let requests = api.requests();
    assert!(requests.iter().all(|request| request.starts_with("GET ")), "{requests:#?}");
    assert_eq!(api.versions(), before);
}

#[tokio::test]
async fn what_admission_has_rewritten_is_not_applied_again_and_again() {
    let api = empty_cluster();
    api.rewrite(|object| {
        if let Some(Value::String(image)) = object.pointer_mut("/spec/template/spec/containers/0/image") {
            *image = image.replace("velero/", "mirror.test/velero/");
        }
        if object["kind"] == "Service" {
            object["metadata"]["labels"]["component"] = json!("of-a-policy");
        }
    });
    apply_to(&api, &installation()).await;
    assert_eq!(image_of(&api, "Deployment", "velero"), "mirror.test/velero/velero:v1.18.3");
    api.writes();
    let before = api.versions();
    for _ in 0..2 {
        assert_eq!(apply_to(&api, &installation()).await.changed, Vec::<String>::new());
    }
    assert_eq!(api.versions(), before);
    assert_eq!(api.writes(), Vec::<String>::new());
    // What is really another manifest is applied through it.
    apply_to(&api, &of_image("velero/velero:v1.18.4")).await;
    assert_eq!(image_of(&api, "Deployment", "velero"), "mirror.test/velero/velero:v1.18.4");
}

#[tokio::test]
async fn what_somebody_has_changed_or_deleted_is_mended_and_nothing_else_is_written() {
    let api = empty_cluster();
    apply_to(&api, &installation()).await;
    let wanted = api.contents();
    delete_service(&api).await;
    let mut edited = api.object("Deployment", "velero").unwrap();
    edited["spec"]["replicas"] = json!(0);
    api.put(&edited);
    api.writes();
    assert_eq!(apply_to(&api, &installation()).await.changed, ["Service velero-metrics", "Deployment velero"]);
    assert_eq!(api.writes().len(), 2);
    assert_eq!(api.contents(), wanted);
}

#[tokio::test]
async fn a_quota_on_one_object_is_told_in_the_servers_words_and_the_others_are_applied() {
    let api = empty_cluster();
    api.refuse_saying(|call| {
        let is_it = call.verb == Verb::Apply && call.key.plural == "services";
        is_it.then(|| (StatusCode::FORBIDDEN, QUOTA.to_owned()))
    });
    let applied = apply_to(&api, &installation()).await;
    let told = format!("the cluster refuses to apply Service velero-metrics: {QUOTA}");
    assert_eq!((applied.refused, applied.server_refused), (vec![Status::Blocked(told)], false));
    assert!(api.object("Deployment", "velero").is_some() && api.object("DaemonSet", "node-agent").is_some());
    api.refuse_nothing();
    assert_eq!(apply_to(&api, &installation()).await.changed, ["Service velero-metrics"]);
}

#[tokio::test]
async fn want_of_rights_is_an_error() {
    let api = empty_cluster();
    api.refuse(|call| {
        (call.verb == Verb::Apply && call.key.plural == "clusterrolebindings").then_some(StatusCode::FORBIDDEN)
    });
    assert!(try_to_apply(&api, &installation()).await.unwrap_err().is_forbidden());
}

#[tokio::test]
async fn parts_that_are_held_back_are_not_written() {
    let api = empty_cluster();
    apply_to(&api, &installation()).await;
    delete_service(&api).await;
    api.writes();
    let held_back = HeldBack { server: true, node_agent: true };
    let applied = apply_to(&api, &Installation { held_back, ..of_image("velero/velero:v1.18.4") }).await;
    assert_eq!(applied.changed, ["Service velero-metrics"]);
    assert_eq!(api.writes().len(), 1);
    let held_back = HeldBack { server: false, node_agent: true };
    apply_to(&api, &Installation { held_back, ..of_image("velero/velero:v1.18.4") }).await;
    assert_eq!(image_of(&api, "Deployment", "velero"), "velero/velero:v1.18.4");
    assert_eq!(image_of(&api, "DaemonSet", "node-agent"), "velero/velero:v1.18.3");
}

#[tokio::test]
async fn what_would_restart_velero_waits_until_a_backup_has_ended() {
    let api = empty_cluster();
    apply_to(&api, &installation()).await;
    let mut backup = backup_in_progress("nightly");
    api.put(&backup);
    delete_service(&api).await;
    api.writes();
    let newer = of_image("velero/velero:v1.18.4");
    let waiting = Status::Waiting("to restart Velero until backup nightly has ended".to_owned());
    let cluster = api.cluster("velero");
    let (holdings, _) = Sighting::take(&cluster, APPLICATION).await.unwrap();
    // Who does not lead says the same, and changes nothing.
    let pending = pending(&cluster, &newer, &manifests(&newer), &holdings).await.unwrap();
    assert_eq!(pending.postponed, Some(waiting.clone()));
    assert_eq!(pending.to_apply, Some(Status::Waiting("to apply Service velero-metrics".to_owned())));
    assert_eq!(api.writes(), Vec::<String>::new());
    let applied = apply_to(&api, &newer).await;
    assert_eq!((applied.changed, applied.postponed), (vec!["Service velero-metrics".to_owned()], vec![waiting]));
    assert_eq!(image_of(&api, "Deployment", "velero"), "velero/velero:v1.18.3");
    backup["status"]["phase"] = json!("Completed");
    api.put(&backup);
    assert_eq!(apply_to(&api, &newer).await.changed, ["Deployment velero", "DaemonSet node-agent"]);
    assert_eq!(image_of(&api, "Deployment", "velero"), "velero/velero:v1.18.4");
}

#[tokio::test]
async fn who_does_not_lead_sees_what_is_to_be_removed() {
    let api = empty_cluster();
    apply_to(&api, &installation()).await;
    let cluster = api.cluster("velero");
    let without = Installation { node_agent: false, ..installation() };
    let seen = async || {
        let (holdings, _) = Sighting::take(&cluster, APPLICATION).await.unwrap();
        pending(&cluster, &without, &manifests(&without), &holdings).await.unwrap().to_apply
    };
    assert_eq!(seen().await, Some(Status::Waiting("to remove DaemonSet node-agent".to_owned())));
    apply_to(&api, &without).await;
    assert_eq!(seen().await, None);
}

#[tokio::test]
async fn a_server_that_does_not_run_is_mended_whatever_is_said_to_be_in_progress() {
    let api = empty_cluster();
    apply_to(&api, &installation()).await;
    for (kind, name) in [("Deployment", "velero"), ("DaemonSet", "node-agent")] {
        let mut broken = api.object(kind, name).unwrap();
        broken["status"] = json!({});
        api.put(&broken);
    }
    api.put(&backup_in_progress("nightly"));
    let applied = apply_to(&api, &of_image("velero/velero:v1.18.4")).await;
    assert_eq!(applied.postponed, []);
    assert_eq!(image_of(&api, "Deployment", "velero"), "velero/velero:v1.18.4");
}

/// Has installations applied one after the other, the last one killed at each of its requests and then run again.
async fn assert_ends_alike_wherever_it_is_killed(before: Option<&Installation>, wanted: &Installation, least: usize) {
    let begun = || async {
        let api = empty_cluster();
        if let Some(before) = before {
            apply_to(&api, before).await;
        }
        api
    };
    let undisturbed = begun().await;
    apply_to(&undisturbed, wanted).await;
    for requests in 0.. {
        let api = begun().await;
        let ended = api.killed_after(requests, apply_to(&api, wanted)).await.is_some();
        apply_to(&api, wanted).await;
        assert_eq!(api.contents(), undisturbed.contents(), "killed after {requests} requests");
        api.writes();
        apply_to(&api, wanted).await;
        assert_eq!(api.writes(), Vec::<String>::new(), "killed after {requests} requests");
        if ended {
            assert!(requests > least, "only {requests} requests");
            return;
        }
    }
}

#[tokio::test]
async fn killed_at_any_request_of_an_installation_the_next_run_reaches_the_same_end() {
    assert_ends_alike_wherever_it_is_killed(None, &installation(), 20).await;
}

#[tokio::test]
async fn killed_at_any_request_of_a_change_the_next_run_reaches_the_same_end() {
    let changed = Installation { node_agent: false, location: LocationPlan::None, ..of_image("velero/velero:v1.18.4") };
    assert_ends_alike_wherever_it_is_killed(Some(&installation()), &changed, 15).await;
}

fn set_up() -> Installation {
    let settings = Settings {
        node_agent: NodeAgentSettings::parse("load-concurrency: {global: 2}").unwrap(),
        repository: RepositorySettings::parse("cache-limit: 1Gi").unwrap(),
        ..Settings::default()
    };
    Installation { settings, ..installation() }
}

fn config_maps(api: &TestApi) -> Vec<String> {
    api.names().into_iter().filter(|name| name.starts_with("ConfigMap ")).collect()
}

#[tokio::test]
async fn config_maps_come_before_the_pods_that_read_them_and_go_after_these() {
    let api = empty_cluster();
    apply_to(&api, &installation()).await;
    api.writes();
    apply_to(&api, &set_up()).await;
    let both = ["ConfigMap velero-operator-node-agent", "ConfigMap velero-operator-repository"];
    assert_eq!(config_maps(&api), both);
    let kinds = |writes: Vec<String>| -> Vec<_> {
        writes.iter().map(|write| write.split('/').rev().nth(1).unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(kinds(api.writes()), ["configmaps", "configmaps", "deployments", "daemonsets"]);
    assert_eq!(apply_to(&api, &set_up()).await.changed, Vec::<String>::new());
    // The server would not start again without what it has been told to read.
    let mut backup = backup_in_progress("nightly");
    api.put(&backup);
    assert_eq!(apply_to(&api, &installation()).await.changed, Vec::<String>::new());
    assert_eq!(config_maps(&api), both);
    backup["status"]["phase"] = json!("Completed");
    api.put(&backup);
    api.writes();
    apply_to(&api, &installation()).await;
    assert_eq!(kinds(api.writes()), ["deployments", "daemonsets", "configmaps", "configmaps"]);
    assert_eq!(config_maps(&api), Vec::<String>::new());
}

#[tokio::test]
async fn pods_do_not_start_without_config_maps_that_the_cluster_refuses() {
    let api = empty_cluster();
    apply_to(&api, &installation()).await;
    let before = api.versions();
    api.refuse(|call| (call.key.plural == "configmaps" && call.verb == Verb::Apply).then_some(StatusCode::BAD_REQUEST));
    let applied = apply_to(&api, &set_up()).await;
    assert_eq!((applied.refused.len(), applied.server_refused), (2, true));
    assert_eq!(api.versions(), before);
    api.refuse_nothing();
    let all = ["velero-operator-node-agent", "velero-operator-repository"].map(|name| format!("ConfigMap {name}"));
    let changed = apply_to(&api, &set_up()).await.changed;
    assert_eq!(
        (&changed[..2], &changed[2..]),
        (&all[..], &["Deployment velero".into(), "DaemonSet node-agent".into()][..])
    );
}

#[tokio::test]
async fn config_maps_of_what_is_held_back_stay_as_they_are() {
    let api = empty_cluster();
    apply_to(&api, &set_up()).await;
    let before = api.versions();
    let held_back = HeldBack { server: true, node_agent: true };
    apply_to(&api, &Installation { held_back, ..installation() }).await;
    assert_eq!(api.versions(), before);
}

#[tokio::test]
async fn killed_at_any_request_of_a_change_of_settings_the_next_run_reaches_the_same_end() {
    assert_ends_alike_wherever_it_is_killed(Some(&installation()), &set_up(), 15).await;
    assert_ends_alike_wherever_it_is_killed(Some(&set_up()), &installation(), 15).await;
}

#[tokio::test]
async fn what_somebody_else_has_added_to_pods_stays_where_nothing_is_said_of_it() {
    let api = empty_cluster();
    apply_to(&api, &installation()).await;
    let mut server = api.object("Deployment", "velero").unwrap();
    let added =
        json!({"nodeSelector": {"disk": "ssd"}, "priorityClassName": "high", "tolerations": [{"operator": "Exists"}]});
    let spec = server["spec"]["template"]["spec"].as_object_mut().unwrap();
    spec.extend(added.as_object().unwrap().clone());
    api.put(&server);
    assert_eq!(apply_to(&api, &installation()).await.changed, Vec::<String>::new());
    assert_eq!(api.object("Deployment", "velero").unwrap()["spec"], server["spec"]);
}

#[tokio::test]
async fn what_is_to_have_a_priority_class_that_there_is_not_stays_as_it_is() {
    let api = empty_cluster();
    apply_to(&api, &installation()).await;
    let (cluster, before) = (api.cluster("velero"), api.versions());
    let mut wanted = manifests(&installation());
    let server = wanted.objects.iter_mut().find(|object| is_of_kind(object, "Deployment")).unwrap();
    server.data["spec"]["template"]["spec"]["priorityClassName"] = json!("high");
    let attempt = || async {
        let (holdings, sighting) = Sighting::take(&cluster, APPLICATION).await.unwrap();
        apply(&cluster, &installation(), &wanted, &holdings, &sighting).await.unwrap()
    };
    let applied = attempt().await;
    let told =
        "the cluster has no PriorityClass high, which Deployment velero is to have: name another one, or create it";
    assert_eq!((applied.refused, applied.server_refused), (vec![Status::Blocked(told.to_owned())], true));
    assert_eq!(api.versions(), before);
    api.put(&json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1}));
    assert_eq!(attempt().await.changed, ["Deployment velero"]);
}

#[test]
fn pods_that_are_older_than_their_account_are_made_anew() {
    let made = serde_json::from_value(json!("2026-01-31T10:00:00Z")).unwrap();
    let pod = |name: &str, created: &str, change: fn(&mut Value)| -> Pod {
        let mut pod = json!({"metadata": {"name": name, "creationTimestamp": created,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "velero", "uid": "1"}]},
            "spec": {"serviceAccountName": SERVER, "containers": []}});
        change(&mut pod);
        serde_json::from_value(pod).unwrap()
    };
    let (before, then) = ("2026-01-31T09:59:59Z", "2026-01-31T10:00:00Z");
    let pods = [
        pod("old", before, |_| {}),
        pod("new", then, |_| {}),
        pod("going", before, |pod| pod["metadata"]["deletionTimestamp"] = json!("2026-01-31T10:00:01Z")),
        pod("of-another", before, |pod| pod["spec"]["serviceAccountName"] = json!("default")),
        pod("of-a-job", before, |pod| pod["metadata"]["ownerReferences"][0]["kind"] = json!("Job")),
        pod("of-nobody", before, |pod| pod["metadata"]["ownerReferences"] = json!([])),
    ];
    assert_eq!(orphaned_pods(&pods, &made), ["old"]);
}

#[test]
fn pods_stay_where_template_selector_and_manifest_are_the_same() {
    let object = |spec: Value, manifest: &str| -> DynamicObject {
        let mut object = named("apps/v1", "Deployment", SERVER);
        object.annotations_mut().insert(MANIFEST_ANNOTATION.to_owned(), manifest.to_owned());
        object.data = json!({"spec": spec});
        object
    };
    let spec = |image: &str, label: &str| json!({"template": {"image": image}, "selector": {"app": label}});
    let desired = object(spec("a", "velero"), "0a");
    let mut more = spec("a", "velero");
    more["template"]["default"] = json!("of the server");
    assert!(has_template(&object(more, "0a"), &desired));
    assert!(has_template(&object(json!({}), "0b"), &object(json!({}), "0a")));
    for other in [
        object(spec("b", "velero"), "0a"),
        object(spec("a", "other"), "0a"),
        object(spec("a", "velero"), "0b"),
        object(json!({}), "0a"),
    ] {
        assert!(!has_template(&other, &desired), "{other:?}");
    }
}

#[tokio::test]
async fn only_what_the_server_would_take_anew_is_made_anew() {
    let immutable = || "ServiceAccount \"velero\" is invalid: secrets: Invalid value: field is immutable".to_owned();
    // Whether the server would take another one, what it says to a change, and whether the object is made anew.
    for (takes, code, is_remade) in [(true, 422, true), (false, 422, false), (true, 403, false)] {
        let api = empty_cluster();
        let cluster = api.cluster("velero");
        let desired = cluster.own(named("v1", "ServiceAccount", SERVER));
        let live = cluster.apply(&desired).await.unwrap();
        let uid = live.metadata.uid.clone();
        let refused = std::sync::atomic::AtomicBool::new(false);
        api.refuse_saying(move |call| match call.verb {
            Verb::Create => (!takes).then(|| (StatusCode::UNPROCESSABLE_ENTITY, immutable())),
            Verb::Apply if !refused.swap(true, std::sync::atomic::Ordering::Relaxed) => {
                Some((StatusCode::from_u16(code).unwrap(), if code == 422 { immutable() } else { String::new() }))
            }
            _ => None,
        });
        let change = Change { desired: &desired, live: Some(&live), replaces_pods: false };
        let outcome = apply_or_remake(&cluster, &change).await;
        assert_eq!(outcome.is_ok(), is_remade, "{takes} {code}");
        let is_there = api.object("ServiceAccount", SERVER).unwrap();
        assert_eq!(is_there["metadata"]["uid"] != json!(uid), is_remade, "{takes} {code}");
    }
}

#[tokio::test]
async fn what_a_dry_run_would_not_take_is_unclear_and_another_error_is_one() {
    let api = empty_cluster();
    let cluster = api.cluster("velero");
    let service = cluster.own(named("v1", "Service", "velero-metrics"));
    assert!(tried(&cluster, &service).await.unwrap().is_some());
    api.refuse(|_| Some(StatusCode::UNPROCESSABLE_ENTITY));
    assert_eq!(tried(&cluster, &service).await.unwrap(), None);
    api.refuse_nothing();
    api.refuse(|_| Some(StatusCode::NOT_FOUND));
    assert!(tried(&cluster, &service).await.is_err());
}

#[tokio::test]
async fn only_another_template_or_selector_replaces_pods_that_are_available() {
    let api = empty_cluster();
    apply_to(&api, &installation()).await;
    let (cluster, manifests) = (api.cluster("velero"), manifests(&installation()));
    let of_server = |object: &&DynamicObject| is_of_kind(object, "Deployment");
    let planned = manifests.objects.iter().find(of_server).unwrap();
    let replaces = async |change_it: fn(&mut DynamicObject)| {
        let (holdings, _) = Sighting::take(&cluster, APPLICATION).await.unwrap();
        let mut desired = planned.clone();
        change_it(&mut desired);
        let change = change(&cluster, &desired, holdings.find(planned).unwrap()).await.unwrap();
        change.map(|change| change.replaces_pods)
    };
    assert_eq!(replaces(|_| {}).await, None);
    assert_eq!(
        replaces(|desired| drop(desired.labels_mut().insert("a".to_owned(), "b".to_owned()))).await,
        Some(false)
    );
    let another = |desired: &mut DynamicObject| desired.data["spec"]["template"]["spec"]["priority"] = json!(1);
    assert_eq!(replaces(another).await, Some(true));
    // Where a dry run is refused, the template tells it.
    api.refuse(|call| (call.verb == Verb::Apply).then_some(StatusCode::UNPROCESSABLE_ENTITY));
    assert_eq!(replaces(another).await, Some(true));
    let mut broken = api.object("Deployment", "velero").unwrap();
    broken["status"] = json!({});
    api.put(&broken);
    assert_eq!(replaces(another).await, Some(false));
}

#[test]
fn only_pods_that_are_available_may_be_at_work() {
    let available = |status: Value| {
        let mut live = named("apps/v1", "Deployment", SERVER);
        live.data = json!({"status": status});
        has_available_pods(&live)
    };
    assert!(available(json!({"availableReplicas": 1})) && available(json!({"numberAvailable": 1})));
    assert!(!available(json!({"availableReplicas": 0})) && !available(json!({})));
}
