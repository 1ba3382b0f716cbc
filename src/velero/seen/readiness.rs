//! Whether an installation works, judged from what was observed: no I/O here.

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    core::v1::{ContainerState, ContainerStatus, Event, Pod},
};
use kube::api::DynamicObject;

use super::{
    freshness,
    observed::{Observed, runs_everywhere},
};
use crate::{
    status::Status,
    velero::{
        names::{NODE_AGENT, SERVER},
        wanted::Installation,
    },
};

/// As many nodes are named as a status has room for.
const NODES_NAMED: usize = 3;

/// After as many new starts a container that is not ready is not taken for one that is just starting.
const REPEATED_ENDS: i32 = 2;

/// What is to be said of an installation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Readiness {
    /// One for each part that is not as it should be.
    pub statuses: Vec<Status>,
}

impl Readiness {
    /// Whether waiting longer would tell nothing new: all is well, or a person must act.
    pub(crate) fn is_settled(&self) -> bool {
        let blocked = |status: &Status| matches!(status, Status::Blocked(_));
        self.statuses.is_empty() || self.statuses.iter().any(blocked)
    }
}

/// Judges what was observed by what was planned.
pub(crate) fn assess(installation: &Installation, observed: &Observed) -> Readiness {
    let Readiness { mut statuses } = assess_server(installation, observed);
    // Only a server that runs as planned can have validated the location as planned.
    let validated_as_planned = statuses.is_empty();
    if installation.node_agent {
        statuses.extend(node_agent(installation, observed));
    }
    if validated_as_planned && installation.backup_location().is_some() {
        statuses.extend(location(observed.location.as_ref(), server_start(&observed.pods)));
    }
    Readiness { statuses }
}

/// Judges the server alone: whether it runs as planned, and no other beside it.
pub(crate) fn assess_server(installation: &Installation, observed: &Observed) -> Readiness {
    let images: Vec<&str> = [Some(&installation.image), installation.plugin_image.as_ref()]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let statuses = pods_trouble(&observed.pods, &images)
        .into_iter()
        .chain(server(installation, observed.server.as_ref()))
        .chain(previous_server(&observed.pods))
        .collect();
    Readiness { statuses }
}

/// A server that was told to end goes on for a moment, and may still write what it found out with its own plugins.
fn previous_server(pods: &[Pod]) -> Option<Status> {
    let ending = |pod: &&Pod| {
        let labels = pod.metadata.labels.as_ref();
        pod.metadata.deletion_timestamp.is_some()
            && labels.and_then(|labels| labels.get("deploy")).is_some_and(|name| name == SERVER)
    };
    let pod = pods.iter().find(ending)?;
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    Some(Status::Waiting(format!("for pod {name} of the previous server to end")))
}

fn server(installation: &Installation, server: Option<&Deployment>) -> Option<Status> {
    let waiting = |what: String| Some(Status::Waiting(format!("for Deployment {SERVER} {what}")));
    let Some(server) = server else {
        return waiting("to be made".to_owned());
    };
    let (Some(spec), Some(status)) = (&server.spec, &server.status) else {
        return waiting("to be rolled out".to_owned());
    };
    let pod = spec.template.spec.as_ref();
    let runs_planned_image = pod.is_some_and(|pod| {
        pod.containers
            .iter()
            .any(|container| container.name == SERVER && container.image.as_ref() == Some(&installation.image))
    });
    let has_planned_plugin = installation.plugin_image.is_none()
        || pod
            .and_then(|pod| pod.init_containers.as_ref())
            .is_some_and(|plugins| plugins.iter().any(|container| container.image == installation.plugin_image));
    if !runs_planned_image || !has_planned_plugin {
        return waiting("to get its planned images".to_owned());
    }
    let refusal = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True");
    if let Some(message) = refusal.and_then(|refusal| refusal.message.as_deref()) {
        return Some(not_admitted(&format!("Deployment {SERVER}"), message));
    }
    let observed = status.observed_generation >= server.metadata.generation;
    let count = |number: Option<i32>| number.unwrap_or(0);
    let wanted = spec.replicas.unwrap_or(1);
    if wanted < 1 {
        return waiting("to be scaled up: it has no pods".to_owned());
    }
    let complete = observed
        && count(status.replicas) == wanted
        && count(status.updated_replicas) == wanted
        && count(status.available_replicas) == wanted;
    if complete {
        return None;
    }
    waiting(format!(
        "to be rolled out: {} of {wanted} pods available",
        count(status.available_replicas).min(count(status.updated_replicas))
    ))
}

