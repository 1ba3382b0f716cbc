use std::time::Duration;

use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    core::v1::{Event, Pod},
};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::*;
use crate::velero::seen::{
    expected::ExpectedManifest,
    freshness::{self, TO_BE_VALIDATED},
    restart::Restart,
};

mod of_images;
mod of_location;

const IMAGE: &str = "velero/velero:v1.18.3";
const PLUGIN: &str = "velero/velero-plugin-for-aws:v1.14.3";
const OPTIONS: ImageOptions = ImageOptions { velero: "velero-image", plugin: Some("velero-aws-plugin-image") };
/// When the server's process started.
const STARTED: &str = "2026-01-31T10:20:30Z";
/// When all is looked at: half an hour later.
const NOW: &str = "2026-01-31T10:50:30Z";

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn expected() -> Expected {
    Expected {
        server: ExpectedManifest::Hash("0a".into()),
        node_agent: Some(ExpectedManifest::Hash("0b".into())),
        location: true,
    }
}

fn deployment(status: &Value) -> Deployment {
    parse(json!({
        "metadata": {"name": "velero", "generation": 2, "annotations": {"velero-operator/manifest": "0a"}},
        "spec": {"replicas": 1, "selector": {}, "template": {"spec": {
            "containers": [{"name": "velero", "image": IMAGE}],
            "initContainers": [{"name": "velero-velero-plugin-for-aws", "image": PLUGIN}]}}},
        "status": status,
    }))
}

fn daemon_set(status: &Value) -> DaemonSet {
    parse(json!({
        "metadata": {"name": "node-agent", "generation": 1, "uid": "u", "annotations": {"velero-operator/manifest": "0b"}},
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
        "metadata": {"name": format!("node-agent-{node}"), "creationTimestamp": STARTED,
            "labels": {"component": "velero", "name": "node-agent", "role": "node-agent", "controller-revision-hash": "6d"}},
        "spec": {"nodeName": node, "containers": [{"name": "node-agent", "image": IMAGE}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
    }))
}

/// A pod of the server with what the kubelet says of its containers.
fn server_pod(name: &str, init: &Value, container: &Value) -> Pod {
    let status = |name: &str, said: &Value| {
        let mut status = json!({"name": name, "image": "sha256:0", "imageID": "", "ready": true, "restartCount": 0});
        status.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
        status
    };
    parse(json!({
        "metadata": {"name": name, "creationTimestamp": STARTED,
            "labels": {"component": "velero", "deploy": "velero", "pod-template-hash": "5f"}},
        "spec": {"nodeName": "first", "containers": [{"name": "velero", "image": IMAGE}],
            "initContainers": [{"name": "velero-velero-plugin-for-aws", "image": PLUGIN,
                "volumeMounts": [{"name": "plugins", "mountPath": "/target"}]}]},
        "status": {"phase": "Running", "initContainerStatuses": [status("velero-velero-plugin-for-aws", init)],
            "containerStatuses": [status("velero", container)]},
    }))
}

fn running() -> Value {
    json!({"state": {"running": {"startedAt": STARTED}}})
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({"ready": false, "state": {"waiting": {"reason": reason, "message": message}}})
}

/// A pod of the server whose container is in this state.
fn pod(container: &Value) -> Pod {
    server_pod("velero-1", &json!({}), container)
}

fn location_of(status: &Value) -> DynamicObject {
    parse(json!({"apiVersion": "velero.io/v1", "kind": "BackupStorageLocation", "metadata": {"name": "default"},
        "spec": {"provider": "aws", "objectStorage": {"bucket": "backups"}, "config": {"s3Url": "http://10.0.0.5:9000"}},
        "status": status}))
}

/// A location that the charm changed at a time, and the server has said nothing of since.
fn changed(at: &str) -> DynamicObject {
    let mut location = location_of(&json!({"phase": "Available", "message": TO_BE_VALIDATED}));
    location.metadata.managed_fields =
        Some(parse(json!([{"manager": "velero-operator", "operation": "Apply", "time": at}])));
    location
}

fn observed(pods: Vec<Pod>) -> Observed {
    Observed {
        at: time(NOW),
        server: Some(deployment(
            &json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}),
        )),
        node_agent: Some(daemon_set(&agents(2, 2, 2))),
        location: Some(location_of(&json!({"phase": "Available", "lastValidationTime": "2026-01-31T10:50:00Z"}))),
        ..Observed::of_pods(pods)
    }
}

fn all_well() -> Observed {
    observed(vec![pod(&running())])
}

