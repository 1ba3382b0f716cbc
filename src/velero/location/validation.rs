//! Having the server validate a location again.

use kube::api::DynamicObject;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    cluster::{Cluster, ClusterError},
    status::Status,
    velero::{
        seen::{
            freshness::{TO_BE_VALIDATED, time},
            observed::Observed,
            readiness::{self, Readiness},
            watch,
        },
        wanted::Installation,
    },
};

/// Marks the status of a location. The phase stays, as a backup that begins meanwhile would be refused without it.
pub(crate) async fn mark(cluster: &Cluster, location: &DynamicObject) -> Result<(), ClusterError> {
    if location.data.get("status").is_some_and(|status| *status != json!({})) {
        let mark = json!({"lastValidationTime": null, "lastSyncedTime": null, "message": TO_BE_VALIDATED});
        cluster.merge(location, &json!({"status": mark})).await?;
    }
    Ok(())
}

/// Waits until a validation has ended since the status was marked, and gives the location as it is then; `None` when the deadline
/// comes first.
pub(crate) async fn ended(
    cluster: &Cluster,
    installation: &Installation,
    deadline: Instant,
) -> Result<Option<DynamicObject>, ClusterError> {
    let observed = watch::until(cluster, installation, deadline, assess).await?;
    Ok(observed.location.filter(has_ended))
}

fn has_ended(location: &DynamicObject) -> bool {
    time(location).is_some()
}

/// Whether a validation has ended, or a person must act before one can.
fn assess(installation: &Installation, observed: &Observed) -> Readiness {
    if observed.location.as_ref().is_some_and(has_ended) {
        return Readiness { statuses: Vec::new() };
    }
    let mut readiness = readiness::assess_server(installation, observed);
    readiness.statuses.push(Status::Waiting("for the location to be validated".to_owned()));
    readiness
}
