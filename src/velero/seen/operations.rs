//! The backups and restores in progress.

use crate::{
    cluster::{Cluster, ClusterError},
    velero::names::velero_kind,
};

/// A backup or a restore that the server has begun and not ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Operation {
    /// As messages name it: `backup nightly`.
    pub name: String,
    /// Whether another server could not go on with it: it marks what it finds in progress as failed (see
    /// `markInProgress…Failed` in Velero's server), and knows nothing of the hooks that a restore runs as its last part.
    pub needs_this_server: bool,
}

impl Operation {
    fn of(word: &str, name: &str, phase: &str) -> Option<Self> {
        let begun = [
            "InProgress",
            "WaitingForPluginOperations",
            "WaitingForPluginOperationsPartiallyFailed",
            "Finalizing",
            "FinalizingPartiallyFailed",
        ];
        let runs_hooks = word == "restore" && phase.starts_with("Finalizing");
        begun
            .contains(&phase)
            .then(|| Self { name: format!("{word} {name}"), needs_this_server: phase == "InProgress" || runs_hooks })
    }
}

/// The backups and restores in progress. They need the server and the node agent, and the storage location as it was when they
/// began.
pub(crate) async fn operations_in_progress(cluster: &Cluster) -> Result<Vec<Operation>, ClusterError> {
    let mut operations = Vec::new();
    for (kind, word) in [("Backup", "backup"), ("Restore", "restore")] {
        let api = cluster.here(&velero_kind("v1", kind));
        for object in cluster.list(&api, &format!("the {word}s"), "").await? {
            let phase = object.data.pointer("/status/phase").and_then(|phase| phase.as_str()).unwrap_or_default();
            operations.extend(Operation::of(word, object.metadata.name.as_deref().unwrap_or_default(), phase));
        }
    }
    Ok(operations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_or_not_begun_needs_nothing() {
        for phase in ["", "New", "Queued", "ReadyToStart", "Completed", "Failed", "PartiallyFailed", "FailedValidation"]
        {
            assert_eq!(Operation::of("backup", "nightly", phase), None, "{phase}");
        }
    }

    #[test]
    fn another_server_goes_on_with_the_last_part_of_a_backup_but_not_of_a_restore() {
        let nightly = Operation::of("backup", "nightly", "InProgress").unwrap();
        assert_eq!((nightly.name.as_str(), nightly.needs_this_server), ("backup nightly", true));
        for (word, phase, needs_this_server) in [
            ("backup", "WaitingForPluginOperations", false),
            ("backup", "Finalizing", false),
            ("restore", "InProgress", true),
            ("restore", "WaitingForPluginOperationsPartiallyFailed", false),
            ("restore", "FinalizingPartiallyFailed", true),
        ] {
            let operation = Operation::of(word, "nightly", phase).unwrap();
            assert_eq!(operation.needs_this_server, needs_this_server, "{word} {phase}");
        }
    }
}
