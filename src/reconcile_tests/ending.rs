//! How units and the application end.

use super::*;

#[tokio::test]
async fn a_unit_that_is_dying_asks_the_cluster_for_nothing_and_says_nothing() {
    let api = empty_cluster();
    let unit = Unit::of(&Model { goal: DYING, ..LEADER }, &api);
    unit.hook().await.unwrap();
    assert_eq!(api.requests(), Vec::<String>::new());
    assert_eq!(unit.written(), "");
}

#[tokio::test]
async fn a_unit_that_juju_does_not_list_changes_nothing_and_its_hook_is_run_again() {
    let api = installed().await;
    let before = api.versions();
    let unit = Unit::of(&Model { goal: "{}", ..LEADER }, &api);
    let unknown = unit.hook().await;
    assert!(matches!(unknown, Err(ReconcileError::UnknownUnits)), "{unknown:?}");
    assert_eq!((api.versions(), unit.written()), (before, String::new()));
}

#[tokio::test]
async fn a_removal_that_may_succeed_later_fails_and_the_next_one_goes_on() {
    let api = installed().await;
    let unit = Unit::of(&Model { goal: DYING, ..LEADER }, &api);
    api.refuse(|call| {
        let is_it = call.verb == Verb::Delete && call.key.plural == "secrets";
        is_it.then_some(StatusCode::INTERNAL_SERVER_ERROR)
    });
    // No tool is run from here on, which would take no time then.
    tokio::time::pause();
    let failed = take_away(&unit.velero(), &unit.environment).await;
    tokio::time::resume();
    let Err(ReconcileError::Left { namespace, left }) = failed else { panic!("{failed:?}") };
    assert_eq!((namespace.as_str(), left.as_str()), ("velero", "Secret cloud-credentials"));
    assert!(api.object("Deployment", "velero").is_none());
    api.refuse_nothing();
    unit.remove().await.unwrap();
    assert_eq!(api.names(), ["Namespace kube-system", "Namespace velero", "Pod velero-1"]);
}

#[tokio::test]
async fn a_removal_without_rights_does_not_fail_and_says_what_it_leaves() {
    let api = installed().await;
    let unit = Unit::of(&Model { goal: DYING, ..LEADER }, &api);
    api.refuse(|call| (call.verb == Verb::Delete && call.key.plural == "secrets").then_some(StatusCode::FORBIDDEN));
    let (layer, mut lines) = JujuLog::new();
    let logging = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    unit.remove().await.unwrap();
    drop(logging);
    let log = ScriptedTools::new(&[("juju-log", "true")]);
    lines.follow(&log.tools(), async {}).await;
    let warned = "left in namespace velero, as the application is not trusted any more, remove it by hand: \
         Secret cloud-credentials\n";
    assert!(log.calls("juju-log").contains(warned), "{}", log.calls("juju-log"));
    assert!(api.object("Secret", "cloud-credentials").is_some());
    api.refuse_nothing();
    unit.remove().await.unwrap();
    assert_eq!(api.names(), ["Namespace kube-system", "Namespace velero", "Pod velero-1"]);
}

#[tokio::test]
async fn one_refusal_leaves_nothing_behind_and_what_cannot_be_listed_is_still_known_in_the_next_run() {
    let api = installed().await;
    let unit = Unit::of(&Model { goal: DYING, ..LEADER }, &api);
    let refused = std::cell::Cell::new(false);
    api.refuse(move |call| {
        let is_it = call.verb == Verb::Delete && call.key.plural == "secrets" && !refused.replace(true);
        is_it.then_some(StatusCode::FORBIDDEN)
    });
    unit.remove().await.unwrap();
    assert_eq!(api.names(), ["Namespace kube-system", "Namespace velero", "Pod velero-1"]);

    let api = installed().await;
    let unit = Unit::of(&Model { goal: DYING, ..LEADER }, &api);
    let is_definitions = |call: &Call| call.key.plural == "customresourcedefinitions" && call.verb == Verb::List;
    api.refuse(move |call| is_definitions(call).then_some(StatusCode::GONE));
    assert!(unit.remove().await.is_err());
    api.refuse_nothing();
    unit.remove().await.unwrap();
    assert_eq!(api.names(), ["Namespace kube-system", "Namespace velero", "Pod velero-1"]);
}

#[tokio::test]
async fn the_last_hook_takes_nothing_away_unless_it_is_known_that_no_other_unit_stays() {
    let api = installed().await;
    let unknown = Unit::of(&Model { goal: "{}", ..LEADER }, &api).remove().await;
    assert!(matches!(unknown, Err(ReconcileError::UnknownUnits)), "{unknown:?}");
    let others = r#"{"units":{"velero-operator/0":{"status":"dying"},"velero-operator/1":{"status":"active"}}}"#;
    Unit::of(&Model { goal: others, ..LEADER }, &api).remove().await.unwrap();
    assert_eq!(api.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn the_last_hook_of_the_last_unit_takes_velero_away() {
    let api = installed().await;
    Unit::of(&Model { goal: DYING, leader: false, ..LEADER }, &api).remove().await.unwrap();
    // The pod is its Deployment's, which a cluster would not leave.
    assert_eq!(api.names(), ["Namespace kube-system", "Namespace velero", "Pod velero-1"]);
}

#[tokio::test]
async fn where_the_application_ends_its_pod_takes_velero_away_without_juju() {
    let stateful_set = |replicas: u8| {
        let mut set = own("apps/v1", "StatefulSet", APPLICATION);
        set["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "juju"});
        set["spec"] = json!({"replicas": replicas, "serviceName": "", "selector": {}, "template": {}});
        set
    };
    let api = installed().await;
    let unit = Unit::of(&LEADER, &api);
    api.put(&stateful_set(1));
    let before = api.versions();
    unit.stop().await;
    assert_eq!(api.versions(), before);
    api.put(&stateful_set(0));
    // What is not known never permits a deletion.
    let before = api.versions();
    api.refuse(|call| (call.key.plural == "statefulsets").then_some(StatusCode::FORBIDDEN));
    unit.stop().await;
    assert_eq!(api.versions(), before);
    api.refuse_nothing();
    unit.stop().await;
    assert_eq!(
        api.names(),
        ["Namespace kube-system", "Namespace velero", "Pod velero-1", "StatefulSet velero-operator"]
    );
}

#[tokio::test]
async fn the_last_hook_takes_the_schedules_away() {
    let api = empty_cluster();
    Unit::of(&RELATED, &api).hook().await.unwrap();
    Unit::of(&Model { goal: DYING, leader: false, ..RELATED }, &api).remove().await.unwrap();
    assert_eq!(api.names(), ["Namespace kube-system", "Namespace velero", "Pod velero-1"]);
}
