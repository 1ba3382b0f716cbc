use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::{Value, json};

use super::*;
use crate::{
    storage::Storage,
    velero::wanted::{BackupLocation, LocationPlan},
};

const IMAGE: &str = "velero/velero:v1.18.3";
const PLUGIN: &str = "velero/velero-plugin-for-aws:v1.14.3";

fn installation() -> Installation {
    let storage = Storage {
        bucket: "cluster-backups".into(),
        prefix: None,
        backup_location_config: BTreeMap::new(),
        snapshot_location_config: None,
        credentials: SecretString::from(""),
        certificate_authority: None,
        notes: Vec::new(),
    };
    Installation {
        application: "velero-operator".into(),
        node_agent_is_adopted: false,
        held_back: crate::velero::wanted::HeldBack::default(),
        image: IMAGE.into(),
        node_agent: true,
        kubelet_root: None,
        default_volumes_to_fs_backup: false,
        plugin_image: Some(PLUGIN.into()),
        location: LocationPlan::Use(Box::new(BackupLocation { provider: "aws", storage })),
    }
}

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn deployment(status: &Value) -> Deployment {
    parse(json!({
        "metadata": {"name": "velero", "generation": 2},
        "spec": {"replicas": 1, "selector": {}, "template": {"spec": {
            "containers": [{"name": "velero", "image": IMAGE}],
            "initContainers": [{"name": "plugin", "image": PLUGIN}]}}},
        "status": status,
    }))
}

fn daemon_set(status: &Value) -> DaemonSet {
    parse(json!({
        "metadata": {"name": "node-agent", "generation": 1},
        "spec": {"selector": {}, "template": {"spec": {"containers": [{"name": "node-agent", "image": IMAGE}]}}},
        "status": status,
    }))
}

/// A status of the node agent: on how many nodes it should be, is and is ready.
fn agents(wanted: u32, present: u32, ready: u32) -> Value {
    json!({"observedGeneration": 1, "desiredNumberScheduled": wanted, "currentNumberScheduled": present,
        "updatedNumberScheduled": present, "numberReady": ready, "numberAvailable": ready, "numberMisscheduled": 0})
}

fn agent_pod(node: &str, ready: &str) -> Pod {
    parse(json!({
        "metadata": {"name": format!("node-agent-{node}"), "labels": {"name": "node-agent"}},
        "spec": {"nodeName": node, "containers": [{"name": "node-agent", "image": IMAGE}]},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }))
}

fn pod(state: &Value) -> Pod {
    parse(json!({
        "metadata": {"name": "velero-1"},
        "spec": {"containers": [{"name": "velero", "image": IMAGE}]},
        "status": {"containerStatuses": [
            {"name": "velero", "image": "sha256:0", "imageID": "", "ready": true, "restartCount": 0, "state": state}]},
    }))
}

fn location_of(status: &Value) -> DynamicObject {
    parse(json!({"apiVersion": "velero.io/v1", "kind": "BackupStorageLocation", "metadata": {"name": "default"},
        "status": status}))
}

const STARTED: &str = "2026-01-31T10:20:30Z";

fn all_well() -> Observed {
    Observed {
        server: Some(deployment(
            &json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}),
        )),
        node_agent: Some(daemon_set(&agents(2, 2, 2))),
        pods: vec![pod(&json!({"running": {"startedAt": STARTED}}))],
        location: Some(location_of(&json!({"phase": "Available", "lastValidationTime": "2026-01-31T10:20:32Z"}))),
        ..Observed::default()
    }
}

/// The one thing that is said of what was observed.
fn said(observed: &Observed) -> String {
    let readiness = assess(&installation(), observed);
    assert_eq!(readiness.statuses.len(), 1, "{:?}", readiness.statuses);
    readiness.statuses[0].to_string()
}

#[test]
fn nothing_is_said_when_all_is_well() {
    let readiness = assess(&installation(), &all_well());
    assert_eq!(readiness.statuses, []);
    assert!(readiness.is_settled());
}

#[test]
fn a_roll_out_is_over_when_only_new_pods_are_there_and_available() {
    for status in [
        json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}),
        json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 2}),
        json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 0, "availableReplicas": 1}),
        json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1}),
    ] {
        let observed = Observed { server: Some(deployment(&status)), ..all_well() };
        assert!(said(&observed).starts_with("waiting: for Deployment velero to be rolled out"), "{status}");
        assert!(!assess(&installation(), &observed).is_settled());
    }
}

