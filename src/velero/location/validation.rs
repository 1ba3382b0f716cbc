//! Having the server validate a location again.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    cluster::{Cluster, ClusterError, describe, named},
    velero::{
        names::SERVER,
        seen::{
            expected::Expected,
            freshness::{TO_BE_VALIDATED, time},
            observed::{self, Observed},
            operations::operations_in_progress,
            readiness::{self, Trouble, VALIDATION},
            watch,
        },
    },
};

/// How long a validation is waited for: until a store that does not answer is taken for silent, and a moment more.
const PATIENCE: Duration = VALIDATION.saturating_add(Duration::from_secs(1));

/// Marks the status of a location. The phase stays, as a backup that begins meanwhile would be refused without it.
pub(crate) async fn mark(cluster: &Cluster, location: &DynamicObject) -> Result<(), ClusterError> {
    if location.data.get("status").is_some_and(|status| *status != json!({})) {
        let mark = json!({"lastValidationTime": null, "lastSyncedTime": null, "message": TO_BE_VALIDATED});
        cluster.merge(location, &json!({"status": mark})).await?;
    }
    Ok(())
}

/// Waits until a validation has ended since the status was marked. Returns the location as it is then; `None` when the deadline
/// comes first, or the store does not answer.
pub(crate) async fn ended(
    cluster: &Cluster,
    expected: &Expected,
    deadline: Instant,
) -> Result<Option<DynamicObject>, ClusterError> {
    let deadline = deadline.min(Instant::now() + PATIENCE);
    let observed = watch::until(cluster, expected, deadline, assess).await?;
    Ok(observed.location.filter(has_ended))
}

fn has_ended(location: &DynamicObject) -> bool {
    time(location).is_some()
}

/// Whether a validation has ended, or something is in the way that waiting does not mend.
fn assess(expected: &Expected, observed: &Observed) -> Vec<Trouble> {
    if observed.location.as_ref().is_some_and(has_ended) {
        return Vec::new();
    }
    let mut troubles = readiness::assess_server(expected, observed);
    troubles.push(Trouble::NotValidated { silent_from: None });
    troubles
}

/// Restarts a server that hangs in the validation of what the location was before its last change, and would never look at what
/// it is now. Returns the pods that were deleted for that. One that also backs up or restores is left to that.
///
/// This happens once for a change: the server that comes has started after it.
pub(crate) async fn restart_stuck_server(cluster: &Cluster, expected: &Expected) -> Result<Vec<String>, ClusterError> {
    let observed = observed::read(cluster, expected).await?;
    if !readiness::is_stuck(&observed) {
        return Ok(Vec::new());
    }
    if let Some(operation) = operations_in_progress(cluster).await?.first() {
        tracing::warn!(
            "the server hangs in an older validation of the location, and is not restarted until {} has ended",
            operation.name
        );
        return Ok(Vec::new());
    }
    let is_server = |pod: &&Pod| {
        pod.metadata.deletion_timestamp.is_none() && pod.labels().get("deploy").is_some_and(|name| name == SERVER)
    };
    let mut restarted = Vec::new();
    for pod in observed.pods.iter().filter(is_server) {
        let pod = cluster.own(named("v1", "Pod", &pod.name_any()));
        tracing::info!(
            "restarting the server, which has not looked at the changed location within {} s",
            VALIDATION.as_secs()
        );
        cluster.delete(&pod).await?;
        restarted.push(describe(&pod));
    }
    Ok(restarted)
}
