//! Which relations there are, as a unit remembers it between its hooks.
//!
//! A relation comes and goes with hooks of its own, and neither its id nor the application on its other side ever
//! changes. So the hook that comes although nothing has happened, `update-status`, asks for neither. All others ask,
//! and keep the answers as the unit's state, which Juju takes over only from a hook that ends well.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Reader, Relation, SnapshotError, failed};
use crate::{
    contract::EndpointSpec,
    juju::{Databag, RelationId},
};

/// The key in the unit's state.
const KEY: &str = "relations";

/// The relations of the endpoints that were asked for, by the endpoint.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct KnownRelations(BTreeMap<String, Vec<KnownRelation>>);

/// What does not change of a relation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct KnownRelation {
    id: String,
    remote: Option<String>,
}

impl KnownRelations {
    /// Reads what was kept; nothing of what another revision of the charm may have kept.
    pub(super) fn recall(state: &BTreeMap<String, String>) -> Self {
        state.get(KEY).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// Notes which relations an endpoint has.
    pub(super) fn note(&mut self, endpoint: &EndpointSpec, relations: &[Relation]) {
        let known =
            |relation: &Relation| KnownRelation { id: relation.id.to_string(), remote: relation.remote.clone() };
        self.0.insert(endpoint.name.to_owned(), relations.iter().map(known).collect());
    }

    /// Returns whether it is known that an endpoint has no relation, or that it has some.
    pub(super) fn has_any(&self, endpoint: &EndpointSpec) -> Option<bool> {
        Some(!self.0.get(endpoint.name)?.is_empty())
    }
}

impl Reader<'_> {
    /// Returns the relations of an endpoint, and asks which these are only where it is not known.
    pub(super) async fn known_relations(
        &self,
        known: &KnownRelations,
        endpoint: &EndpointSpec,
    ) -> Result<Vec<Relation>, SnapshotError> {
        let Some(known) = known.0.get(endpoint.name) else { return self.relations(endpoint).await };
        let relations = known.iter().map(|KnownRelation { id, remote }| (RelationId::new(id), remote.clone()));
        match self.read_all(relations, endpoint).await {
            Ok(relations) => Ok(relations),
            // One of them may have been taken away by force, without a hook.
            Err(_) => self.relations(endpoint).await,
        }
    }

    /// Keeps which relations there are for the next hook, if that is news.
    pub(super) async fn keep_known(
        &self,
        before: &KnownRelations,
        known: &KnownRelations,
    ) -> Result<(), SnapshotError> {
        if known == before {
            return Ok(());
        }
        let text = serde_json::to_string(known).unwrap_or_default();
        let kept = self.tools.keep(&BTreeMap::from([(KEY, text.as_str())])).await;
        kept.map_err(failed("what this unit remembers"))
    }

    /// Returns the application on the other side, if Juju still knows it, and what that has published. Juju is asked for the
    /// application only where it is not known.
    pub(super) async fn other_side(
        &self,
        id: &RelationId,
        remote: Option<String>,
    ) -> Result<(Option<String>, Databag), SnapshotError> {
        let what = || format!("the relation {id}");
        let remote = match remote {
            Some(remote) => Some(remote),
            None => self.tools.remote_application(id).await.map_err(failed(what()))?,
        };
        let theirs = match &remote {
            Some(remote) => self.tools.application_databag(id, remote).await.map_err(failed(what()))?,
            None => Databag::default(),
        };
        Ok((remote, theirs))
    }
}

#[cfg(test)]
#[path = "known_tests.rs"]
mod tests;
