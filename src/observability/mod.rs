//! What a Prometheus and a Grafana are to know of the charm: what to scrape, when to alert, and what to show.
//!
//! All of it is pure, and knows nothing of the relations in which it is published.

mod alerts;
mod dashboard;
mod scrape;
mod topology;

pub(crate) use alerts::alert_rules;
pub(crate) use dashboard::dashboards;
pub(crate) use scrape::{METRICS_PATH, OBSERVER_PORT, scrape_jobs};
pub(crate) use topology::Topology;

#[cfg(test)]
mod promtool_tests;
