use serde_json::json;

use super::*;
use crate::juju::ScriptedTools;

fn environment(dispatch: &str, relation: Option<&str>) -> Environment {
    Environment {
        dispatch: Dispatch::Hook(dispatch.to_owned()),
        unit: "velero-operator/0".to_owned(),
        charm_directory: "/charm".into(),
        relation: relation.map(RelationId::new),
    }
}

/// Juju with two relations of `s3-credentials`, whose other side has published `theirs`.
fn juju(leader: bool, theirs: &str, secret: &str) -> ScriptedTools {
    let databag = format!(r#"case "$*" in *velero-operator) echo '{{"version":"1"}}';; *) echo '{theirs}';; esac"#);
    ScriptedTools::new(&[
        ("is-leader", if leader { "echo true" } else { "echo false" }),
        ("config-get", "echo '{}'"),
        (
            "relation-ids",
            r#"case "$*" in *s3-credentials) echo '["s3-credentials:7","s3-credentials:9"]';; *) echo '[]';; esac"#,
        ),
        ("relation-list", r#"echo '"s3-integrator"'"#),
        ("relation-get", &databag),
        ("secret-get", secret),
    ])
}

async fn read(juju: &ScriptedTools, environment: &Environment) -> Snapshot {
    Snapshot::read(&juju.tools(), environment, &GoalState::default()).await.unwrap()
}

#[tokio::test]
async fn every_relation_of_an_endpoint_is_read_with_both_sides_and_the_secret() {
    let uri = "secret://6b0e3c52-7d1f-4a86-9c35-e2a41f80d7b9/d5k2n8fq9mvc7a3t1he0";
    let theirs = format!(r#"{{"bucket":"backups","secret-key":"clear","secret-extra":"{uri}"}}"#);
    let juju = juju(true, &theirs, r#"echo '{"secret-key":"s3cr3t"}'"#);
    let snapshot = read(&juju, &environment("config-changed", None)).await;
    assert!(snapshot.leader && !snapshot.periodic && snapshot.application == "velero-operator");
    let relations = snapshot.relations("s3-credentials");
    assert_eq!(
        relations.iter().map(|relation| relation.id.as_str()).collect::<Vec<_>>(),
        ["s3-credentials:7", "s3-credentials:9"]
    );
    for relation in relations {
        assert_eq!(relation.remote.as_deref(), Some("s3-integrator"));
        assert_eq!(relation.ours.get("version"), Some("1"));
        let fields: BTreeMap<_, _> = relation.fields().collect();
        assert_eq!((fields["bucket"], fields["secret-key"]), ("backups", "s3cr3t"));
        assert!(!relation.secret_withheld());
        let printed = format!("{relation:?}");
        assert!(!printed.contains("s3cr3t") && !printed.contains("clear"), "{printed}");
    }
    assert_eq!(snapshot.relations("gcs-credentials").len(), 0);
    assert!(juju.calls("secret-get").contains(uri));
}

#[tokio::test]
async fn a_relation_that_is_being_broken_is_none_any_more() {
    let juju = juju(true, "{}", "exit 1");
    let snapshot = read(&juju, &environment("s3-credentials-relation-broken", Some("s3-credentials:7"))).await;
    let [relation] = snapshot.relations("s3-credentials") else { panic!("one relation") };
    assert_eq!(relation.id.as_str(), "s3-credentials:9");
    assert!(!juju.calls("relation-get").contains("s3-credentials:7"));
}

#[tokio::test]
async fn a_unit_that_does_not_lead_asks_for_nothing_that_only_the_leader_may_read() {
    let juju = juju(false, r#"{"bucket":"backups"}"#, "exit 1");
    let snapshot = read(&juju, &environment("update-status", None)).await;
    assert!(!snapshot.leader && snapshot.periodic);
    assert_eq!(snapshot.relations("s3-credentials")[0].ours, Databag::default());
    assert!(!juju.calls("relation-get").contains("velero-operator"));
}

#[tokio::test]
async fn a_secret_that_is_not_granted_is_withheld() {
    let juju =
        juju(true, r#"{"secret-extra":"secret:d5k2n8fq9mvc7a3t1he0"}"#, "echo 'ERROR permission denied' >&2; exit 1");
    let snapshot = read(&juju, &environment("config-changed", None)).await;
    assert!(snapshot.relations("s3-credentials")[0].secret_withheld());
}

#[tokio::test]
async fn of_applications_that_declare_backups_only_what_they_declare_is_read() {
    let juju = ScriptedTools::new(&[
        ("is-leader", "echo true"),
        ("config-get", "echo '{}'"),
        (
            "relation-ids",
            r#"case "$*" in *velero-backups) echo '["velero-backups:10","velero-backups:9"]';; *) echo '[]';; esac"#,
        ),
        ("relation-list", r#"echo '"ledger"'"#),
        ("relation-get", r#"echo '{"app":"ledger","secret-extra":"secret:d5k2n8fq9mvc7a3t1he0"}'"#),
    ]);
    let snapshot = read(&juju, &environment("velero-backups-relation-changed", Some("velero-backups:9"))).await;
    let ids: Vec<_> = snapshot.relations("velero-backups").iter().map(|relation| relation.id.number()).collect();
    assert_eq!(ids, ["10", "9"]);
    // Of each its application and that application's databag, and no secret.
    assert_eq!(juju.calls("relation-get").matches("--app").count(), 2);
    assert_eq!(juju.calls("relation-list").matches("--app").count(), 2);
    assert_eq!(juju.calls("secret-get"), "");
}

#[tokio::test]
async fn update_status_looks_for_declarations_only_where_an_application_is_related() {
    for (hook, relations, looks) in [
        ("update-status", json!({"s3-credentials": {"s3-integrator": {"status": "joined"}}}), false),
        ("update-status", json!({"k8s-backup-target": {"ledger": {"status": "joined"}}}), true),
        ("config-changed", json!({}), true),
    ] {
        let goal: GoalState = serde_json::from_value(json!({"units": {}, "relations": relations})).unwrap();
        let juju = juju(true, "{}", "exit 1");
        let snapshot = Snapshot::read(&juju.tools(), &environment(hook, None), &goal).await.unwrap();
        let asked = juju.calls("relation-ids").contains("velero-backups");
        assert_eq!((snapshot.knows_backups, asked), (looks, looks), "{hook} {relations}");
    }
}

#[tokio::test]
async fn a_unit_that_does_not_lead_may_read_what_is_declared() {
    let juju = ScriptedTools::new(&[
        ("is-leader", "echo false"),
        ("config-get", r#"echo '{"default-ttl":"72h"}'"#),
        ("relation-ids", r#"case "$*" in *velero-backups) echo '["velero-backups:9"]';; *) echo '[]';; esac"#),
        ("relation-list", r#"echo '"ledger"'"#),
        ("relation-get", r#"echo '{"app":"ledger"}'"#),
    ]);
    let environment = environment("update-status", None);
    let snapshot = Snapshot::of_declarations(&juju.tools(), &environment).await.unwrap();
    assert_eq!(snapshot.relations("velero-backups")[0].theirs.get("app"), Some("ledger"));
    assert_eq!(snapshot.config.text("default-ttl"), Some("72h"));
    assert!(!juju.calls("relation-ids").contains("s3-credentials"));
}