#[test]
fn a_server_without_pods_or_with_another_image_is_not_ready() {
    let mut observed = all_well();
    observed.server.as_mut().unwrap().spec.as_mut().unwrap().replicas = Some(0);
    assert!(said(&observed).contains("scaled up"));
    let mut observed = all_well();
    let other = Installation { image: "velero/velero:v1.18.2".into(), node_agent: false, ..installation() };
    observed.pods.clear();
    assert_eq!(
        assess(&other, &observed).statuses,
        [Status::Waiting("for Deployment velero to get its planned images".into())]
    );
    assert!(said(&Observed { server: None, ..all_well() }).contains("to be made"));
}

#[test]
fn the_node_agent_has_to_run_on_every_node() {
    let mut observed = Observed { node_agent: Some(daemon_set(&agents(2, 2, 1))), ..all_well() };
    observed.pods.extend([agent_pod("first", "True"), agent_pod("second", "False")]);
    assert_eq!(
        said(&observed),
        "waiting: for DaemonSet node-agent to run on every node: 1 of 2 ready, not yet on second"
    );
    let without = Installation { node_agent: false, ..installation() };
    assert_eq!(assess(&without, &observed).statuses, []);
}

#[test]
fn a_node_agent_without_a_node_or_of_an_older_kind_is_not_ready() {
    let nowhere = Observed { node_agent: Some(daemon_set(&agents(0, 0, 0))), ..all_well() };
    assert_eq!(said(&nowhere), "waiting: for DaemonSet node-agent to have a node: there is none that it may run on");
    let mut unseen = all_well();
    unseen.node_agent.as_mut().unwrap().metadata.generation = Some(2);
    assert_eq!(said(&unseen), "waiting: for DaemonSet node-agent to be rolled out");
    let mut older = agents(2, 2, 2);
    older["updatedNumberScheduled"] = json!(1);
    let older = Observed { node_agent: Some(daemon_set(&older)), ..all_well() };
    assert_eq!(said(&older), "waiting: for DaemonSet node-agent to run on every node: 1 of 2 ready");
}

fn refusal(uid: &str, time: &str, message: &str) -> Event {
    parse(json!({
        "metadata": {"name": message}, "reason": "FailedCreate", "message": message, "lastTimestamp": time,
        "involvedObject": {"kind": "DaemonSet", "name": "node-agent", "uid": uid},
    }))
}

#[test]
fn pods_of_the_node_agent_that_are_not_admitted_block_with_the_reason() {
    let latest =
        "Error creating: pods \"node-agent-x7x2p\" is forbidden: violates PodSecurity \"baseline:latest\": hostPath";
    let mut observed = Observed {
        node_agent: Some(daemon_set(&agents(2, 1, 1))),
        refusals: vec![
            refusal("u", "2026-01-31T10:20:31Z", latest),
            refusal("u", STARTED, "is forbidden: an older reason"),
            refusal("another", "2026-01-31T10:20:40Z", "is forbidden: a reason of another DaemonSet"),
        ],
        ..all_well()
    };
    observed.node_agent.as_mut().unwrap().metadata.uid = Some("u".into());
    assert_eq!(
        said(&observed),
        "blocked: the cluster does not admit the pods of DaemonSet node-agent: violates PodSecurity \"baseline:latest\": hostPath"
    );
    // The charm has put labels there since, which may well allow them.
    observed.labelled_since = Some("2026-01-31T10:20:32Z".parse().unwrap());
    assert!(said(&observed).starts_with("waiting: for DaemonSet node-agent to run on every node"));
    observed.labelled_since = None;
    observed.node_agent.as_mut().unwrap().status = parse(agents(2, 2, 1));
    assert!(said(&observed).starts_with("waiting: for DaemonSet node-agent to run on every node"));
}

#[test]
fn a_server_that_is_not_admitted_blocks_with_the_reason() {
    let observed = Observed {
        server: Some(deployment(&json!({"observedGeneration": 2, "conditions": [
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
             "message": "pods \"velero-5f-x\" is forbidden: exceeded quota: small"}]}))),
        ..all_well()
    };
    let worst = assess(&installation(), &observed).statuses.into_iter().max().unwrap();
    assert_eq!(
        worst.to_string(),
        "blocked: the cluster does not admit the pods of Deployment velero: exceeded quota: small"
    );
}

#[test]
fn an_image_that_cannot_be_pulled_is_named_with_the_reason() {
    let observed = Observed {
        server: Some(deployment(
            &json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 1}),
        )),
        pods: vec![pod(&json!({"waiting": {"reason": "ImagePullBackOff", "message":
            "Back-off pulling image \"x\": ErrImagePull: failed to resolve reference \"x\": docker.io/x: not found"}}))],
        ..all_well()
    };
    let readiness = assess(&installation(), &observed);
    assert!(readiness.is_settled());
    assert_eq!(
        readiness.statuses.iter().max().unwrap().to_string(),
        format!(
            "blocked: cannot pull image {IMAGE} (ImagePullBackOff), check the options for images: docker.io/x: not found"
        )
    );
}

