//! Where storage comes from: relations that carry the fields of an object store.

use std::collections::BTreeMap;

use super::{
    azure::AzureStorage,
    gcs::GcsCredentials,
    interface::{RequestContext, StorageInterface},
    s3::S3Credentials,
};
use crate::{
    snapshot::{Relation, Snapshot},
    storage::StorageFields,
};

/// Every interface for storage that the charm has an endpoint for.
pub(crate) static STORAGE_INTERFACES: &[&dyn StorageInterface] = &[&S3Credentials, &AzureStorage, &GcsCredentials];

/// A relation that carries storage, with the fields of its companions.
pub(crate) struct StorageRelation<'a> {
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
pub(crate) fn storage_relations(snapshot: &Snapshot) -> Vec<StorageRelation<'_>> {
    STORAGE_INTERFACES
        .iter()
        .flat_map(|interface| {
            let relations = snapshot.relations(interface.endpoint()).iter();
            relations.map(move |relation| StorageRelation::of(*interface, relation, snapshot))
        })
        .collect()
}

/// Whether the plan needs to know what the cloud calls the machines of the cluster.
pub(crate) fn need_provider_ids(snapshot: &Snapshot) -> bool {
    let needs = |relation: &StorageRelation<'_>| relation.interface.provider().needs_provider_ids(&relation.fields);
    storage_relations(snapshot).iter().any(needs)
}

/// Returns every endpoint that carries fields of storage.
pub(crate) fn storage_endpoints() -> impl Iterator<Item = &'static str> {
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
