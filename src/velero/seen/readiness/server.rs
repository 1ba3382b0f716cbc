//! Whether the server runs as planned, and no other beside it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ContainerState, Pod},
};
use kube::ResourceExt;

use super::{
    not_admitted,
    pods::{SERVERS, containers},
    trouble::Trouble,
};
use crate::velero::{
    names::SERVER,
    seen::{expected::ExpectedManifest, observed::Observed},
};

/// What the server is called in messages.
const DEPLOYMENT: &str = "Deployment velero";
/// How long after it should have been killed a pod may still be terminating.
const KILLING: Duration = Duration::from_mins(1);

/// Judges the server: the most urgent trouble comes first.
pub(super) fn assess(expected: &ExpectedManifest, observed: &Observed) -> Vec<Trouble> {
    let updated = observed.server.as_ref().map_or(0, updated_replicas);
    let pods = SERVERS.pods_trouble(&observed.pods, updated, observed.at);
    pods.into_iter().chain(roll_out(expected, observed)).chain(previous_server(observed)).collect()
}

/// Returns how many pods are of the latest template. A status from before the last change counts those of the former one.
fn updated_replicas(server: &Deployment) -> i32 {
    let status = server.status.as_ref().filter(|status| status.observed_generation >= server.metadata.generation);
    status.and_then(|status| status.updated_replicas).unwrap_or(0)
}

fn roll_out(expected: &ExpectedManifest, observed: &Observed) -> Option<Trouble> {
    let Some(server) = &observed.server else {
        return Some(Trouble::Missing { object: DEPLOYMENT });
    };
    if !expected.is_of(server) {
        return Some(Trouble::NotApplied { object: DEPLOYMENT });
    }
    let rolling_out =
        |missing: String, lasting_from| Some(Trouble::RollingOut { object: DEPLOYMENT, missing, lasting_from });
    let (Some(spec), Some(status)) = (&server.spec, &server.status) else {
        return rolling_out("to be rolled out".to_owned(), None);
    };
    let refusal = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True");
    if let Some(refusal) = refusal
        && let Some(message) = refusal.message.as_deref()
    {
        let refused = refusal.last_update_time.as_ref().or(refusal.last_transition_time.as_ref()).map(|time| time.0);
        // It goes a moment after a pod has come.
        let has_come = |pod: &Pod| pod.creation_timestamp().map(|made| made.0) >= refused;
        if refused.is_none() || !SERVERS.staying(&observed.pods).any(has_come) {
            return Some(not_admitted(DEPLOYMENT, &server.metadata, message, refused));
        }
    }
    let wanted = spec.replicas.unwrap_or(1);
    if wanted < 1 {
        return rolling_out("to be scaled up: it has no pods".to_owned(), None);
    }
    if is_complete(server) {
        return None;
    }
    let count = |number: Option<i32>| number.unwrap_or(0);
    let available = count(status.available_replicas).min(count(status.updated_replicas));
    let last_failure = last_failure(observed).unwrap_or_default();
    let missing = format!("to be rolled out: {available} of {wanted} pods available{last_failure}");
    rolling_out(missing, SERVERS.lasting_from(&observed.pods, updated_replicas(server)))
}

/// Whether all pods are of the latest template and available, and there are no others.
fn is_complete(server: &Deployment) -> bool {
    let (Some(spec), Some(status)) = (&server.spec, &server.status) else { return false };
    let wanted = Some(spec.replicas.unwrap_or(1));
    status.observed_generation >= server.metadata.generation
        && status.replicas == wanted
        && status.updated_replicas == wanted
        && status.available_replicas == wanted
}

/// Returns how the latest pod failed, where none has taken its place: only it may tell why nothing runs.
fn last_failure(observed: &Observed) -> Option<String> {
    if SERVERS.staying(&observed.pods).next().is_some() {
        return None;
    }
    let pod = SERVERS.pods(&observed.ended).max_by_key(|pod| pod.creation_timestamp())?;
    let status = pod.status.as_ref()?;
    let message = status.message.as_deref()?;
    let reason = status.reason.as_deref().unwrap_or("Failed");
    Some(format!(", pod {} ended ({reason}): {message}", pod.name_any()))
}

/// Returns a server that was told to end but still runs: it may still write what it found out with its own plugins.
fn previous_server(observed: &Observed) -> Option<Trouble> {
    let ending = |pod: &Pod| {
        // Until then it has the time to end by itself.
        let killed = pod.metadata.deletion_timestamp.as_ref()?.0;
        let (name, lost_from) = (pod.name_any(), killed + KILLING);
        if observed.at < lost_from {
            return Some(Trouble::PreviousServer { pod: name, lost_from });
        }
        // One that never had a node has nothing to end.
        let node = pod.spec.as_ref()?.node_name.clone()?;
        Some(Trouble::LostServer { pod: name, node })
    };
    let troubles: Vec<_> = SERVERS.pods(&observed.pods).filter_map(ending).collect();
    let is_waiting = |trouble: &Trouble| matches!(trouble, Trouble::PreviousServer { .. });
    troubles.iter().find(|trouble| is_waiting(trouble)).or_else(|| troubles.first()).cloned()
}

/// Returns the start time of the running server process.
pub(super) fn start(pods: &[Pod]) -> Option<Timestamp> {
    let started = |state: &ContainerState| Some(state.running.as_ref()?.started_at.as_ref()?.0);
    SERVERS
        .staying(pods)
        .flat_map(containers)
        .filter(|container| container.name == SERVER)
        .filter_map(|container| started(container.state.as_ref()?))
        .max()
}
