//! Where storage comes from: relations that carry the fields of an object store.

use std::collections::BTreeMap;

use super::{azure::AzureStorage, gcs::GcsCredentials, s3::S3Credentials};
use crate::{
    snapshot::{Relation, Snapshot},
    storage::{StorageFields, VeleroStorageProvider},
};

/// An interface whose relations carry the fields of a store: what to ask the other side for, and whom to blame.
pub trait StorageInterface: Sync {
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

/// Every interface for storage that the charm has an endpoint for.
pub static STORAGE_INTERFACES: &[&dyn StorageInterface] = &[&S3Credentials, &AzureStorage, &GcsCredentials];

/// An endpoint that adds fields to those of a storage relation, and makes no storage alone.
#[derive(Clone, Copy, Debug)]
pub struct Companion {
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
pub struct FieldSource {
    /// The endpoint of the charm.
    pub endpoint: &'static str,
    /// The charm on the other side.
    pub integrator: &'static str,
}

/// What a [`StorageInterface::request`] may depend on.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext<'a> {
    /// The number of the relation, unique in the model.
    pub relation_number: &'a str,
    /// What the other side has published so far.
    pub published: &'a StorageFields<'a>,
    /// Whether the other side had more time to publish something than the hooks of a new relation take.
    pub overdue: bool,
}

/// A relation that carries storage, with the fields of its companions.
pub struct StorageRelation<'a> {
    /// What the relation means.
    pub interface: &'static dyn StorageInterface,
    /// The fields, those of secrets and of companions among them.
    pub fields: StorageFields<'a>,
    /// Whether fields are missing because a secret is not granted to us.
    pub secret_withheld: bool,
}

impl<'a> StorageRelation<'a> {
    fn of(interface: &'static dyn StorageInterface, relation: &'a Relation, snapshot: &'a Snapshot) -> Self {
        let companions = interface.companions().iter().flat_map(|companion| snapshot.relations(companion.endpoint));
        let parts: Vec<&'a Relation> = [relation].into_iter().chain(companions).collect();
        Self {
            interface,
            // Of a field that several have, the relation's own one counts.
            fields: parts.iter().rev().flat_map(|part| part.fields()).collect(),
            secret_withheld: parts.iter().any(|part| part.secret_withheld()),
        }
    }
}

/// Returns the relations that carry storage.
pub fn storage_relations(snapshot: &Snapshot) -> Vec<StorageRelation<'_>> {
    STORAGE_INTERFACES
        .iter()
        .flat_map(|interface| {
            let relations = snapshot.relations(interface.endpoint()).iter();
            relations.map(move |relation| StorageRelation::of(*interface, relation, snapshot))
        })
        .collect()
}

/// Whether the plan needs to know what the cloud calls the machines of the cluster.
pub fn need_provider_ids(snapshot: &Snapshot) -> bool {
    let needs = |relation: &StorageRelation<'_>| relation.interface.provider().needs_provider_ids(&relation.fields);
    storage_relations(snapshot).iter().any(needs)
}

/// Returns every endpoint that carries fields of storage.
pub fn storage_endpoints() -> impl Iterator<Item = &'static str> {
    STORAGE_INTERFACES.iter().flat_map(|interface| {
        let companions = interface.companions().iter().map(|companion| companion.endpoint);
        [interface.endpoint()].into_iter().chain(companions)
    })
}

/// Returns what should be published in each relation that has to do with storage.
pub(super) fn requests(snapshot: &Snapshot) -> impl Iterator<Item = (&Relation, BTreeMap<&'static str, String>)> {
    STORAGE_INTERFACES.iter().flat_map(move |interface| {
        let own = snapshot.relations(interface.endpoint()).iter().map(move |relation| {
            let request = interface.request(&RequestContext {
                relation_number: relation.id.number(),
                published: &relation.fields().collect(),
                overdue: snapshot.periodic,
            });
            (relation, request)
        });
        let of_companions = interface.companions().iter().flat_map(move |companion| {
            snapshot.relations(companion.endpoint).iter().map(move |relation| {
                (relation, companion.request.iter().map(|(key, value)| (*key, (*value).to_owned())).collect())
            })
        });
        own.chain(of_companions)
    })
}
