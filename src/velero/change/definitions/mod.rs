//! Velero's CustomResourceDefinitions, which all Veleros of a cluster share.

mod due;

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt, future::try_join_all, pin_mut};
use jiff::Timestamp;
use kube::{
    Api, ResourceExt,
    api::DynamicObject,
    runtime::{
        WatchStreamExt,
        wait::await_condition,
        watcher::{self, watcher},
    },
};
use tokio::time::timeout;

use super::applied::Applied;
use crate::{
    cluster::{Cluster, ClusterError},
    status::Status,
    velero::{
        names::{COMPONENT_SELECTOR, definition_kind},
        wanted::Version,
    },
};

/// How long a hook waits for definitions to be deleted, or to be ready for objects.
const PATIENCE: Duration = Duration::from_secs(20);
/// A definition that is terminating for longer than this is held by something that waiting does not change.
const TERMINATION: Duration = Duration::from_mins(1);

/// Applies the CustomResourceDefinitions. `heads` is the metadata of those that there are. Returns what to wait for, or
/// to mend, where the server cannot use them yet: then nothing else must be applied.
pub(crate) async fn apply(
    cluster: &Cluster,
    desired: &[DynamicObject],
    heads: &[DynamicObject],
    applied: &mut Applied,
) -> Result<Option<Status>, ClusterError> {
    // Together they are hundreds of kilobytes. As a whole is read only what may not be as it was applied.
    let doubtful: Vec<_> = desired.iter().filter(|desired| !due::is_as_applied(heads, desired)).collect();
    let live = try_join_all(doubtful.iter().map(|definition| cluster.find(definition))).await?;
    let live: Vec<_> = live.into_iter().flatten().collect();
    let due = due::due(doubtful, &live);
    let told = if due.newer.is_empty() { desired } else { &live };
    applied.definitions = told.iter().filter_map(due::version).max();
    if !due.newer.is_empty() {
        tracing::info!("a newer Velero of the cluster has brought {}: they stay as they are", due.newer.join(", "));
    }
    if let Some(due::Unclear { name, has, lacks }) = due.unclear.first() {
        tracing::info!("CustomResourceDefinition {name} has {has}, which Velero here does not know, and lacks {lacks}");
        return Ok(Some(Status::Blocked(format!(
            "CustomResourceDefinition {name} lacks {lacks} and has {has}, so it is unclear which Velero it is from: apply those of \
             the cluster's newest Velero with its velero install --crds-only"
        ))));
    }
    for name in &due.terminating {
        if is_stuck(&live, name) || !is_gone(cluster, name).await? {
            let message = format!("for CustomResourceDefinition {name} to be deleted, to make it anew");
            return Ok(Some(Status::Waiting(message)));
        }
    }
    cluster
        .adopt_predecessors_fields(
            live.iter().filter(|live| due.apply.iter().any(|due| due.metadata.name == live.metadata.name)),
        )
        .await?;
    let made = try_join_all(due.apply.iter().map(|definition| cluster.apply(definition))).await?;
    let mut pending: BTreeSet<_> =
        made.iter().filter(|made| !is_established(made)).map(ResourceExt::name_any).collect();
    establish(cluster, &mut pending).await;
    if let Some(name) = pending.first() {
        let message = format!("for CustomResourceDefinition {name} to be established");
        return Ok(Some(Status::Waiting(message)));
    }
    if !made.is_empty() {
        applied.changed.push(format!("{} CustomResourceDefinitions", made.len()));
    }
    Ok(None)
}

/// Returns the release of the live definitions, as far as they say it; nothing is changed. `heads` are those that have
/// Velero's label.
pub(crate) async fn release(
    cluster: &Cluster,
    desired: &[DynamicObject],
    heads: &[DynamicObject],
) -> Result<Option<Version>, ClusterError> {
    let unlabelled =
        desired.iter().filter(|desired| !heads.iter().any(|head| head.metadata.name == desired.metadata.name));
    let found = try_join_all(unlabelled.map(|definition| cluster.find_metadata(definition))).await?;
    Ok(heads.iter().chain(found.iter().flatten()).filter_map(due::version).max())
}

