use serde_json::{Value, json};

use super::{
    super::{Snapshot, tests::environment},
    *,
};
use crate::juju::{GoalState, ScriptedTools};

/// Juju with three relations in which applications declare something, and what the unit keeps.
fn juju(leader: bool, state: &BTreeMap<String, String>) -> ScriptedTools {
    ScriptedTools::new(&[
        ("is-leader", if leader { "echo true" } else { "echo false" }),
        ("config-get", "echo '{}'"),
        (
            "relation-ids",
            r#"case "$*" in *velero-backups) echo '["velero-backups:10","velero-backups:9"]';; *k8s-backup-target) echo '["k8s-backup-target:11"]';; *) echo '[]';; esac"#,
        ),
        ("relation-list", r#"echo '"ledger"'"#),
        (
            "relation-get",
            r#"case "$*" in *velero-backups:*) echo '{"app":"ledger","spec":"new","secret-extra":"secret:d5k2n8fq9mvc7a3t1he0"}';; *) echo '{"backup_targets":"[]"}';; esac"#,
        ),
        ("state-get", &format!("printf %s '{}'", json!(state))),
        ("state-set", "true"),
        ("state-delete", "true"),
    ])
}

fn remembered(id: &str, declared: &Value) -> (String, String) {
    let number = id.rsplit(':').next().unwrap();
    (format!("declared-{number}"), json!({"id": id, "remote": "ledger", "declared": declared}).to_string())
}

/// What a unit keeps of the endpoints at which nobody declares anything, where these have no relation.
fn no_others() -> String {
    json!({"azure-storage": [], "gcs-credentials": [], "grafana-dashboard": [], "metrics-endpoint": [], "s3-credentials": []})
        .to_string()
}

/// What a unit keeps that has read everything.
fn all() -> BTreeMap<String, String> {
    let old = json!({"app": "ledger", "spec": "old"});
    let mut state: BTreeMap<_, _> = ["velero-backups:9", "velero-backups:10"].map(|id| remembered(id, &old)).into();
    state.extend([("declared".to_owned(), "1".to_owned()), ("relations".to_owned(), no_others())]);
    state.extend([remembered("k8s-backup-target:11", &json!({"backup_targets": "[]"}))]);
    state
}

async fn read(juju: &ScriptedTools, hook: &str, relation: Option<&str>) -> Snapshot {
    Snapshot::read(&juju.tools(), &environment(hook, relation), &GoalState::default()).await.unwrap()
}

/// What a snapshot knows of the relations of `velero-backups`: number and spec.
fn specs(snapshot: &Snapshot) -> Vec<(&str, &str)> {
    let relations = snapshot.relations("velero-backups").iter();
    let mut specs: Vec<_> =
        relations.map(|relation| (relation.id.number(), relation.theirs.get("spec").unwrap_or_default())).collect();
    specs.sort_unstable();
    specs
}

fn count(juju: &ScriptedTools, tool: &str, word: &str) -> usize {
    juju.calls(tool).lines().filter(|line| *line == word).count()
}

/// Which relations were read.
fn asked(juju: &ScriptedTools) -> Vec<String> {
    let calls = juju.calls("relation-get");
    let mut ids: Vec<_> = calls.lines().filter(|line| line.contains(':')).map(str::to_owned).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn a_unit_that_remembers_nothing_reads_all_and_keeps_what_it_uses() {
    let juju = juju(true, &BTreeMap::new());
    let snapshot = read(&juju, "config-changed", None).await;
    assert_eq!(specs(&snapshot), [("10", "new"), ("9", "new")]);
    assert_eq!(snapshot.relations("k8s-backup-target")[0].remote.as_deref(), Some("ledger"));
    assert_eq!(asked(&juju), ["k8s-backup-target:11", "velero-backups:10", "velero-backups:9"]);
    assert_eq!(juju.calls("secret-get"), "");
    let kept: BTreeMap<String, String> = serde_json::from_str(juju.calls("state-set").lines().last().unwrap()).unwrap();
    let mut expected = all();
    expected.remove("relations");
    let new = json!({"app": "ledger", "spec": "new"});
    expected.extend(["velero-backups:9", "velero-backups:10"].map(|id| remembered(id, &new)));
    let parsed = |state: &BTreeMap<String, String>| -> BTreeMap<String, Value> {
        state.iter().map(|(key, value)| (key.clone(), serde_json::from_str(value).unwrap())).collect()
    };
    assert_eq!(parsed(&kept), parsed(&expected));
}

#[tokio::test]
async fn in_hooks_of_others_it_is_remembered() {
    for (hook, relation) in [
        ("update-status", None),
        ("config-changed", None),
        ("s3-credentials-relation-changed", Some("s3-credentials:7")),
        ("velero-backups-relation-created", Some("velero-backups:12")),
        ("velero-backups-relation-joined", Some("velero-backups:9")),
        ("velero-backups-relation-departed", Some("velero-backups:9")),
    ] {
        let juju = juju(true, &all());
        let snapshot = read(&juju, hook, relation).await;
        assert_eq!(specs(&snapshot), [("10", "old"), ("9", "old")], "{hook}");
        assert!(snapshot.looks_at_schedules());
        assert_eq!(asked(&juju), Vec::<String>::new(), "{hook}");
        assert_eq!(count(&juju, "relation-ids", "velero-backups"), 0, "{hook}");
        assert_eq!(juju.calls("state-get"), "--format\njson\n", "{hook}");
        assert_eq!((juju.calls("state-set"), juju.calls("state-delete")), (String::new(), String::new()), "{hook}");
    }
}

#[tokio::test]
async fn of_a_relation_that_has_changed_only_that_is_read() {
    let juju = juju(true, &all());
    let snapshot = read(&juju, "velero-backups-relation-changed", Some("velero-backups:9")).await;
    assert_eq!(specs(&snapshot), [("10", "old"), ("9", "new")]);
    assert_eq!(asked(&juju), ["velero-backups:9"]);
    let kept: BTreeMap<String, String> = serde_json::from_str(juju.calls("state-set").lines().last().unwrap()).unwrap();
    assert_eq!(kept.into_keys().collect::<Vec<_>>(), ["declared-9"]);
}

#[tokio::test]
async fn a_relation_that_is_broken_is_forgotten() {
    let juju = juju(true, &all());
    let snapshot = read(&juju, "velero-backups-relation-broken", Some("velero-backups:9")).await;
    assert_eq!(specs(&snapshot), [("10", "old")]);
    assert_eq!(asked(&juju), Vec::<String>::new());
    assert_eq!((juju.calls("state-delete"), juju.calls("state-set")), ("declared-9\n".to_owned(), String::new()));
}

#[tokio::test]
async fn a_new_leader_and_another_revision_of_the_charm_read_all_anew() {
    for hook in ["leader-elected", "upgrade-charm"] {
        let mut state = all();
        state.extend([remembered("velero-backups:8", &json!({"app": "gone"}))]);
        let juju = juju(true, &state);
        assert_eq!(specs(&read(&juju, hook, None).await), [("10", "new"), ("9", "new")], "{hook}");
        assert_eq!(juju.calls("state-delete"), "declared-8\n", "{hook}");
    }
}

#[tokio::test]
async fn a_unit_that_does_not_lead_forgets_what_changes_without_it() {
    for (hook, relation, forgotten) in [
        ("velero-backups-relation-changed", Some("velero-backups:9"), "declared\n"),
        ("k8s-backup-target-relation-broken", Some("k8s-backup-target:11"), "declared\n"),
        ("s3-credentials-relation-changed", Some("s3-credentials:7"), ""),
        ("update-status", None, ""),
    ] {
        let juju = juju(false, &all());
        let snapshot = read(&juju, hook, relation).await;
        assert!(specs(&snapshot).is_empty() && !snapshot.looks_at_schedules());
        assert_eq!(juju.calls("state-delete"), forgotten, "{hook}");
        assert_eq!(asked(&juju), Vec::<String>::new(), "{hook}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_not_relied_on() {
    for broken in ["{", "[]"] {
        let mut state = all();
        state.insert("declared-9".to_owned(), broken.to_owned());
        assert_eq!(specs(&read(&juju(true, &state), "update-status", None).await), [("10", "new"), ("9", "new")]);
    }
}

#[test]
fn what_juju_would_not_keep_is_not_remembered() {
    let relation = |number: u32, length: usize| {
        let theirs = [("spec", "x".repeat(length))].into_iter().collect();
        let id = RelationId::new(format!("velero-backups:{number}"));
        (number.to_string(), Relation::declaring(id, None, &theirs))
    };
    assert!(state_of(&[relation(1, 60_000)].into()).is_some());
    assert!(state_of(&[relation(1, 66_000)].into()).is_none());
    assert!(state_of(&(0..24).map(|number| relation(number, 60_000)).collect()).is_some());
    assert!(state_of(&(0..26).map(|number| relation(number, 60_000)).collect()).is_none());
    // What there was before must not be taken for all.
    assert!(recall(&BTreeMap::from([remembered("velero-backups:9", &json!({}))])).is_none());
}

#[tokio::test]
async fn an_action_reads_what_is_declared_of_its_application_and_remembers_the_rest() {
    let mut state = all();
    state.extend([remembered("velero-backups:10", &json!({"app": "mail", "spec": "old"}))]);
    let specs_for = async |application: &str, state: &BTreeMap<String, String>| {
        let juju = juju(false, state);
        let environment = environment("update-status", None);
        let snapshot = Snapshot::of_declarations(&juju.tools(), &environment, application).await.unwrap();
        let specs: Vec<_> = specs(&snapshot).into_iter().map(|(_, spec)| spec.to_owned()).collect();
        (specs, asked(&juju).len())
    };
    assert_eq!(specs_for("ledger", &state).await, (vec!["old".to_owned(), "new".to_owned()], 1));
    // What is not remembered may be new.
    assert_eq!(specs_for("other", &state).await, (vec!["new".to_owned(), "new".to_owned()], 3));
    state.remove("declared");
    assert_eq!(specs_for("ledger", &state).await.1, 3);
}

#[tokio::test]
async fn what_the_last_look_at_old_backups_has_left_stays_beside_it() {
    let mut state = all();
    state.insert("retention".to_owned(), "a look".to_owned());
    let juju = juju(true, &state);
    let snapshot = read(&juju, "update-status", None).await;
    assert_eq!(snapshot.retention.as_deref(), Some("a look"));
    assert_eq!(juju.calls("state-delete") + &juju.calls("state-set"), "");
}
