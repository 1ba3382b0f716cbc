use serde_json::json;

use super::*;
use crate::juju::ScriptedTools;

pub(super) fn environment(dispatch: &str, relation: Option<&str>) -> Environment {
    Environment {
        dispatch: Dispatch::Hook(dispatch.to_owned()),
        unit: "velero-operator/0".to_owned(),
        model: ModelId { name: "backups".to_owned(), uuid: "2f6d1f6e-58b1-4d27-9d0c-5f0a3c6b7e11".to_owned() },
        charm_directory: "/charm".into(),
        relation: relation.map(RelationId::new),
        proxies: ModelProxies::default(),
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
        ("state-get", "echo '{\"declared\":\"1\"}'"),
        ("state-set", "true"),
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
async fn update_status_looks_at_schedules_only_where_an_application_is_related() {
    for (hook, related, looks) in
        [("update-status", false, false), ("update-status", true, true), ("config-changed", false, true)]
    {
        let relation = json!({"id": "k8s-backup-target:11", "remote": "ledger", "declared": {}}).to_string();
        let state = if related { json!({"declared": "1", "declared-11": relation}) } else { json!({"declared": "1"}) };
        let state = format!("printf %s '{state}'");
        let juju = ScriptedTools::new(&[
            ("is-leader", "echo true"),
            ("config-get", "echo '{}'"),
            ("relation-ids", "echo '[]'"),
            ("state-get", &state),
            ("state-set", "true"),
        ]);
        let snapshot = read(&juju, &environment(hook, None)).await;
        assert_eq!(snapshot.looks_at_schedules(), looks, "{hook} {related}");
        // The hook before may have been refused, and have left some.
        assert!(Snapshot { unsettled: true, ..snapshot }.looks_at_schedules(), "{hook} {related}");
    }
}

/// Juju with a Prometheus and a Grafana, related to a unit.
fn juju_with_observers(leader: bool) -> ScriptedTools {
    ScriptedTools::new(&[
        ("is-leader", if leader { "echo true" } else { "echo false" }),
        ("config-get", "echo '{}'"),
        (
            "relation-ids",
            r#"case "$*" in *metrics-endpoint) echo '["metrics-endpoint:12"]';; *grafana-dashboard) echo '["grafana-dashboard:13"]';; *) echo '[]';; esac"#,
        ),
        ("relation-list", r#"echo '"cos"'"#),
        (
            "relation-get",
            r#"case "$*" in *cos) echo '{"event":"{}","alertmanager":"a lot"}';; *--app*) echo '{"whose":"application"}';; *) echo '{"whose":"unit"}';; esac"#,
        ),
        ("state-get", "echo '{\"declared\":\"1\"}'"),
        ("network-get", r#"echo '{"bind-addresses":[{"addresses":[{"value":"10.1.42.30"}]}]}'"#),
        ("state-set", "true"),
    ])
}

#[tokio::test]
async fn where_the_charm_publishes_it_reads_what_it_has_published_and_the_leader_what_is_made_of_it() {
    for (leader, of_application, reads) in [(true, Some("application"), 5), (false, None, 1)] {
        let juju = juju_with_observers(leader);
        let snapshot = read(&juju, &environment("config-changed", None)).await;
        let [metrics] = snapshot.relations("metrics-endpoint") else { panic!("one relation") };
        assert_eq!((metrics.ours.get("whose"), metrics.own.get("whose")), (of_application, Some("unit")));
        assert_eq!(snapshot.relations("grafana-dashboard").len(), usize::from(leader));
        assert_eq!(snapshot.address.as_deref(), Some("10.1.42.30"));
        assert_eq!(juju.calls("relation-get").matches("--format").count(), reads);
        let other_side = leader.then_some(("cos", "{}"));
        assert_eq!(metrics.remote.as_deref().zip(metrics.verdict()), other_side);
        assert_eq!(metrics.theirs.entries().count(), usize::from(leader));
        assert_eq!(juju.calls("relation-list").is_empty(), !leader);
        assert_eq!(juju.calls("secret-get"), "");
    }
}

#[tokio::test]
async fn those_who_watch_are_looked_for_where_one_is_related_or_the_unit_may_have_changed() {
    let (related, alone) = (json!({"metrics-endpoint": {}, "grafana-dashboard": {}}), json!({}));
    for (hook, relation, relations, asks) in [
        ("update-status", None, &related, [true, true]),
        ("update-status", None, &alone, [false, false]),
        ("s3-credentials-relation-changed", Some("s3-credentials:7"), &related, [true, true]),
        ("s3-credentials-relation-changed", Some("s3-credentials:7"), &alone, [false, false]),
        // Juju does not name all relations among the goals.
        ("config-changed", None, &alone, [true, true]),
        ("grafana-dashboard-relation-created", Some("grafana-dashboard:13"), &alone, [false, true]),
    ] {
        let goal: GoalState = serde_json::from_value(json!({"units": {}, "relations": relations})).unwrap();
        let juju = juju_with_observers(true);
        let snapshot = Snapshot::read(&juju.tools(), &environment(hook, relation), &goal).await.unwrap();
        let asked = ["metrics-endpoint", "grafana-dashboard"].map(|name| juju.calls("relation-ids").contains(name));
        assert_eq!(asked, asks, "{hook} {relations}");
        assert_eq!(snapshot.address.is_some(), asks[0]);
        assert_eq!(juju.calls("network-get").is_empty(), !asks[0]);
        // Those are not applications that declare backups.
        assert_eq!(snapshot.looks_at_schedules(), hook != "update-status");
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
        ("state-get", "echo null"),
    ]);
    let environment = environment("update-status", None);
    let snapshot = Snapshot::of_declarations(&juju.tools(), &environment, "ledger").await.unwrap();
    assert_eq!(snapshot.relations("velero-backups")[0].theirs.get("app"), Some("ledger"));
    assert_eq!(snapshot.config.text("default-ttl"), Some("72h"));
    assert!(!juju.calls("relation-ids").contains("s3-credentials"));
}

#[tokio::test]
async fn the_secret_of_an_option_is_read_by_the_leader_alone() {
    let uri = "secret:d5k2n8fq9mvc7a3t1he0";
    let juju = |leader: &str, secret: &str| {
        ScriptedTools::new(&[
            ("is-leader", &format!("echo {leader}")),
            ("config-get", &format!(r#"echo '{{"repository-password":"{uri}"}}'"#)),
            ("relation-ids", "echo '[]'"),
            ("secret-get", secret),
            ("state-get", "echo '{\"declared\":\"1\"}'"),
            ("state-set", "true"),
        ])
    };
    let granted = juju("true", r#"echo '{"password":"s3cr3t"}'"#);
    let snapshot = read(&granted, &environment("config-changed", None)).await;
    assert!(matches!(&snapshot.repository_password, OptionSecret::Content(_)), "{snapshot:?}");
    assert!(!format!("{snapshot:?}").contains("s3cr3t") && granted.calls("secret-get").contains(uri));
    let withheld = juju("true", "echo 'ERROR permission denied' >&2; exit 1");
    let snapshot = read(&withheld, &environment("config-changed", None)).await;
    assert!(matches!(snapshot.repository_password, OptionSecret::OutOfReach));
    let standing_by = juju("false", "exit 1");
    let snapshot = read(&standing_by, &environment("update-status", None)).await;
    assert!(matches!(snapshot.repository_password, OptionSecret::Unset));
    assert_eq!(standing_by.calls("secret-get"), "");
}
