use serde_json::from_str;

use super::*;
use crate::{
    settings::{Group, NodeAgentSettings, RepositorySettings, ServerSettings, Settings},
    velero::fixtures::installation,
};

fn set_up(server: &str, node_agent: &str, repository: &str) -> Installation {
    let settings = Settings {
        server: ServerSettings::parse(server).unwrap(),
        node_agent: NodeAgentSettings::parse(node_agent).unwrap(),
        repository: RepositorySettings::parse(repository).unwrap(),
    };
    Installation { settings, ..installation() }
}

/// What the CLI prints of pods, with what is there of flags.
fn printed(arguments: &[&str]) -> DynamicObject {
    let mut object = named("apps/v1", "Deployment", "velero");
    object.data = json!({"spec": {"template": {"spec": {"containers": [{"name": "velero", "args": arguments}]}}}});
    object
}

fn template(object: &DynamicObject) -> &Value {
    &object.data["spec"]["template"]
}

/// What a ConfigMap holds, read as Velero reads it.
fn data(object: &DynamicObject) -> Value {
    let entries = object.data["data"].as_object().unwrap();
    entries
        .iter()
        .map(|(key, text)| (key.clone(), from_str(text.as_str().unwrap()).unwrap()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn what_nobody_says_adds_nothing() {
    let installation = set_up("{}", "{}", "{}");
    assert_eq!(installation.settings, Settings::default());
    assert_eq!(install_arguments(&installation), Vec::<String>::new());
    assert_eq!(config_maps(&installation, "velero").len(), 0);
    for set_up in [set_up_server, set_up_node_agent] {
        let mut object = printed(&["server", "--features="]);
        set_up(&mut object, &installation);
        assert_eq!(object.data, printed(&["server", "--features="]).data);
    }
}

#[test]
fn the_pods_get_what_the_cli_has_flags_for() {
    let pods = "{resources: {requests: {cpu: 1}, limits: {cpu: 2, memory: 1Gi}}, priority-class: high}";
    let arguments =
        install_arguments(&set_up(pods, "{resources: {requests: {memory: 64Mi}}, priority-class: low}", "{}"));
    assert_eq!(
        arguments,
        [
            "--velero-pod-cpu-request=1",
            "--velero-pod-cpu-limit=2",
            "--velero-pod-mem-limit=1Gi",
            "--server-priority-class-name=high",
            "--node-agent-pod-mem-request=64Mi",
            "--node-agent-priority-class-name=low",
        ]
    );
    let without_agent = Installation { node_agent: false, ..set_up("{}", pods, "{}") };
    assert_eq!(install_arguments(&without_agent), Vec::<String>::new());
}

#[test]
fn the_server_runs_with_its_flags_on_its_nodes() {
    let mut object = printed(&["server"]);
    let server = "
        log-level: debug
        concurrent-backups: 2
        fs-backup-timeout: 6h
        node-selector: {example.com/disk: ssd}
        tolerations: [{key: backup, operator: Exists, effect: NoSchedule}]";
    set_up_server(&mut object, &set_up(server, "{}", "{maintenance: {frequency: 2h}}"));
    let spec = &template(&object)["spec"];
    let expected = [
        "server",
        "--log-level=debug",
        "--concurrent-backups=2",
        "--fs-backup-timeout=6h",
        "--default-repo-maintain-frequency=2h",
    ];
    assert_eq!(spec["containers"][0]["args"], json!(expected));
    assert_eq!(spec["nodeSelector"], json!({"example.com/disk": "ssd"}));
    assert_eq!(spec["tolerations"], json!([{"key": "backup", "operator": "Exists", "effect": "NoSchedule"}]));
}

#[test]
fn the_node_agent_starts_anew_with_another_config_map() {
    let agent = |number: u32| {
        format!(
            "load-concurrency: {{global: {number}, per-node: [{{node-selector: {{matchLabels: {{big: yes-it-is}}}}, number: 4}}]}}
             load-affinity: [{{node-selector: {{matchExpressions: [{{key: slow, operator: DoesNotExist}}]}}, storage-class: fast}}]
             data-mover: {{resources: {{limits: {{memory: 1Gi}}}}, priority-class: low}}"
        )
        .replace("\n             ", "\n")
    };
    let pods = |number| {
        let mut object = printed(&["node-agent", "server"]);
        set_up_node_agent(&mut object, &set_up("{}", &agent(number), "{}"));
        object
    };
    let [two, three] = [pods(2), pods(3)];
    let map = "--node-agent-configmap=velero-operator-node-agent";
    assert_eq!(template(&two)["spec"]["containers"][0]["args"], json!(["node-agent", "server", map]));
    assert_ne!(template(&two)["metadata"]["annotations"][SETTINGS], Value::Null);
    assert_ne!(template(&two)["metadata"], template(&three)["metadata"]);
    let maps = config_maps(&set_up("{}", &agent(2), "{}"), "velero");
    let [map] = maps.as_slice() else { panic!("{maps:?}") };
    assert_eq!(map.metadata.name.as_deref(), Some("velero-operator-node-agent"));
    assert_eq!(
        data(map),
        json!({"node-agent": {
            "loadConcurrency": {
                "globalConfig": 2,
                "perNodeConfig": [{"nodeSelector": {"matchLabels": {"big": "yes-it-is"}}, "number": 4}],
            },
            "loadAffinity": [
                {"nodeSelector": {"matchExpressions": [{"key": "slow", "operator": "DoesNotExist"}]}, "storageClass": "fast"},
            ],
            // Where one is missing, Velero ignores all.
            "podResources": {"cpuRequest": "0", "cpuLimit": "0", "memoryRequest": "0", "memoryLimit": "1Gi"},
            "priorityClassName": "low",
        }})
    );
    let without_agent = Installation { node_agent: false, ..set_up("{}", &agent(2), "{}") };
    assert_eq!(config_maps(&without_agent, "velero").len(), 0);
}

#[test]
fn the_server_reads_the_parts_of_its_config_map_that_there_are() {
    let arguments = |installation: &Installation| {
        let mut object = printed(&["server"]);
        set_up_server(&mut object, installation);
        template(&object)["spec"]["containers"][0]["args"].clone()
    };
    let all = set_up(
        "{}",
        "{}",
        "{cache-limit: 2Gi, full-maintenance-interval: fastGC,
          maintenance: {keep-latest: 1, node-selector: {disk: ssd}, priority-class: low, resources: {requests: {cpu: 100m}}}}",
    );
    let maps = config_maps(&all, "velero");
    let [map] = maps.as_slice() else { panic!("{maps:?}") };
    assert_eq!(map.metadata.name.as_deref(), Some("velero-operator-repository"));
    let jobs = json!({
        "keepLatestMaintenanceJobs": 1,
        "loadAffinity": [{"nodeSelector": {"matchLabels": {"disk": "ssd"}}, "storageClass": ""}],
        "podResources": {"cpuRequest": "100m", "cpuLimit": "0", "memoryRequest": "0", "memoryLimit": "0"},
        "priorityClassName": "low",
    });
    assert_eq!(
        data(map),
        json!({"kopia": {"cacheLimitMB": 2048, "fullMaintenanceInterval": "fastGC"}, "global": jobs})
    );
    let (of_repositories, of_jobs) = (
        "--backup-repository-configmap=velero-operator-repository",
        "--repo-maintenance-job-configmap=velero-operator-repository",
    );
    assert_eq!(arguments(&all), json!(["server", of_repositories, of_jobs]));
    assert_eq!(arguments(&set_up("{}", "{}", "{cache-limit: 1Gi}")), json!(["server", of_repositories]));
    let one = set_up("{}", "{}", "{maintenance: {keep-latest: 2}}");
    assert_eq!(arguments(&one), json!(["server", of_jobs]));
    assert_eq!(data(&config_maps(&one, "velero")[0]), json!({"global": {"keepLatestMaintenanceJobs": 2}}));
}
