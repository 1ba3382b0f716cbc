//! The binary's face for people.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use sandbox::{progress::Progress, tools};

fn operator(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_velero-operator"))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn velero() -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let velero = runtime.block_on(tools::velero(&Progress::to_stderr())).unwrap();
    velero.display().to_string()
}

#[test]
fn help_and_version_tell_what_this_is() {
    let help = operator(&["--help"], "");
    assert!(help.status.success());
    assert!(text(&help.stdout).contains("juju deploy velero-operator --trust"), "{}", text(&help.stdout));
    let version = operator(&["--version"], "");
    assert_eq!(text(&version.stdout), format!("velero-operator {}\n", env!("CARGO_PKG_VERSION")));
    let nothing = operator(&[], "");
    assert_eq!(nothing.status.code(), Some(2));
}

#[test]
fn a_plan_is_what_kubernetes_takes_and_has_no_credentials() {
    let storage = "s3-credentials: {bucket: backups, access-key: MARKEDACCESS, secret-key: markedsecret, \
                   endpoint: 'http://10.0.0.1:9000'}";
    let arguments =
        ["plan", "--namespace", "prod", "--config", "use-node-agent=true", "--storage", "-", "--velero", &velero()];
    let plan = operator(&arguments, storage);
    assert!(plan.status.success(), "{}", text(&plan.stderr));
    let printed = text(&plan.stdout);
    assert!(!printed.contains("MARKEDACCESS") && !printed.contains("markedsecret"));
    let kinds: Vec<String> = serde_yaml::Deserializer::from_str(&printed)
        .map(|document| {
            let object: serde_json::Value = serde::Deserialize::deserialize(document).unwrap();
            assert!(object["metadata"]["name"].is_string(), "{object}");
            if object["kind"] == "Namespace" {
                // The model's own, of which only the labels are the charm's.
                let labels = &object["metadata"]["labels"];
                assert_eq!(labels["pod-security.kubernetes.io/enforce"], "privileged", "{object}");
                assert_eq!(object["metadata"], serde_json::json!({"name": "prod", "labels": labels}));
            } else if object["kind"] != "CustomResourceDefinition" && object["kind"] != "ClusterRoleBinding" {
                assert_eq!(object["metadata"]["namespace"], "prod", "{object}");
            }
            object["kind"].as_str().unwrap().to_owned()
        })
        .collect();
    for kind in [
        "Namespace",
        "Deployment",
        "DaemonSet",
        "Service",
        "ServiceAccount",
        "ClusterRoleBinding",
        "Secret",
        "BackupStorageLocation",
    ] {
        assert_eq!(kinds.iter().filter(|each| *each == kind).count(), 1, "{kind}: {kinds:?}");
    }
}

#[test]
fn snapshots_of_volumes_are_planned_on_aws_alone() {
    let velero = velero();
    for (more, planned) in [("", true), (", endpoint: 'http://10.0.0.1:9000'", false)] {
        let storage =
            format!("s3-credentials: {{bucket: backups, access-key: a, secret-key: s, region: eu-west-3{more}}}");
        let plan = operator(&["plan", "--storage", "-", "--velero", &velero], &storage);
        let printed = text(&plan.stdout);
        assert_eq!(printed.contains("\nkind: VolumeSnapshotLocation\n"), planned, "{}", text(&plan.stderr));
    }
}

#[test]
fn wrong_input_is_told_with_what_would_be_right() {
    for (arguments, input, words) in [
        (vec!["plan", "--config", "image=x"], "", "there is no option image; there are use-node-agent"),
        (vec!["plan", "--config", "velero-image="], "", "the option velero-image is empty"),
        (vec!["plan", "--storage", "no-such-file"], "", "cannot read the storage from no-such-file: No such file"),
        (vec!["plan", "--storage", "-"], "s3-credentials: [marked]", "- is not a map of endpoints"),
        (vec!["plan", "--velero", "no-such-program"], "", "cannot start no-such-program"),
    ] {
        let output = operator(&arguments, input);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let error = text(&output.stderr);
        assert!(error.contains(words) && !error.contains("marked"), "{arguments:?}: {error}");
    }
}
