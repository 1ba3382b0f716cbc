//! What the charm publishes and reads in its relations, by the rules of their interfaces.

mod azure;
mod backups;
mod gcs;
mod interface;
mod s3;
mod storage;

use std::collections::BTreeMap;

use crate::{juju::RelationId, snapshot::Snapshot};

pub(crate) use backups::{Declarations, declarations};
pub(crate) use interface::FieldSource;
pub(crate) use storage::{
    STORAGE_INTERFACES, StorageRelation, need_provider_ids, storage_endpoints, storage_relations,
};

/// What the charm still has to publish in a relation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Publication {
    pub relation: RelationId,
    /// The values by their keys, of those that are not published yet.
    pub values: BTreeMap<&'static str, String>,
}

/// Returns what the charm still has to publish. Only the leader may do it.
pub(crate) fn publications(snapshot: &Snapshot) -> Vec<Publication> {
    if !snapshot.leader {
        return Vec::new();
    }
    storage::requests(snapshot)
        .map(|(relation, wanted)| Publication {
            relation: relation.id.clone(),
            values: relation.ours.missing_from(&wanted),
        })
        .filter(|publication| !publication.values.is_empty())
        .collect()
}

#[cfg(test)]
mod databag_tests;
