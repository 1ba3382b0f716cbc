//! What a Prometheus learns by the interface `prometheus_scrape`.

use std::collections::BTreeMap;

use super::topology;
use crate::{
    observability::{alert_rules, scrape_jobs},
    snapshot::Snapshot,
};

/// Returns what the application publishes: what to scrape, and when to alert.
pub(super) fn of_application(snapshot: &Snapshot) -> BTreeMap<&'static str, String> {
    let topology = topology(snapshot);
    BTreeMap::from([
        ("scrape_metadata", topology.scrape_metadata().to_string()),
        ("scrape_jobs", scrape_jobs(topology.model).to_string()),
        ("alert_rules", alert_rules(&topology).to_string()),
    ])
}

/// Returns what each unit publishes: where it is reached. Until Juju knows it, the unit publishes nothing.
pub(super) fn of_unit(snapshot: &Snapshot) -> BTreeMap<&'static str, String> {
    let Some(address) = &snapshot.address else { return BTreeMap::new() };
    BTreeMap::from([
        ("prometheus_scrape_unit_address", address.clone()),
        ("prometheus_scrape_unit_name", snapshot.unit.clone()),
    ])
}
