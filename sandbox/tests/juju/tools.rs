//! The hook tools one by one: what they print, refuse and exit with.

use super::harness::{EVALUATE, Fixture, names};

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    fixture.deploy(EVALUATE);
    fixture
}

#[track_caller]
fn prints(fixture: &Fixture, command: &str, stdout: &str) {
    let (code, out, err) = fixture.evaluate(command);
    assert_eq!((code, out.as_str(), err.as_str()), (0, stdout, ""), "{command}");
}

#[track_caller]
fn refuses(fixture: &Fixture, command: &str, expected: i64, stderr: &str) {
    let (code, _, err) = fixture.evaluate(command);
    assert_eq!((code, err.trim()), (expected, stderr), "{command}");
}

#[test]
fn config_get() {
    let fixture = fixture();
    prints(&fixture, "config-get --format json", "{\"image\":\"example/image:1\",\"level\":3,\"verbose\":false}\n");
    prints(
        &fixture,
        "config-get --all --format=json",
        "{\"image\":\"example/image:1\",\"level\":3,\"unset\":null,\"verbose\":false}\n",
    );
    prints(&fixture, "config-get verbose", "False\n");
    prints(&fixture, "config-get unset", "");
    prints(&fixture, "config-get nothing --format json", "null\n");
    refuses(&fixture, "config-get --all level", 2, "ERROR cannot use argument --all together with a key");
    refuses(
        &fixture,
        "config-get --format xml",
        2,
        "ERROR invalid value \"xml\" for option --format: unknown format \"xml\"",
    );
}

#[test]
fn is_leader() {
    let fixture = fixture();
    prints(&fixture, "is-leader", "True\n");
    prints(&fixture, "is-leader --format json", "true\n");
    prints(&fixture, "is-leader -oanswer; cat answer; rm answer", "True\n");
    refuses(&fixture, "is-leader now", 2, "ERROR unrecognized args: [\"now\"]");
    refuses(&fixture, "is-leader -x", 2, "ERROR option provided but not defined: -x");
    assert_eq!(fixture.evaluate("is-leader --help").0, 0);
}

#[test]
fn status() {
    let fixture = fixture();
    prints(&fixture, "status-set blocked -- '-oops'", "");
    let commands = "status-get --include-data --format json";
    prints(&fixture, commands, "{\"message\":\"-oops\",\"status\":\"blocked\",\"status-data\":{}}\n");
    prints(&fixture, "status-get --format json", "{\"status\":\"blocked\"}\n");
    refuses(
        &fixture,
        "status-set error x",
        2,
        "ERROR invalid status \"error\", expected one of [maintenance blocked waiting active]",
    );
    refuses(&fixture, "status-set active a b", 2, "ERROR unrecognized args: [\"b\"]");
    refuses(&fixture, "status-set active -5", 2, "ERROR option provided but not defined: -5");
    let (_, whole, _) = fixture.evaluate("status-set --application active all; status-get --application --format json");
    assert!(whole.contains("\"message\":\"all\"") && whole.contains("\"example/0\""), "{whole}");
}

#[test]
fn logging() {
    let fixture = fixture();
    refuses(&fixture, "juju-log", 2, "ERROR no message specified");
    prints(&fixture, "juju-log -l=DEBUG kept as INFO", "");
    let lines = fixture.model.log().expect("a log");
    let found = lines.iter().find(|line| line.message == "kept as INFO").expect("the line");
    assert_eq!(found.level, sandbox::juju::Level::Info);
}

#[test]
fn state() {
    let fixture = fixture();
    prints(&fixture, "state-get --format json", "null\n");
    prints(&fixture, "state-get nothing --format json", "\"\"\n");
    refuses(&fixture, "state-get --strict nothing", 1, "ERROR key \"nothing\" not found");
    prints(&fixture, "state-set 'a= x ' b=; state-get --format json", "{\"a\":\"x\",\"b\":\"\"}\n");
    prints(&fixture, "echo '{\"c\": \" kept \"}' | state-set --file -; state-get c", " kept \n");
    prints(&fixture, "state-delete a; state-get --format json", "{\"b\":\"\",\"c\":\" kept \"}\n");
    refuses(&fixture, "state-set a=1 a=2", 2, "ERROR key \"a\" specified more than once");
    refuses(&fixture, "state-set a", 2, "ERROR expected \"key=value\", got \"a\"");
    refuses(&fixture, "state-set --format json a=1", 2, "ERROR option provided but not defined: --format");
    let long = "k".repeat(257);
    refuses(&fixture, &format!("state-set {long}=1"), 1, "ERROR max allowed key length (256) exceeded");
    prints(&fixture, "state-set; relation-set -r 0 2>/dev/null; action-set", "");
}

