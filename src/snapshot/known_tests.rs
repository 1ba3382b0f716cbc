use serde_json::{Value, json};

use crate::{
    juju::{GoalState, ScriptedTools},
    snapshot::{Snapshot, tests::environment},
};

/// What the unit keeps that is related to an integrator alone.
fn kept(number: u32) -> Value {
    let s3 = json!([{"id": format!("s3-credentials:{number}"), "remote": "s3-integrator"}]);
    json!({"azure-storage": [], "gcs-credentials": [], "grafana-dashboard": [], "metrics-endpoint": [], "s3-credentials": s3})
}

/// Juju with a relation to an integrator, and what the unit keeps of such.
fn juju(kept: Option<&Value>) -> ScriptedTools {
    let mut state = json!({"declared": "1"});
    if let Some(kept) = kept {
        state["relations"] = json!(kept.to_string());
    }
    let read = r#"case "$*" in *s3-credentials:7*) echo '{"bucket":"backups"}';; *) echo 'ERROR no relation' >&2; exit 1;; esac"#;
    ScriptedTools::new(&[
        ("is-leader", "echo true"),
        ("config-get", "echo '{}'"),
        ("relation-ids", r#"case "$*" in *s3-credentials) echo '["s3-credentials:7"]';; *) echo '[]';; esac"#),
        ("relation-list", r#"echo '"s3-integrator"'"#),
        ("relation-get", read),
        ("state-get", &format!("printf %s '{state}'")),
        ("state-set", "true"),
    ])
}

/// What a hook knows of the integrator: its name, and its bucket.
async fn integrator(juju: &ScriptedTools, hook: &str) -> (Option<String>, Option<String>) {
    let goal = GoalState::default();
    let snapshot = Snapshot::read(&juju.tools(), &environment(hook, None), &goal).await.unwrap();
    let [relation] = snapshot.relations("s3-credentials") else { panic!("one relation") };
    (relation.remote.clone(), relation.theirs.get("bucket").map(str::to_owned))
}

#[tokio::test]
async fn a_hook_that_comes_without_a_reason_asks_for_no_relation_that_is_known() {
    let juju = juju(Some(&kept(7)));
    let known = (Some("s3-integrator".to_owned()), Some("backups".to_owned()));
    assert_eq!(integrator(&juju, "update-status").await, known);
    let asked = ["relation-ids", "relation-list", "state-set"].map(|tool| juju.calls(tool));
    assert_eq!(asked, [const { String::new() }; 3]);
}

#[tokio::test]
async fn all_other_hooks_ask_and_keep_what_is_news() {
    for (before, is_news) in [(None, true), (Some(kept(7)), false), (Some(kept(6)), true)] {
        let juju = juju(before.as_ref());
        assert!(integrator(&juju, "config-changed").await.1.is_some());
        assert!(juju.calls("relation-ids").contains("gcs-credentials"));
        let written = juju.calls("state-set");
        assert_eq!(written.contains("s3-credentials:7"), is_news, "{written}");
    }
}

#[tokio::test]
async fn a_relation_that_has_gone_without_a_hook_is_not_relied_on() {
    let juju = juju(Some(&kept(6)));
    assert_eq!(integrator(&juju, "update-status").await.1.as_deref(), Some("backups"));
    // A hook that comes without a reason keeps nothing.
    assert_eq!(juju.calls("state-set"), "");
}
