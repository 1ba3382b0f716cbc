//! What an interface for storage has to tell: whom the charm asks, for what, and what the fields mean.

use std::collections::BTreeMap;

use crate::storage::{StorageFields, VeleroStorageProvider};

/// An interface whose relations carry the fields of a store: what to ask the other side for, and whom to blame.
pub(crate) trait StorageInterface: Sync {
    /// Returns the endpoint of the charm.
    fn endpoint(&self) -> &'static str;

    /// Returns the charm to integrate with, as messages name it.
    fn integrator(&self) -> &'static str;

    /// Returns the kind of store that the fields describe.
    fn provider(&self) -> &'static dyn VeleroStorageProvider;

    /// Endpoints whose fields complete those of [`StorageInterface::endpoint`], and what the charm publishes there.
    fn companions(&self) -> &'static [Companion] {
        &[]
    }

    /// Returns the endpoint that a field comes from, and the charm to configure for it.
    fn source_of(&self, key: &str) -> FieldSource {
        match self.companions().iter().find(|companion| companion.keys.contains(&key)) {
            Some(companion) => FieldSource { endpoint: companion.endpoint, integrator: companion.integrator },
            None => FieldSource { endpoint: self.endpoint(), integrator: self.integrator() },
        }
    }

    /// Returns what the charm has to publish before the other side answers.
    fn request(&self, seen: &RequestContext<'_>) -> BTreeMap<&'static str, String>;
}

/// An endpoint that adds fields to those of a storage relation, and makes no storage alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Companion {
    /// The endpoint of the charm.
    pub endpoint: &'static str,
    /// The charm to integrate with, as messages name it.
    pub integrator: &'static str,
    /// The fields that it adds.
    pub keys: &'static [&'static str],
    /// What the charm has to publish before the other side answers.
    pub request: &'static [(&'static str, &'static str)],
}

/// Where a field comes from, as messages name it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct FieldSource {
    /// The endpoint of the charm.
    pub endpoint: &'static str,
    /// The charm on the other side.
    pub integrator: &'static str,
}

/// What a [`StorageInterface::request`] may depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestContext<'a> {
    /// The number of the relation, unique in the model.
    pub relation_number: &'a str,
    /// What the other side has published so far.
    pub published: &'a StorageFields<'a>,
    /// Whether the other side had more time to publish something than the hooks of a new relation take.
    pub overdue: bool,
}
