//! Those who watch the charm: a Prometheus and a Grafana are told what they need.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use sandbox::{
    juju::{DeployOptions, HookRecord, UnitName, Whose},
    progress::Progress,
    prometheus::Prometheus,
};
use serde_json::{Value, json};

use crate::{
    deployed::{APPLICATION, Deployed, trusted},
    objects, project, world,
};

fn unit(number: u32) -> UnitName {
    UnitName::new(APPLICATION, number)
}

/// How many hook tools a quiet hook of each unit calls, none of which writes.
fn quiet_calls(deployed: &Deployed) -> BTreeMap<UnitName, usize> {
    let records = deployed.model.update_status().unwrap();
    let calls = |record: &HookRecord| {
        assert!(record.success(), "{record:?}");
        assert!(!record.tools.iter().any(|call| call.tool == "relation-set"), "{:?}", record.tools);
        record.tools.len()
    };
    records.iter().map(|record| (record.unit.clone(), calls(record))).collect()
}

fn json_value(bag: &BTreeMap<String, String>, key: &str) -> Value {
    serde_json::from_str(&bag[key]).unwrap_or_else(|error| panic!("{key}: {error}"))
}

#[test]
fn a_prometheus_and_a_grafana_are_told_what_they_need_and_once() {
    let options = DeployOptions { units: 2, ..trusted() };
    let mut deployed = Deployed::with(world::shared(), "watched", &options);
    let before = quiet_calls(&deployed);
    let metrics = deployed.relate_requirer("metrics-endpoint", "prometheus_scrape");
    let dashboards = deployed.relate_requirer("grafana-dashboard", "grafana_dashboard");
    assert!(deployed.records.iter().all(HookRecord::success), "{:?}", deployed.records);

    let application = Whose::Application(APPLICATION.to_owned());
    let bag = deployed.model.databag(metrics, &application).unwrap();
    let metadata = json_value(&bag, "scrape_metadata");
    assert_eq!((&metadata["model"], &metadata["unit"]), (&json!("watched"), &json!("velero-operator/0")));
    let uuid = deployed.model.state().unwrap().uuid;
    assert_eq!(metadata["model_uuid"], uuid);
    let velero = json_value(&bag, "scrape_jobs")[0]["static_configs"][0]["targets"][0].clone();
    let port = deployed.expect("Service", "velero-metrics")["spec"]["ports"][0]["port"].clone();
    assert_eq!(velero, format!("velero-metrics.watched.svc:{port}"));
    let rules = json_value(&bag, "alert_rules");
    let labels = &rules["groups"][0]["rules"][0]["labels"];
    assert_eq!((&labels["juju_model_uuid"], &labels["juju_charm"]), (&json!(uuid), &json!(APPLICATION)));
    let view = deployed.model.status().unwrap();
    for (name, shown) in &view.applications[APPLICATION].units {
        let number = name.rsplit('/').next().unwrap().parse().unwrap();
        let bag = deployed.model.databag(metrics, &Whose::Unit(unit(number))).unwrap();
        assert_eq!(
            (&bag["prometheus_scrape_unit_name"], &bag["prometheus_scrape_unit_address"]),
            (name, &shown.address)
        );
    }
    let shown = json_value(&deployed.model.databag(dashboards, &application).unwrap(), "dashboards");
    assert_eq!(shown["templates"].as_object().unwrap().len(), 1);

    // Nothing is published twice. The leader looks for the relations of both kinds, for what it has published in them, as an
    // application in two and as a unit in one, and for its address; the other one only for what is its own.
    let after = quiet_calls(&deployed);
    let more = |number| after[&unit(number)] - before[&unit(number)];
    assert_eq!((more(0), more(1)), (6, 3));

    let records = deployed.model.elect(&unit(1)).unwrap();
    deployed.after(records);
    let metadata = json_value(&deployed.model.databag(metrics, &application).unwrap(), "scrape_metadata");
    assert_eq!(metadata["unit"], "velero-operator/1");
    for endpoint in ["metrics-endpoint", "grafana-dashboard"] {
        deployed.remove_relation(endpoint);
    }
    assert!(deployed.records.iter().all(HookRecord::success), "{:?}", deployed.records);
}

/// How long a Prometheus may take to have scraped everything.
const PATIENCE: Duration = Duration::from_mins(1);

/// The expressions of the dashboard, those that ask Velero itself.
fn panels_of_velero() -> Vec<String> {
    let text = fs::read_to_string(project().join("src/observability/velero_backups.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let targets = dashboard["panels"].as_array().unwrap().iter().filter_map(|panel| panel["targets"].as_array());
    let expressions = targets.flatten().map(|target| target["expr"].as_str().unwrap().to_owned());
    // What the charm's own observer tells is no matter of the server, and what it tells of maintenance comes after an hour.
    let others = ["velero_operator_", "velero_repo_maintenance_"];
    let expressions = expressions.filter(|expression| !others.iter().any(|other| expression.contains(other)));
    expressions.collect()
}

#[test]
fn a_prometheus_finds_what_the_dashboard_asks_of_velero() {
    let mut deployed = Deployed::new("scraped");
    deployed.relate_s3();
    let relation = deployed.relate_requirer("metrics-endpoint", "prometheus_scrape");
    let namespace = "scraped-workload";
    objects::make_namespace(deployed.world, namespace);
    deployed.run_well(&format!("backup create good --include-namespaces {namespace} --wait"));
    deployed.run_well("restore create again --from-backup good --wait");

    let bag = deployed.model.databag(relation, &Whose::Application(APPLICATION.to_owned())).unwrap();
    let mut jobs = json_value(&bag, "scrape_jobs");
    // Names do not resolve on the nodes of this cluster.
    let address = deployed.expect("Service", "velero-metrics")["spec"]["clusterIP"].as_str().unwrap().to_owned();
    let target = &mut jobs[0]["static_configs"][0]["targets"][0];
    *target = json!(target.as_str().unwrap().replace("velero-metrics.scraped.svc", &address));
    let (world, progress) = (deployed.world, Progress::to_stderr());
    let folder = world.cluster.folder().join("prometheus");
    let jobs = json!([jobs[0]]);
    let starting = Prometheus::start(world.cluster.access(), &folder, &jobs, &progress);
    let prometheus = world.runtime.block_on(starting).unwrap();
    let (mut missing, deadline) = (panels_of_velero(), Instant::now() + PATIENCE);
    assert!(missing.len() > 10, "{missing:?}");
    while !missing.is_empty() {
        assert!(Instant::now() < deadline, "a Prometheus finds nothing of {missing:#?}");
        missing.retain(|expression| world.runtime.block_on(prometheus.query(expression)).unwrap().is_empty());
    }
}