fn api(cluster: &Cluster) -> Api<DynamicObject> {
    cluster.everywhere(&definition_kind())
}

/// Whether a definition is being deleted for longer than that takes.
fn is_stuck(live: &[DynamicObject], name: &str) -> bool {
    let definition = live.iter().find(|live| live.name_any() == name);
    let since = definition.and_then(|live| live.metadata.deletion_timestamp.as_ref());
    since.is_some_and(|since| Timestamp::now() >= since.0 + TERMINATION)
}

/// Watches a definition that is being deleted. Returns whether it is gone in time.
async fn is_gone(cluster: &Cluster, name: &str) -> Result<bool, ClusterError> {
    let gone = await_condition(api(cluster), name, |live: Option<&DynamicObject>| live.is_none());
    match timeout(PATIENCE, gone).await {
        Ok(Ok(_)) => Ok(true),
        Ok(Err(error)) => {
            tracing::debug!("cannot watch CustomResourceDefinition {name}: {error}");
            Ok(false)
        }
        Err(_) => Ok(false),
    }
}

/// Watches until definitions are established, and takes them off `pending`, or until the time is over.
async fn establish(cluster: &Cluster, pending: &mut BTreeSet<String>) {
    if pending.is_empty() {
        return;
    }
    let labelled = watcher::Config::default().labels(COMPONENT_SELECTOR);
    let changes = watcher(api(cluster), labelled).default_backoff().applied_objects();
    pin_mut!(changes);
    let becoming = async {
        while let Some(change) = changes.next().await {
            match change {
                Ok(definition) if is_established(&definition) => {
                    pending.remove(&definition.name_any());
                }
                Ok(_) => {}
                Err(error) => tracing::debug!("cannot watch CustomResourceDefinitions: {error}"),
            }
            if pending.is_empty() {
                break;
            }
        }
    };
    // Those that are left say how it went.
    let _ = timeout(PATIENCE, becoming).await;
}

