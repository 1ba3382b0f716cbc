//! What the charm publishes and reads in its relations, by the rules of their interfaces.

mod azure;
mod backups;
mod dashboards;
mod gcs;
mod interface;
mod metrics;
mod refusals;
mod s3;
mod storage;

use std::collections::BTreeMap;

use crate::{
    contract::{self, endpoint},
    juju::{Bag, Databag, RelationId},
    observability::Topology,
    snapshot::{Relation, Snapshot},
};

pub(crate) use backups::{Declarations, declarations};
pub(crate) use interface::FieldSource;
pub(crate) use refusals::{Refusal, refusals};
pub(crate) use storage::{
    STORAGE_INTERFACES, StorageRelation, need_provider_ids, storage_endpoints, storage_relations,
};

/// What the charm still has to publish in a relation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Publication {
    pub relation: RelationId,
    pub bag: Bag,
    /// The values by their keys, of those that are not published yet.
    pub values: BTreeMap<&'static str, String>,
}

impl Publication {
    /// Returns what of `wanted` is still to be published; `None` where all of it is.
    fn of(relation: &Relation, bag: Bag, wanted: &BTreeMap<&'static str, String>) -> Option<Self> {
        let published: &Databag = match bag {
            Bag::Application => &relation.ours,
            Bag::Unit => &relation.own,
        };
        let values = published.missing_from(wanted);
        (!values.is_empty()).then(|| Self { relation: relation.id.clone(), bag, values })
    }
}

/// Returns what the charm still has to publish: for the application, which only its leader may, and for this unit.
pub(crate) fn publications(snapshot: &Snapshot) -> Vec<Publication> {
    let of_unit = in_each(snapshot, endpoint::METRICS_ENDPOINT, Bag::Unit, metrics::of_unit);
    let mut publications: Vec<_> = of_unit.collect();
    if snapshot.leader {
        let requests = storage::requests(snapshot);
        publications
            .extend(requests.filter_map(|(relation, wanted)| Publication::of(relation, Bag::Application, &wanted)));
        let bag = Bag::Application;
        publications.extend(in_each(snapshot, endpoint::METRICS_ENDPOINT, bag, metrics::of_application));
        publications.extend(in_each(snapshot, endpoint::GRAFANA_DASHBOARD, bag, dashboards::of_application));
    }
    publications
}

/// Returns what is still to be published in relations of an endpoint that all are told the same, which is made only if there is one.
fn in_each(
    snapshot: &Snapshot,
    endpoint: &str,
    bag: Bag,
    told: impl FnOnce(&Snapshot) -> BTreeMap<&'static str, String>,
) -> impl Iterator<Item = Publication> {
    let relations = snapshot.relations(endpoint);
    let wanted = if relations.is_empty() { BTreeMap::new() } else { told(snapshot) };
    relations.iter().filter_map(move |relation| Publication::of(relation, bag, &wanted))
}

/// Returns the charm's place in Juju. Only the leader tells it.
fn topology(snapshot: &Snapshot) -> Topology<'_> {
    Topology {
        model: &snapshot.model.name,
        model_uuid: &snapshot.model.uuid,
        application: &snapshot.application,
        unit: &snapshot.unit,
        charm: contract::CHARM,
    }
}

#[cfg(test)]
mod databag_tests;
#[cfg(test)]
mod publication_tests;
