use std::path::PathBuf;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::{
    cluster::test_api::{Call, TestApi, Verb},
    contract::OPTIONS,
    juju::{Databag, JujuLog, ModelId, ModelProxies, RelationId, ScriptedTools},
    snapshot::Relation,
    velero::{
        Cli, DrillBook,
        fixtures::{APPLICATION, a_minute_passes, empty_cluster, own, scripted_cli},
    },
};

#[path = "reconcile_tests/declared.rs"]
mod declared;
#[path = "reconcile_tests/ending.rs"]
mod ending;
#[path = "reconcile_tests/killed.rs"]
mod killed;
#[path = "reconcile_tests/standing_by.rs"]
mod standing_by;

const UNIT: &str = "velero-operator/0";
const ACTIVE: &str = r#"{"units":{"velero-operator/0":{"status":"active"}}}"#;
const DYING: &str = r#"{"units":{"velero-operator/0":{"status":"dying"}}}"#;
const INTERIM: &str = "waiting\n--\nfor Velero to run as configured\n";
/// The address of this machine that nothing listens at: the charm cannot try the store.
const NO_STORE: &str = "http://127.0.0.1:1";
const READY: &str = "active\n--\nready\n";

/// A unit of a model: its hook tools, its charm's directory and its cluster.
struct Unit {
    juju: ScriptedTools,
    api: TestApi,
    cli: Cli,
    environment: Environment,
    _charm: TempDir,
}

/// What the tools of a unit print. The status is kept from one hook to the next.
#[derive(Clone, Copy)]
struct Model {
    goal: &'static str,
    leader: bool,
    bucket: &'static str,
    secret_key: &'static str,
    /// The spec that the application `ledger` declares, if it is related.
    spec: Option<&'static str>,
    /// The option `retention`.
    retention: &'static str,
    /// The option `drill-schedule`.
    drill_schedule: &'static str,
    /// The option `resource-policy`.
    resource_policy: &'static str,
    /// The option `use-node-agent`.
    node_agent: bool,
}

