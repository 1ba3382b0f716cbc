//! Those who watch the charm: a Prometheus and a Grafana are told what they need.

use std::collections::BTreeMap;

use sandbox::juju::{DeployOptions, HookRecord, UnitName, Whose};
use serde_json::{Value, json};

use crate::{
    deployed::{APPLICATION, Deployed, trusted},
    world,
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

pub fn json_value(bag: &BTreeMap<String, String>, key: &str) -> Value {
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

    // Nothing is published twice. The leader looks for what it has published in both, as an application in two and as a unit in one,
    // for what the other side makes of it, and for its address; the other one only for what is its own. Both know the relations.
    let after = quiet_calls(&deployed);
    let more = |number| after[&unit(number)] - before[&unit(number)];
    assert_eq!((more(0), more(1)), (6, 2));

    let records = deployed.model.elect(&unit(1)).unwrap();
    deployed.after(records);
    let metadata = json_value(&deployed.model.databag(metrics, &application).unwrap(), "scrape_metadata");
    assert_eq!(metadata["unit"], "velero-operator/1");
    for endpoint in ["metrics-endpoint", "grafana-dashboard"] {
        deployed.remove_relation(endpoint);
    }
    assert!(deployed.records.iter().all(HookRecord::success), "{:?}", deployed.records);
}
