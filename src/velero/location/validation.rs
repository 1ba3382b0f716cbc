//! Having the server validate a location again.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::json;
use tokio::{
    net::lookup_host,
    time::{Instant, timeout},
};
use url::{Host, Url};

use crate::{
    cluster::{Cluster, ClusterError, named},
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

/// How long to wait for a validation: until a store that does not answer counts as silent, and a moment more.
const PATIENCE: Duration = VALIDATION.saturating_add(Duration::from_secs(1));

/// How long a name may take to be found.
const LOOKUP: Duration = Duration::from_secs(5);

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

/// Returns what to wait for until a validation has ended, or what keeps it from ending and waiting does not mend.
fn assess(expected: &Expected, observed: &Observed) -> Vec<Trouble> {
    if observed.location.as_ref().is_some_and(has_ended) {
        return Vec::new();
    }
    let mut troubles = readiness::assess_server(expected, observed);
    troubles.push(Trouble::NotValidated { silent_from: None });
    troubles
}

/// What was done about a server that hangs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Restart {
    /// Nothing: it does not hang, or a restart has not helped.
    NotNeeded,
    /// It was restarted.
    Done,
    /// It is left to this backup or restore, on which it also works.
    HeldBack(String),
}

/// Restarts a server that hangs in the validation of what the location was before its last change, and would never validate the
/// new one. This happens once for a change: the new server has started after it.
pub(crate) async fn restart_stuck_server(cluster: &Cluster, expected: &Expected) -> Result<Restart, ClusterError> {
    let observed = observed::read(cluster, expected).await?;
    if !readiness::is_stuck(&observed) {
        return Ok(Restart::NotNeeded);
    }
    if let Some(operation) = operations_in_progress(cluster).await?.first() {
        return Ok(Restart::HeldBack(operation.name.clone()));
    }
    tracing::info!(
        "restarting the server: it has not looked at the changed location within {} s",
        VALIDATION.as_secs()
    );
    let is_server = |pod: &&Pod| {
        pod.metadata.deletion_timestamp.is_none() && pod.labels().get("deploy").is_some_and(|name| name == SERVER)
    };
    for pod in observed.pods.iter().filter(is_server) {
        cluster.delete(&cluster.own(named("v1", "Pod", &pod.name_any()))).await?;
    }
    Ok(Restart::Done)
}

/// Looks up the name in a store's address, as the server has to. Returns why it cannot be found; nothing where it can, or there
/// is no name in it.
pub(crate) async fn failed_lookup(store: &str) -> Option<String> {
    let address = Url::parse(store).ok()?;
    let Some(Host::Domain(name)) = address.host() else { return None };
    let port = address.port_or_known_default()?;
    let lookup = timeout(LOOKUP, lookup_host((name, port))).await.ok()?;
    lookup.err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_name_that_cannot_be_found_is_told() {
        // No such name is ever given to anybody (RFC 6761).
        assert!(failed_lookup("http://store.invalid:9000").await.is_some());
        for found in ["http://localhost:9000", "http://127.0.0.1:9000", "https://[::1]", "bucket backups in eu-west-3"]
        {
            assert_eq!(failed_lookup(found).await, None, "{found}");
        }
    }
}