/// What is observed while no pod of the latest template is available.
fn unavailable(pods: Vec<Pod>) -> Observed {
    let status = json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1});
    Observed { server: Some(deployment(&status)), ..observed(pods) }
}

fn told(observed: &Observed) -> Vec<String> {
    assess(&expected(), observed).iter().map(|trouble| trouble.status(&OPTIONS).to_string()).collect()
}

/// The one thing that is told of what was observed.
fn only(observed: &Observed) -> String {
    let told = told(observed);
    assert_eq!(told.len(), 1, "{told:?}");
    told[0].clone()
}

/// The first thing that is told of what was observed.
fn first(observed: &Observed) -> String {
    told(observed).swap_remove(0)
}

fn settled(observed: &Observed) -> bool {
    is_settled(&assess(&expected(), observed), observed.at)
}

#[test]
fn nothing_is_told_when_all_is_well() {
    assert_eq!(told(&all_well()), [] as [&str; 0]);
    assert!(settled(&all_well()));
}

#[test]
fn a_roll_out_is_over_when_only_new_pods_are_there_and_available() {
    for status in [
        json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}),
        json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 2}),
        json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 0, "availableReplicas": 1}),
        json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1}),
    ] {
        let mut observed = Observed { server: Some(deployment(&status)), ..all_well() };
        observed.at = time(STARTED) + Duration::from_secs(30);
        assert!(only(&observed).starts_with("waiting: for Deployment velero to be rolled out"), "{status}");
        assert!(!settled(&observed), "{status}");
    }
}

#[test]
fn the_pods_of_a_former_template_tell_nothing_of_the_latest_one() {
    let failing = || vec![pod(&waiting("ImagePullBackOff", "not found"))];
    let of = |generation: u32| {
        let status = json!({"observedGeneration": generation, "replicas": 1, "updatedReplicas": 1});
        Observed { server: Some(deployment(&status)), ..observed(failing()) }
    };
    assert!(first(&of(2)).starts_with("blocked: cannot pull image"));
    // The cluster has not seen the change yet.
    assert!(only(&of(1)).starts_with("waiting: for Deployment velero to be rolled out"));
    assert!(!settled(&of(1)));
    let mut agents = Observed { node_agent: Some(daemon_set(&agents(2, 2, 1))), ..all_well() };
    let mut failing = agent_pod("second", "False");
    failing.status = server_pod("x", &json!({}), &waiting("ImagePullBackOff", "not found")).status;
    agents.pods.push(failing);
    assert!(first(&agents).starts_with("blocked: cannot pull image"), "{:?}", told(&agents));
    agents.node_agent.as_mut().unwrap().metadata.generation = Some(2);
    assert_eq!(only(&agents), "waiting: for DaemonSet node-agent to be rolled out");
}

#[test]
fn a_new_pod_that_does_not_start_for_long_is_not_waited_for() {
    let server = |updated: u32| json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": updated});
    let creating = || vec![pod(&waiting("ContainerCreating", ""))];
    let of = |updated| Observed { server: Some(deployment(&server(updated))), ..observed(creating()) };
    assert!(settled(&of(1)));
    let lasting_from = time(STARTED) + Duration::from_mins(2);
    let turns: Vec<_> = assess(&expected(), &of(1)).iter().filter_map(Trouble::turns_at).collect();
    assert!(turns.contains(&lasting_from), "{turns:?}");
    // The pod is of the former template, whose end is about to come.
    assert!(!settled(&of(0)));
    let mut agents = Observed { node_agent: Some(daemon_set(&agents(1, 1, 0))), ..all_well() };
    agents.pods.push(agent_pod("second", "False"));
    assert!(settled(&agents));
    agents.at = time(STARTED) + Duration::from_mins(1);
    assert!(!settled(&agents));
}

#[test]
fn a_server_without_pods_or_from_another_manifest_is_not_ready() {
    let mut observed = all_well();
    observed.server.as_mut().unwrap().spec.as_mut().unwrap().replicas = Some(0);
    assert!(only(&observed).contains("scaled up"));
    let mut observed = all_well();
    observed.server.as_mut().unwrap().metadata.annotations = None;
    assert_eq!(only(&observed), "waiting: for Deployment velero to be changed as planned");
    let held_back = Expected { server: ExpectedManifest::Any, ..expected() };
    assert_eq!(assess(&held_back, &observed), []);
    assert!(only(&Observed { server: None, ..all_well() }).contains("to be made"));
}