const LEADER: Model = Model {
    goal: ACTIVE,
    leader: true,
    bucket: "backups",
    secret_key: "word",
    spec: None,
    retention: "",
    drill_schedule: "",
    resource_policy: "",
    node_agent: false,
};
/// A leader to which an application is related that is backed up every day.
const RELATED: Model = Model { spec: Some(r#"{"include_namespaces":["ledger"],"schedule":"@daily"}"#), ..LEADER };

impl Unit {
    fn of(model: &Model, api: &TestApi) -> Self {
        let mut options: Map<String, Value> =
            OPTIONS.iter().map(|option| (option.name().to_owned(), option.default_value())).collect();
        options.insert("retention".to_owned(), json!(model.retention));
        options.insert("drill-schedule".to_owned(), json!(model.drill_schedule));
        options.insert("use-node-agent".to_owned(), json!(model.node_agent));
        options.insert("kubelet-root-dir".to_owned(), json!(if model.node_agent { "/var/lib/kubelet" } else { "" }));
        options.insert("resource-policy".to_owned(), json!(model.resource_policy));
        let theirs = json!({"lib-version": "1.0", "bucket": model.bucket, "access-key": "key", "secret-key": model.secret_key,
            "endpoint": NO_STORE});
        let ours =
            json!({"requested-secrets": "[\"access-key\", \"secret-key\"]", "lib-version": "1.0", "version": "1"});
        let print = |value: &dyn std::fmt::Display| format!("cat <<'END'\n{value}\nEND");
        let declared = json!({"app": "ledger", "relation_name": "backups", "model": "apps", "spec": model.spec});
        let databags = format!(
            "case \"$*\" in *{APPLICATION}) {}\n;; *ledger) {}\n;; *) {}\n;; esac",
            print(&ours),
            print(&declared),
            print(&theirs)
        );
        let relations = format!(
            r#"case "$*" in *s3-credentials) echo '["s3-credentials:7"]';; *velero-backups) echo '{}';; *) echo '[]';; esac"#,
            if model.spec.is_some() { r#"["velero-backups:8"]"# } else { "[]" }
        );
        let set = "text=$(printf %s \"$3\" | sed 's/\"/\\\\\"/g')
printf '{\"status\":\"%s\",\"message\":\"%s\"}' \"$1\" \"$text\" >\"${0%/*}/status\"";
        let juju = ScriptedTools::new(&[
            ("goal-state", &print(&model.goal)),
            ("is-leader", &format!("echo {}", model.leader)),
            ("config-get", &print(&Value::Object(options))),
            ("relation-ids", &relations),
            ("relation-list", r#"case "$*" in *s3-credentials*) echo '"s3-integrator"';; *) echo '"ledger"';; esac"#),
            ("relation-get", &databags),
            ("relation-set", "true"),
            ("state-get", "echo null"),
            ("state-set", "true"),
            ("status-get", r#"cat "${0%/*}/status" 2>/dev/null || echo '{"status":"maintenance","message":""}'"#),
            ("status-set", set),
            ("application-version-set", "true"),
        ]);
        let charm = TempDir::new().unwrap();
        let cli = scripted_cli(charm.path(), &["backups", "others"]);
        let environment = Environment {
            dispatch: Dispatch::Hook("config-changed".to_owned()),
            unit: UNIT.to_owned(),
            model: ModelId { name: "velero".to_owned(), uuid: "2f6d1f6e-58b1-4d27-9d0c-5f0a3c6b7e11".to_owned() },
            charm_directory: PathBuf::from(charm.path()),
            relation: None,
            proxies: ModelProxies::default(),
        };
        Self { juju, api: api.clone(), cli, environment, _charm: charm }
    }

    fn velero(&self) -> Velero {
        Velero::of(self.cli.clone(), self.api.cluster("velero"))
    }

    async fn snapshot(&self) -> Snapshot {
        let tools = self.juju.tools();
        Snapshot::read(&tools, &self.environment, &tools.goal_state().await.unwrap()).await.unwrap()
    }

    /// What a hook does once it has read what is the case.
    async fn hook_by(&self, snapshot: &Snapshot) {
        let (velero, tools) = (self.velero(), self.juju.tools());
        let (sighted, status) = (velero.sight(APPLICATION).await, tools.unit_status().await.unwrap());
        Box::pin(bring_about_and_report(&velero, &tools, &self.environment, snapshot, sighted, status)).await.unwrap();
    }

    async fn hook(&self) -> Result<(), ReconcileError> {
        Box::pin(reconcile_in(|| Ok(self.velero()), &self.juju.tools(), &self.environment)).await.map(drop)
    }

    async fn remove(&self) -> Result<(), ReconcileError> {
        Box::pin(remove_from(|| Ok(self.velero()), &self.juju.tools(), &self.environment)).await
    }

    async fn stop(&self) {
        Box::pin(stop_in(&self.velero(), &self.environment)).await.unwrap();
    }

    /// Which of the tools were run that write.
    fn written(&self) -> String {
        ["status-set", "relation-set", "application-version-set"].map(|tool| self.juju.calls(tool)).concat()
    }
}

/// A cluster in which the leader has run a hook.
async fn installed() -> TestApi {
    let api = empty_cluster();
    Unit::of(&LEADER, &api).hook().await.unwrap();
    api.requests();
    api
}

#[tokio::test]
async fn a_leader_with_a_storage_applies_all_and_reports_an_interim_and_a_final_status_once_each() {
    let api = empty_cluster();
    let unit = Unit::of(&LEADER, &api);
    unit.hook().await.unwrap();
    let mut names = api.names();
    names.retain(|name| !name.starts_with("CustomResourceDefinition"));
    let all = [
        "BackupStorageLocation default",
        "ClusterRoleBinding velero",
        "Deployment velero",
        "Namespace kube-system",
        "Namespace velero",
        "Pod velero-1",
        "Secret cloud-credentials",
        "Service velero-metrics",
        "ServiceAccount velero",
    ];
    assert_eq!(names, all);
    assert_eq!(unit.juju.calls("status-set"), format!("{INTERIM}{READY}"));
    assert_eq!(unit.juju.calls("application-version-set"), "--\n1.18.3\n");
}

#[tokio::test]
async fn a_hook_that_changes_nothing_sets_no_status_and_writes_nothing() {
    let api = empty_cluster();
    let unit = Unit::of(&LEADER, &api);
    unit.hook().await.unwrap();
    let (before, said) = (api.versions(), unit.written());
    api.requests();
    unit.hook().await.unwrap();
    assert_eq!(api.writes(), Vec::<String>::new());
    assert_eq!((api.versions(), unit.written()), (before, said));
}

/// From now on the server takes each request only when it comes the second time.
fn busy(api: &TestApi) {
    let seen = std::sync::Mutex::new(BTreeSet::new());
    api.refuse(move |call| {
        let is_new = seen.lock().unwrap().insert(format!("{:?} {}", call.verb, call.text));
        (is_new && call.verb != Verb::Watch).then_some(StatusCode::TOO_MANY_REQUESTS)
    });
}

#[tokio::test]
async fn a_hook_of_each_kind_ends_as_ever_with_a_server_that_has_too_much_to_do() {
    let (calm, api) = (empty_cluster(), empty_cluster());
    busy(&api);
    let mut units = [Unit::of(&LEADER, &calm), Unit::of(&LEADER, &api)];
    for hook in ["install", "leader-elected", "config-changed", "s3-credentials-relation-changed", "update-status"] {
        for unit in &mut units {
            unit.environment.dispatch = Dispatch::Hook(hook.to_owned());
            unit.hook().await.unwrap();
        }
        assert_eq!(units[1].written(), units[0].written(), "{hook}");
        assert_eq!(api.contents(), calm.contents(), "{hook}");
    }
    let going = [&calm, &api].map(|api| Unit::of(&Model { goal: DYING, ..LEADER }, api));
    for unit in going {
        unit.stop().await;
        unit.remove().await.unwrap();
    }
    assert_eq!(api.names(), calm.names());
}

#[tokio::test]
async fn a_hook_without_anything_to_do_asks_nothing_twice() {
    let api = empty_cluster();
    let mut unit = Unit::of(&LEADER, &api);
    unit.hook().await.unwrap();
    api.requests();
    unit.environment.dispatch = Dispatch::Hook("update-status".to_owned());
    unit.hook().await.unwrap();
    let requests = api.requests();
    assert_eq!(requests.len(), 12, "{requests:#?}");
}

#[tokio::test]
async fn a_hook_that_changes_nothing_sets_no_interim_status() {
    let api = installed().await;
    // The status of this unit was never set.
    let unit = Unit::of(&LEADER, &api);
    unit.hook().await.unwrap();
    assert_eq!(unit.juju.calls("status-set"), READY);
}

/// A cluster in which the server's pod never runs, with what the cluster says of it, since long.
fn cluster_in_trouble(deployment_status: Value, pod_status: Option<Value>) -> TestApi {
    let api = empty_cluster();
    api.react(move |object| {
        if object["kind"] != "Deployment" {
            return Vec::new();
        }
        let mut deployment = object.clone();
        deployment["status"] = deployment_status.clone();
        deployment["status"]["observedGeneration"] = object["metadata"]["generation"].clone();
        let pod = pod_status.as_ref().map(|status| {
            let template = &object["spec"]["template"];
            json!({"apiVersion": "v1", "kind": "Pod", "spec": template["spec"], "status": status,
                "metadata": {"name": "velero-1", "namespace": "velero", "labels": template["metadata"]["labels"]}})
        });
        [deployment].into_iter().chain(pod).collect()
    });
    api
}

#[tokio::test]
async fn a_lasting_trouble_is_said_once_and_no_hook_waits_for_its_end() {
    let rolling_out = json!({"replicas": 1, "updatedReplicas": 1});
    let container = |state: Value| {
        json!({"phase": "Pending", "containerStatuses": [{"name": "velero", "image": "", "imageID": "", "ready": false,
            "restartCount": 0, "state": state}]})
    };
    let unschedulable = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
        "lastTransitionTime": "2026-01-31T10:20:30Z", "message": "0/1 nodes are available: 1 Insufficient cpu."}]});
    let not_admitted = json!({"replicas": 0, "conditions": [{"type": "ReplicaFailure", "status": "True",
        "message": "pods \"velero-1\" is forbidden: violates PodSecurity"}]});
    for (deployment, pod, told) in [
        (
            &rolling_out,
            Some(container(json!({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}))),
            "blocked\n--\ncannot pull image velero/velero:v1.18.3",
        ),
        (
            &rolling_out,
            Some(container(json!({"waiting": {"reason": "ContainerCreating"}}))),
            "waiting\n--\nfor Deployment velero to be rolled out",
        ),
        (&rolling_out, Some(unschedulable), "waiting\n--\nfor pod velero-1 to find a node"),
        (&not_admitted, None, "blocked\n--\nthe cluster does not admit the pods of Deployment velero"),
    ] {
        let unit = Unit::of(&LEADER, &cluster_in_trouble(deployment.clone(), pod));
        // A hook that waits takes longer by far.
        let hook = || tokio::time::timeout(Duration::from_secs(10), unit.hook());
        hook().await.unwrap().unwrap();
        let said = unit.juju.calls("status-set");
        assert!(said.starts_with(&format!("{INTERIM}{told}")), "{said}");
        for _ in 0..3 {
            hook().await.unwrap().unwrap();
        }
        assert_eq!(unit.juju.calls("status-set"), said);
    }
}

/// The server finds no bucket.
fn lose_the_bucket(api: &TestApi) {
    let mut location = api.object("BackupStorageLocation", "default").unwrap();
    location["status"]["phase"] = json!("Unavailable");
    location["status"]["message"] = json!("NoSuchBucket");
    api.put(&location);
}

#[tokio::test]
async fn what_is_strange_about_a_storage_is_said_where_it_does_not_work() {
    let api = empty_cluster();
    let unit = Unit::of(&Model { secret_key: "word ", ..LEADER }, &api);
    unit.hook().await.unwrap();
    let note = "secret-key begins or ends with a blank";
    assert!(unit.written().contains(note), "{}", unit.written());
    lose_the_bucket(&api);
    unit.hook().await.unwrap();
    let said = unit.written();
    let last = said.rsplit("status-set").next().unwrap();
    assert!(last.contains("blocked\n--\nstorage is not usable: NoSuchBucket; ") && last.contains(note), "{said}");
}

#[tokio::test]
async fn what_another_application_or_helm_holds_is_never_written() {
    for labels in [
        json!({"app.kubernetes.io/managed-by": "Helm"}),
        json!({"app.kubernetes.io/managed-by": "velero-operator", "app.kubernetes.io/instance": "another"}),
    ] {
        let api = empty_cluster();
        let mut theirs = own("apps/v1", "Deployment", "velero");
        theirs["metadata"]["labels"] = labels;
        api.put(&theirs);
        api.put(&json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "another",
            "namespace": "velero", "labels": {"app.kubernetes.io/managed-by": "juju"}}}));
        let unit = Unit::of(&LEADER, &api);
        unit.hook().await.unwrap();
        assert_eq!(api.writes(), Vec::<String>::new());
        assert!(unit.written().starts_with("blocked\n--\nDeployment velero belongs to "), "{}", unit.written());
    }
}