#[test]
fn a_pod_of_an_older_plan_or_one_that_goes_is_nobodys_trouble() {
    let trouble = json!({"waiting": {"reason": "ErrImagePull"}});
    let mut older = pod(&trouble);
    older.spec.as_mut().unwrap().containers[0].image = Some("example.test/typo:v1".into());
    let mut going = pod(&trouble);
    going.metadata.deletion_timestamp = Some(parse(json!(STARTED)));
    let mut observed = all_well();
    observed.pods.extend([older, going]);
    assert_eq!(assess(&installation(), &observed).statuses, []);
}

#[test]
fn a_server_that_keeps_ending_says_how_it_ended() {
    let mut observed = all_well();
    observed.pods = vec![parse(json!({
        "metadata": {"name": "velero-1"},
        "spec": {"containers": [{"name": "velero", "image": IMAGE}]},
        "status": {"containerStatuses": [{"name": "velero", "image": "", "imageID": "", "ready": false, "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}]},
    }))];
    let worst = assess(&installation(), &observed).statuses.into_iter().max().unwrap();
    assert_eq!(
        worst.to_string(),
        "blocked: container velero of pod velero-1 keeps ending (Error, exit code 1): see its log"
    );
    let mut between = observed.clone();
    let containers = between.pods[0].status.as_mut().unwrap().container_statuses.as_mut().unwrap();
    containers[0].state = parse(json!({"running": {"startedAt": STARTED}}));
    assert_eq!(assess(&installation(), &between).statuses.into_iter().max().unwrap(), worst);
    let containers = observed.pods[0].status.as_mut().unwrap().container_statuses.as_mut().unwrap();
    let end = containers[0].last_state.as_mut().unwrap().terminated.as_mut().unwrap();
    end.message = Some("starting\nAn error occurred: no room\n".into());
    let worst = assess(&installation(), &observed).statuses.into_iter().max().unwrap();
    assert!(worst.to_string().ends_with("(Error, exit code 1): An error occurred: no room"), "{worst}");
}

#[test]
fn a_pod_without_a_node_says_why() {
    let mut observed = all_well();
    observed.pods = vec![parse(json!({
        "metadata": {"name": "velero-1"},
        "spec": {"containers": [{"name": "velero", "image": IMAGE}]},
        "status": {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient cpu"}]},
    }))];
    let statuses = assess(&installation(), &observed).statuses;
    assert!(
        statuses.contains(&Status::Waiting("for pod velero-1 to find a node: 0/1 nodes: Insufficient cpu".into())),
        "{statuses:?}"
    );
}

#[test]
fn an_unusable_location_is_told_in_the_servers_words() {
    let status = json!({"phase": "Unavailable", "lastValidationTime": STARTED, "message": "NoSuchBucket"});
    let observed = Observed { location: Some(location_of(&status)), ..all_well() };
    assert_eq!(said(&observed), "blocked: storage is not usable: NoSuchBucket");
}

#[test]
fn what_was_found_out_before_the_server_started_or_not_at_all_is_not_believed() {
    for status in [
        json!({}),
        json!({"phase": "Available"}),
        json!({"lastValidationTime": STARTED}),
        json!({"phase": "Available", "lastValidationTime": "2026-01-31T10:20:29Z"}),
        json!({"phase": "Unavailable", "lastValidationTime": "2026-01-31T10:20:29Z"}),
    ] {
        let observed = Observed { location: Some(location_of(&status)), ..all_well() };
        assert_eq!(said(&observed), "waiting: for BackupStorageLocation default to be validated", "{status}");
    }
    assert!(said(&Observed { location: None, ..all_well() }).contains("to be made"));
    let mut stopped = all_well();
    stopped.pods.clear();
    assert!(said(&stopped).contains("to be validated"));
}

#[test]
fn a_previous_server_that_still_ends_is_waited_for() {
    let mut ending = pod(&json!({"running": {"startedAt": STARTED}}));
    ending.metadata.name = Some("velero-0".into());
    ending.metadata.labels = Some(BTreeMap::from([("deploy".into(), "velero".into())]));
    ending.metadata.deletion_timestamp = Some(parse(json!(STARTED)));
    let mut observed = all_well();
    observed.pods.push(ending);
    assert_eq!(said(&observed), "waiting: for pod velero-0 of the previous server to end");
    assert!(!assess_server(&installation(), &observed).is_settled());
    assert!(assess_server(&installation(), &all_well()).is_settled());
}
