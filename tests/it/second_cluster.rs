//! A cluster is lost and its bucket remains: an empty one restores from it, as the guide of docs/how-to tells it.

use serde_json::{Value, json};

use crate::{
    actions::TARGET,
    backups::Client,
    deployed::{APPLICATION, Deployed, trusted},
    neighbours::{deploy, empty_model, install_by_hand},
    predecessor::velero,
    removal,
    workload::{Chosen, Workload},
    world,
};

/// The namespace of the workload in the first cluster.
const SHOP: &str = "lost-cluster-shop";
/// The backup that a plain Velero has made.
const OLDER: &str = "older";
/// Where the Velero of a namespace finds the password of the files of volumes.
const PASSWORD: &str = "velero-repo-credentials";
/// The password that the users of the first cluster chose.
const CHOSEN: &str = "chosen-by-users";

/// What remains of the first cluster, and what was in it.
struct Remains {
    bucket: String,
    older_digest: Vec<u8>,
    /// The backup that the charm has made.
    newer: String,
    newer_uid: String,
    newer_digest: Vec<u8>,
}

/// Lets a plain Velero make a backup, and the charm that takes its place one of later content. Then all but the bucket is lost.
fn lose_a_cluster() -> Remains {
    let mut deployed = empty_model(world::shared(), "lost-cluster");
    deployed.create(
        "Secret",
        &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": PASSWORD},
            "stringData": {"repository-password": CHOSEN}}),
    );
    let bucket = install_by_hand(&deployed);
    let workload = Workload::new(deployed.world, SHOP, Chosen::ByDefault);
    let older_digest = workload.write();
    let of_shop = format!("--include-namespaces={SHOP}");
    velero(&deployed, &["backup", "create", OLDER, &of_shop, "--default-volumes-to-fs-backup", "--wait"]);
    deployed.until_phase("Backup", OLDER, "Completed");

    deploy(&mut deployed, APPLICATION);
    deployed.relate_bucket(&bucket);
    deployed.configure_all(&[("use-node-agent", "true"), ("default-volumes-to-fs-backup", "true")]);
    let newer_digest = workload.write();
    let ledger = Client::relate(&mut deployed, "ledger");
    ledger.declare(&mut deployed, &json!({"include_namespaces": [SHOP]}));
    let made = deployed.act_well("create-backup", &json!({"target": TARGET}));
    assert_eq!((&made["volumes"], &made["volumes-with-data"]), (&json!("1"), &json!("1")));
    let newer = made["backup-name"].as_str().unwrap().to_owned();
    let newer_uid = deployed.uid("Backup", &newer);
    Remains { bucket, older_digest, newer, newer_uid, newer_digest }
}

/// Restores a backup with its only volume.
fn restore(deployed: &Deployed, backup: &str, more: (&str, &str)) {
    let mut parameters = json!({"backup": backup});
    parameters[more.0] = Value::from(more.1);
    let restored = deployed.act_well("restore", &parameters);
    let counted = ["phase", "volumes", "volumes-with-data"].map(|key| restored[key].as_str().unwrap());
    assert_eq!(counted, ["Completed", "1", "1"], "{restored}");
}

#[test]
fn all_that_a_lost_cluster_has_backed_up_is_restored_into_an_empty_one_also_what_a_plain_velero_has() {
    let remains = lose_a_cluster();
    let (_turn, world) = world::untouched();
    let bucket = "of-the-lost-cluster";
    world.s3().take_over(world::shared().s3().bucket(&remains.bucket).unwrap(), bucket).unwrap();

    let mut deployed = Deployed::with(world, "second-cluster", &trusted());
    let content = [("password".to_owned(), CHOSEN.to_owned())].into();
    let secret = deployed.model.add_user_secret("velero-repository", &content).unwrap();
    let records = deployed.model.grant_user_secret("velero-repository", APPLICATION).unwrap();
    deployed.after(records).configure("repository-password", &secret.to_string());
    // The first cluster may live, for all that anybody here knows.
    deployed.relate_bucket(bucket);
    let of_the_first =
        "blocked: the storage is that of velero-operator in model lost-cluster of another cluster: use another";
    assert!(deployed.status().starts_with(of_the_first), "{}", deployed.status());
    assert!(deployed.object("BackupStorageLocation", "default").is_none());
    deployed.configure_all(&[
        ("storage-mode", "recovery"),
        ("use-node-agent", "true"),
        ("default-volumes-to-fs-backup", "true"),
    ]);
    let recovers = "active: ready; storage-mode=recovery: backups can be restored, and none are made or deleted";
    assert_eq!(deployed.status(), recovers);
    assert_eq!(deployed.expect("BackupStorageLocation", "default")["spec"]["accessMode"], "ReadOnly");
    let wanting = Client::relate(&mut deployed, "wanting");
    wanting.declare(&mut deployed, &json!({"include_namespaces": ["default"], "schedule": "@daily"}));
    assert_eq!(deployed.list("Schedule")[0]["spec"]["paused"], true);
    for backup in [OLDER, &remains.newer] {
        deployed.until("Backup", backup, |backup| backup.is_some());
    }
    let listed = deployed.run_well("backup get");
    assert!(listed.contains(OLDER) && listed.contains(&remains.newer), "{listed}");
    let listed = deployed.act_well("list-backups", &json!({"app": "ledger"}));
    let (uid, backup) = listed["backups"].as_object().unwrap().iter().next().unwrap();
    assert_eq!((&backup["name"], &backup["model"]), (&json!(remains.newer), &json!("apps")), "{listed}");
    assert_ne!(uid, &remains.newer_uid);

    restore(&deployed, &remains.newer, ("include-namespaces", SHOP));
    assert_eq!(Workload::restored(world, SHOP).digest(), remains.newer_digest);
    let beside = "lost-cluster-shop-of-before";
    restore(&deployed, OLDER, ("namespace-mapping", &format!("{SHOP}:{beside}")));
    assert_eq!(Workload::restored(world, beside).digest(), remains.older_digest);

    // It is gone for good, and this one goes on.
    deployed.reset("storage-mode");
    assert!(deployed.status().starts_with(of_the_first), "{}", deployed.status());
    let taken = deployed.act_well("test-storage", &json!({"size": 0, "take-over": true}));
    assert_eq!(taken["owner"], "this application; before, velero-operator in model lost-cluster of another cluster");
    deployed.update_status();
    deployed.assert_becomes_active();
    assert_ne!(deployed.expect("BackupStorageLocation", "default")["spec"]["accessMode"], "ReadOnly");
    assert_ne!(deployed.list("Schedule")[0]["spec"]["paused"], true);

    deployed.model.remove_application(APPLICATION, false).unwrap();
    removal::until_definitions_are_gone(world);
}
