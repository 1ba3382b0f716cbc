//! The actions `create-backup`, `list-backups` and `restore`, on the real server.

use std::thread;

use sandbox::juju::{ActionResult, ActionStatus, DeployOptions, Disturbance, UnitName};
use serde_json::{Value, json};

use crate::{
    backups::Client,
    deployed::{APPLICATION, Deployed, trusted},
    objects,
    workload::{Chosen, Workload},
    world,
};

pub const TARGET: &str = "ledger:backups";

impl Deployed {
    fn act_on(&self, unit: u32, action: &str, parameters: &Value) -> ActionResult {
        let parameters = parameters.as_object().unwrap();
        self.model.run_action(&UnitName::new(APPLICATION, unit), action, parameters).unwrap()
    }

    pub fn act(&self, action: &str, parameters: &Value) -> ActionResult {
        self.act_on(0, action, parameters)
    }

    /// Runs an action that ends well. Returns its results.
    pub fn act_well(&self, action: &str, parameters: &Value) -> Value {
        let result = self.act(action, parameters);
        assert_eq!((result.status, result.message.as_str()), (ActionStatus::Completed, ""), "{result:?}");
        assert_eq!(result.results["status"], "success");
        Value::Object(result.results)
    }

    /// Runs an action that fails. Returns what it says.
    pub fn act_in_vain(&self, action: &str, parameters: &Value) -> String {
        let result = self.act(action, parameters);
        assert_eq!(result.status, ActionStatus::Failed, "{result:?}");
        assert!(!result.results.contains_key("status"), "{result:?}");
        result.message
    }
}

pub fn log_of(result: &ActionResult) -> String {
    result.log.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n")
}

/// Relates an application that wants its namespace backed up, without a schedule.
fn relate_ledger(deployed: &mut Deployed, spec: &Value) -> Client {
    let ledger = Client::relate(deployed, "ledger");
    ledger.declare(deployed, spec);
    ledger
}

