//! What applications declare of their backups: each in a relation, or several in a list.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    backups::{Declaration, SpecId},
    contract::endpoint,
    snapshot::{Relation, Snapshot},
};

/// The key of the list of the interface `k8s_backup_target`.
const TARGETS: &str = "backup_targets";

/// What all applications declare.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Declarations {
    pub declarations: Vec<Declaration>,
    /// The numbers of relations of which it is not known what they declare, and why, if anybody can do something about it.
    pub unknown: BTreeMap<u32, Option<String>>,
}

/// Returns what all applications declare.
pub(crate) fn declarations(snapshot: &Snapshot) -> Declarations {
    let mut declared = Declarations::default();
    for relation in snapshot.relations(endpoint::VELERO_BACKUPS) {
        declared.read(relation, |number, related| {
            let id = SpecId { relation: number, position: 0 };
            // It may stay empty until the other side knows itself what to declare.
            let is_empty = ["app", "relation_name", "spec"].iter().all(|key| relation.theirs.get(key).is_none());
            let declaration = || Declaration::of_texts(id, related, |key| relation.theirs.get(key));
            Ok((!is_empty).then(declaration).into_iter().collect())
        });
    }
    for relation in snapshot.relations(endpoint::K8S_BACKUP_TARGET) {
        declared.read(relation, |number, related| {
            let Some(text) = relation.theirs.get(TARGETS) else { return Ok(Vec::new()) };
            let entries: Vec<Value> = serde_json::from_str(text).map_err(|_| {
                format!("the backup specs of {related}, relation {number}: {TARGETS} is not a JSON list")
            })?;
            let id = |position| SpecId { relation: number, position };
            let declaration = |(position, entry)| Declaration::of_entry(id(position), related, entry);
            Ok(entries.iter().enumerate().map(declaration).collect())
        });
    }
    declared
}

impl Declarations {
    /// Adds what a relation declares, which `read` finds out of its number and the name of the application on its other side.
    fn read(&mut self, relation: &Relation, read: impl FnOnce(u32, &str) -> Result<Vec<Declaration>, String>) {
        let Ok(number) = relation.id.number().parse() else { return };
        // Nothing could be read where Juju does not know the other side any more.
        let Some(related) = &relation.remote else {
            self.unknown.insert(number, None);
            return;
        };
        match read(number, related) {
            Ok(declarations) => self.declarations.extend(declarations),
            Err(problem) => {
                self.unknown.insert(number, Some(problem));
            }
        }
    }
}
