//! Hooks that fail, are killed, or lose what they wrote.

use std::time::Duration;

use sandbox::juju::{Disturbance, Scripted, StatusValue};

use super::harness::{Fixture, names, unit};

/// Fails in `config-changed` for as long as the option `level` is below 9.
const FAILS: &str = r#"
status-set maintenance "in $hook"
state-set last=$hook
[ "$hook" = config-changed ] && [ "$(config-get level)" -lt 9 ] && exit 3
true
"#;

#[test]
fn a_failed_hook_puts_the_unit_in_error_and_is_run_again() {
    let fixture = Fixture::new();
    fixture.model.automatically_retry_hooks(false).expect("set");
    let records = fixture.deploy(FAILS);
    assert_eq!(names(&records), ["install", "leader-elected", "config-changed"]);
    assert_eq!(records[2].failure.as_deref(), Some("exit status 3"));
    let status = || fixture.model.status().expect("a status").applications["example"].units["example/0"].clone();
    assert_eq!(status().workload_status.value, StatusValue::Error);
    assert_eq!(status().workload_status.message, "hook failed: \"config-changed\"");
    assert!(fixture.model.update_status().expect("run").is_empty(), "no other hook runs meanwhile");
    assert!(fixture.model.configure("example", "level", "9").expect("configured").is_empty());
    let records = fixture.model.resolved(&unit(0), true).expect("resolved");
    assert_eq!(names(&records), ["config-changed", "start"]);
    assert_eq!(status().workload_status.message, "in start");
    assert!(fixture.model.resolved(&unit(0), true).is_err());
}

#[test]
fn a_failed_hook_is_tried_again_by_the_next_verb() {
    let fixture = Fixture::new();
    fixture.deploy(FAILS);
    assert_eq!(names(&fixture.model.configure("example", "level", "8").expect("set")), ["config-changed"]);
    assert_eq!(names(&fixture.model.configure("example", "level", "9").expect("set")), ["config-changed", "start"]);
}

#[test]
fn a_failed_hook_can_be_skipped() {
    let fixture = Fixture::new();
    fixture.deploy(FAILS);
    fixture.model.automatically_retry_hooks(false).expect("set");
    assert_eq!(names(&fixture.model.resolved(&unit(0), false).expect("resolved")), ["start"]);
}

#[test]
fn what_a_failed_hook_wrote_is_thrown_away_but_its_status_is_not() {
    let fixture = Fixture::new();
    fixture.model.automatically_retry_hooks(false).expect("set");
    fixture.deploy(
        r#"
        application-version-set 1.2.3
        [ "$hook" = store-relation-created ] || exit 0
        relation-set --app bucket=mine
        relation-set own=value
        state-set key=value
        open-port 80
        status-set blocked told
        exit 1
        "#,
    );
    fixture.model.deploy_scripted(&Scripted::provider("store", "s3", "s3")).expect("deployed");
    let (relation, records) = fixture.model.integrate("example", "store").expect("integrated");
    assert_eq!(names(&records), ["store-relation-created"]);
    assert!(fixture.application_bag(relation, "example").is_empty());
    let state = fixture.model.state().expect("a state");
    let unit = state.unit(&unit(0)).expect("the unit");
    assert!(unit.charm_state.is_empty() && unit.ports.is_empty());
    assert_eq!(unit.status.message, "told");
    assert_eq!(state.applications["example"].workload_version, "1.2.3");
}

#[test]
fn a_killed_hook_is_run_again() {
    let fixture = Fixture::new();
    fixture.deploy("true");
    fixture.model.automatically_retry_hooks(false).expect("set");
    let slow = fixture.charm("example", "[ $hook = update-status ] && { state-set a=1; sleep 30; }; true");
    fixture.model.refresh("example", &slow).expect("refreshed");
    fixture.model.disturb_next_run(Disturbance::KillAfter(Duration::from_millis(300)));
    let records = fixture.model.update_status().expect("run");
    assert_eq!(records[0].outcome.signal, Some(9));
    assert_eq!(records[0].failure.as_deref(), Some("signal: killed"));
    assert!(records[0].outcome.wall < Duration::from_secs(10));
    assert!(fixture.model.state().expect("a state").unit(&unit(0)).expect("the unit").charm_state.is_empty());
}