#[tokio::test]
async fn want_of_rights_becomes_a_status_that_says_how_to_trust() {
    let api = empty_cluster();
    api.refuse(|call| (call.verb == Verb::Apply).then_some(StatusCode::FORBIDDEN));
    let unit = Unit::of(&LEADER, &api);
    unit.hook().await.unwrap();
    let told = "blocked\n--\nnot allowed to manage the cluster: juju trust velero-operator --scope=cluster\n";
    assert_eq!(unit.written(), told);
}

#[tokio::test]
async fn another_refusal_becomes_a_status_in_the_servers_words() {
    let api = empty_cluster();
    api.refuse_saying(|call| {
        let is_it = call.verb == Verb::Apply && call.key.plural == "customresourcedefinitions";
        is_it.then(|| (StatusCode::FORBIDDEN, "admission webhook \"guard\" denied the request: not today".to_owned()))
    });
    let unit = Unit::of(&LEADER, &api);
    unit.hook().await.unwrap();
    let said = unit.written();
    assert!(said.starts_with("blocked\n--\nthe cluster refuses to apply CustomResourceDefinition "), "{said}");
    assert!(said.ends_with(": admission webhook \"guard\" denied the request: not today\n"), "{said}");
}

#[tokio::test]
async fn a_namespace_that_is_going_is_told_in_the_servers_words() {
    let api = empty_cluster();
    let message = "services \"velero-metrics\" is forbidden: unable to create new content in namespace velero because it is \
                   being terminated";
    api.refuse_saying(move |call| {
        let is_it = call.verb == Verb::Apply && call.key.plural == "services";
        is_it.then(|| (StatusCode::FORBIDDEN, message.to_owned()))
    });
    let unit = Unit::of(&LEADER, &api);
    unit.hook().await.unwrap();
    let told = format!("blocked\n--\nthe cluster refuses to apply Service velero-metrics: {message}\n");
    // What works all the same does not hide it.
    assert_eq!(unit.juju.calls("status-set"), told);
    assert!(api.object("BackupStorageLocation", "default").is_some());
}

