use std::collections::BTreeSet;

use http::StatusCode;

use super::*;
use crate::{
    backups::{BackupSpec, Cron, PlannedSpec, ScheduledBackup, SpecId, Target, VolumePolicies},
    cluster::test_api::{TestApi, Verb},
    velero::{
        fixtures::{APPLICATION, backup_in_progress, installation},
        names::{INSTANCE, MANAGED_BY},
    },
};

fn api() -> TestApi {
    let api = TestApi::new();
    for kind in ["Schedule", "VolumeSnapshotLocation"] {
        api.define("v1", kind);
    }
    api
}

fn spec(relation: u32, application: &str, schedule: SchedulePlan) -> PlannedSpec {
    let target = Target { application: application.into(), endpoint: "backups".into(), model: Some("apps".into()) };
    PlannedSpec { id: SpecId { relation, position: 0 }, target: Some(target), schedule }
}

fn at(cron: &str, spec: BackupSpec) -> SchedulePlan {
    SchedulePlan::Use(Box::new(ScheduledBackup { cron: Cron::parse(cron).unwrap(), ttl: None, spec }))
}

fn daily() -> SchedulePlan {
    at("@daily", BackupSpec::default())
}

/// A spec that says of a namespace when it is paused, and what it skips.
fn of_namespace(namespace: &str, paused: bool, skip_immediately: bool) -> SchedulePlan {
    let spec = BackupSpec {
        include_namespaces: Some(vec![namespace.to_owned()]),
        paused: Some(paused),
        skip_immediately: Some(skip_immediately),
        ..BackupSpec::default()
    };
    at("@daily", spec)
}

fn plan(specs: impl IntoIterator<Item = PlannedSpec>) -> BackupPlan {
    BackupPlan { specs: specs.into_iter().collect(), ..BackupPlan::default() }
}

async fn apply_as(api: &TestApi, application: &str, plan: &BackupPlan) -> SchedulesApplied {
    let installation = Installation { application: application.to_owned(), ..installation() };
    apply(&api.cluster("velero"), &installation, plan, &PolicyPlan::Keep).await.unwrap()
}

async fn apply_to(api: &TestApi, plan: &BackupPlan) -> SchedulesApplied {
    apply_as(api, APPLICATION, plan).await
}

fn names(api: &TestApi) -> Vec<String> {
    let names = api.names().into_iter();
    names.filter_map(|name| name.strip_prefix("Schedule ").map(str::to_owned)).collect()
}

fn spec_in(api: &TestApi, name: &str) -> Value {
    api.object("Schedule", name).unwrap()["spec"].clone()
}

/// The only Schedule that there is.
fn only(api: &TestApi) -> (String, Value) {
    let [name] = &names(api)[..] else { panic!("{:?}", names(api)) };
    (name.clone(), spec_in(api, name))
}

/// What the server does as soon as it sees a Schedule that is not paused.
fn server_has_seen(api: &TestApi, name: &str) {
    let mut schedule = api.object("Schedule", name).unwrap();
    schedule["spec"]["skipImmediately"] = json!(false);
    schedule["status"] = json!({"phase": "Enabled"});
    api.put(&schedule);
}

fn of_python_charm(name: &str, application: &str, model: &str) -> Value {
    json!({"apiVersion": "velero.io/v1", "kind": "Schedule",
        "metadata": {"name": name, "namespace": "velero", "labels": {"app": application, "endpoint": "backups",
            "model": model, "managed-by": "velero-operator"},
            "managedFields": [{"manager": "velero-operator-lightkube", "operation": "Update", "fieldsType": "FieldsV1",
                "apiVersion": "velero.io/v1", "fieldsV1": {"f:spec": {"f:template": {"f:ttl": {}}}}}]},
        "spec": {"schedule": "0 1 * * *", "template": {"ttl": "24h", "storageLocation": "default"}}})
}

