//! The pods of a workload: which are of its latest template, and what keeps them from running.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use kube::ResourceExt;

use super::trouble::{ImagePurpose, Trouble};
use crate::velero::names::{NODE_AGENT, SERVER};

/// After this many restarts a container that is not ready may be crash-looping.
const REPEATED_ENDS: i32 = 2;
/// A container that runs for longer than this is not crash-looping: the kubelet then resets its back-off.
const CRASH_LOOP: Duration = Duration::from_mins(10);
/// How long a pod may have no node: a node has just come, or another pod makes room.
const SCHEDULING: Duration = Duration::from_secs(3);
/// How long a pod may take to start without a reason that is known: it pulls its images.
const START: Duration = Duration::from_mins(2);
/// The volume into which an init container of the server copies a plugin.
const PLUGINS_VOLUME: &str = "plugins";

/// The pods of one workload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Workload {
    /// The label that all of them have, and its value.
    pub label: (&'static str, &'static str),
    /// The label that tells of which template they are.
    pub revision: &'static str,
}

/// The server's Deployment.
pub(super) const SERVERS: Workload = Workload { label: ("deploy", SERVER), revision: "pod-template-hash" };
/// The node agent's DaemonSet.
pub(super) const AGENTS: Workload = Workload { label: ("name", NODE_AGENT), revision: "controller-revision-hash" };

impl Workload {
    /// Returns its pods among others.
    pub(super) fn pods<'a>(&self, pods: &'a [Pod]) -> impl Iterator<Item = &'a Pod> {
        let (key, value) = self.label;
        pods.iter().filter(move |pod| pod.labels().get(key).is_some_and(|found| found == value))
    }

    /// Returns those of its pods that were not told to end.
    pub(super) fn staying<'a>(&self, pods: &'a [Pod]) -> impl Iterator<Item = &'a Pod> {
        self.pods(pods).filter(|pod| pod.metadata.deletion_timestamp.is_none())
    }

    /// Returns from when on a rollout counts as lasting, by the newest pod of its latest template; `None` while it has none.
    pub(super) fn lasting_from(&self, pods: &[Pod], updated: i32) -> Option<Timestamp> {
        Some(self.newest(pods, updated)?.creation_timestamp()?.0 + START)
    }

    /// Returns the newest pod of its latest template. It has such pods if the cluster says so, and then the newest pod is one.
    fn newest<'a>(&self, pods: &'a [Pod], updated: i32) -> Option<&'a Pod> {
        self.staying(pods).max_by_key(|pod| pod.creation_timestamp()).filter(|_| updated > 0)
    }

    /// Returns what keeps a pod of its latest template from running, the worst of all such troubles. What is in the template
    /// does not tell which they are: admission may give pods other images.
    pub(super) fn pods_trouble(&self, pods: &[Pod], updated: i32, now: Timestamp) -> Option<Trouble> {
        let revision = self.newest(pods, updated)?.labels().get(self.revision);
        let makes_room = self.pods(pods).any(|pod| pod.metadata.deletion_timestamp.is_some());
        let troubles = || {
            self.staying(pods)
                .filter(|pod| pod.labels().get(self.revision) == revision)
                .filter_map(|pod| trouble(pod, makes_room, now))
        };
        troubles().find(|trouble| !matches!(trouble, Trouble::Unschedulable { .. })).or_else(|| troubles().next())
    }
}

fn trouble(pod: &Pod, makes_room: bool, now: Timestamp) -> Option<Trouble> {
    unschedulable(pod, makes_room).or_else(|| containers(pod).find_map(|status| container_trouble(pod, status, now)))
}

/// Returns what the kubelet says of the containers of a pod, those first that run first.
pub(super) fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status
        .iter()
        .flat_map(|status| status.init_container_statuses.iter().chain(&status.container_statuses).flatten())
}

fn unschedulable(pod: &Pod, makes_room: bool) -> Option<Trouble> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition =
        conditions.iter().find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
    let since = condition.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    Some(Trouble::Unschedulable {
        pod: pod.name_any(),
        reason: condition.message.clone().unwrap_or_else(|| "no node takes it".to_owned()),
        lasting_from: (!makes_room).then_some(since + SCHEDULING),
    })
}

