//! A real Prometheus that scrapes what the charm's relation tells it to: what the dashboard and the alerts find there.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use sandbox::{
    juju::Whose,
    progress::Progress,
    prometheus::{self, Prometheus},
};
use serde_json::{Value, json};

use crate::{
    backups::{Client, only},
    deployed::{APPLICATION, Deployed},
    project,
    watchers::json_value,
    workload::{Chosen, Workload},
    world::{self, World},
};

/// How long a Prometheus may take to have scraped everything.
const PATIENCE: Duration = Duration::from_mins(2);

/// How often it is asked: it scrapes once a second.
const ASKED: Duration = Duration::from_millis(500);

/// The panels that rightly show nothing where all is well, for the first hour.
const RIGHTLY_EMPTY: [&str; 5] = [
    // They count what is wrong.
    "Overdue",
    "Newest backup failed",
    "Restore drills failed",
    "Restore drills overdue",
    // The server maintains a repository once an hour, and makes these series with the first result.
    "Maintenance of repositories",
];

/// The dashboard's expressions, each with the title of its panel.
fn panels() -> Vec<(String, String)> {
    let text = fs::read_to_string(project().join("src/observability/velero_backups.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let with_targets = dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["targets"].is_array());
    let expressions = |panel: &Value| {
        // What stands for nothing must not be taken for something.
        let shown = |target: &Value| text(&target["expr"]).trim_end_matches(" or vector(0)").to_owned();
        let targets = panel["targets"].as_array().unwrap().iter();
        targets.map(|target| (text(&panel["title"]), shown(target))).collect::<Vec<_>>()
    };
    with_targets.flat_map(expressions).collect()
}

/// The jobs of the relation, as a Prometheus carries them out that has read the units' databags too.
fn jobs(deployed: &Deployed, relation: u32) -> Value {
    let databag = |whose| deployed.model.databag(relation, &whose).unwrap();
    let unit = databag(Whose::Unit(Deployed::unit()));
    assert!(unit.contains_key("prometheus_scrape_unit_address"), "{unit:?}");
    let jobs = json_value(&databag(Whose::Application(APPLICATION.to_owned())), "scrape_jobs");
    assert_eq!(jobs.as_array().unwrap().len(), 2, "{jobs}");
    let service = deployed.expect("Service", "velero-metrics")["spec"]["clusterIP"].as_str().unwrap().to_owned();
    // The units of this cluster have its network in place of an address of their own.
    let host_of_units = deployed.world.cluster.access().server_address.to_string();
    let places = [(format!("velero-metrics.{}.svc", deployed.namespace()), service), ("*".to_owned(), host_of_units)];
    prometheus::within_reach(&jobs, &places.into())
}

fn samples(world: &World, prometheus: &Prometheus, expression: &str) -> Vec<Value> {
    world.runtime.block_on(prometheus.query(expression)).unwrap()
}

#[test]
fn a_prometheus_finds_all_that_the_dashboard_asks_for_and_alerts_only_of_what_is_wrong() {
    // On the network of a cluster there is room for one observer's port.
    let (_turn, world) = world::alone();
    let mut deployed = Deployed::observed(world, "scraped");
    deployed.relate_s3();
    let options = [("use-node-agent", "true"), ("default-volumes-to-fs-backup", "true"), ("drill-schedule", "@weekly")];
    deployed.configure_all(&options);
    let relation = deployed.relate_requirer("metrics-endpoint", "prometheus_scrape");
    let workload = Workload::new(world, "scraped-workload", Chosen::ByDefault);
    let ledger = Client::relate(&mut deployed, "ledger");
    ledger.declare(&mut deployed, &json!({"include_namespaces": [workload.namespace()], "schedule": "0 3 * * *"}));
    deployed.run_well(&format!("backup create first --from-schedule {} --wait", only(&deployed)));
    deployed.run_well("restore create again --from-backup first --wait");
    deployed.act_well("verify-backup", &json!({"target": "ledger:backups"}));
    let mail = Client::relate(&mut deployed, "mail");
    let claims = json!({"include_namespaces": [workload.namespace()], "schedule": "@daily",
        "include_resources": ["persistentvolumeclaims"]});
    mail.declare(&mut deployed, &claims);
    let status = deployed.status();
    assert!(status.starts_with("active: ready; 1 volume of mail is backed up without its data: "), "{status}");

    let bag = deployed.model.databag(relation, &Whose::Application(APPLICATION.to_owned())).unwrap();
    let (jobs, rules) = (jobs(&deployed, relation), json_value(&bag, "alert_rules"));
    let (folder, progress) = (world.cluster.folder().join("prometheus"), Progress::to_stderr());
    let starting = Prometheus::start(world.cluster.access(), &folder, &jobs, &rules, &progress);
    let prometheus = world.runtime.block_on(starting).unwrap();
    let (mut missing, deadline) = (panels(), Instant::now() + PATIENCE);
    for title in RIGHTLY_EMPTY {
        assert!(missing.iter().any(|(panel, _)| panel == title), "no panel is called {title}");
    }
    missing.retain(|(panel, _)| !RIGHTLY_EMPTY.contains(&panel.as_str()));
    assert!(missing.len() > 30, "{missing:?}");
    while !missing.is_empty() {
        assert!(Instant::now() < deadline, "a Prometheus finds nothing of {missing:#?}");
        thread::sleep(ASKED);
        missing.retain(|(_, expression)| samples(world, &prometheus, expression).is_empty());
    }

    // Before the first answer of the observer, its own alert is there too.
    let expected = [json!({"alertname": "VeleroBackupWithoutData", "app": "mail", "alertstate": "pending"})];
    loop {
        let alerts = samples(world, &prometheus, "count by (alertname, app, alertstate) (ALERTS)");
        let alerts: Vec<_> = alerts.iter().map(|sample| sample["metric"].clone()).collect();
        if alerts == expected {
            break;
        }
        assert!(Instant::now() < deadline, "{alerts:?}");
        thread::sleep(ASKED);
    }

    // What a Prometheus does not take, it says in its own databag.
    let refused = json!({"errors": "rule 1: parse error", "valid": false}).to_string();
    let (whose, told) = (Whose::Application("metrics-endpoint-provider".to_owned()), [("event".to_owned(), refused)]);
    let records = deployed.model.write_databag(relation, &whose, &told.into()).unwrap();
    deployed.after(records);
    let remark = "; metrics-endpoint-provider (metrics-endpoint) refuses the alert rules: rule 1: parse error";
    assert!(deployed.status().contains(remark), "{}", deployed.status());
}
