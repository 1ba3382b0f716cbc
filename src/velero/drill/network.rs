//! Whether the cluster's network keeps to policies: tried by a pod in a scratch namespace, which may reach nothing.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::DynamicObject,
    runtime::{conditions::Condition, wait::await_condition},
};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::scratch::OWN;
use crate::{
    cluster::{Cluster, ClusterError, named},
    velero::names::SERVER,
};

/// How long the pod may try, and how long it may take in all.
const ATTEMPT: u32 = 20;
const PATIENCE: Duration = Duration::from_mins(1);

/// What is known of the network of a scratch namespace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Network {
    /// The policy holds: the pods of a drill reach nothing.
    Denied,
    /// The cluster's network does not enforce policies.
    Open,
    /// The pod did not find it out.
    Unknown,
}

/// Finds it out in a scratch namespace.
pub(super) async fn probe(cluster: &Cluster, scratch: &str) -> Result<Network, ClusterError> {
    let server = cluster.find(&cluster.own(named("apps/v1", "Deployment", SERVER))).await?;
    let image =
        server.as_ref().and_then(|server| server.data["spec"]["template"]["spec"]["containers"][0]["image"].as_str());
    let Some(image) = image else { return Ok(Network::Unknown) };
    cluster.apply(&pod(scratch, image)).await?;
    let pods: Api<Pod> = cluster.namespaced_in(scratch);
    let ended = timeout(PATIENCE, await_condition(pods, OWN, has_ended())).await;
    let told = match ended {
        Ok(Ok(Some(pod))) => last_words(&pod).unwrap_or_default(),
        _ => String::new(),
    };
    let network = judge(&told);
    if network != Network::Denied {
        tracing::info!("a pod of the drill, which may reach nothing, says: {}", told.trim());
    }
    cluster.delete(&pod(scratch, image)).await?;
    Ok(network)
}

/// Returns the pod, which asks the API server for backups. It has no right to them, and is told so if it gets through.
fn pod(scratch: &str, image: &str) -> DynamicObject {
    let mut pod = named("v1", "Pod", OWN);
    pod.metadata.namespace = Some(scratch.to_owned());
    let least: Value = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true,
        "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}});
    pod.data = json!({"spec": {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": ATTEMPT,
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": OWN, "image": image, "command": ["/velero", "backup", "get"],
            "terminationMessagePolicy": "FallbackToLogsOnError", "securityContext": least}],
    }});
    pod
}

fn has_ended() -> impl Condition<Pod> {
    |pod: Option<&Pod>| {
        let phase = pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    }
}

/// Returns what the pod has said last, or that its time was over.
fn last_words(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    if status.reason.as_deref() == Some("DeadlineExceeded") {
        return status.reason.clone();
    }
    let container = status.container_statuses.as_ref()?.first()?;
    container.state.as_ref()?.terminated.as_ref()?.message.clone()
}

/// Whoever is told that it has no right has reached who says so.
fn judge(told: &str) -> Network {
    let says = |words: &[&str]| words.iter().any(|word| told.contains(word));
    if says(&["forbidden", "Unauthorized", "cannot list"]) {
        Network::Open
    } else if says(&[
        "DeadlineExceeded",
        "timeout",
        "timed out",
        "connection refused",
        "no route to host",
        "unreachable",
    ]) {
        Network::Denied
    } else {
        Network::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_refused_by_the_server_has_reached_it() {
        let refused =
            "backups.velero.io is forbidden: User \"system:serviceaccount:drill-shop:default\" cannot list resource";
        for (told, network) in [
            (refused, Network::Open),
            ("dial tcp 10.96.0.1:443: i/o timeout", Network::Denied),
            ("dial tcp 10.96.0.1:443: connect: connection refused", Network::Denied),
            ("DeadlineExceeded", Network::Denied),
            ("exec: \"/velero\": no such file or directory", Network::Unknown),
            ("", Network::Unknown),
        ] {
            assert_eq!(judge(told), network, "{told}");
        }
    }

    #[test]
    fn a_pod_whose_time_was_over_has_reached_nothing() {
        let pod = |status: Value| serde_json::from_value::<Pod>(json!({"status": status})).unwrap();
        let over = pod(json!({"phase": "Failed", "reason": "DeadlineExceeded"}));
        assert_eq!(last_words(&over).as_deref(), Some("DeadlineExceeded"));
        let ended = json!({"name": OWN, "image": "velero", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 1, "message": "forbidden"}}});
        let ended = pod(json!({"phase": "Failed", "containerStatuses": [ended]}));
        assert_eq!(last_words(&ended).as_deref(), Some("forbidden"));
    }
}
