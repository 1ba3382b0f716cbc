//! What the cluster knows of a storage location's content: objects that Velero makes from what is in the store.
//!
//! A `Backup` that has ended and a `BackupRepository` stand for something in the object store, and the server makes them again from
//! it. When the location points elsewhere they are about another place, and the server would not notice: a backup of the same name
//! in the new place is taken for the old one, and a repository counts as not ready for a while, which fails backups of volumes.
//! So they are deleted, as `velero backup-location delete` does, at the latest before there is a location again. Nothing in the
//! store is: when the location points there again, the server finds its backups within a minute or two.
//!
//! The API server takes some milliseconds for each. So one hook has a limit for it, and the next one goes on.

use std::time::Duration;

use futures::future::try_join;
use jiff::Timestamp;
use tokio::time::timeout;

use crate::{
    cluster::{Cluster, ClusterError, Deletable, Head, MetadataOnly},
    velero::{
        names::{LOCATION, velero_kind},
        phase::Phase,
        seen::operations::Run,
    },
};

/// Deletes the objects of what is in the store, backups and repositories, for as long as `limit`. Returns whether none is left.
///
/// A server may be reading the store while the location changes. The records that it then makes are of the former place: call
/// this again after the change.
pub(crate) async fn forget_all(cluster: &Cluster, limit: Duration) -> Result<bool, ClusterError> {
    forget_made_since(cluster, Timestamp::MIN, limit).await
}

/// Does what [`forget_all`] does with the objects that were made at that time or later.
pub(crate) async fn forget_made_since(
    cluster: &Cluster,
    since: Timestamp,
    limit: Duration,
) -> Result<bool, ClusterError> {
    let is_of_then = |head: &Head| head.creation_timestamp.is_some_and(|made| made >= since);
    let backups = forget(cluster, "Backup", |backup: &Run| is_of_then(&backup.metadata) && is_in_store(backup));
    let repositories =
        forget(cluster, "BackupRepository", |repository: &MetadataOnly| is_of_then(&repository.metadata));
    let Ok(outcome) = timeout(limit, try_join(backups, repositories)).await else {
        tracing::info!("the records of the former storage are many: the next hook goes on with deleting them");
        return Ok(false);
    };
    outcome.map(|((), ())| true)
}

/// Deletes the objects of the repositories alone: the backups of the place stay what they are.
pub(crate) async fn forget_repositories(cluster: &Cluster) -> Result<(), ClusterError> {
    forget(cluster, "BackupRepository", |_: &MetadataOnly| true).await
}

async fn forget<T: Deletable>(cluster: &Cluster, kind: &str, which: impl Fn(&T) -> bool) -> Result<(), ClusterError> {
    let api = cluster.here(&velero_kind("v1", kind));
    let selector = format!("velero.io/storage-location={LOCATION}");
    let forgotten = cluster.delete_where(&api, &format!("objects of kind {kind}"), &selector, which).await?;
    if forgotten.count > 0 {
        tracing::info!("the location changes: forgot {} of kind {kind}, which the store still has", forgotten.count);
    }
    Ok(())
}

