//! `juju-exec`: how a process in a unit's pod has commands run in the unit's turn.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sandbox::juju::HookRecord;

use super::harness::{EVALUATE, Fixture, unit};

/// A charm that starts a process of its own in `start`, which asks for a hook that Juju does not know.
const ASKS: &str = r#"
case "$hook" in
start)
    setsid env -i PATH="$PATH" sh -c '
        juju-exec example/0 "JUJU_DISPATCH_PATH=hooks/odd ./dispatch; echo said; exit 3" >answer.new
        echo $? >>answer.new; mv answer.new answer' </dev/null >/dev/null 2>&1 &
    sleep 0.5
    status-set active started;;
odd) status-set active "odd, with ${JUJU_HOOK_NAME:-no name}";;
esac"#;

fn with_juju_exec() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.model = fixture.model.with_juju_exec();
    fixture
}

fn file(fixture: &Fixture, name: &str) -> PathBuf {
    fixture.model.directory().join("agents/unit-example-0/charm").join(name)
}

fn until(is_true: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_true() {
        assert!(begun.elapsed() < Duration::from_mins(1), "it does not become true");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn records(fixture: &Fixture) -> Vec<HookRecord> {
    let text = fs::read_to_string(fixture.model.directory().join("hooks.jsonl")).expect("records");
    text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

#[test]
fn commands_run_in_the_units_turn_with_its_tools() {
    let fixture = with_juju_exec();
    fixture.deploy(ASKS);
    until(|| file(&fixture, "answer").exists());
    assert_eq!(fs::read_to_string(file(&fixture, "answer")).expect("an answer"), "said\n3\n");
    let records = records(&fixture);
    let names: Vec<_> = records.iter().map(|record| record.name.as_str()).collect();
    let start = names.iter().position(|name| *name == "start").expect("start has run");
    assert_eq!(names[start + 1..], ["run-commands"], "it waits for the end of the hook");
    assert_eq!(records[start + 1].failure.as_deref(), Some("exit status 3"));
    let status = fixture.model.state().expect("a state").unit(&unit(0)).expect("the unit").status.clone();
    assert_eq!(status.message, "odd, with no name");
    // That commands fail is no error of the unit.
    assert!(fixture.model.update_status().expect("a hook").iter().all(HookRecord::success));
}

#[test]
fn only_where_it_is_asked_for_is_there_such_a_program() {
    let there = "command -v juju-exec >/dev/null && echo yes || echo no";
    let fixture = Fixture::new();
    fixture.deploy(EVALUATE);
    assert_eq!(fixture.evaluate(there).1, "no\n");
    let fixture = with_juju_exec();
    fixture.deploy(EVALUATE);
    assert_eq!(fixture.evaluate(there).1, "yes\n");
    let (code, _, said) = fixture.evaluate("juju-exec example/0 true");
    assert_eq!(code, 2);
    assert!(said.starts_with("ERROR juju-exec cannot be called from within a hook"), "{said}");
    let (code, _, said) = fixture.evaluate("env -u JUJU_CONTEXT_ID juju-exec other/0 true");
    assert_eq!((code, said.as_str()), (1, "ERROR unit \"other/0\" not found on this machine\n"));
}

#[test]
fn a_unit_that_has_ended_takes_no_commands() {
    let fixture = with_juju_exec();
    fixture.deploy(EVALUATE);
    assert!(fixture.model.exec(&unit(0), "true").expect("a record").success());
    fixture.model.remove_application("example", false).expect("removed");
    let error = fixture.model.exec(&unit(0), "true").expect_err("refused").to_string();
    assert!(error.contains("not found"), "{error}");
}
