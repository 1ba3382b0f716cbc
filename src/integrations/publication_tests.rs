use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Publication, publications};
use crate::{
    contract::endpoint::{GRAFANA_DASHBOARD, METRICS_ENDPOINT},
    juju::{Bag, Databag, ModelId, ModelProxies, RelationId},
    snapshot::{OptionSecret, Relation, Snapshot},
};

fn relation(id: &str) -> Relation {
    Relation {
        id: RelationId::new(id),
        remote: None,
        theirs: Databag::default(),
        ours: Databag::default(),
        own: Databag::default(),
        secret: None,
    }
}

pub(super) fn snapshot(leader: bool, relations: &[(&'static str, &[&str])]) -> Snapshot {
    Snapshot {
        application: "velero-operator".to_owned(),
        unit: "velero-operator/1".to_owned(),
        model: ModelId { name: "backups-prod".to_owned(), uuid: "2f6d1f6e-58b1-4d27-9d0c-5f0a3c6b7e11".to_owned() },
        proxies: ModelProxies::default(),
        leader,
        periodic: false,
        unsettled: false,
        config: BTreeMap::<String, Value>::new().into_iter().collect(),
        relations: relations
            .iter()
            .map(|(endpoint, ids)| (*endpoint, ids.iter().copied().map(relation).collect()))
            .collect(),
        address: Some("10.1.42.30".to_owned()),
        repository_password: OptionSecret::Unset,
        retention: None,
    }
}

/// Where something is to be published, and under which keys.
fn published(snapshot: &Snapshot) -> Vec<(String, Bag, Vec<&'static str>)> {
    publications(snapshot)
        .into_iter()
        .map(|Publication { relation, bag, values }| (relation.to_string(), bag, values.into_keys().collect()))
        .collect()
}

const OF_APPLICATION: [&str; 3] = ["alert_rules", "scrape_jobs", "scrape_metadata"];
const OF_UNIT: [&str; 2] = ["prometheus_scrape_unit_address", "prometheus_scrape_unit_name"];

#[test]
fn every_unit_tells_its_address_and_the_leader_the_rest_in_every_relation() {
    let relations: &[(_, &[_])] = &[
        (METRICS_ENDPOINT, &["metrics-endpoint:3", "metrics-endpoint:12"]),
        (GRAFANA_DASHBOARD, &["grafana-dashboard:4"]),
    ];
    let unit = |id: &str| (id.to_owned(), Bag::Unit, OF_UNIT.to_vec());
    let mut expected = vec![unit("metrics-endpoint:3"), unit("metrics-endpoint:12")];
    assert_eq!(published(&snapshot(false, relations)), expected);
    let application = |id: &str| (id.to_owned(), Bag::Application, OF_APPLICATION.to_vec());
    expected.extend([application("metrics-endpoint:3"), application("metrics-endpoint:12")]);
    expected.push(("grafana-dashboard:4".to_owned(), Bag::Application, vec!["dashboards"]));
    assert_eq!(published(&snapshot(true, relations)), expected);
}

#[test]
fn what_is_published_is_not_published_again_until_it_changes() {
    let mut snapshot = snapshot(true, &[(METRICS_ENDPOINT, &["metrics-endpoint:3"])]);
    for Publication { bag, values, .. } in publications(&snapshot) {
        let relation = &mut snapshot.relations.get_mut(METRICS_ENDPOINT).unwrap()[0];
        match bag {
            Bag::Application => relation.ours = values.into_iter().collect(),
            Bag::Unit => relation.own = values.into_iter().collect(),
        }
    }
    assert_eq!(publications(&snapshot), []);
    // The pod was made anew.
    snapshot.address = Some("10.1.42.31".to_owned());
    let [Publication { bag: Bag::Unit, values, .. }] = &publications(&snapshot)[..] else { panic!("the address") };
    assert_eq!(values, &BTreeMap::from([("prometheus_scrape_unit_address", "10.1.42.31".to_owned())]));
    // What is not known is not taken back.
    snapshot.address = None;
    assert_eq!(publications(&snapshot), []);
    // Another unit leads.
    snapshot.unit = "velero-operator/0".to_owned();
    let [Publication { bag: Bag::Application, values, .. }] = &publications(&snapshot)[..] else {
        panic!("the leader")
    };
    assert_eq!(values.keys().collect::<Vec<_>>(), [&"scrape_metadata"]);
}

#[test]
fn what_is_told_is_of_this_model_and_application() {
    let publications = publications(&snapshot(true, &[(METRICS_ENDPOINT, &["metrics-endpoint:3"])]));
    let of_application = publications.iter().find(|publication| publication.bag == Bag::Application).unwrap();
    let value = |key| serde_json::from_str::<Value>(&of_application.values[key]).unwrap();
    let metadata = json!({"model": "backups-prod", "model_uuid": "2f6d1f6e-58b1-4d27-9d0c-5f0a3c6b7e11",
        "application": "velero-operator", "unit": "velero-operator/1", "charm_name": "velero-operator"});
    assert_eq!(value("scrape_metadata"), metadata);
    assert_eq!(value("scrape_jobs")[0]["static_configs"][0]["targets"][0], "velero-metrics.backups-prod.svc:8085");
    assert_eq!(value("alert_rules")["groups"][0]["rules"][0]["labels"]["juju_model"], "backups-prod");
}

/// What is published in a relation, with the JSON texts read.
fn read(snapshot: &Snapshot, endpoint: &str, bag: Bag) -> Value {
    let publications = publications(snapshot);
    let publication = publications.iter().find(|one| one.relation.endpoint() == endpoint && one.bag == bag).unwrap();
    let read = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    publication.values.iter().map(|(key, text)| ((*key).to_owned(), read(text))).collect()
}

/// What of a databag is against the interface, which its documents and the libraries of the charms on the other side define.
fn offences(schema: &str, databag: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    validator.iter_errors(databag).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn what_is_published_is_as_the_interfaces_define_it() {
    let relations: &[(_, &[_])] =
        &[(METRICS_ENDPOINT, &["metrics-endpoint:3"]), (GRAFANA_DASHBOARD, &["grafana-dashboard:4"])];
    let snapshot = snapshot(true, relations);
    let of_metrics = json!({
        "application": read(&snapshot, METRICS_ENDPOINT, Bag::Application),
        "unit": read(&snapshot, METRICS_ENDPOINT, Bag::Unit),
    });
    let of_dashboards = read(&snapshot, GRAFANA_DASHBOARD, Bag::Application);
    let prometheus_scrape = include_str!("schemas/prometheus_scrape.json");
    let grafana_dashboard = include_str!("schemas/grafana_dashboard.json");
    for (schema, databag) in [(prometheus_scrape, &of_metrics), (grafana_dashboard, &of_dashboards)] {
        assert_eq!(offences(schema, databag), Vec::<String>::new());
        // It would be found.
        assert!(!offences(schema, &json!({})).is_empty());
    }
}