/// The Schedules that there are, by their names.
fn schedules(api: &TestApi) -> Vec<String> {
    api.names().iter().filter_map(|name| name.strip_prefix("Schedule ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn what_a_prometheus_refuses_is_a_remark_and_in_nothings_way() {
    let unit = Unit::of(&LEADER, &installed().await);
    let mut snapshot = unit.snapshot().await;
    let relation = Relation {
        id: RelationId::new("metrics-endpoint:12"),
        remote: Some("prometheus".to_owned()),
        theirs: [("event", r#"{"errors":"rule 1: parse error","valid":false}"#)].into_iter().collect(),
        ours: Databag::default(),
        own: Databag::default(),
        secret: None,
    };
    snapshot.relations.insert("metrics-endpoint", vec![relation]);
    unit.hook_by(&snapshot).await;
    let said = "active\n--\nready; prometheus (metrics-endpoint) refuses the alert rules: rule 1: parse error\n";
    assert!(unit.juju.calls("status-set").ends_with(said), "{}", unit.juju.calls("status-set"));
}

#[tokio::test]
async fn what_a_hook_has_left_that_was_refused_the_next_one_does() {
    let api = installed().await;
    Unit::of(&RELATED, &api).hook().await.unwrap();
    let mut unit = Unit::of(&LEADER, &api);
    api.refuse(|call| (call.verb == Verb::List && call.key.plural == "deployments").then_some(StatusCode::FORBIDDEN));
    unit.hook().await.unwrap();
    assert!(unit.written().starts_with("blocked\n"), "{}", unit.written());
    assert_eq!(schedules(&api).len(), 1);

    api.refuse_nothing();
    unit.environment.dispatch = Dispatch::Hook("update-status".to_owned());
    unit.hook().await.unwrap();
    assert_eq!(schedules(&api).len(), 0);
}

#[tokio::test]
async fn new_keys_do_not_make_a_hook_wait_for_a_server_that_the_cluster_refuses() {
    let api = installed().await;
    let mut server = api.object("Deployment", "velero").unwrap();
    server["spec"]["template"]["spec"]["containers"][0]["image"] = json!("velero/velero:v1.17.0");
    api.put(&server);
    api.refuse(|call| {
        let is_it = call.verb == Verb::Apply && call.key.plural == "deployments";
        is_it.then_some(StatusCode::UNPROCESSABLE_ENTITY)
    });
    let unit = Unit::of(&Model { secret_key: "another-key", ..LEADER }, &api);
    api.requests();
    unit.hook().await.unwrap();
    assert!(
        unit.written().contains("blocked\n--\nthe cluster refuses to apply Deployment velero"),
        "{}",
        unit.written()
    );
    let requests = api.requests();
    let is_location = |request: &String| request.starts_with("PATCH ") && request.contains("/backupstoragelocations/");
    let last = requests.iter().rposition(is_location).unwrap();
    assert!(!requests[last..].iter().any(|request| request.contains("watch=true")), "{requests:#?}");
}

#[tokio::test]
async fn a_node_agent_that_the_cluster_refuses_is_not_waited_for() {
    let api = installed().await;
    api.refuse(|call| {
        let is_it = call.verb == Verb::Apply && call.key.plural == "daemonsets";
        is_it.then_some(StatusCode::UNPROCESSABLE_ENTITY)
    });
    let unit = Unit::of(&Model { node_agent: true, ..LEADER }, &api);
    api.requests();
    // The labels of the namespace are changed all the same.
    unit.hook().await.unwrap();
    let said = unit.written();
    assert!(said.contains("blocked\n--\nthe cluster refuses to apply DaemonSet node-agent"), "{said}");
    let requests = api.requests();
    assert!(
        requests.iter().any(|request| request.starts_with("PATCH ") && request.contains("/namespaces/velero?")),
        "{requests:#?}"
    );
    assert!(!requests.iter().any(|request| request.contains("watch=true")), "{requests:#?}");
}

/// What Velero makes by the only Schedule: a backup each of three days.
fn back_up_for_three_days(api: &TestApi) {
    let [name] = &schedules(api)[..] else { panic!("{:?}", schedules(api)) };
    let schedule = api.object("Schedule", name).unwrap();
    let mut labels = schedule["spec"]["template"]["metadata"]["labels"].clone();
    labels["velero.io/schedule-name"] = json!(name);
    for day in 1..=3 {
        api.put(&json!({"apiVersion": "velero.io/v1", "kind": "Backup", "spec": {"storageLocation": "default"},
            "metadata": {"name": format!("day-{day}"), "namespace": "velero", "labels": labels,
                "creationTimestamp": format!("2026-01-0{day}T00:00:00Z")},
            "status": {"phase": "Completed", "startTimestamp": format!("2026-01-0{day}T00:00:00Z"),
                "completionTimestamp": format!("2026-01-0{day}T00:01:00Z")}}));
    }
}

#[tokio::test]
async fn old_backups_go_when_the_option_says_so_and_are_looked_for_no_more_than_needed() {
    let api = empty_cluster();
    Unit::of(&RELATED, &api).hook().await.unwrap();
    back_up_for_three_days(&api);
    let mut unit = Unit::of(&Model { retention: "2 daily", ..RELATED }, &api);
    unit.hook().await.unwrap();
    let requests: Vec<_> = api.names().into_iter().filter(|name| name.starts_with("DeleteBackupRequest ")).collect();
    let [request] = &requests[..] else { panic!("{requests:?}") };
    assert!(request.starts_with("DeleteBackupRequest day-1-"), "{request}");
    assert!(unit.juju.calls("state-set").contains("2 daily"), "{}", unit.juju.calls("state-set"));

    // With the same question, what the last look has left does.
    unit.environment.dispatch = Dispatch::Hook("update-status".to_owned());
    let looks = async |retention: Option<String>| {
        let snapshot = Snapshot { retention, ..unit.snapshot().await };
        api.requests();
        unit.hook_by(&snapshot).await;
        api.requests().iter().any(|request| request.contains("/deletebackuprequests"))
    };
    let look = |at: Timestamp, retention: &str| {
        json!({"retention": retention, "at": at, "is_partial": false, "remark": "a remark"}).to_string()
    };
    let now = Timestamp::now();
    assert!(looks(None).await);
    assert!(!looks(Some(look(now, "2 daily"))).await);
    assert!(unit.written().ends_with("active\n--\nready; a remark\n"), "{}", unit.written());
    assert!(looks(Some(look(now, "3 daily"))).await);
    assert!(looks(Some(look(now - SignedDuration::from_hours(2), "2 daily"))).await);
}

#[tokio::test]
async fn nobody_but_a_leader_with_a_velero_that_works_deletes_backups() {
    let api = empty_cluster();
    Unit::of(&RELATED, &api).hook().await.unwrap();
    back_up_for_three_days(&api);
    let retaining = Model { retention: "1", ..RELATED };
    api.requests();
    Unit::of(&Model { leader: false, ..retaining }, &api).hook().await.unwrap();
    Unit::of(&Model { goal: DYING, ..retaining }, &api).hook().await.unwrap();
    Unit::of(&Model { retention: "1 day", ..RELATED }, &api).hook().await.unwrap();
    lose_the_bucket(&api);
    Unit::of(&retaining, &api).hook().await.unwrap();
    assert!(!api.requests().iter().any(|request| request.contains("/deletebackuprequests")));
}

/// The book of drills of a cluster.
async fn book(api: &TestApi) -> DrillBook {
    DrillBook::read(&api.cluster("velero")).await.unwrap()
}

#[tokio::test]
async fn since_when_drills_go_by_a_schedule_is_noted_by_the_leader_once() {
    let api = installed().await;
    assert_eq!(book(&api).await, DrillBook::default());
    let drilled = Model { drill_schedule: "@weekly", ..LEADER };
    Unit::of(&Model { leader: false, ..drilled }, &api).hook().await.unwrap();
    assert_eq!(book(&api).await.schedule, None);
    Unit::of(&drilled, &api).hook().await.unwrap();
    let noted = book(&api).await.schedule.unwrap();
    assert_eq!(noted.schedule, "@weekly");
    api.requests();
    Unit::of(&drilled, &api).hook().await.unwrap();
    assert_eq!(api.writes(), Vec::<String>::new());
    // Until it is known what is meant, the former one stays.
    Unit::of(&Model { drill_schedule: "weekly", ..drilled }, &api).hook().await.unwrap();
    assert_eq!(book(&api).await.schedule, Some(noted));
    Unit::of(&LEADER, &api).hook().await.unwrap();
    assert_eq!(book(&api).await.schedule, None);
}

#[tokio::test]
async fn a_drill_that_has_failed_is_told_beside_the_status() {
    let api = installed().await;
    let record = json!({"target": ["ledger", "backups", "apps"], "backup": "nightly", "started": "2026-01-31T10:00:00Z",
        "ended": "2026-01-31T10:01:00Z", "result": "failed", "findings": ["1 object did not come back: v1/ConfigMap shop/a"],
        "last_good": null});
    let mut book = own("v1", "ConfigMap", "velero-operator-drills");
    book["data"] = json!({"0a": record.to_string()});
    api.put(&book);
    let unit = Unit::of(&RELATED, &api);
    unit.hook().await.unwrap();
    let told = "ready; the last restore drill of ledger:backups of model apps has failed (backup nightly): 1 object did not come back";
    assert!(unit.written().contains(told), "{}", unit.written());
    // Nothing is backed up of it any more.
    let unit = Unit::of(&LEADER, &api);
    unit.hook().await.unwrap();
    assert!(!unit.written().contains("restore drill"), "{}", unit.written());
}