#[test]
fn a_hook_can_be_killed_at_a_tool_call() {
    let fixture = Fixture::new();
    fixture.model.automatically_retry_hooks(false).expect("set");
    fixture.model.disturb_next_run(Disturbance::KillAtTool("state-set"));
    let records = fixture.deploy("status-set maintenance one; state-set two=2; juju-log never");
    assert_eq!(names(&records), ["install"]);
    assert_eq!((records[0].tools.len(), records[0].outcome.signal), (1, Some(9)));
    let records = fixture.model.resolved(&unit(0), true).expect("resolved");
    assert_eq!(names(&records), ["install", "leader-elected", "config-changed", "start"]);
}

#[test]
fn a_hook_that_never_ends_is_ended() {
    let fixture = Fixture::new();
    let model = fixture.model.clone().with_run_limit(Duration::from_millis(300));
    let charm = fixture.charm("example", "sleep 60");
    let records = model.deploy(&charm, &sandbox::juju::DeployOptions::default()).expect("deployed");
    assert_eq!(records[0].failure.as_deref(), Some("signal: killed"));
}

#[test]
fn a_lost_lease_fails_the_hook_after_its_end() {
    let fixture = Fixture::new();
    fixture.model.automatically_retry_hooks(false).expect("set");
    fixture.deploy("[ $hook = update-status ] && relation-set -r 0 --app key=value; true");
    fixture.model.deploy_scripted(&Scripted::provider("store", "s3", "s3")).expect("deployed");
    let (relation, _) = fixture.model.integrate("example", "store").expect("integrated");
    fixture.model.disturb_next_run(Disturbance::LoseLeadership);
    let records = fixture.model.update_status().expect("run");
    assert_eq!(records[0].outcome.code, Some(0));
    assert!(records[0].failure.as_ref().is_some_and(|reason| reason.contains("is not leader")), "{records:?}");
    assert!(fixture.application_bag(relation, "example").is_empty());
}

#[test]
fn a_dispatch_that_is_not_executable_fails_every_hook() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new();
    let charm = fixture.charm("example", "true");
    std::fs::set_permissions(charm.join("dispatch"), std::fs::Permissions::from_mode(0o644)).expect("permissions");
    let records = fixture.model.deploy(&charm, &sandbox::juju::DeployOptions::default()).expect("deployed");
    assert!(records[0].failure.as_ref().is_some_and(|reason| reason.contains("permission denied")), "{records:?}");
}

#[test]
fn without_dispatch_the_hooks_folder_is_used_and_missing_hooks_are_skipped() {
    let fixture = Fixture::new();
    let charm = fixture.charm("example", "juju-log ran");
    std::fs::create_dir(charm.join("hooks")).expect("a directory");
    std::fs::rename(charm.join("dispatch"), charm.join("hooks/start")).expect("moved");
    let records = fixture.model.deploy(&charm, &sandbox::juju::DeployOptions::default()).expect("deployed");
    assert!(records.iter().all(sandbox::juju::HookRecord::success));
    assert_eq!(fixture.said(&unit(0)).len(), 1);
}

#[test]
fn what_a_charm_leaves_running_is_ended_with_the_hook() {
    let fixture = Fixture::new();
    let records = fixture.deploy("[ $hook = install ] && { sleep 60 & echo $!; }; true");
    let process: i32 = records[0].stdout.trim().parse().expect("a process id");
    assert!(
        !std::path::Path::new(&format!("/proc/{process}/cmdline")).exists() || {
            let line = std::fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
            !line.starts_with("sleep")
        }
    );
}