fn is_established(definition: &DynamicObject) -> bool {
    let conditions = definition.data["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Established" && condition["status"] == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        cluster::{named, test_api::TestApi},
        velero::names::VERSION_ANNOTATION,
    };

    fn definition() -> DynamicObject {
        named("apiextensions.k8s.io/v1", "CustomResourceDefinition", "backups.velero.io")
    }

    #[test]
    fn one_that_is_deleted_for_long_is_stuck() {
        let since = |age: Option<Duration>| {
            let mut live = definition();
            let since = age.map(|age| json!((Timestamp::now() - age).to_string()));
            live.metadata.deletion_timestamp = serde_json::from_value(json!(since)).unwrap();
            [live]
        };
        assert!(is_stuck(&since(Some(TERMINATION)), "backups.velero.io"));
        assert!(!is_stuck(&since(Some(TERMINATION)), "restores.velero.io"));
        assert!(!is_stuck(&since(Some(TERMINATION / 2)), "backups.velero.io"));
        assert!(!is_stuck(&since(None), "backups.velero.io"));
    }

    #[test]
    fn one_is_established_when_the_cluster_says_so() {
        for (kind, status, established) in
            [("Established", "True", true), ("Established", "False", false), ("NamesAccepted", "True", false)]
        {
            let mut live = definition();
            live.data = json!({"status": {"conditions": [{"type": kind, "status": status}]}});
            assert_eq!(is_established(&live), established, "{kind} {status}");
        }
        assert!(!is_established(&definition()));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_being_deleted_is_waited_for_and_not_without_end() {
        let api = TestApi::new();
        let cluster = api.cluster("velero");
        assert!(is_gone(&cluster, "backups.velero.io").await.unwrap());
        api.define("v1", "Backup");
        assert!(!is_gone(&cluster, "backups.velero.io").await.unwrap());
        api.refuse(|_| Some(http::StatusCode::FORBIDDEN));
        assert!(!is_gone(&cluster, "backups.velero.io").await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_are_established_meanwhile_are_not_waited_for() {
        let api = TestApi::new();
        let put = |name: &str, status: &str| {
            api.put(&json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": name, "labels": {"component": "velero"}},
                "status": {"conditions": [{"type": "Established", "status": status}]}}));
        };
        put("backups.velero.io", "True");
        put("restores.velero.io", "False");
        let mut pending = BTreeSet::from(["backups.velero.io", "restores.velero.io"].map(str::to_owned));
        establish(&api.cluster("velero"), &mut pending).await;
        assert_eq!(pending, BTreeSet::from(["restores.velero.io".to_owned()]));
    }

    fn with_versions() -> DynamicObject {
        let mut desired = definition();
        desired.labels_mut().insert("component".to_owned(), "velero".to_owned());
        desired.data = json!({"spec": {"group": "velero.io", "names": {"kind": "Backup", "plural": "backups"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}});
        desired
    }

    async fn apply_one(api: &TestApi) -> (Option<Status>, Applied) {
        let mut applied = Applied::default();
        let status = apply(&api.cluster("velero"), &[with_versions()], &[], &mut applied).await.unwrap();
        (status, applied)
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_stuck_is_not_waited_for() {
        let api = TestApi::new();
        let mut live = serde_json::to_value(with_versions()).unwrap();
        live["metadata"]["finalizers"] = json!(["somebodys"]);
        live["metadata"]["deletionTimestamp"] = json!("2026-01-31T10:20:30Z");
        api.put(&live);
        let begun = tokio::time::Instant::now();
        let (status, applied) = apply_one(&api).await;
        let message = "for CustomResourceDefinition backups.velero.io to be deleted, to make it anew";
        assert_eq!(status, Some(Status::Waiting(message.to_owned())));
        assert!(applied.changed.is_empty() && begun.elapsed() < PATIENCE);
        live["metadata"]["deletionTimestamp"] = json!(Timestamp::now().to_string());
        api.put(&live);
        let begun = tokio::time::Instant::now();
        assert_eq!(apply_one(&api).await.0, Some(Status::Waiting(message.to_owned())));
        assert!(begun.elapsed() >= PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_applied_has_to_be_established() {
        for (status, is_waited_for) in [("False", true), ("True", false)] {
            let api = TestApi::new();
            api.rewrite(move |object| {
                object["status"]["conditions"] = json!([{"type": "Established", "status": status}]);
            });
            let begun = tokio::time::Instant::now();
            let (outcome, applied) = apply_one(&api).await;
            let message = "for CustomResourceDefinition backups.velero.io to be established";
            assert_eq!(outcome, is_waited_for.then(|| Status::Waiting(message.to_owned())));
            assert_eq!(applied.changed.is_empty(), is_waited_for);
            assert_eq!(begun.elapsed() >= PATIENCE, is_waited_for);
            let watches = api.requests().iter().filter(|request| request.contains("watch=true")).count();
            assert_eq!(watches > 0, is_waited_for);
        }
    }

    #[tokio::test]
    async fn the_newest_definition_tells_the_release_also_without_the_label() {
        let of_release = |name: &str, version: &str| {
            let mut live = named("apiextensions.k8s.io/v1", "CustomResourceDefinition", name);
            live.annotations_mut().insert(VERSION_ANNOTATION.to_owned(), version.to_owned());
            live
        };
        let (older, newer) = (of_release("backups.velero.io", "1.17.0"), of_release("restores.velero.io", "1.18.3"));
        let api = TestApi::new();
        api.put_all(&[serde_json::to_value(&older).unwrap(), serde_json::to_value(&newer).unwrap()]);
        let desired = [older.clone(), newer];
        let found = release(&api.cluster("velero"), &desired, &[older]).await.unwrap();
        assert_eq!(found.map(|version| version.to_string()).as_deref(), Some("1.18.3"));
    }
}
