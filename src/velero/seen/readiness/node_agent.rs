//! Whether the node agent runs on every node that it should run on.

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{Event, Pod},
};

use super::{not_admitted, pods::AGENTS, trouble::Trouble};
use crate::velero::seen::{
    expected::ExpectedManifest,
    few,
    observed::{Observed, runs_everywhere},
};

/// What the node agent is called in messages.
const DAEMON_SET: &str = "DaemonSet node-agent";

/// Judges the node agent: the most urgent trouble comes first.
pub(super) fn assess(expected: &ExpectedManifest, observed: &Observed) -> Vec<Trouble> {
    let Some(agent) = &observed.node_agent else {
        return vec![Trouble::Missing { object: DAEMON_SET }];
    };
    if !expected.is_of(agent) {
        return vec![Trouble::NotApplied { object: DAEMON_SET }];
    }
    if runs_everywhere(agent) {
        return Vec::new();
    }
    // A status from before the last change counts the pods of the former template.
    let status = agent.status.as_ref().filter(|status| status.observed_generation >= agent.metadata.generation);
    let updated = status.and_then(|status| status.updated_number_scheduled).unwrap_or(0);
    let pods = AGENTS.pods_trouble(&observed.pods, updated, observed.at);
    pods.into_iter().chain([roll_out(agent, observed)]).collect()
}

fn roll_out(agent: &DaemonSet, observed: &Observed) -> Trouble {
    let rolling_out = |missing: String, lasting_from| Trouble::RollingOut { object: DAEMON_SET, missing, lasting_from };
    let status = agent.status.as_ref().filter(|status| status.observed_generation >= agent.metadata.generation);
    let Some(status) = status else {
        return rolling_out("to be rolled out".to_owned(), None);
    };
    let lasting_from = AGENTS.lasting_from(&observed.pods, status.updated_number_scheduled.unwrap_or(0));
    let wanted = status.desired_number_scheduled;
    if wanted == 0 {
        return rolling_out("to have a node: there is none that it may run on".to_owned(), lasting_from);
    }
    if status.current_number_scheduled < wanted
        && let Some(refusal) = latest_refusal(agent, observed)
        && let Some(message) = refusal.message.as_deref()
    {
        return not_admitted(DAEMON_SET, &agent.metadata, message, said(refusal));
    }
    let ready = status.number_available.unwrap_or(0).min(status.updated_number_scheduled.unwrap_or(0));
    let missing = format!("to run on every node: {ready} of {wanted} ready{}", missing_on(&observed.pods));
    rolling_out(missing, lasting_from)
}

/// Returns the nodes whose pod of the node agent is not ready, as far as they have one.
fn missing_on(pods: &[Pod]) -> String {
    let is_ready = |pod: &Pod| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        pod.metadata.deletion_timestamp.is_none()
            && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    let mut nodes: Vec<&str> = AGENTS
        .pods(pods)
        .filter(|pod| !is_ready(pod))
        .filter_map(|pod| pod.spec.as_ref()?.node_name.as_deref())
        .collect();
    nodes.sort_unstable();
    nodes.dedup();
    if nodes.is_empty() { String::new() } else { format!(", not yet on {}", few::named(&nodes)) }
}

/// Returns the latest event that tells why a pod of this very DaemonSet could not be created.
fn latest_refusal<'a>(agent: &DaemonSet, observed: &'a Observed) -> Option<&'a Event> {
    observed
        .refusals
        .iter()
        .filter(|event| event.involved_object.uid == agent.metadata.uid)
        .filter(|event| said(event) >= observed.labelled_since)
        .max_by_key(|event| said(event))
}

/// Returns when an event was seen last.
fn said(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| Some(series.last_observed_time.as_ref()?.0));
    series.or(event.last_timestamp.as_ref().map(|time| time.0)).or(event.event_time.as_ref().map(|time| time.0))
}