#[test]
fn the_node_agent_has_to_run_on_every_node() {
    let mut observed = Observed { node_agent: Some(daemon_set(&agents(2, 2, 1))), ..all_well() };
    observed.pods.extend([agent_pod("first", "True"), agent_pod("second", "False")]);
    assert_eq!(
        only(&observed),
        "waiting: for DaemonSet node-agent to run on every node: 1 of 2 ready, not yet on second"
    );
    let without = Expected { node_agent: None, ..expected() };
    assert_eq!(assess(&without, &observed), []);
    observed.node_agent.as_mut().unwrap().metadata.annotations = None;
    assert_eq!(only(&observed), "waiting: for DaemonSet node-agent to be changed as planned");
}

#[test]
fn trouble_of_the_node_agent_is_none_of_the_server_and_comes_after_that_of_the_storage() {
    let mut observed = Observed { node_agent: Some(daemon_set(&agents(2, 2, 1))), ..all_well() };
    let mut looping = agent_pod("second", "False");
    looping.status =
        parse(json!({"phase": "Running", "containerStatuses": [{"name": "node-agent", "image": "", "imageID": "",
        "ready": false, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}));
    let mut pending = agent_pod("third", "False");
    pending.status = parse(json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "message": "0/3 nodes: Too many pods"}]}));
    observed.pods.extend([agent_pod("first", "True"), pending, looping]);
    assert_eq!(assess_server(&expected(), &observed), []);
    assert_eq!(
        first(&observed),
        "blocked: container node-agent of pod node-agent-second is crash-looping: see its log"
    );
    let unusable = json!({"phase": "Unavailable", "lastValidationTime": STARTED, "message": "NoSuchBucket"});
    observed.location = Some(location_of(&unusable));
    assert_eq!(first(&observed), "blocked: storage is not usable: NoSuchBucket");
}

#[test]
fn a_node_agent_without_a_node_or_of_an_older_kind_is_not_ready() {
    let nowhere = Observed { node_agent: Some(daemon_set(&agents(0, 0, 0))), ..all_well() };
    assert_eq!(only(&nowhere), "waiting: for DaemonSet node-agent to have a node: there is none that it may run on");
    let mut unseen = all_well();
    unseen.node_agent.as_mut().unwrap().metadata.generation = Some(2);
    assert_eq!(only(&unseen), "waiting: for DaemonSet node-agent to be rolled out");
    let mut older = agents(2, 2, 2);
    older["updatedNumberScheduled"] = json!(1);
    let older = Observed { node_agent: Some(daemon_set(&older)), ..all_well() };
    assert_eq!(only(&older), "waiting: for DaemonSet node-agent to run on every node: 1 of 2 ready");
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
    assert_eq!(
        only(&observed),
        "blocked: the cluster does not admit the pods of DaemonSet node-agent: violates PodSecurity \"baseline:latest\": hostPath"
    );
    assert!(settled(&observed));
    // The charm has put labels there since, which may well allow them.
    observed.labelled_since = Some(time("2026-01-31T10:20:32Z"));
    assert!(only(&observed).starts_with("waiting: for DaemonSet node-agent to run on every node"));
    observed.labelled_since = None;
    observed.node_agent.as_mut().unwrap().status = parse(agents(2, 2, 1));
    assert!(only(&observed).starts_with("waiting: for DaemonSet node-agent to run on every node"));
}

#[test]
fn a_server_that_is_not_admitted_blocks_with_the_reason() {
    let observed = Observed {
        server: Some(deployment(&json!({"observedGeneration": 2, "conditions": [
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
             "message": "pods \"velero-5f-x\" is forbidden: exceeded quota: small"}]}))),
        ..observed(Vec::new())
    };
    assert_eq!(
        first(&observed),
        "blocked: the cluster does not admit the pods of Deployment velero: exceeded quota: small"
    );
    assert!(settled(&observed));
    for (kind, status) in [("ReplicaFailure", "False"), ("Progressing", "True")] {
        let condition = json!({"type": kind, "status": status, "reason": "FailedCreate", "message": "exceeded quota"});
        let status = json!({"observedGeneration": 2, "conditions": [condition]});
        let observed = Observed { server: Some(deployment(&status)), ..self::observed(Vec::new()) };
        assert!(first(&observed).starts_with("waiting: for Deployment velero to be rolled out"), "{kind}");
    }
}

/// When the charm changed an object last.
fn changed_by_charm(metadata: &mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta, at: &str) {
    let entry = json!({"manager": "velero-operator", "operation": "Apply", "time": at});
    metadata.managed_fields = Some(parse(json!([entry])));
}