/// Whether a backup is in the store, or was.
fn is_in_store(backup: &Run) -> bool {
    match backup.status.phase {
        Phase::Completed | Phase::PartiallyFailed | Phase::Deleting => true,
        // One that failed before it was uploaded is nowhere else: the server keeps it too. The server has brought those from the
        // store that are made later than they ended.
        Phase::Failed => {
            let (made, ended) = (backup.metadata.creation_timestamp, backup.status.completion_timestamp);
            made.zip(ended).is_some_and(|(made, ended)| made > ended)
        }
        // Unfinished backups are not in any store yet.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::test_api::{TestApi, Verb};

    const LIMIT: Duration = Duration::from_mins(1);
    const MADE: &str = "2026-01-31T10:20:30Z";

    fn backup(name: &str, location: &str, status: &Value) -> Value {
        let metadata = json!({"name": name, "namespace": "velero", "creationTimestamp": MADE,
            "labels": {"velero.io/storage-location": location}});
        json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": metadata, "status": status})
    }

    fn repository(name: &str) -> Value {
        let metadata = json!({"name": name, "namespace": "velero", "labels": {"velero.io/storage-location": LOCATION}});
        json!({"apiVersion": "velero.io/v1", "kind": "BackupRepository", "metadata": metadata})
    }

    fn cluster_with(objects: &[Value]) -> TestApi {
        let api = TestApi::new();
        api.define("v1", "Backup");
        api.define("v1", "BackupRepository");
        api.put_all(objects);
        api
    }

    fn left(api: &TestApi) -> Vec<String> {
        let mut names = api.names();
        names.retain(|name| !name.starts_with("CustomResourceDefinition"));
        names
    }

    #[tokio::test]
    async fn only_backups_that_are_in_the_store_are_forgotten() {
        let status = |phase: &str| json!({"phase": phase});
        let api = cluster_with(&[
            backup("done", LOCATION, &status("Completed")),
            backup("partly", LOCATION, &status("PartiallyFailed")),
            backup("going", LOCATION, &status("Deleting")),
            backup(
                "failed-there",
                LOCATION,
                &json!({"phase": "Failed", "completionTimestamp": "2026-01-30T00:00:00Z"}),
            ),
            backup("failed-here", LOCATION, &json!({"phase": "Failed", "completionTimestamp": "2026-01-31T10:21:00Z"})),
            backup("failed-then", LOCATION, &json!({"phase": "Failed", "completionTimestamp": MADE})),
            backup("failed-untold", LOCATION, &status("Failed")),
            backup("running", LOCATION, &status("InProgress")),
            backup("unknown", LOCATION, &status("OfTheFuture")),
            backup("new", LOCATION, &json!({})),
            backup("elsewhere", "another", &status("Completed")),
            repository("kopia"),
        ]);
        assert!(forget_all(&api.cluster("velero"), LIMIT).await.unwrap());
        let kept = ["elsewhere", "failed-here", "failed-then", "failed-untold", "new", "running", "unknown"];
        assert_eq!(left(&api), kept.map(|name| format!("Backup {name}")));
    }

    #[tokio::test]
    async fn repositories_are_forgotten_without_their_backups() {
        let api = cluster_with(&[backup("done", LOCATION, &json!({"phase": "Completed"})), repository("kopia")]);
        forget_repositories(&api.cluster("velero")).await.unwrap();
        assert_eq!(left(&api), ["Backup done"]);
    }

    #[tokio::test]
    async fn killed_at_any_request_the_next_run_reaches_the_same_end() {
        let mut objects: Vec<_> = (0..520)
            .map(|number| backup(&format!("b-{number:03}"), LOCATION, &json!({"phase": "Completed"})))
            .collect();
        objects[515]["status"]["phase"] = json!("New");
        objects.extend(["a", "b"].map(repository));
        for requests in 0.. {
            let api = cluster_with(&objects);
            let cluster = api.cluster("velero");
            let ended = api.killed_after(requests, forget_all(&cluster, LIMIT)).await.is_some();
            assert!(forget_all(&cluster, LIMIT).await.unwrap());
            assert_eq!(left(&api), ["Backup b-515"], "killed after {requests} requests");
            if ended {
                assert!(requests > 20, "only {requests} requests");
                return;
            }
        }
    }

    #[tokio::test]
    async fn many_are_forgotten_by_a_request_for_each_page() {
        let objects: Vec<_> = (0..2_000)
            .map(|number| backup(&format!("b-{number:04}"), LOCATION, &json!({"phase": "Completed"})))
            .collect();
        let api = cluster_with(&objects);
        assert!(forget_all(&api.cluster("velero"), LIMIT).await.unwrap());
        assert_eq!(left(&api), Vec::<String>::new());
        let requests = api.requests().len();
        assert!(requests < 12, "{requests} requests");
    }

    #[tokio::test]
    async fn what_is_too_much_for_one_run_is_left_for_the_next() {
        let api = cluster_with(&[backup("done", LOCATION, &json!({"phase": "Completed"})), repository("kopia")]);
        api.keep_silent(|call| call.verb == Verb::DeleteCollection && call.key.plural == "backuprepositories");
        assert!(!forget_all(&api.cluster("velero"), Duration::from_millis(100)).await.unwrap());
        assert_eq!(left(&api), ["BackupRepository kopia"]);
        api.refuse_nothing();
        assert!(forget_all(&api.cluster("velero"), LIMIT).await.unwrap());
        assert_eq!(left(&api), Vec::<String>::new());
    }
}