/// Pods that the API server does not take are not made later either: mostly a person has to allow them.
fn not_admitted(whose: &str, message: &str) -> Status {
    // What comes before has a name in it that is another one each time.
    let reason = message.split_once("is forbidden: ").map_or(message, |(_, reason)| reason);
    Status::Blocked(format!("the cluster does not admit the pods of {whose}: {reason}"))
}

fn node_agent(installation: &Installation, observed: &Observed) -> Option<Status> {
    let waiting = |what: String| Some(Status::Waiting(format!("for DaemonSet {NODE_AGENT} {what}")));
    let Some(agent) = &observed.node_agent else {
        return waiting("to be made".to_owned());
    };
    let (Some(spec), Some(status)) = (&agent.spec, &agent.status) else {
        return waiting("to be rolled out".to_owned());
    };
    let runs_planned_image = spec.template.spec.as_ref().is_some_and(|pod| {
        pod.containers.iter().any(|container| container.image.as_ref() == Some(&installation.image))
    });
    if !runs_planned_image {
        return waiting("to get its planned image".to_owned());
    }
    if runs_everywhere(agent) {
        return None;
    }
    if status.observed_generation < agent.metadata.generation {
        return waiting("to be rolled out".to_owned());
    }
    let wanted = status.desired_number_scheduled;
    if wanted == 0 {
        return waiting("to have a node: there is none that it may run on".to_owned());
    }
    if status.current_number_scheduled < wanted
        && let Some(message) = latest_refusal(agent, observed)
    {
        return Some(not_admitted(&format!("DaemonSet {NODE_AGENT}"), message));
    }
    let ready = status.number_available.unwrap_or(0).min(status.updated_number_scheduled.unwrap_or(0));
    waiting(format!("to run on every node: {ready} of {wanted} ready{}", missing_on(&observed.pods)))
}

/// The nodes whose pod of the node agent is not ready, as far as they have one.
fn missing_on(pods: &[Pod]) -> String {
    let is_ready = |pod: &Pod| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        pod.metadata.deletion_timestamp.is_none()
            && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    let mut nodes: Vec<&str> = pods
        .iter()
        .filter(|pod| {
            pod.metadata.labels.as_ref().and_then(|labels| labels.get("name")).is_some_and(|name| name == NODE_AGENT)
        })
        .filter(|pod| !is_ready(pod))
        .filter_map(|pod| pod.spec.as_ref()?.node_name.as_deref())
        .collect();
    nodes.sort_unstable();
    nodes.dedup();
    let named = nodes.iter().take(NODES_NAMED).copied().collect::<Vec<_>>().join(", ");
    match nodes.len() {
        0 => String::new(),
        1..=NODES_NAMED => format!(", not yet on {named}"),
        more => format!(", not yet on {named} and {} more", more - NODES_NAMED),
    }
}

/// Why a pod of this very DaemonSet could not be made, by the latest word on it.
fn latest_refusal<'a>(agent: &DaemonSet, observed: &'a Observed) -> Option<&'a str> {
    let said = |event: &Event| {
        let series = event.series.as_ref().and_then(|series| Some(series.last_observed_time.as_ref()?.0));
        series.or(event.last_timestamp.as_ref().map(|time| time.0)).or(event.event_time.as_ref().map(|time| time.0))
    };
    observed
        .refusals
        .iter()
        .filter(|event| event.involved_object.uid == agent.metadata.uid)
        .filter(|event| said(event) >= observed.labelled_since)
        .max_by_key(|event| said(event))?
        .message
        .as_deref()
}

/// What keeps a pod from starting that runs one of the planned images; pods of an older plan are on their way out.
fn pods_trouble(pods: &[Pod], images: &[&str]) -> Option<Status> {
    pods.iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .filter_map(|pod| {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            unschedulable(name, pod).or_else(|| {
                let specified = specified_images(pod);
                containers(pod).find_map(|container| {
                    let (_, image) = specified.iter().find(|(name, _)| *name == container.name)?;
                    images.contains(image).then(|| container_trouble(name, image, container))?
                })
            })
        })
        .max()
}

