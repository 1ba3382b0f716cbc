//! What is to be scraped.

use serde_json::{Value, json};

/// The port of the Service of Velero's own metrics.
const VELERO_PORT: u16 = 8085;
/// The port on which the observer of each unit tells what it sees.
pub(crate) const OBSERVER_PORT: u16 = 8086;
/// Where metrics are served.
pub(crate) const METRICS_PATH: &str = "/metrics";

/// Returns the jobs of a Prometheus for the charm in a model: one for Velero, and one for the units of the charm.
pub(crate) fn scrape_jobs(model: &str) -> Value {
    json!([
        job("velero", &format!("velero-metrics.{model}.svc:{VELERO_PORT}")),
        // The star stands for the address that each unit publishes.
        job("velero-operator", &format!("*:{OBSERVER_PORT}")),
    ])
}

fn job(name: &str, target: &str) -> Value {
    json!({"job_name": name, "metrics_path": METRICS_PATH, "static_configs": [{"targets": [target]}]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn velero_is_scraped_once_and_every_unit_of_the_charm() {
        let jobs = scrape_jobs("backups-prod");
        let targets: Vec<_> = jobs
            .as_array()
            .unwrap()
            .iter()
            .map(|job| (job["job_name"].as_str().unwrap(), job["static_configs"][0]["targets"].clone()))
            .collect();
        let expected =
            [("velero", json!(["velero-metrics.backups-prod.svc:8085"])), ("velero-operator", json!(["*:8086"]))];
        assert_eq!(targets, expected);
    }
}
