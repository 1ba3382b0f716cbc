//! What is told of volumes before they are backed up, held against what the real server then makes of it.

use serde_json::{Value, json};

use crate::{
    actions::{TARGET, log_of},
    backups::{Client, only},
    deployed::Deployed,
    workload::{Chosen, Workload},
};

/// What real applications ask for: claims, and not the pods that use them.
fn claims_alone(workload: &Workload, more: &Value) -> Value {
    let mut spec = json!({"include_namespaces": [workload.namespace()], "schedule": "0 3 * * *",
        "include_resources": ["persistentvolumeclaims"]});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

/// Backs the application up. Returns how many volumes the backup has, of how many it has the data, and the log.
fn back_up(deployed: &Deployed) -> (String, String, String) {
    let result = deployed.act("create-backup", &json!({"target": TARGET}));
    let of = |key: &str| result.results[key].as_str().unwrap_or_else(|| panic!("{result:?}")).to_owned();
    (of("volumes"), of("volumes-with-data"), log_of(&result))
}

fn counts(with_volumes: &(String, String, String)) -> (&str, &str) {
    (&with_volumes.0, &with_volumes.1)
}

#[test]
fn claims_without_their_pods_are_told_of_and_their_data_comes_along_where_the_option_says_so() {
    let mut deployed = Deployed::new("forecast-pods");
    deployed.relate_s3();
    let workload = Workload::new(deployed.world, "forecast-pods-workload", Chosen::ByDefault);
    let digest = workload.write();
    let ledger = Client::relate(&mut deployed, "ledger");
    ledger.declare(&mut deployed, &claims_alone(&workload, &json!({})));
    let says = |reason: &str| format!("active: ready; 1 volume of ledger is backed up without its data: {reason}");
    assert_eq!(deployed.status(), says("no node agent reads files: set use-node-agent=true"));
    deployed.configure_all(&[("use-node-agent", "true"), ("default-volumes-to-fs-backup", "true")]);
    let left_out = "its pods are not in the backup: set add-pods-to-backups=true";
    deployed.assert_comes_to_say(&says(left_out));
    let made = back_up(&deployed);
    assert_eq!(counts(&made), ("1", "0"));
    let told = format!("without the data of forecast-pods-workload/notes: {left_out}");
    assert!(made.2.contains(&format!("the backup will be {told}")), "{}", made.2);
    let listed = deployed.act("list-backups", &json!({"app": "ledger"}));
    let table = listed.results["table"].as_str().unwrap();
    assert!(table.contains(&format!("\nledger:backups of model apps is backed up {told}\n")), "{table}");

    // The claim brings its pod, whose labels are others.
    workload.label_claim("tier", "data");
    ledger.declare(&mut deployed, &claims_alone(&workload, &json!({"label_selector": {"tier": "data"}})));
    deployed.configure("add-pods-to-backups", "true");
    assert_eq!(deployed.status(), "active: ready");
    let template = deployed.expect("Schedule", &only(&deployed))["spec"]["template"].clone();
    assert_eq!(template["includedResources"], json!(["persistentvolumeclaims", "persistentvolumes", "pods"]));
    let made = back_up(&deployed);
    assert_eq!(counts(&made), ("1", "1"));
    assert!(!made.2.contains("without the data"), "{}", made.2);

    workload.lose();
    let backups = deployed.act("list-backups", &json!({"app": "ledger", "limit": 1}));
    let (_, newest) = backups.results["backups"].as_object().unwrap().iter().next().unwrap();
    let restored = deployed.act("restore", &json!({"backup": newest["name"]}));
    assert_eq!(restored.results["volumes-with-data"], "1", "{restored:?}");
    workload.runs();
    assert_eq!(workload.digest(), digest);

    // The operator's option does not outdo what the application excludes.
    ledger.declare(&mut deployed, &claims_alone(&workload, &json!({"exclude_resources": ["pods"]})));
    assert_eq!(deployed.status(), says("its spec excludes pods"));
    assert_eq!(counts(&back_up(&deployed)), ("1", "0"));
}

#[test]
fn what_a_pod_or_a_volume_keeps_from_a_backup_is_told() {
    let mut deployed = Deployed::new("forecast-volumes");
    deployed.relate_s3();
    deployed.configure_all(&[("use-node-agent", "true"), ("default-volumes-to-fs-backup", "true")]);
    let workload = Workload::new(deployed.world, "forecast-volumes-workload", Chosen::ByDefault);
    workload.write();
    let ledger = Client::relate(&mut deployed, "ledger");
    let all = json!({"include_namespaces": [workload.namespace()], "schedule": "0 3 * * *"});
    ledger.declare(&mut deployed, &all);
    deployed.assert_becomes_active();
    assert_eq!((deployed.status().as_str(), counts(&back_up(&deployed))), ("active: ready", ("1", "1")));

    workload.annotate(&json!({"backup.velero.io/backup-volumes-excludes": "data"}));
    deployed.update_status();
    let says = |reason: &str| format!("active: ready; 1 volume of ledger is backed up without its data: {reason}");
    assert_eq!(deployed.status(), says("its pods exclude volumes from backups"));
    assert_eq!(counts(&back_up(&deployed)), ("1", "0"));
    workload.annotate(&json!({"backup.velero.io/backup-volumes-excludes": null}));

    workload.add_folder_of_node();
    deployed.update_status();
    assert_eq!(deployed.status(), says("Velero does not read folders of a node (hostPath)"));
    assert_eq!(counts(&back_up(&deployed)), ("2", "1"));
}
