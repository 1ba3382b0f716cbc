//! What related applications declare of their backups, on the real server.

use sandbox::juju::{Scripted, Whose};
use serde_json::{Value, json};

use crate::{
    deployed::{APPLICATION, Deployed},
    objects,
};

const ENDPOINT: &str = "velero-backups";

/// An application that a test plays, and its relation.
pub struct Client {
    name: &'static str,
    relation: u32,
}

impl Client {
    /// Relates an application that declares nothing yet.
    pub fn relate(deployed: &mut Deployed, name: &'static str) -> Self {
        deployed.model.deploy_scripted(&Scripted::provider(name, "backups", "velero_backup_config")).unwrap();
        let (relation, records) = deployed.model.integrate(&format!("{APPLICATION}:{ENDPOINT}"), name).unwrap();
        deployed.after(records);
        Self { name, relation }
    }

    /// Declares a spec, as the library of such applications writes it.
    pub fn declare(&self, deployed: &mut Deployed, spec: &Value) {
        let bag = [("app", self.name), ("relation_name", "backups"), ("model", "apps"), ("spec", &spec.to_string())];
        let bag = bag.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let whose = Whose::Application(self.name.to_owned());
        let records = deployed.model.write_databag(self.relation, &whose, &bag).unwrap();
        deployed.after(records);
    }

    fn remove(self, deployed: &mut Deployed) {
        let records = deployed.model.remove_relation(&format!("{APPLICATION}:{ENDPOINT}"), self.name).unwrap();
        deployed.after(records);
    }
}

/// The Schedules by their names. One that goes is there until the cluster has made its backups nobody's.
fn schedules(deployed: &Deployed) -> Vec<String> {
    let listed = deployed.list("Schedule").into_iter().map(|schedule| schedule["metadata"].clone());
    let stay = listed.filter(|metadata| metadata["deletionTimestamp"].is_null());
    stay.map(|metadata| metadata["name"].as_str().unwrap().to_owned()).collect()
}

/// The only Schedule.
pub fn only(deployed: &Deployed) -> String {
    let [name] = &schedules(deployed)[..] else { panic!("{:?}", schedules(deployed)) };
    name.clone()
}

/// The server reads a Schedule, and takes it for a good one.
fn until_enabled(deployed: &Deployed, name: &str) {
    deployed.until_phase("Schedule", name, "Enabled");
}

#[test]
fn an_application_is_backed_up_as_it_declares_until_its_relation_is_removed() {
    let mut deployed = Deployed::new("related-application");
    deployed.relate_s3();
    let namespace = "related-application-workload";
    objects::make_namespace(deployed.world, namespace);
    let ledger = Client::relate(&mut deployed, "ledger");
    assert_eq!((deployed.status().as_str(), schedules(&deployed).len()), ("active: ready", 0));
    let spec = |more: &Value| {
        let mut spec = json!({"include_namespaces": [namespace], "include_resources": null, "exclude_namespaces": null,
            "exclude_resources": null, "label_selector": null, "ttl": "72h", "include_cluster_resources": null,
            "schedule": "@every 20s", "paused": false, "skip_immediately": null, "use_owner_references_in_backup": null});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    ledger.declare(&mut deployed, &spec(&json!({})));
    assert_eq!(deployed.status(), "active: ready");
    let name = only(&deployed);
    assert!(name.starts_with("ledger-backups-") && name.len() <= 48, "{name}");
    until_enabled(&deployed, &name);
    // It makes a backup by itself, with the labels by which users find it. The server looks once a minute.
    deployed.until("Schedule", &name, |schedule| {
        schedule.is_some_and(|schedule| schedule["status"]["lastBackup"].is_string())
    });
    let backups = deployed.list("Backup");
    let labels = &backups[0]["metadata"]["labels"];
    assert_eq!(
        (&labels["app"], &labels["endpoint"], &labels["model"]),
        (&json!("ledger"), &json!("backups"), &json!("apps"))
    );
    assert_eq!(backups[0]["spec"]["includedNamespaces"], json!([namespace]));
    deployed.until_phase("Backup", backups[0]["metadata"]["name"].as_str().unwrap(), "Completed");

    // Nothing is written where nothing has changed, though the server has written to it.
    let before = deployed.versions();
    deployed.update_status();
    assert_eq!(deployed.versions(), before);

    ledger.declare(&mut deployed, &spec(&json!({"schedule": "30 1 * * *", "ttl": "24h30m"})));
    assert_eq!(only(&deployed), name);
    until_enabled(&deployed, &name);
    let good = deployed.expect("Schedule", &name)["spec"].clone();
    assert_eq!((&good["schedule"], &good["template"]["ttl"]), (&json!("30 1 * * *"), &json!("24h30m")));

    // A bad spec is told, keeps the good one, and stops nobody else.
    ledger.declare(&mut deployed, &spec(&json!({"ttl": "30d"})));
    let told = "the backup spec of ledger, relation ";
    let status = deployed.status();
    assert!(
        status.starts_with(&format!("blocked: {told}")) && status.contains("ttl \"30d\" is no duration"),
        "{status}"
    );
    assert_eq!(deployed.expect("Schedule", &name)["spec"], good);
    let mail = Client::relate(&mut deployed, "mail");
    mail.declare(&mut deployed, &spec(&json!({"schedule": "@daily"})));
    assert_eq!(schedules(&deployed).len(), 2);
    mail.remove(&mut deployed);
    assert_eq!(only(&deployed), name);

    // A Schedule that goes leaves its backups, even those that it owns.
    let last = deployed.expect("Schedule", &name)["status"]["lastBackup"].clone();
    ledger.declare(&mut deployed, &spec(&json!({"use_owner_references_in_backup": true})));
    deployed
        .until("Schedule", &name, |schedule| schedule.is_some_and(|schedule| schedule["status"]["lastBackup"] != last));
    let owner = |backup: &Value| backup["metadata"]["ownerReferences"][0]["name"].clone();
    let kept = deployed.list("Backup").into_iter().find(|backup| owner(backup) == name.as_str()).unwrap();
    ledger.remove(&mut deployed);
    assert_eq!((deployed.status().as_str(), schedules(&deployed).len()), ("active: ready", 0));
    deployed.until("Schedule", &name, |schedule| schedule.is_none());
    let left = deployed.expect("Backup", kept["metadata"]["name"].as_str().unwrap());
    assert_eq!((&left["metadata"]["uid"], owner(&left)), (&kept["metadata"]["uid"], Value::Null));
}

#[test]
fn applications_that_name_no_schedule_have_that_of_the_option() {
    let mut deployed = Deployed::new("default-schedule");
    deployed.relate_s3();
    let ledger = Client::relate(&mut deployed, "ledger");
    ledger.declare(&mut deployed, &json!({"include_namespaces": ["default"]}));
    assert_eq!(schedules(&deployed), Vec::<String>::new());
    deployed.configure_all(&[("default-schedule", "0 3 * * *"), ("default-ttl", "720h")]);
    let name = only(&deployed);
    until_enabled(&deployed, &name);
    assert_eq!(deployed.expect("Schedule", &name)["spec"]["template"]["ttl"], "720h");
    deployed.configure("default-schedule", "every day");
    let status = deployed.status();
    assert!(
        status.starts_with("blocked: the option default-schedule: \"every day\" is no cron expression"),
        "{status}"
    );
    assert_eq!(only(&deployed), name);
    deployed.reset("default-schedule");
    assert_eq!((deployed.status().as_str(), schedules(&deployed).len()), ("active: ready", 0));
}