#[test]
fn what_was_refused_before_a_change_is_told_and_not_taken_for_lasting_at_once() {
    let blocked = "blocked: the cluster does not admit the pods of Deployment velero: exceeded quota: small";
    let refused_at = |refused: &str, changed: &str| {
        let status = json!({"observedGeneration": 2, "conditions": [
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "lastUpdateTime": refused,
             "lastTransitionTime": refused, "message": "pods \"velero-5f-x\" is forbidden: exceeded quota: small"}]});
        let mut observed = Observed { server: Some(deployment(&status)), ..observed(Vec::new()) };
        changed_by_charm(&mut observed.server.as_mut().unwrap().metadata, changed);
        observed
    };
    // No pod of the latest template was tried yet.
    let before = refused_at("2026-01-31T10:50:00Z", "2026-01-31T10:50:28Z");
    assert_eq!(first(&before), blocked);
    assert!(!settled(&before));
    assert_eq!(assess(&expected(), &before)[0].turns_at(), Some(time("2026-01-31T10:50:31Z")));
    // One was tried, or nothing has changed for long.
    for (refused, changed) in [("2026-01-31T10:50:29Z", "2026-01-31T10:50:28Z"), (STARTED, "2026-01-31T10:50:27Z")] {
        let lasting = refused_at(refused, changed);
        assert_eq!(first(&lasting), blocked);
        assert!(settled(&lasting), "{refused} {changed}");
    }
    // A pod has come since.
    let mut come = refused_at("2026-01-31T10:20:29Z", "2026-01-31T10:20:00Z");
    come.pods = vec![pod(&waiting("ContainerCreating", ""))];
    assert!(first(&come).starts_with("waiting: for Deployment velero to be rolled out"), "{}", first(&come));
    let mut former = refused_at("2026-01-31T10:20:31Z", "2026-01-31T10:20:00Z");
    former.pods = vec![pod(&running())];
    assert_eq!(first(&former), blocked);
}

#[test]
fn what_was_refused_of_the_node_agent_before_a_change_is_not_lasting_at_once() {
    let latest = "is forbidden: violates PodSecurity";
    let refused_at = |refused: &str| {
        let mut observed = Observed {
            node_agent: Some(daemon_set(&agents(2, 1, 1))),
            refusals: vec![refusal("u", refused, latest)],
            ..all_well()
        };
        changed_by_charm(&mut observed.node_agent.as_mut().unwrap().metadata, "2026-01-31T10:50:28Z");
        observed
    };
    for (refused, is_settled) in [("2026-01-31T10:50:27Z", false), ("2026-01-31T10:50:28Z", true)] {
        let observed = refused_at(refused);
        assert!(only(&observed).starts_with("blocked: the cluster does not admit the pods of DaemonSet node-agent"));
        assert_eq!(settled(&observed), is_settled, "{refused}");
    }
}

#[test]
fn a_pod_of_an_older_template_or_one_that_goes_is_nobodys_trouble() {
    let mut older = server_pod("velero-0", &json!({}), &waiting("ErrImagePull", ""));
    older.metadata.creation_timestamp = Some(parse(json!("2026-01-31T10:00:00Z")));
    older.metadata.labels.as_mut().unwrap().insert("pod-template-hash".into(), "4e".into());
    assert_eq!(told(&observed(vec![older.clone(), pod(&running())])), [] as [&str; 0]);
    // No pod of the latest template is there yet: this one is not.
    let status = json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 0});
    let alone = Observed { server: Some(deployment(&status)), ..observed(vec![older]) };
    assert_eq!(only(&alone), "waiting: for Deployment velero to be rolled out: 0 of 1 pods available");
    let mut going = agent_pod("second", "False");
    going.metadata.deletion_timestamp = Some(parse(json!(NOW)));
    going.status = parse(json!({"conditions": [{"type": "PodScheduled", "status": "False"}]}));
    let mut observed = Observed { node_agent: Some(daemon_set(&agents(2, 2, 1))), ..all_well() };
    observed.pods.push(going);
    assert!(only(&observed).starts_with("waiting: for DaemonSet node-agent to run on every node"));
}