#[test]
fn an_application_is_backed_up_found_and_restored_with_its_data() {
    let mut deployed = Deployed::new("actions");
    deployed.relate_s3();
    deployed.configure_all(&[("use-node-agent", "true"), ("default-volumes-to-fs-backup", "true")]);
    let workload = Workload::new(deployed.world, "actions-workload", Chosen::ByDefault);
    let digest = workload.write();
    let all = json!({"include_namespaces": [workload.namespace()], "ttl": "72h"});
    let ledger = relate_ledger(&mut deployed, &all);

    let result = deployed.act("create-backup", &json!({"target": TARGET}));
    assert_eq!(result.status, ActionStatus::Completed, "{result:?}");
    let name = result.results["backup-name"].as_str().unwrap();
    assert!(name.starts_with("ledger-backups-") && name.len() <= 63, "{name}");
    for (key, value) in [("status", "success"), ("phase", "Completed"), ("volumes", "1"), ("volumes-with-data", "1")] {
        assert_eq!(result.results[key], value, "{result:?}");
    }
    assert!(result.results["duration"].as_str().unwrap().ends_with('s'), "{result:?}");
    let log = log_of(&result);
    assert!(log.contains(&format!("backup {name} is made")) && !log.contains("without the"), "{log}");
    // How far it is, at least once.
    assert!(log.contains("InProgress"), "{log}");
    let backup = deployed.expect("Backup", name);
    assert_eq!(backup["status"]["progress"]["itemsBackedUp"].to_string(), result.results["items"].as_str().unwrap());
    assert_eq!((&backup["spec"]["ttl"], &backup["metadata"]["labels"]["model"]), (&json!("72h"), &json!("apps")));

    // What Velero says of a failure is in its store alone.
    let hook = json!({"pre.hook.backup.velero.io/container": "none-such", "pre.hook.backup.velero.io/command": "true",
        "pre.hook.backup.velero.io/on-error": "Fail"});
    workload.annotate(&hook);
    let told = deployed.act_in_vain("create-backup", &json!({"target": TARGET}));
    assert!(told.contains(" ended as PartiallyFailed with ") && told.contains("; the first error: "), "{told}");
    assert!(told.contains("none-such"), "{told}");

    // Claims without their pods: Velero says Completed, and the action what is missing.
    ledger.declare(
        &mut deployed,
        &json!({"include_namespaces": [workload.namespace()],
            "include_resources": ["persistentvolumeclaims", "persistentvolumes"]}),
    );
    let result = deployed.act("create-backup", &json!({"target": TARGET, "model": "apps"}));
    assert_eq!((&result.results["volumes"], &result.results["volumes-with-data"]), (&json!("1"), &json!("0")));
    let told = "1 of 1 volumes are in the backup without their data: actions-workload/notes";
    assert!(log_of(&result).contains(told), "{result:?}");
    let without_data = result.results["backup-name"].clone();
    let result = deployed.act("restore", &json!({"backup": without_data}));
    assert_eq!((result.status, log_of(&result).contains(told)), (ActionStatus::Completed, true), "{result:?}");

    let listed = deployed.act_well("list-backups", &json!({"app": "ledger", "endpoint": "backups", "model": "apps"}));
    let table: Vec<_> = listed["table"].as_str().unwrap().lines().collect();
    assert!(table[0].starts_with("BACKUP ") && table[1].starts_with(without_data.as_str().unwrap()), "{table:?}");
    let uid = backup["metadata"]["uid"].as_str().unwrap();
    let entry = json!({"name": name, "app": "ledger", "endpoint": "backups", "model": "apps", "phase": "Completed",
        "start-timestamp": backup["status"]["startTimestamp"], "completion-timestamp": backup["status"]["completionTimestamp"]});
    assert_eq!(listed["backups"][uid], entry);
    let newest = deployed.act_well("list-backups", &json!({"limit": 1}));
    assert_eq!((newest["total"].as_str(), newest["backups"].as_object().unwrap().len()), (Some("3"), 1));
    assert!(newest["table"].as_str().unwrap().contains("\n1 of 3: to see others, "), "{newest}");
    let remark = "\nfiles of volumes are encrypted with Velero's own password, which everybody knows; ";
    assert!(newest["table"].as_str().unwrap().contains(remark), "{newest}");

    workload.lose();
    // Velero takes all that can be said.
    let nothing = json!({"backup-uid": uid, "existing-resource-policy": "update", "include-namespaces": "actions-workload",
        "exclude-resources": "pods,replicasets.apps", "or-selector": "velero.io/none=such or velero.io/such=none",
        "namespace-mapping": "actions-workload:actions-elsewhere"});
    let restored = deployed.act_well("restore", &nothing);
    assert_eq!((&restored["phase"], &restored["volumes"]), (&json!("Completed"), &json!("0")));
    let restored = deployed.act_well("restore", &json!({"backup": name, "existing-resource-policy": "none"}));
    for (key, value) in [("phase", "Completed"), ("volumes", "1"), ("volumes-with-data", "1"), ("backup-name", name)] {
        assert_eq!(restored[key], value, "{restored}");
    }
    assert!(deployed.object("Restore", restored["restore-name"].as_str().unwrap()).is_some());
    workload.runs();
    assert_eq!(workload.digest(), digest);
}

