//! Old backups by the option `retention`, deleted by the real server.

use serde_json::json;

use crate::{
    backups::{Client, only},
    deployed::Deployed,
};

/// The backups by their names.
fn backups(deployed: &Deployed) -> Vec<String> {
    let listed = deployed.list("Backup").into_iter();
    listed.map(|backup| backup["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn old_backups_go_from_the_cluster_and_the_store_and_those_made_by_hand_stay() {
    let mut deployed = Deployed::new("retention");
    let bucket = deployed.relate_s3();
    let ledger = Client::relate(&mut deployed, "ledger");
    let spec = json!({"include_namespaces": ["default"], "include_resources": ["configmaps"],
        "schedule": "30 1 * * *", "paused": true});
    ledger.declare(&mut deployed, &spec);
    let schedule = only(&deployed);
    let by_hand = deployed.act_well("create-backup", &json!({"target": "ledger:backups"}))["backup-name"].clone();
    let by_hand = by_hand.as_str().unwrap();
    for name in ["scheduled-1", "scheduled-2", "scheduled-3"] {
        deployed.run_well(&format!("backup create {name} --from-schedule {schedule} --wait"));
    }

    let unset = deployed.act("show-retention", &json!({})).message;
    assert!(unset.starts_with("the option retention is not set"), "{unset}");
    let shown = deployed.act_well("show-retention", &json!({"retention": "2", "app": "ledger"}));
    let table = shown["table"].as_str().unwrap();
    assert!(table.contains("\ndelete  scheduled-1 ") && table.contains("\nkeep    scheduled-2 "), "{table}");
    assert!(!table.contains(by_hand), "{table}");
    assert_eq!((&shown["delete"], &shown["keep"]), (&json!("1"), &json!("2")));
    let uid = deployed.uid("Backup", "scheduled-1");
    assert_eq!(shown["backups"][&uid]["reason"], "no rule keeps it");
    assert_eq!(backups(&deployed).len(), 4);

    let is_stored = |deployed: &Deployed, name: &str| {
        let keys = deployed.world.s3().bucket(&bucket).unwrap().keys().unwrap();
        keys.iter().any(|key| key.starts_with(&format!("backups/{name}/")))
    };
    assert!(is_stored(&deployed, "scheduled-1"));
    deployed.configure("retention", "2");
    deployed.until("Backup", "scheduled-1", |backup| backup.is_none());
    assert_eq!(backups(&deployed), [by_hand, "scheduled-2", "scheduled-3"]);
    assert!(!is_stored(&deployed, "scheduled-1") && is_stored(&deployed, "scheduled-2"));
    assert_eq!(deployed.status(), "active: ready");

    // A second look finds nothing more; what has been looked at is not looked at in each hook.
    deployed.configure("retention", "3");
    deployed.update_status();
    assert_eq!(deployed.act_well("show-retention", &json!({}))["delete"], "0");
    assert_eq!(backups(&deployed).len(), 3);

    // What cannot be kept for so long is said, and what is not understood deletes nothing.
    deployed.configure("retention", "7 daily, 12 monthly");
    let told = "active: ready; retention would keep backups of ledger for 8760h, and their ttl of 720h ends them before: \
                set default-ttl=8760h";
    assert_eq!(deployed.status(), told);
    deployed.configure("retention", "a year");
    assert!(deployed.status().starts_with("blocked: the option retention: \"a year\" is not understood"));

    // The last good one stays.
    deployed.configure("retention", "1");
    deployed.until("Backup", "scheduled-2", |backup| backup.is_none());
    assert_eq!(backups(&deployed), [by_hand, "scheduled-3"]);
    assert!(is_stored(&deployed, "scheduled-3") && is_stored(&deployed, by_hand));
}
