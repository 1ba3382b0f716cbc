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

/// Restarts the server. One that hangs takes all the time to end that it is given, and is at work on nothing: it has little, so
/// that it has ended when the next one begins.
pub(crate) async fn restart(cluster: &Cluster, expected: &Expected, restart: Restart) -> Result<(), ClusterError> {
    tracing::info!("restarting the server: it has said nothing of the storage location for {} s", VALIDATION.as_secs());
    // What a hook that is killed leaves noted and not done comes after a pause.
    cluster.merge(&cluster.own(named("apps/v1", "Deployment", SERVER)), &restart.note()).await?;
    for pod in readiness::staying_servers(&observed::read(cluster, expected).await?.pods) {
        cluster.delete_within(&cluster.own(named("v1", "Pod", &pod.name_any())), LAST_WORDS).await?;
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
    use jiff::SignedDuration;
    use serde_json::Value;

    use super::*;
    use crate::{
        cluster::{FIELD_MANAGER, test_api::TestApi},
        velero::seen::expected::ExpectedManifest,
    };

    fn ago(seconds: i64) -> String {
        (Timestamp::now() - SignedDuration::from_secs(seconds)).to_string()
    }

    /// A cluster whose server runs for two minutes and has said nothing of a location that was changed a minute ago.
    fn silent() -> TestApi {
        let api = TestApi::new();
        for kind in ["Backup", "Restore", "DeleteBackupRequest", "BackupStorageLocation"] {
            api.define("v1", kind);
        }
        let labels = json!({"component": "velero", "deploy": "velero"});
        api.put_all(&[
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "velero", "namespace": "velero"},
                "spec": {"selector": {}, "template": {"metadata": {"labels": labels}}}}),
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "velero-1", "namespace": "velero",
                "labels": labels}, "status": {"containerStatuses": [{"name": "velero", "image": "", "imageID": "",
                "ready": true, "restartCount": 0, "state": {"running": {"startedAt": ago(120)}}}]}}),
            json!({"apiVersion": "velero.io/v1", "kind": "BackupStorageLocation", "metadata": {"name": "default",
                "namespace": "velero", "managedFields": [{"manager": FIELD_MANAGER, "operation": "Apply", "time": ago(60)}]},
                "status": {"phase": "Available", "message": TO_BE_VALIDATED}}),
        ]);
        api
    }

    async fn due(api: &TestApi) -> DueRestart {
        let expected = Expected { server: ExpectedManifest::Any, node_agent: None, location: true };
        due_restart(&api.cluster("velero"), &expected).await.unwrap()
    }

    fn backup(phase: &str) -> Value {
        json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": "nightly", "namespace": "velero"},
            "status": {"phase": phase, "startTimestamp": ago(30)}})
    }

    #[tokio::test]
    async fn a_server_is_restarted_once_for_a_change_and_not_beside_a_backup() {
        let api = silent();
        api.put(&backup("InProgress"));
        let postponed = "to restart Velero until backup nightly has ended".to_owned();
        assert_eq!(due(&api).await, DueRestart::Postponed(postponed));
        api.put(&backup("Completed"));
        let DueRestart::Now(restart) = due(&api).await else { panic!("no restart is due") };
        let deployment = named("apps/v1", "Deployment", SERVER);
        let cluster = api.cluster("velero");
        cluster.merge(&cluster.own(deployment), &restart.note()).await.unwrap();
        assert_eq!(due(&api).await, DueRestart::None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_gets_some_time_and_no_more() {
        let expected = Expected { server: ExpectedManifest::Any, node_agent: None, location: true };
        let begun = Instant::now();
        let heard = ended(&silent().cluster("velero"), &expected, begun + 10 * PATIENCE).await.unwrap();
        assert!(heard.is_none());
        assert!((PATIENCE..2 * PATIENCE).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_restart_is_noted_and_ends_the_pods_of_the_server() {
        let api = silent();
        let DueRestart::Now(due) = due(&api).await else { panic!("no restart is due") };
        let expected = Expected { server: ExpectedManifest::Any, node_agent: None, location: true };
        restart(&api.cluster("velero"), &expected, due).await.unwrap();
        assert!(api.object("Pod", "velero-1").is_none());
        let annotations = &api.object("Deployment", "velero").unwrap()["metadata"]["annotations"];
        assert_eq!(*annotations, due.note()["metadata"]["annotations"]);
    }

    #[test]
    fn a_validation_is_waited_for_until_the_server_has_said_something() {
        let observed = |status: &Value| {
            let mut location = crate::cluster::named("velero.io/v1", "BackupStorageLocation", "default");
            location.data = json!({"status": status});
            Observed { location: Some(location), ..Observed::of_pods(Vec::new()) }
        };
        let expected = Expected { server: ExpectedManifest::Any, node_agent: None, location: true };
        assert_eq!(assess(&expected, &observed(&json!({"lastValidationTime": "2026-01-31T10:20:30Z"}))), []);
        let troubles = assess(&expected, &observed(&json!({})));
        assert_eq!(troubles.last(), Some(&Trouble::NotValidated { silent_from: None }));
    }

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
