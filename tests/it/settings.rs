//! The options that say how Velero's programs run.

use std::{fs, process::Command};

use sandbox::{progress::Progress, tools};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::{deployed::Deployed, project};

const SERVER: &str = "
resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {cpu: 2, memory: 1Gi}}
node-selector: {kubernetes.io/os: linux}
tolerations: [{key: example.test/system, operator: Exists, effect: NoSchedule}]
priority-class: system-cluster-critical
log-level: debug
concurrent-backups: 2
item-block-worker-count: 4
fs-backup-timeout: 8h
default-item-operation-timeout: 8h
resource-timeout: 20m
terminating-resource-timeout: 20m
item-operation-sync-frequency: 30s
garbage-collection-frequency: 2h
client-qps: 200
client-burst: 300
client-page-size: 1000
max-concurrent-k8s-connections: 50
disable-informer-cache: true
";

const NODE_AGENT: &str = "
resources: {limits: {memory: 1Gi}}
node-selector: {kubernetes.io/os: linux}
tolerations: [{operator: Exists}]
priority-class: system-node-critical
log-level: debug
resource-timeout: 20m
data-mover-prepare-timeout: 1h
load-concurrency: {global: 2, per-node: [{node-selector: {matchLabels: {kubernetes.io/os: linux}}, number: 4}]}
data-mover: {resources: {limits: {memory: 1Gi}}, priority-class: system-node-critical}
";

const REPOSITORY: &str = "
cache-limit: 2Gi
maintenance: {keep-latest: 1, resources: {limits: {memory: 1Gi}}, frequency: 2h}
";

/// What the CLI says of itself.
fn help(command: &[&str]) -> String {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let program = runtime.block_on(tools::velero(&Progress::to_stderr())).unwrap();
    let output = Command::new(program).args(command).arg("--help").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The keys of the example for an option that are no fields of pods. The unit tests see that these are all keys of the option.
fn flags_in_document(option: &str) -> Vec<String> {
    let document = fs::read_to_string(project().join("docs/reference/settings.md")).unwrap();
    let (_, part) = document.split_once(&format!("\n## {option}\n\n```yaml\n")).unwrap();
    let keys =
        part.lines().take_while(|line| !line.starts_with("```")).filter(|line| line.starts_with(char::is_alphabetic));
    let no_flags = [
        "resources",
        "node-selector",
        "tolerations",
        "priority-class",
        "load-concurrency",
        "load-affinity",
        "data-mover",
    ];
    let keys = keys.map(|line| line.split(':').next().unwrap()).filter(|key| !no_flags.contains(key));
    keys.map(str::to_owned).collect()
}

#[test]
fn every_flag_that_an_option_has_is_one_of_velero() {
    for (option, command, more) in [
        (
            "server",
            &["server"][..],
            &["default-repo-maintain-frequency", "backup-repository-configmap", "repo-maintenance-job-configmap"][..],
        ),
        ("node-agent", &["node-agent", "server"], &["node-agent-configmap"]),
    ] {
        let (help, flags) = (help(command), flags_in_document(option));
        assert!(flags.len() > 2, "{flags:?}");
        for flag in flags.iter().map(String::as_str).chain(more.iter().copied()) {
            assert!(help.lines().any(|line| line.trim_start().starts_with(&format!("--{flag} "))), "{option}: {flag}");
        }
    }
    let install = help(&["install"]);
    for (flag, default) in
        [("cpu-request", "500m"), ("mem-request", "128Mi"), ("cpu-limit", "1000m"), ("mem-limit", "512Mi")]
    {
        let line =
            install.lines().find(|line| line.trim_start().starts_with(&format!("--velero-pod-{flag} "))).unwrap();
        assert!(
            line.ends_with(&format!("(default \"{default}\")")),
            "the charm takes {default} for the default: {line}"
        );
    }
}

#[test]
fn velero_runs_as_the_options_say_and_without_them_as_before() {
    let mut deployed = Deployed::new("settings");
    deployed.relate_s3();
    deployed.configure("use-node-agent", "true");
    let pod =
        |deployed: &Deployed, kind: &str, name: &str| deployed.expect(kind, name)["spec"]["template"]["spec"].clone();
    let pods = |deployed: &Deployed| [pod(deployed, "Deployment", "velero"), pod(deployed, "DaemonSet", "node-agent")];
    let before = pods(&deployed);
    let options = [("server", SERVER), ("node-agent", NODE_AGENT), ("repository", REPOSITORY)];
    deployed.configure_all(&options);
    deployed.assert_becomes_active();
    let [server, agent] = pods(&deployed);
    // What the real server and node agent do not take, they do not start with.
    for (pod, text) in [(&server, SERVER), (&agent, NODE_AGENT)] {
        let arguments = pod["containers"][0]["args"].as_array().unwrap();
        for line in text.lines().filter(|line| line.contains('-') && !line.contains(['{', '['])) {
            let (key, value) = line.split_once(": ").unwrap();
            let is_flag = key != "priority-class";
            assert_eq!(arguments.contains(&json!(format!("--{key}={value}"))), is_flag, "{line}: {arguments:?}");
        }
        assert_eq!(pod["nodeSelector"], json!({"kubernetes.io/os": "linux"}));
        assert_eq!(pod["containers"][0]["resources"]["limits"]["memory"], "1Gi");
    }
    assert_eq!(
        (&server["priorityClassName"], &agent["priorityClassName"]),
        (&json!("system-cluster-critical"), &json!("system-node-critical"))
    );
    assert_eq!(agent["tolerations"], json!([{"operator": "Exists"}]));
    let jobs = &deployed.expect("ConfigMap", "velero-operator-repository")["data"]["global"];
    assert_eq!(serde_json::from_str::<Value>(jobs.as_str().unwrap()).unwrap()["keepLatestMaintenanceJobs"], 1);
    deployed.run_well("backup create all --include-namespaces settings --wait");
    let standing = deployed.standing();
    deployed.update_status();
    assert_eq!((deployed.status().as_str(), deployed.standing()), ("active: ready", standing));

    let running = deployed.pods();
    deployed.configure("server", "priority-class: there-is-none");
    let status = deployed.status();
    assert!(status.starts_with("blocked: the cluster has no PriorityClass there-is-none, "), "{status}");
    assert_eq!(deployed.pods(), running);
    for (option, _) in options {
        deployed.reset(option);
    }
    deployed.assert_becomes_active();
    assert_eq!(pods(&deployed), before);
    for name in ["velero-operator-node-agent", "velero-operator-repository"] {
        assert_eq!(deployed.object("ConfigMap", name), None);
    }
}
