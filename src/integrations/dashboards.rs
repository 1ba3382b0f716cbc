//! What a Grafana learns by the interface `grafana_dashboard`.

use std::collections::BTreeMap;

use super::topology;
use crate::{observability::dashboards, snapshot::Snapshot};

/// Returns what the application publishes.
pub(super) fn of_application(snapshot: &Snapshot) -> BTreeMap<&'static str, String> {
    BTreeMap::from([("dashboards", dashboards(&topology(snapshot)).to_string())])
}
