//! What the charm process finds.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;

use sandbox::juju::{Level, Scripted};

use super::harness::{EVALUATE, Fixture, unit};

fn variables(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        // Set by the shell itself.
        .filter(|(name, _)| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn the_environment_is_made_from_nothing() {
    let fixture = Fixture::new();
    let records = fixture.deploy("exec /usr/bin/env");
    let found = variables(&records[0].stdout);
    let expected = [
        ("APT_LISTCHANGES_FRONTEND", "none"),
        ("CHARM_DIR", "/var/lib/juju/agents/unit-example-0/charm"),
        ("CLOUD_API_VERSION", "1.33.1"),
        ("DEBIAN_FRONTEND", "noninteractive"),
        ("JUJU_AGENT_SOCKET_NETWORK", "unix"),
        ("JUJU_AVAILABILITY_ZONE", ""),
        ("JUJU_CHARM_DIR", "/var/lib/juju/agents/unit-example-0/charm"),
        ("JUJU_CHARM_HTTPS_PROXY", ""),
        ("JUJU_DISPATCH_PATH", "hooks/install"),
        ("JUJU_HOOK_NAME", "install"),
        ("JUJU_MODEL_NAME", "demo"),
        ("JUJU_PRINCIPAL_UNIT", ""),
        ("JUJU_UNIT_NAME", "example/0"),
        ("KUBERNETES_PORT_443_TCP_ADDR", "10.152.183.1"),
        ("KUBERNETES_SERVICE_HOST", "10.152.183.1"),
        ("KUBERNETES_SERVICE_PORT", "443"),
        ("LANG", "C.UTF-8"),
    ];
    for (name, value) in expected {
        assert_eq!(found.get(name).map(String::as_str), Some(value), "{name}");
    }
    for absent in ["HOME", "USER", "SHELL", "TMPDIR", "CARGO", "JUJU_ACTION_NAME", "JUJU_RELATION", "JUJU_REMOTE_UNIT"]
    {
        assert!(!found.contains_key(absent), "{absent}");
    }
    assert!(found["PATH"].starts_with("/var/lib/juju/tools/unit-example-0:/"), "{}", found["PATH"]);
    assert!(found["JUJU_CONTEXT_ID"].starts_with("example/0-install-"), "{}", found["JUJU_CONTEXT_ID"]);
}

#[test]
fn the_models_proxies_are_told_to_each_hook() {
    let fixture = Fixture::new();
    fixture.model.proxies("http://one:1", "http://two:2", "localhost").unwrap();
    let found = variables(&fixture.deploy("exec /usr/bin/env")[0].stdout);
    let told = ["HTTP", "HTTPS", "NO"].map(|kind| found[&format!("JUJU_CHARM_{kind}_PROXY")].as_str());
    assert_eq!(told, ["http://one:1", "http://two:2", "localhost"]);
}

#[test]
fn an_action_is_told_apart() {
    let fixture = Fixture::new();
    fixture.deploy(EVALUATE);
    let found = variables(&fixture.evaluate("/usr/bin/env").1);
    assert_eq!(found["JUJU_HOOK_NAME"], "");
    assert_eq!(found["JUJU_DISPATCH_PATH"], "actions/run");
    assert_eq!((found["JUJU_ACTION_NAME"].as_str(), found["JUJU_ACTION_UUID"].as_str()), ("run", "2"));
    assert_eq!(found["JUJU_ACTION_TAG"], "action-2");
}

#[test]
fn relation_hooks_say_what_they_are_about() {
    let fixture = Fixture::new();
    fixture.deploy(r#"juju-log "$hook:$JUJU_RELATION:$JUJU_RELATION_ID:$JUJU_REMOTE_APP:${JUJU_REMOTE_UNIT-absent}:${JUJU_DEPARTING_UNIT-absent}""#);
    fixture.model.deploy_scripted(&Scripted::provider("store", "s3", "s3")).expect("deployed");
    fixture.model.integrate("example", "store").expect("integrated");
    fixture.model.remove_relation("example", "store").expect("removed");
    let said: Vec<String> = fixture.said(&unit(0)).into_iter().map(|(_, text)| text).skip(4).collect();
    let expected = [
        "store:0: store-relation-created:store:store:0:store::absent",
        "store:0: store-relation-joined:store:store:0:store:store/0:absent",
        "store:0: store-relation-changed:store:store:0:store:store/0:absent",
        "store:0: store-relation-departed:store:store:0:store:store/0:store/0",
        "store:0: store-relation-broken:store:store:0:store::absent",
    ];
    assert_eq!(said, expected);
}

/// The names of what is in a folder, and the content of what is a file; `None` when there is no such folder.
fn files(folder: &str) -> Option<BTreeMap<OsString, Option<Vec<u8>>>> {
    let entries = fs::read_dir(folder).ok()?;
    Some(entries.flatten().map(|entry| (entry.file_name(), fs::read(entry.path()).ok())).collect())
}

#[test]
fn files_are_where_a_pod_has_them() {
    let fixture = Fixture::new();
    fixture.deploy(EVALUATE);
    let account = "/var/run/secrets/kubernetes.io/serviceaccount";
    // A machine that is a pod itself has such files of its own.
    let of_machine = || ["/var/lib/juju", account].map(files);
    let before = of_machine();
    let (code, stdout, stderr) =
        fixture.evaluate(&format!("cat {account}/token; echo; cat {account}/namespace; echo; pwd"));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(stdout, "token-of-example\ndemo\n/var/lib/juju/agents/unit-example-0/charm\n");
    let (_, stdout, _) = fixture.evaluate("command -v is-leader; cat; readlink /proc/self/fd/0");
    assert_eq!(stdout, "/var/lib/juju/tools/unit-example-0/is-leader\n/dev/null\n");
    assert_eq!(of_machine(), before, "the machine's own files are not what they were");
}

#[test]
fn output_goes_to_the_log() {
    let fixture = Fixture::new();
    fixture.deploy("[ $hook = install ] || exit 0; echo out; echo err >&2; juju-log -l ERROR -- -dash; juju-log --debug fine; juju-log a b");
    let said = fixture.said(&unit(0));
    for expected in [
        (Level::Debug, "out"),
        (Level::Warning, "err"),
        (Level::Error, "-dash"),
        (Level::Debug, "fine"),
        (Level::Info, "a b"),
    ] {
        assert!(said.contains(&(expected.0, expected.1.to_owned())), "{expected:?} in {said:?}");
    }
}

#[test]
fn long_lines_are_cut_in_the_log_only() {
    let fixture = Fixture::new();
    let records = fixture.deploy("[ $hook = install ] && head -c 5000 /dev/zero | tr '\\0' x; true");
    assert_eq!(records[0].stdout.len(), 5000);
    let lengths: Vec<usize> = fixture.said(&unit(0)).iter().map(|(_, text)| text.len()).collect();
    assert_eq!(lengths, [4096, 904]);
}