#[tokio::test]
async fn each_spec_gets_a_schedule_and_a_second_run_only_reads() {
    let api = api();
    let plan = plan([spec(3, "ledger", daily()), spec(4, "mail", daily()), spec(5, "quiet", SchedulePlan::None)]);
    assert_eq!(apply_to(&api, &plan).await.changed.len(), 2);
    let named: Vec<_> = names(&api);
    assert!(matches!(&named[..], [ledger, mail] if ledger.starts_with("ledger-backups-") && mail.starts_with("mail-")));
    let (before, _) = (api.versions(), api.requests());
    assert_eq!(apply_to(&api, &plan).await.changed, Vec::<String>::new());
    // The Schedules, and whether there is a place for snapshots.
    assert_eq!(api.requests().len(), 2);
    assert_eq!(api.versions(), before);
}

/// Policies that do the same with all volumes.
fn policies(action: &str) -> PolicyPlan {
    let text = format!("version: v1\nvolumePolicies: [{{action: {{type: {action}}}}}]");
    PolicyPlan::Use(Box::new(VolumePolicies::parse(&text).unwrap()))
}

/// Applies the Schedule of one application with these policies.
async fn apply_with(api: &TestApi, policies: &PolicyPlan) -> Result<SchedulesApplied, ClusterError> {
    apply(&api.cluster("velero"), &installation(), &plan([spec(3, "ledger", daily())]), policies).await
}

const POLICIES: &str = "velero-operator-resource-policy";