#[test]
fn what_cannot_be_backed_up_or_restored_is_told_and_nothing_is_made() {
    let mut deployed = Deployed::new("actions-refused");
    let backup = |parameters: &Value| deployed.act_in_vain("create-backup", parameters);
    let told = backup(&json!({"target": TARGET}));
    assert!(told.starts_with("ledger:backups declares no backups; no application does"), "{told}");
    assert_eq!(backup(&json!({"target": "ledger"})), "target \"ledger\" is not of the form APP:ENDPOINT");
    let ledger = relate_ledger(&mut deployed, &json!({"include_namespaces": ["default"]}));
    let told = deployed.act_in_vain("create-backup", &json!({"target": "mail:backups"}));
    assert_eq!(told, "mail:backups declares no backups; there are ledger:backups of model apps");
    let told = deployed.act_in_vain("create-backup", &json!({"target": TARGET}));
    assert!(told.starts_with("there is no storage for backups"), "{told}");
    deployed.relate_s3();
    ledger.declare(&mut deployed, &json!({"ttl": "30d"}));
    let told = deployed.act_in_vain("create-backup", &json!({"target": TARGET}));
    assert!(told.starts_with("the backup spec of ledger:backups, relation "), "{told}");
    assert_eq!(deployed.list("Backup").len(), 0);

    for (parameters, told) in [
        (json!({"backup": "none-such"}), "there is no backup none-such: "),
        (json!({"backup-uid": "none-such"}), "there is no backup with uid none-such: "),
        (json!({}), "name the backup by backup-uid or by backup"),
        (json!({"backup": "a", "selector": "a in (b)"}), "selector has \"a in (b)\""),
    ] {
        let message = deployed.act_in_vain("restore", &parameters);
        assert!(message.starts_with(told), "{parameters}: {message}");
    }
    deployed.create(
        "Backup",
        &json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": "refused"},
            "spec": {"storageLocation": "default"}, "status": {"phase": "Failed"}}),
    );
    assert_eq!(
        deployed.act_in_vain("restore", &json!({"backup": "refused"})),
        "backup refused is Failed: only one that is Completed or PartiallyFailed can be restored"
    );
    assert_eq!(deployed.list("Restore").len(), 0);
    assert_eq!(deployed.act_well("list-backups", &json!({}))["table"], "no backups");
}

#[test]
fn any_unit_may_and_an_action_that_is_killed_leaves_its_backup_to_velero() {
    let options = DeployOptions { units: 2, ..trusted() };
    let mut deployed = Deployed::with(world::shared(), "actions-killed", &options);
    deployed.relate_s3();
    objects::make_namespace(deployed.world, "actions-killed-workload");
    relate_ledger(&mut deployed, &json!({"include_namespaces": ["actions-killed-workload"]}));
    let result = deployed.act_on(1, "create-backup", &json!({"target": TARGET, "wait": false}));
    assert_eq!((result.status, &result.results["status"]), (ActionStatus::Completed, &json!("success")));
    let name = result.results["backup-name"].as_str().unwrap();
    let later = format!("juju run {APPLICATION}/1 run command=\"backup describe {name}\"");
    assert!(log_of(&result).contains(&later), "{result:?}");
    deployed.until_phase("Backup", name, "Completed");

    deployed.model.disturb_next_run(Disturbance::KillAtTool("action-log"));
    let result = deployed.act("create-backup", &json!({"target": TARGET}));
    assert_eq!(result.status, ActionStatus::Failed, "{result:?}");
    let name = result.results["backup-name"].as_str().unwrap();
    deployed.until_phase("Backup", name, "Completed");
    assert_eq!(deployed.list("Backup").len(), 2);
}

#[test]
fn a_backup_whose_server_is_restarted_fails_with_the_servers_words() {
    let mut deployed = Deployed::new("actions-restarted");
    deployed.relate_s3();
    relate_ledger(&mut deployed, &json!({"include_namespaces": ["default"]}));
    deployed.end_server();
    let deployed = &deployed;
    let message = thread::scope(|scope| {
        let action = scope.spawn(|| deployed.act_in_vain("create-backup", &json!({"target": TARGET})));
        let backup = loop {
            if let Some(backup) = deployed.list("Backup").pop() {
                break backup["metadata"]["name"].as_str().unwrap().to_owned();
            }
        };
        // As the server leaves it that is at work on it when it ends.
        deployed.edit("Backup", &backup, &json!({"status": {"phase": "InProgress"}}));
        deployed.edit("Deployment", "velero", &json!({"spec": {"replicas": 1}}));
        action.join().unwrap()
    });
    assert!(message.contains(" ended as Failed: ") && message.contains("during the server starting"), "{message}");
}

#[test]
fn without_trust_the_failure_says_how_to_give_it() {
    let mut deployed = Deployed::with(world::shared(), "actions-untrusted", &DeployOptions::default());
    relate_ledger(&mut deployed, &json!({}));
    for (action, parameters) in [
        ("create-backup", json!({"target": TARGET})),
        ("list-backups", json!({})),
        ("restore", json!({"backup": "nightly"})),
    ] {
        let message = deployed.act_in_vain(action, &parameters);
        assert!(message.contains("juju trust velero-operator --scope=cluster"), "{action}: {message}");
    }
}