/// A pod that was evicted or shut down with its node, which stays until somebody deletes it.
fn dead_pod() -> Pod {
    let mut dead = server_pod(
        "velero-0",
        &json!({}),
        &json!({"ready": false, "restartCount": 3, "lastState": {"terminated": {"exitCode": 1, "reason": "Error",
            "startedAt": STARTED, "finishedAt": STARTED}}, "state": {"terminated": {"exitCode": 137}}}),
    );
    let status = dead.status.as_mut().unwrap();
    status.phase = Some("Failed".into());
    status.reason = Some("Evicted".into());
    status.message = Some("The node was low on resource: ephemeral-storage.".into());
    dead.spec.as_mut().unwrap().containers[0].image = Some("velero/velero:v1.17.2".into());
    dead
}

#[test]
fn a_dead_pod_is_no_server_and_nobodys_trouble() {
    let observed = observed(vec![dead_pod(), pod(&running())]);
    assert_eq!(told(&observed), [] as [&str; 0]);
    let running = crate::velero::RunningServer::among(&observed.pods).unwrap();
    assert_eq!(running.image(), IMAGE);
    assert_eq!(crate::velero::RunningServer::among(&Observed::of_pods(vec![dead_pod()]).pods), None);
}

#[test]
fn a_dead_pod_is_told_of_where_it_is_the_only_word_on_why_nothing_runs() {
    let nothing = json!({"observedGeneration": 2, "replicas": 0, "updatedReplicas": 0});
    let observed = Observed { server: Some(deployment(&nothing)), ..observed(vec![dead_pod()]) };
    assert_eq!(
        first(&observed),
        "waiting: for Deployment velero to be rolled out: 0 of 1 pods available, pod velero-0 ended (Evicted): The node was low \
         on resource: ephemeral-storage."
    );
    let starting = unavailable(vec![dead_pod(), pod(&waiting("ContainerCreating", ""))]);
    assert_eq!(first(&starting), "waiting: for Deployment velero to be rolled out: 0 of 1 pods available");
}

/// A container that is in this state after it has ended with an error, having run between these times.
fn ended(state: &Value, restarts: u32, ran: [&str; 2]) -> Value {
    json!({"ready": false, "restartCount": restarts, "state": state,
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "startedAt": ran[0], "finishedAt": ran[1]}}})
}

#[test]
fn a_server_that_is_crash_looping_says_how_it_ended() {
    let ran = ["2026-01-31T10:50:00Z", "2026-01-31T10:50:02Z"];
    let crash_looping = "blocked: container velero of pod velero-1 is crash-looping (Error, exit code 1): see its log";
    let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    assert_eq!(first(&unavailable(vec![pod(&ended(&waiting, 3, ran))])), crash_looping);
    // Between two ends it runs for a moment.
    let between = json!({"running": {"startedAt": "2026-01-31T10:50:28Z"}});
    let mut container = ended(&between, 2, ran);
    assert_eq!(first(&unavailable(vec![pod(&container)])), crash_looping);
    container["lastState"]["terminated"]["message"] = json!("starting\nAn error occurred: no room\n");
    let told = first(&unavailable(vec![pod(&container)]));
    assert!(told.ends_with("(Error, exit code 1): An error occurred: no room"), "{told}");
}

#[test]
fn a_server_that_starts_anew_with_its_node_is_not_crash_looping_whatever_happened_to_it_before() {
    let starting = json!({"running": {"startedAt": "2026-01-31T10:50:28Z"}});
    for (state, ran) in [
        // It ran for days until its node was started anew.
        (starting, ["2026-01-20T00:00:00Z", "2026-01-31T10:50:00Z"]),
        // It has run for half an hour since, and is not ready for a reason of its own.
        (json!({"running": {"startedAt": STARTED}}), ["2026-01-31T10:20:00Z", "2026-01-31T10:20:02Z"]),
    ] {
        let told = first(&unavailable(vec![pod(&ended(&state, 5, ran))]));
        assert!(told.starts_with("waiting: for Deployment velero to be rolled out"), "{told}");
    }
    // How a container ended that the kubelet has lost sight of is not known.
    let lost = json!({"ready": false, "restartCount": 5, "state": {"running": {"startedAt": "2026-01-31T10:50:28Z"}},
        "lastState": {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown", "startedAt": null, "finishedAt": null}}});
    assert!(first(&unavailable(vec![pod(&lost)])).starts_with("waiting"));
}

fn unschedulable_pod(since: &str) -> Pod {
    let mut pod = server_pod("velero-1", &json!({}), &json!({}));
    pod.metadata.creation_timestamp = Some(parse(json!(since)));
    pod.status = parse(json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
        "reason": "Unschedulable", "message": "0/1 nodes: Insufficient cpu", "lastTransitionTime": since}]}));
    pod
}