fn specified_images(pod: &Pod) -> Vec<(&str, &str)> {
    let Some(spec) = &pod.spec else {
        return Vec::new();
    };
    spec.containers
        .iter()
        .chain(spec.init_containers.iter().flatten())
        .filter_map(|container| Some((container.name.as_str(), container.image.as_deref()?)))
        .collect()
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status
        .iter()
        .flat_map(|status| status.init_container_statuses.iter().chain(&status.container_statuses).flatten())
}

fn unschedulable(name: &str, pod: &Pod) -> Option<Status> {
    let condition = pod
        .status
        .as_ref()?
        .conditions
        .as_ref()?
        .iter()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
    let message = condition.message.as_deref().unwrap_or("no node takes it");
    Some(Status::Waiting(format!("for pod {name} to find a node: {message}")))
}

fn container_trouble(pod: &str, image: &str, container: &ContainerStatus) -> Option<Status> {
    if keeps_ending(container) {
        return Some(Status::Blocked(format!(
            "container {} of pod {pod} keeps ending{}: {}",
            container.name,
            last_end(container),
            last_words(container).unwrap_or("see its log")
        )));
    }
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let detail = waiting.message.as_deref().unwrap_or_default();
    match reason {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "RegistryUnavailable"
        | "ImageInspectError"
        | "SignatureValidationFailed" => Some(Status::Blocked(format!(
            "cannot pull image {image} ({reason}), check the options for images: {}",
            innermost_cause(detail)
        ))),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => Some(Status::Blocked(format!(
            "container {} of pod {pod} cannot start ({reason}): {detail}",
            container.name
        ))),
        _ => None,
    }
}

/// Whether a container ends soon after each start. Between two ends it runs for a moment, and is not ready.
fn keeps_ending(container: &ContainerStatus) -> bool {
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    let backs_off = waiting.is_some_and(|waiting| waiting.reason.as_deref() == Some("CrashLoopBackOff"));
    let last_end = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let failed = last_end.is_some_and(|end| end.exit_code != 0);
    backs_off || (!container.ready && failed && container.restart_count >= REPEATED_ENDS)
}

/// The container runtime wraps the cause of a failed pull in what it was doing, each layer ending in a quoted name.
fn innermost_cause(detail: &str) -> &str {
    detail.rsplit("\": ").next().unwrap_or(detail)
}

fn last_end(container: &ContainerStatus) -> String {
    container
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref())
        .map(|end| {
            let reason = end.reason.as_deref().unwrap_or("no reason given");
            format!(" ({reason}, exit code {})", end.exit_code)
        })
        .unwrap_or_default()
}

/// The last line that a container has said before it ended, where its status has it.
fn last_words(container: &ContainerStatus) -> Option<&str> {
    let end = container.last_state.as_ref()?.terminated.as_ref()?;
    end.message.as_deref()?.lines().map(str::trim).rfind(|line| !line.is_empty())
}

/// When the server's process started that runs now.
fn server_start(pods: &[Pod]) -> Option<Timestamp> {
    let started = |state: &ContainerState| Some(state.running.as_ref()?.started_at.as_ref()?.0);
    pods.iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .flat_map(containers)
        .filter(|container| container.name == SERVER)
        .filter_map(|container| started(container.state.as_ref()?))
        .max()
}

/// What the server says of the location. A status from before the server's start was found out by another one, with other
/// plugins; one from before a change is told by [`freshness::is_current`].
fn location(location: Option<&DynamicObject>, server_start: Option<Timestamp>) -> Option<Status> {
    let waiting = |what: &str| Some(Status::Waiting(format!("for BackupStorageLocation default to be {what}")));
    let Some(location) = location else {
        return waiting("made");
    };
    let by_this_server = freshness::time(location).is_some_and(|time| server_start.is_some_and(|start| time >= start));
    match freshness::phase(location).filter(|_| by_this_server && freshness::is_current(location)) {
        Some("Available") => None,
        Some("Unavailable") => {
            let message = location.data.pointer("/status/message").and_then(|message| message.as_str());
            let message = message.unwrap_or("the server gave no reason");
            Some(Status::Blocked(format!("storage is not usable: {message}")))
        }
        _ => waiting("validated"),
    }
}

#[cfg(test)]
#[path = "readiness_tests.rs"]
mod tests;
