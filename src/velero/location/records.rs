//! What the cluster knows of a storage location's content: objects that Velero makes from what is in the store.
//!
//! A `Backup` that has ended and a `BackupRepository` stand for something in the object store, and the server makes them again from
//! it. When the location points elsewhere they are about another place, and the server would not notice: a backup of the same name
//! in the new place is taken for the old one, and a repository counts as not ready for a while, which fails backups of volumes.
//! So they are deleted first, as `velero backup-location delete` does. Nothing in the store is: when the location points there
//! again, the server finds its backups within a minute or two.

use futures::future::try_join_all;
use kube::{ResourceExt, api::DynamicObject};

use crate::{
    cluster::{Cluster, ClusterError},
    velero::names::{LOCATION, velero_kind},
};

/// Deletes the objects of what is in the store, backups and repositories.
pub(crate) async fn forget_all(cluster: &Cluster) -> Result<(), ClusterError> {
    forget(cluster, "Backup", has_ended).await?;
    forget_repositories(cluster).await
}

/// Deletes the objects of the repositories alone: the backups of the place stay what they are.
pub(crate) async fn forget_repositories(cluster: &Cluster) -> Result<(), ClusterError> {
    forget(cluster, "BackupRepository", |_| true).await
}

async fn forget(cluster: &Cluster, kind: &str, which: impl Fn(&DynamicObject) -> bool) -> Result<(), ClusterError> {
    let kind = velero_kind("v1", kind);
    let selector = format!("velero.io/storage-location={LOCATION}");
    let mut objects = cluster.list(&cluster.here(&kind), &format!("objects of kind {}", kind.kind), &selector).await?;
    objects.retain(which);
    for object in &mut objects {
        object.types = Some(kind.clone());
    }
    try_join_all(objects.iter().map(|object| cluster.delete(object))).await?;
    if !objects.is_empty() {
        let names: Vec<_> = objects.iter().map(ResourceExt::name_any).collect();
        tracing::info!("the location changes: forgot {} {}, which the store still has", kind.kind, names.join(", "));
    }
    Ok(())
}

/// Others are not in a store yet: they are going to be made in the new place, or say why they were never begun.
fn has_ended(backup: &DynamicObject) -> bool {
    let phase = backup.data.pointer("/status/phase").and_then(|phase| phase.as_str());
    matches!(phase, Some("Completed" | "PartiallyFailed" | "Failed"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_backups_that_have_ended_are_shadows_of_the_store() {
        let backup = |phase: &str| {
            let object = json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": "nightly"},
                "status": {"phase": phase}});
            serde_json::from_value::<DynamicObject>(object).unwrap()
        };
        for (phase, ended) in [("Completed", true), ("Failed", true), ("InProgress", false), ("New", false)] {
            assert_eq!(has_ended(&backup(phase)), ended, "{phase}");
        }
    }
}