#[test]
fn state_has_a_limit_at_the_end_of_the_hook() {
    let fixture = fixture();
    let command =
        "i=0; while [ $i -lt 33 ]; do i=$((i+1)); printf '{\"k%s\": \"%065500d\"}' $i 0 | state-set --file -; done";
    let result =
        fixture.model.run_action(&super::harness::unit(0), "run", &super::harness::parameters(&[("command", command)]));
    assert_eq!(result.expect("an action").message, "committing requested changes failed");
}

#[test]
fn network() {
    let fixture = fixture();
    prints(&fixture, "network-get store --ingress-address --format json", "\"10.1.42.10\"\n");
    let (_, all, _) = fixture.evaluate("network-get store --format json");
    assert!(all.contains("\"ingress-addresses\":[\"10.1.42.10\"]"), "{all}");
    refuses(&fixture, "network-get nothing", 1, "ERROR no network config found for binding \"nothing\"");
    refuses(&fixture, "network-get", 2, "ERROR no arguments specified");
    prints(&fixture, "unit-get private-address", "10.1.42.10\n");
    refuses(&fixture, "unit-get colour", 2, "ERROR unknown setting \"colour\"");
    prints(&fixture, "open-port 80; open-port 9000-9010/udp; opened-ports", "");
    prints(&fixture, "opened-ports --format json", "[\"80/tcp\",\"9000-9010/udp\"]\n");
    prints(&fixture, "close-port 80/tcp; opened-ports", "80/tcp\n9000-9010/udp\n");
    prints(&fixture, "opened-ports", "9000-9010/udp\n");
}

#[test]
fn goal_state() {
    let fixture = fixture();
    fixture.model.deploy_scripted(&sandbox::juju::Scripted::provider("store", "s3", "s3")).expect("deployed");
    fixture.model.integrate("example", "store").expect("integrated");
    let (_, text, _) = fixture.evaluate("goal-state --format json");
    let goal: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(goal["relations"]["store"]["store"]["status"], "joined");
    assert_eq!(goal["relations"]["store"]["store/0"]["status"], "active");
    let since = goal["units"]["example/0"]["since"].as_str().expect("a time");
    assert!(since.ends_with('Z') && since.contains(' '), "{since}");
    assert_eq!(fixture.evaluate("goal-state --format smart").0, 2);
}

#[test]
fn goal_state_says_who_goes() {
    let fixture = Fixture::new();
    fixture.deploy("[ $hook = remove ] && goal-state --format json; true");
    let records = fixture.model.remove_application("example", false).expect("removed");
    assert_eq!(names(&records), ["stop", "remove"]);
    assert!(records[1].stdout.contains("\"status\":\"dying\""), "{}", records[1].stdout);
}

#[test]
fn application_version_set() {
    let fixture = fixture();
    prints(&fixture, "application-version-set -- -1", "");
    assert_eq!(fixture.model.status().expect("a status").applications["example"].version, "-1");
    assert_eq!(fixture.evaluate("application-version-set").0, 2);
    assert_eq!(fixture.evaluate("application-version-set 1 2").0, 2);
}

#[test]
fn outside_of_a_hook_nothing_answers() {
    let fixture = fixture();
    refuses(&fixture, "JUJU_CONTEXT_ID= is-leader", 1, "ERROR JUJU_CONTEXT_ID not set");
    let (code, _, stderr) = fixture.evaluate("JUJU_CONTEXT_ID=old is-leader");
    assert!(code == 1 && stderr.starts_with("ERROR bad request: expected context id"), "{stderr}");
    let (code, _, stderr) = fixture.evaluate("JUJU_AGENT_SOCKET_ADDRESS=/none is-leader");
    assert!(code == 1 && stderr.starts_with("ERROR dial unix /none: connect:"), "{stderr}");
    let absent = fixture.evaluate("leader-get; storage-get");
    assert_eq!(absent.0, 127);
}
