//! What the pods of a drill say of themselves.

use k8s_openapi::api::core::v1::Pod;

/// Whether a pod is ready.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Returns why a pod does not run, if that is known.
pub(super) fn why_not_running(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(condition) = unscheduled {
        return Some(format!("cannot be scheduled: {}", condition.message.as_deref().unwrap_or_default()));
    }
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let waiting = containers.filter_map(|container| container.state.as_ref()?.waiting.as_ref()?.reason.clone());
    let mut reasons = waiting.filter(|reason| !matches!(reason.as_str(), "PodInitializing" | "ContainerCreating"));
    reasons.next().map(|reason| format!("waits: {reason}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({"status": status})).unwrap()
    }

    #[test]
    fn why_a_pod_does_not_run_is_told_in_the_clusters_words() {
        let unscheduled =
            json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes fit"}]});
        assert_eq!(why_not_running(&pod(&unscheduled)).as_deref(), Some("cannot be scheduled: 0/1 nodes fit"));
        let container = |reason: &str| {
            json!({"containerStatuses": [{"name": "a", "image": "a", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"waiting": {"reason": reason}}}]})
        };
        assert_eq!(why_not_running(&pod(&container("CrashLoopBackOff"))).as_deref(), Some("waits: CrashLoopBackOff"));
        assert_eq!(why_not_running(&pod(&container("PodInitializing"))), None);
        let ready = |ready: &str, scheduled: &str| json!({"conditions": [{"type": "Ready", "status": ready}, {"type": "PodScheduled", "status": scheduled}]});
        assert!(is_ready(&pod(&ready("True", "True"))) && !is_ready(&pod(&unscheduled)));
        assert!(!is_ready(&pod(&ready("False", "True"))));
        assert_eq!(why_not_running(&pod(&ready("False", "True"))), None);
    }
}
