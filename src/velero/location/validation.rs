//! Having the server validate a location again.

use std::time::Duration;

use jiff::Timestamp;
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
            restart::Restart,
            watch,
        },
    },
};

/// How long to wait for a validation: until a store that does not answer counts as silent, and a moment more.
const PATIENCE: Duration = VALIDATION.saturating_add(Duration::from_secs(1));

/// How long the cluster may take to tell a server to end.
const TOLD_TO_END: Duration = Duration::from_secs(5);

/// How long a server that hangs may take to end.
const LAST_WORDS: Duration = Duration::from_secs(1);

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

/// A location of which a server has said something since its last change.
#[derive(Debug)]
pub(crate) struct Validated {
    pub location: DynamicObject,
    /// Whether it is surely about the change.
    pub surely: bool,
}

/// Waits until a validation has ended since the status was marked; `None` when the deadline comes first, or the store does not
/// answer.
pub(crate) async fn ended(
    cluster: &Cluster,
    expected: &Expected,
    deadline: Instant,
) -> Result<Option<Validated>, ClusterError> {
    let deadline = deadline.min(Instant::now() + PATIENCE);
    let observed = watch::until(cluster, expected, deadline, assess).await?;
    let surely = readiness::began_with_it(&observed);
    Ok(observed.location.filter(has_ended).map(|location| Validated { location, surely }))
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

/// Whether a server is restarted that has said nothing of the location.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum DueRestart {
    /// No: it would help nothing, or not yet.
    None,
    /// Yes, but it also works on a backup or a restore: what the unit waits for.
    Postponed(String),
    /// Yes.
    Now(Restart),
}

/// Returns whether a server is to be restarted that has said nothing of the location.
pub(crate) async fn due_restart(cluster: &Cluster, expected: &Expected) -> Result<DueRestart, ClusterError> {
    let observed = observed::read(cluster, expected).await?;
    let Some(restart) = readiness::due_restart(&observed) else { return Ok(DueRestart::None) };
    Ok(match operations_in_progress(cluster).await?.first() {
        Some(operation) => DueRestart::Postponed(operation.holds("to restart Velero", Timestamp::now())),
        None => DueRestart::Now(restart),
    })
}

/// Restarts the server. One that hangs takes all the time to end that it is given, and is at work on nothing: it is killed, so that
/// the next one begins, which it does only then.
pub(crate) async fn restart(cluster: &Cluster, expected: &Expected, restart: Restart) -> Result<(), ClusterError> {
    tracing::info!("restarting the server: it has said nothing of the storage location for {} s", VALIDATION.as_secs());
    let hanging = observed::read(cluster, expected).await?.pods;
    let hanging: Vec<_> = readiness::staying_servers(&hanging).map(ResourceExt::name_any).collect();
    cluster.merge(&cluster.own(named("apps/v1", "Deployment", SERVER)), &restart.patch()).await?;
    let stays = |_: &Expected, observed: &Observed| {
        let stays = readiness::staying_servers(&observed.pods).any(|pod| hanging.contains(&pod.name_any()));
        stays.then_some(Trouble::NotValidated { silent_from: None }).into_iter().collect()
    };
    let observed = watch::until(cluster, expected, Instant::now() + TOLD_TO_END, stays).await?;
    let ending = observed.pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_some());
    for pod in ending.map(ResourceExt::name_any).filter(|name| hanging.contains(name)) {
        cluster.delete_within(&cluster.own(named("v1", "Pod", &pod)), LAST_WORDS).await?;
    }
    Ok(())
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