#[test]
fn a_pod_that_no_node_takes_says_why_and_is_not_waited_for_in_the_hook() {
    let told = "waiting: for pod velero-1 to find a node: 0/1 nodes: Insufficient cpu";
    let lasting = unavailable(vec![unschedulable_pod("2026-01-31T10:50:20Z")]);
    assert_eq!(first(&lasting), told);
    assert!(settled(&lasting));
    // A moment ago is no time for a node that has just come, and it is known when that is over.
    let recent = unavailable(vec![unschedulable_pod("2026-01-31T10:50:29Z")]);
    assert_eq!(first(&recent), told);
    assert!(!settled(&recent));
    let turns = assess(&expected(), &recent)[0].turns_at();
    assert_eq!(turns, Some(time("2026-01-31T10:50:32Z")));
    // The one before it makes room.
    let ending = ending_pod("2026-01-31T10:50:40Z");
    let replacing = unavailable(vec![ending, unschedulable_pod("2026-01-31T10:50:20Z")]);
    assert!(!settled(&replacing));
}

fn ending_pod(killed_at: &str) -> Pod {
    let mut ending = server_pod("velero-0", &json!({}), &running());
    ending.metadata.deletion_timestamp = Some(parse(json!(killed_at)));
    ending
}

#[test]
fn a_previous_server_that_still_ends_is_waited_for() {
    let observed = observed(vec![ending_pod("2026-01-31T10:50:40Z"), pod(&running())]);
    assert_eq!(only(&observed), "waiting: for pod velero-0 of the previous server to end");
    assert!(!settled(&observed));
    assert!(!assess_server(&expected(), &observed).iter().all(allows_validation));
}

#[test]
fn a_server_on_a_lost_node_is_told_of_and_does_not_keep_the_storage_from_being_configured() {
    let observed = observed(vec![ending_pod("2026-01-31T10:49:20Z"), pod(&running())]);
    assert_eq!(
        only(&observed),
        "blocked: pod velero-0 of the previous server is stuck terminating on node first, which seems to be lost: bring the node back, or \
         kubectl delete node first, or kubectl delete pod velero-0 --force"
    );
    assert!(settled(&observed));
    assert!(assess_server(&expected(), &observed).iter().all(allows_validation));
    // A minute after it was to be killed.
    let just_lost = self::observed(vec![ending_pod("2026-01-31T10:49:30Z"), pod(&running())]);
    assert!(only(&just_lost).contains("stuck terminating"), "{}", only(&just_lost));
    // A pod that never had a node has nothing to end.
    let mut nowhere = ending_pod("2026-01-31T10:49:20Z");
    nowhere.spec.as_mut().unwrap().node_name = None;
    assert_eq!(told(&self::observed(vec![nowhere, pod(&running())])), [] as [&str; 0]);
}

#[test]
fn a_container_that_cannot_be_made_is_told_with_the_reason() {
    for reason in ["CreateContainerConfigError", "CreateContainerError", "RunContainerError"] {
        let told = first(&unavailable(vec![pod(&waiting(reason, "secret \"x\" not found"))]));
        assert!(told.starts_with("blocked: ") && told.contains(reason) && told.contains("secret \"x\""), "{told}");
    }
}

#[test]
fn a_container_loops_only_where_it_ended_soon_and_lately() {
    let is_looping = |restarts: u32, started: &str, ended_at: &str| {
        let looping = ended(&json!({"waiting": {"reason": "ContainerCreating"}}), restarts, [started, ended_at]);
        first(&unavailable(vec![pod(&looping)])).contains("crash-looping")
    };
    // It is looked at at 10:50:30, and ten minutes are not soon.
    assert!(is_looping(2, "2026-01-31T10:40:32Z", "2026-01-31T10:40:33Z"));
    assert!(!is_looping(1, "2026-01-31T10:40:32Z", "2026-01-31T10:40:33Z"));
    assert!(!is_looping(2, "2026-01-31T10:40:29Z", "2026-01-31T10:40:30Z"));
    assert!(!is_looping(2, "2026-01-31T10:35:00Z", "2026-01-31T10:45:00Z"));
}

#[test]
fn a_server_that_started_in_the_moment_of_a_change_may_have_known_the_location_otherwise() {
    let began = |at: &str| began_with_it(&Observed { location: Some(changed(at)), ..all_well() });
    assert!(began("2026-01-31T10:20:29Z") && !began(STARTED) && !began("2026-01-31T10:20:31Z"));
}