fn container_trouble(pod: &Pod, status: &ContainerStatus, now: Timestamp) -> Option<Trouble> {
    let container = status.name.clone();
    if is_crash_looping(status, now) {
        let (pod, end) = (pod.name_any(), last_end(status));
        return Some(Trouble::CrashLooping { container, pod, end, last_words: last_words(status).map(str::to_owned) });
    }
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.clone()?;
    let detail = waiting.message.as_deref().unwrap_or_default();
    match reason.as_str() {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "RegistryUnavailable"
        | "ImageInspectError"
        | "SignatureValidationFailed" => {
            let (image, purpose) = image(pod, status);
            Some(Trouble::ImageNotPulled { image, purpose, reason, cause: innermost_cause(detail).to_owned() })
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            Some(Trouble::NotStarted { container, pod: pod.name_any(), reason, cause: detail.to_owned() })
        }
        _ => None,
    }
}

/// Returns the image that a container was to have, and what it is for.
fn image(pod: &Pod, status: &ContainerStatus) -> (String, ImagePurpose) {
    let spec = pod.spec.as_ref();
    let is_it = |container: &&Container| container.name == status.name;
    let purpose_of = |container: &Container, is_first: bool| {
        let mounts = container.volume_mounts.as_deref().unwrap_or_default();
        match container.name.as_str() {
            _ if is_first && mounts.iter().any(|mount| mount.name == PLUGINS_VOLUME) => ImagePurpose::Plugin,
            SERVER | NODE_AGENT if !is_first => ImagePurpose::Velero,
            _ => ImagePurpose::Addition,
        }
    };
    let lasting = spec.and_then(|spec| spec.containers.iter().find(is_it)).map(|container| (container, false));
    let found = lasting.or_else(|| {
        let first = spec.and_then(|spec| spec.init_containers.iter().flatten().find(is_it));
        first.map(|container| (container, true))
    });
    let named = |(container, is_first): (&Container, bool)| {
        let image = container.image.clone().unwrap_or_else(|| status.image.clone());
        (image, purpose_of(container, is_first))
    };
    found.map_or_else(|| (status.image.clone(), ImagePurpose::Addition), named)
}

/// Whether a container is crash-looping: it ends soon after each start. Between two ends it runs for a moment, and is not
/// ready.
///
/// The count of its starts is for life, so that it alone tells nothing: a container that ran for long is started again with its
/// node.
fn is_crash_looping(status: &ContainerStatus, now: Timestamp) -> bool {
    let state = status.state.as_ref();
    let waiting = state.and_then(|state| state.waiting.as_ref());
    if waiting.is_some_and(|waiting| waiting.reason.as_deref() == Some("CrashLoopBackOff")) {
        return true;
    }
    let last_end = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let Some(end) = last_end.filter(|end| end.exit_code != 0) else { return false };
    let is_short = |from: Timestamp, to: Timestamp| to.duration_since(from).unsigned_abs() < CRASH_LOOP;
    let ended = end.finished_at.as_ref().map(|time| time.0);
    let ended_soon = end.started_at.as_ref().zip(ended).is_some_and(|(start, ended)| is_short(start.0, ended));
    let running = state.and_then(|state| state.running.as_ref());
    let latest = running.and_then(|running| running.started_at.as_ref()).map(|time| time.0).or(ended);
    let ended_recently = latest.is_some_and(|latest| is_short(latest, now));
    !status.ready && status.restart_count >= REPEATED_ENDS && ended_soon && ended_recently
}

/// Returns the cause of a failed pull. The container runtime wraps it in what it was doing, each layer ending in a quoted name.
fn innermost_cause(detail: &str) -> &str {
    detail.rsplit("\": ").next().unwrap_or(detail)
}

fn last_end(status: &ContainerStatus) -> String {
    let end = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    end.map_or_else(String::new, |end| {
        let reason = end.reason.as_deref().unwrap_or("no reason given");
        format!("{reason}, exit code {}", end.exit_code)
    })
}

/// Returns the last line that a container has said before it ended, where its status has it.
fn last_words(status: &ContainerStatus) -> Option<&str> {
    let end = status.last_state.as_ref()?.terminated.as_ref()?;
    end.message.as_deref()?.lines().map(str::trim).rfind(|line| !line.is_empty())
}
