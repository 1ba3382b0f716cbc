//! Actions.

use sandbox::juju::{ActionStatus, Scripted};
use serde_json::{Map, Value, json};

use super::harness::{EVALUATE, Fixture, parameters, unit};

#[test]
fn an_action_answers_with_what_it_set_and_printed() {
    let fixture = Fixture::new();
    fixture.deploy(EVALUATE);
    let command =
        r#"action-set backup.name=nightly; action-log "half way"; echo out; echo err >&2; action-get --format json"#;
    let result = fixture.model.run_action(&unit(0), "run", &parameters(&[("command", command)])).expect("run");
    assert_eq!(result.status, ActionStatus::Completed);
    let given = json!({"command": command, "limit": 5});
    let expected = json!({
        "backup": {"name": "nightly"},
        "return-code": 0,
        "stdout": format!("out\n{given}\n"),
        "stderr": "err\n",
    });
    assert_eq!(Value::Object(result.results)["backup"], expected["backup"]);
    assert_eq!(result.log[0].1, "half way");
    let record = result.record.expect("a charm ran");
    assert!(
        record.stdout.starts_with("out\n{\"command\":") && record.stdout.ends_with("\"limit\":5}\n"),
        "{}",
        record.stdout
    );
}

#[test]
fn action_fail_fails_it_and_keeps_what_was_written() {
    let fixture = Fixture::new();
    fixture.deploy(EVALUATE);
    let run =
        |command: &str| fixture.model.run_action(&unit(0), "run", &parameters(&[("command", command)])).expect("run");
    let result = run("state-set a=1; action-set x=1; action-fail first; action-fail -- \"-no\"");
    assert_eq!((result.status, result.message.as_str()), (ActionStatus::Failed, "-no"));
    assert_eq!(result.results["x"], "1");
    let state = || fixture.model.state().expect("a state").unit(&unit(0)).expect("the unit").charm_state.clone();
    assert_eq!(state()["a"], "1");
    let result = run("state-set b=1; exit 4");
    assert_eq!((result.status, result.message.as_str()), (ActionStatus::Failed, "exit status 4"));
    assert_eq!(result.results["return-code"], 4);
    assert!(!state().contains_key("b"));
}

#[test]
fn parameters_are_checked_before_the_unit_hears_of_them() {
    let fixture = Fixture::new();
    fixture.deploy(EVALUATE);
    let before = fixture.model.log().expect("a log").len();
    for bad in [parameters(&[]), parameters(&[("command", "x"), ("other", "y")])] {
        let error = fixture.model.run_action(&unit(0), "run", &bad).expect_err("refused").to_string();
        assert!(error.starts_with("validation failed: "), "{error}");
    }
    let error = fixture.model.run_action(&unit(0), "jump", &Map::new()).expect_err("refused").to_string();
    assert_eq!(error, "action \"jump\" not defined on unit \"example/0\": it has other, run");
    assert_eq!(fixture.model.log().expect("a log").len(), before);
}

#[test]
fn action_tools_are_for_actions() {
    let fixture = Fixture::new();
    let records =
        fixture.deploy("for tool in action-get 'action-set a=1' action-fail 'action-log x'; do $tool; done; true");
    for call in &records[0].tools {
        assert_eq!((call.code, call.stderr.as_str()), (1, "ERROR not running an action\n"), "{call:?}");
    }
}

#[test]
fn keys_of_results_are_checked() {
    let fixture = Fixture::new();
    fixture.deploy(EVALUATE);
    let (_, _, stderr) = fixture.evaluate("action-set stdout=1");
    assert_eq!(stderr, "ERROR cannot set reserved action key \"stdout\"\n");
    let (_, _, stderr) = fixture.evaluate("action-set ok=1 Bad=1");
    assert!(stderr.starts_with("ERROR key \"Bad\" must start and end with lowercase alphanumeric"), "{stderr}");
}

#[test]
fn actions_run_while_a_hook_has_failed() {
    let fixture = Fixture::new();
    fixture.model.automatically_retry_hooks(false).expect("set");
    fixture.deploy("case $hook in run) echo hello;; *) exit 1;; esac");
    assert_eq!(fixture.evaluate("").1, "hello\n");
}

#[test]
fn the_s3_integrator_takes_its_keys_by_an_action() {
    let fixture = Fixture::new();
    fixture.model.deploy_built_in("s3-integrator", &sandbox::juju::DeployOptions::default()).expect("deployed");
    let keys = parameters(&[("access-key", "a"), ("secret-key", "b")]);
    let integrator = "s3-integrator/0".parse().expect("a unit");
    let result = fixture.model.run_action(&integrator, "sync-s3-credentials", &keys).expect("run");
    assert_eq!(result.results["ok"], "Credentials successfully updated.");
    fixture.model.deploy_scripted(&Scripted::provider("store", "s3", "s3")).expect("deployed");
    assert!(fixture.model.run_action(&"store/0".parse().expect("a unit"), "x", &Map::new()).is_err());
}
