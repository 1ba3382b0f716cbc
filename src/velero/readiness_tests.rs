use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::{Value, json};

use super::*;
use crate::{
    storage::Storage,
    velero::{BackupLocation, LocationPlan},
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
    };
    Installation {
        image: IMAGE.into(),
        node_agent: true,
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
        node_agent: Some(daemon_set(&json!({"observedGeneration": 1, "desiredNumberScheduled": 2, "numberReady": 2,
            "updatedNumberScheduled": 2, "numberAvailable": 2, "currentNumberScheduled": 2, "numberMisscheduled": 0}))),
        pods: vec![pod(&json!({"running": {"startedAt": STARTED}}))],
        location: Some(location_of(&json!({"phase": "Available", "lastValidationTime": "2026-01-31T10:20:32Z"}))),
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
    let observed = Observed {
        node_agent: Some(daemon_set(&json!({"observedGeneration": 1, "desiredNumberScheduled": 2, "numberReady": 1,
            "updatedNumberScheduled": 2, "numberAvailable": 1, "currentNumberScheduled": 2, "numberMisscheduled": 0}))),
        ..all_well()
    };
    assert_eq!(said(&observed), "waiting: for DaemonSet node-agent to run on every node: 1 of 2 ready");
    let without = Installation { node_agent: false, ..installation() };
    assert_eq!(assess(&without, &observed).statuses, []);
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
fn a_server_of_an_older_plan_is_known_by_its_images_until_it_has_ended() {
    let server = |image: &str, plugin: &str, phase: &str| -> Pod {
        parse(json!({
            "metadata": {"name": "velero-0", "deletionTimestamp": STARTED},
            "spec": {
                "containers": [{"name": "velero", "image": image}],
                "initContainers": [{"name": "plugin", "image": plugin}]},
            "status": {"phase": phase},
        }))
    };
    let is_older = |pod: &Pod| is_older_server(&installation(), pod);
    assert!(!is_older(&server(IMAGE, PLUGIN, "Running")));
    assert!(is_older(&server(IMAGE, "velero/velero-plugin-for-aws:v1.14.2", "Running")));
    assert!(is_older(&server("velero/velero:v1.18.2", PLUGIN, "Running")));
    assert!(!is_older(&server("velero/velero:v1.18.2", PLUGIN, "Failed")));
    // A server that was installed before there was storage has no plugin at all.
    assert!(is_older(&pod(&json!({"running": {"startedAt": STARTED}}))));
    let agent = json!({"spec": {"containers": [{"name": "node-agent", "image": "velero/velero:v1.18.2"}]}});
    assert!(!is_older(&parse(agent)));
}