#[tokio::test]
async fn policies_are_there_before_the_schedules_that_name_them_and_go_after_them() {
    let api = api();
    for kind in ["Backup", "Restore"] {
        api.define("v1", kind);
    }
    api.writes();
    let changed = apply_with(&api, &policies("skip")).await.unwrap().changed;
    assert_eq!((changed[0].as_str(), changed.len()), ("ConfigMap velero-operator-resource-policy", 2));
    assert!(api.writes()[0].contains(POLICIES));
    let named = json!({"kind": "configmap", "name": POLICIES});
    assert_eq!(only(&api).1["template"]["resourcePolicy"], named);
    let before = api.versions();
    assert_eq!(apply_with(&api, &policies("skip")).await.unwrap().changed, Vec::<String>::new());
    assert_eq!(api.versions(), before);
    // One key more, and Velero would read none.
    let mut edited = api.object("ConfigMap", POLICIES).unwrap();
    edited["data"]["more"] = json!("text");
    api.put(&edited);
    assert_eq!(
        apply_with(&api, &policies("snapshot")).await.unwrap().changed,
        ["ConfigMap velero-operator-resource-policy"]
    );
    let text = json!({"resource-policy.yaml": "version: v1\nvolumePolicies: [{action: {type: snapshot}}]\n"});
    assert_eq!(api.object("ConfigMap", POLICIES).unwrap()["data"], text);

    // A backup reads them as long as it is in progress.
    let state = json!({"running": {"startedAt": "2026-01-31T10:30:00Z"}});
    api.put(&json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "velero-1", "namespace": "velero", "labels": {"component": "velero", "deploy": "velero"}},
        "status": {"containerStatuses": [{"name": "velero", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": state}]}}));
    let backup = backup_in_progress("ledger-backups-1");
    api.put(&backup);
    let changed = apply_with(&api, &PolicyPlan::None).await.unwrap().changed;
    assert!(matches!(&changed[..], [one] if one.starts_with("Schedule ")), "{changed:?}");
    assert_eq!(only(&api).1["template"].get("resourcePolicy"), None);
    assert!(api.object("ConfigMap", POLICIES).is_some());
    let mut ended = backup;
    ended["status"]["phase"] = json!("Completed");
    api.put(&ended);
    assert_eq!(
        apply_with(&api, &PolicyPlan::None).await.unwrap().changed,
        ["ConfigMap velero-operator-resource-policy"]
    );
    assert_eq!(api.object("ConfigMap", POLICIES), None);
}

#[tokio::test]
async fn policies_that_cannot_be_written_leave_the_schedules_as_they_are() {
    let api = api();
    apply_with(&api, &PolicyPlan::None).await.unwrap();
    let before = only(&api);
    api.put(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": POLICIES, "namespace": "velero"}}));
    let refused = apply_with(&api, &policies("skip")).await.unwrap().refused;
    let told = "somebody else has made the ConfigMap velero-operator-resource-policy that is to hold resource-policy: delete it";
    assert_eq!(refused, [Status::Blocked(told.into())]);
    assert_eq!(only(&api), before);
    apply_with(&api, &PolicyPlan::None).await.unwrap();
    assert!(api.object("ConfigMap", POLICIES).is_some());
}

#[tokio::test]
async fn of_many_schedules_each_page_is_read_once() {
    let api = api();
    let names: Vec<_> = (0..1_200).map(|number| format!("application-{number}")).collect();
    let plan = plan((0..).zip(&names).map(|(relation, name)| spec(relation, name, daily())));
    assert_eq!(apply_to(&api, &plan).await.changed.len(), 1_200);
    api.requests();
    assert_eq!(apply_to(&api, &plan).await.changed, Vec::<String>::new());
    assert_eq!(api.requests().len(), 3 + 1);
}

#[tokio::test]
async fn without_applications_only_the_schedules_are_listed() {
    let api = api();
    apply_to(&api, &BackupPlan::default()).await;
    assert_eq!(api.requests().len(), 1);
}

#[tokio::test]
async fn a_schedule_is_changed_in_place_and_what_a_spec_says_no_more_goes() {
    let api = api();
    apply_to(&api, &plan([spec(3, "ledger", of_namespace("ledger", false, false))])).await;
    let (name, before) = only(&api);
    assert_eq!(before["template"]["includedNamespaces"], json!(["ledger"]));
    // Another name in the spec of the same relation, too.
    let applied = apply_to(&api, &plan([spec(3, "book", daily())])).await;
    assert_eq!(applied.changed, [format!("Schedule {name}")]);
    let (after_name, after) = only(&api);
    assert_eq!(after_name, name);
    assert!(after["template"].get("includedNamespaces").is_none());
    assert_eq!(api.object("Schedule", &name).unwrap()["metadata"]["labels"]["app"], "book");
}

#[tokio::test]
async fn a_schedule_goes_with_its_spec_or_its_relation_and_its_backups_stay() {
    for gone in [plan([]), plan([spec(3, "ledger", SchedulePlan::None)])] {
        let api = api();
        apply_to(&api, &plan([spec(3, "ledger", daily())])).await;
        api.when(|call| {
            if call.verb == Verb::Delete {
                assert!(call.text.contains("/schedules/ledger-"), "{}", call.text);
                assert_eq!(call.body["propagationPolicy"], "Orphan");
                assert!(call.body["preconditions"]["uid"].is_string());
            }
        });
        apply_to(&api, &gone).await;
        assert_eq!(names(&api), Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_is_not_known_keeps_the_last_good_schedule() {
    let api = api();
    apply_to(&api, &plan([spec(3, "ledger", daily()), spec(4, "mail", daily())])).await;
    let before = api.versions();
    let nameless = PlannedSpec { target: None, ..spec(3, "", SchedulePlan::Keep) };
    let unknown = BackupPlan { unknown: BTreeSet::from([4]), ..plan([nameless]) };
    assert_eq!(apply_to(&api, &unknown).await.changed, Vec::<String>::new());
    assert_eq!(api.versions(), before);
    // Of what was never good there is none.
    let never = plan([spec(3, "ledger", daily()), spec(4, "mail", daily()), spec(5, "new", SchedulePlan::Keep)]);
    apply_to(&api, &never).await;
    assert_eq!(names(&api).len(), 2);
}

#[tokio::test]
async fn a_backup_is_skipped_only_where_a_schedule_is_made_or_goes_on() {
    let api = api();
    let skips = |api: &TestApi| only(api).1["skipImmediately"].clone();
    apply_to(&api, &plan([spec(3, "ledger", of_namespace("a", false, true))])).await;
    let (name, _) = only(&api);
    assert_eq!(skips(&api), true);
    // Before the server has seen it, it is to be skipped still.
    apply_to(&api, &plan([spec(3, "ledger", of_namespace("b", false, true))])).await;
    assert_eq!(skips(&api), true);
    server_has_seen(&api, &name);
    api.writes();
    apply_to(&api, &plan([spec(3, "ledger", of_namespace("b", false, true))])).await;
    assert_eq!(api.writes(), Vec::<String>::new());
    apply_to(&api, &plan([spec(3, "ledger", of_namespace("c", false, true))])).await;
    assert_eq!(skips(&api), false);
    apply_to(&api, &plan([spec(3, "ledger", of_namespace("c", true, true))])).await;
    assert_eq!(skips(&api), false);
    apply_to(&api, &plan([spec(3, "ledger", of_namespace("c", false, true))])).await;
    assert_eq!(skips(&api), true);
}

#[tokio::test]
async fn a_place_for_snapshots_is_named_where_there_is_one() {
    let api = api();
    let plan = plan([spec(3, "ledger", daily())]);
    apply_to(&api, &plan).await;
    assert!(only(&api).1["template"].get("volumeSnapshotLocations").is_none());
    let location = json!({"apiVersion": "velero.io/v1", "kind": "VolumeSnapshotLocation",
        "metadata": {"name": "default", "namespace": "velero"}});
    api.put(&location);
    apply_to(&api, &plan).await;
    assert_eq!(only(&api).1["template"]["volumeSnapshotLocations"], json!(["default"]));
    let cluster = api.cluster("velero");
    cluster.delete(&serde_json::from_value(location).unwrap()).await.unwrap();
    apply_to(&api, &plan).await;
    assert!(only(&api).1["template"].get("volumeSnapshotLocations").is_none());
}

#[tokio::test]
async fn those_of_the_python_charm_are_adopted_with_their_names() {
    for model in ["velero", "apps"] {
        let api = api();
        api.put(&of_python_charm("ledger-backups-x7k2p", "ledger", model));
        let plan = plan([spec(3, "ledger", daily())]);
        apply_to(&api, &plan).await;
        let (name, adopted) = only(&api);
        assert_eq!(name, "ledger-backups-x7k2p");
        // What it had set and nobody wants now is gone.
        assert_eq!((&adopted["schedule"], adopted["template"].get("ttl")), (&json!("@daily"), None));
        api.writes();
        apply_to(&api, &plan).await;
        assert_eq!(api.writes(), Vec::<String>::new());
        apply_to(&api, &BackupPlan::default()).await;
        assert_eq!(names(&api), Vec::<String>::new());
    }
}

#[tokio::test]
async fn one_of_the_python_charm_goes_where_its_spec_has_no_schedule_and_stays_where_nobody_knows() {
    let api = api();
    api.put(&of_python_charm("ledger-backups-x7k2p", "ledger", "velero"));
    api.put(&of_python_charm("mail-backups-x7k2p", "mail", "velero"));
    let keep = plan([spec(3, "ledger", SchedulePlan::Keep)]);
    assert_eq!(apply_to(&api, &keep).await.changed, Vec::<String>::new());
    apply_to(&api, &plan([spec(3, "ledger", SchedulePlan::None)])).await;
    // Of the other one the application that it was for may come again.
    assert_eq!(names(&api), ["mail-backups-x7k2p"]);
}

#[tokio::test]
async fn those_of_others_are_left_alone_whatever_they_are_called() {
    let api = api();
    let ours = plan([spec(3, "ledger", daily())]);
    apply_to(&api, &ours).await;
    let (taken, _) = only(&api);
    apply_to(&api, &BackupPlan::default()).await;
    let mut labels = of_python_charm("any", "ledger", "velero")["metadata"]["labels"].clone();
    let (mut managed, mut of_instance) = (labels.clone(), labels.clone());
    labels[INSTANCE] = json!("another");
    labels[MANAGED_BY.0] = json!(MANAGED_BY.1);
    managed[MANAGED_BY.0] = json!(MANAGED_BY.1);
    of_instance[INSTANCE] = json!("another");
    let by_hand = |name: &str, labels: &Value| {
        json!({"apiVersion": "velero.io/v1", "kind": "Schedule", "spec": {"schedule": "@hourly", "template": {}},
            "metadata": {"name": name, "namespace": "velero", "labels": labels}})
    };
    api.put_all(&[
        by_hand(&taken, &json!({})),
        by_hand("of-another", &labels),
        by_hand("managed", &managed),
        by_hand("of-an-instance", &of_instance),
        by_hand("by-hand", &json!({"app": "ledger"})),
    ]);
    let theirs: Vec<_> = names(&api).iter().map(|name| api.object("Schedule", name).unwrap()).collect();
    apply_to(&api, &ours).await;
    assert_eq!(names(&api).len(), 6);
    apply_to(&api, &BackupPlan::default()).await;
    assert_eq!(names(&api).iter().map(|name| api.object("Schedule", name).unwrap()).collect::<Vec<_>>(), theirs);
}

#[tokio::test]
async fn two_applications_of_the_charm_keep_to_their_own() {
    let api = api();
    let plan = plan([spec(3, "ledger", daily())]);
    apply_to(&api, &plan).await;
    apply_as(&api, "another", &plan).await;
    assert_eq!(names(&api).len(), 2);
    apply_as(&api, "another", &BackupPlan::default()).await;
    let (name, _) = only(&api);
    assert_eq!(api.object("Schedule", &name).unwrap()["metadata"]["labels"][INSTANCE], APPLICATION);
}

#[tokio::test]
async fn a_relation_that_is_made_anew_goes_on_with_the_schedule() {
    let api = api();
    apply_to(&api, &plan([spec(3, "ledger", daily())])).await;
    let (name, _) = only(&api);
    apply_to(&api, &plan([spec(9, "ledger", daily())])).await;
    assert_eq!(only(&api).0, name);
}

#[tokio::test]
async fn what_somebody_has_changed_is_mended_to_the_last_field() {
    let api = api();
    let plan = plan([spec(3, "ledger", of_namespace("ledger", false, false))]);
    apply_to(&api, &plan).await;
    let (name, wanted) = only(&api);
    let mut edited = api.object("Schedule", &name).unwrap();
    edited["spec"]["template"]["labelSelector"] = json!({"matchLabels": {"none": "has-it"}});
    edited["spec"]["template"]["includedNamespaces"] = json!(["another"]);
    edited["spec"]["useOwnerReferencesInBackup"] = json!(true);
    edited["metadata"]["labels"]["theirs"] = json!("stays");
    api.put(&edited);
    apply_to(&api, &plan).await;
    assert_eq!(only(&api).1, wanted);
    assert_eq!(api.object("Schedule", &name).unwrap()["metadata"]["labels"]["theirs"], "stays");
    api.writes();
    apply_to(&api, &plan).await;
    assert_eq!(api.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn what_the_cluster_refuses_of_one_stops_no_other() {
    let api = api();
    api.refuse_saying(|call| {
        let is_it = call.verb == Verb::Apply && call.key.name.starts_with("ledger-");
        is_it.then(|| (StatusCode::FORBIDDEN, "admission webhook \"guard\" denied the request".to_owned()))
    });
    let applied = apply_to(&api, &plan([spec(3, "ledger", daily()), spec(4, "mail", daily())])).await;
    assert_eq!((applied.changed.len(), applied.refused.len()), (1, 1));
    assert!(applied.refused[0].message().contains("denied the request"), "{}", applied.refused[0]);
    assert_eq!(names(&api).len(), 1);
}

#[tokio::test]
async fn killed_at_any_request_the_next_run_reaches_the_same_end() {
    let before = plan([spec(3, "ledger", of_namespace("a", false, false)), spec(4, "mail", daily())]);
    let wanted =
        plan([spec(3, "ledger", of_namespace("b", false, false)), spec(5, "new", daily()), spec(6, "old", daily())]);
    let begun = || async {
        let api = api();
        apply_to(&api, &before).await;
        api.put(&of_python_charm("old-backups-x7k2p", "old", "velero"));
        api
    };
    let end = |api: &TestApi| {
        let names = names(api).into_iter();
        names.map(|name| (spec_in(api, &name), name)).collect::<Vec<_>>()
    };
    let undisturbed = begun().await;
    apply_to(&undisturbed, &wanted).await;
    for requests in 0.. {
        let api = begun().await;
        let ended = api.killed_after(requests, apply_to(&api, &wanted)).await.is_some();
        apply_to(&api, &wanted).await;
        assert_eq!(end(&api), end(&undisturbed), "killed after {requests} requests");
        api.writes();
        apply_to(&api, &wanted).await;
        assert_eq!(api.writes(), Vec::<String>::new(), "killed after {requests} requests");
        if ended {
            assert!(requests > 6, "only {requests} requests");
            return;
        }
    }
}

#[tokio::test]
async fn policies_that_the_cluster_refuses_are_told_and_want_of_rights_is_an_error() {
    let api = api();
    api.refuse_saying(|call| {
        let told = "admission webhook \"guard\" denied the request".to_owned();
        (call.verb == Verb::Apply && call.key.plural == "configmaps").then_some((StatusCode::FORBIDDEN, told))
    });
    let applied = apply_with(&api, &policies("skip")).await.unwrap();
    assert!(applied.refused[0].message().contains("denied the request"), "{}", applied.refused[0]);
    assert_eq!((applied.changed, names(&api)), (Vec::new(), Vec::new()));
    for plural in ["configmaps", "schedules"] {
        // What is not there is no refusal either.
        for status in [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND] {
            api.refuse_nothing();
            api.refuse(move |call| (call.verb == Verb::Apply && call.key.plural == plural).then_some(status));
            assert!(apply_with(&api, &policies("skip")).await.is_err(), "{status} for {plural}");
        }
    }
}

#[tokio::test]
async fn policies_that_somebody_has_changed_are_mended() {
    let api = api();
    apply_with(&api, &policies("skip")).await.unwrap();
    let mut changed = api.object("ConfigMap", POLICIES).unwrap();
    let written = changed["data"].clone();
    changed["data"]["more"] = json!("of somebody");
    api.put(&changed);
    assert_eq!(
        apply_with(&api, &policies("skip")).await.unwrap().changed,
        ["ConfigMap velero-operator-resource-policy"]
    );
    assert_eq!(api.object("ConfigMap", POLICIES).unwrap()["data"], written);
}

#[tokio::test]
async fn policies_of_others_are_not_deleted() {
    for (owner, is_left) in [(APPLICATION, false), ("another", true)] {
        let api = api();
        api.put(&json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": POLICIES, "namespace": "velero", "labels": {INSTANCE: owner}}}));
        super::policies::delete(&api.cluster("velero"), APPLICATION).await.unwrap();
        assert_eq!(api.object("ConfigMap", POLICIES).is_some(), is_left, "{owner}");
    }
}

#[tokio::test]
async fn one_of_the_python_charm_for_another_application_is_not_taken_over() {
    let api = api();
    // Its application is called as the model.
    api.put(&of_python_charm("velero-backups-x7k2p", "velero", "velero"));
    apply_to(&api, &plan([spec(3, "ledger", daily())])).await;
    assert_eq!(names(&api).len(), 2);
}
