//! Removing units and the application.

use std::time::Duration;

use sandbox::juju::{DeployOptions, HookRecord, Level, Series, UnitName};
use serde_json::{Value, json};

use crate::{
    deployed::{APPLICATION, Deployed, other_velero, trusted},
    objects,
    world::{self, World},
};

#[test]
fn the_last_unit_takes_velero_along_and_leaves_the_bucket() {
    let mut deployed = Deployed::new("removed");
    let bucket = deployed.relate_s3();
    deployed.configure("use-node-agent", "true");
    deployed.run_well("backup create nightly --include-namespaces default --wait");
    deployed.run_well("restore create again --from-backup nightly --wait");
    let backed_up = |deployed: &Deployed| {
        let mut keys = deployed.world.s3().bucket(&bucket).unwrap().keys().unwrap();
        keys.retain(|key| key.starts_with("backups/"));
        keys
    };
    let before = backed_up(&deployed);
    assert!(!before.is_empty());
    let records = deployed.model.remove_application(APPLICATION, false).unwrap();
    assert!(records.iter().all(HookRecord::success), "{records:?}");
    assert_eq!(deployed.names(), Vec::<String>::new());
    assert!(deployed.object("Secret", "velero-repo-credentials").is_none());
    assert_eq!(backed_up(&deployed), before);
    // The keeper's Velero still needs them.
    deployed.expect("CustomResourceDefinition", "backups.velero.io");
}

#[test]
fn one_unit_of_several_removes_nothing() {
    let mut deployed = Deployed::with(world::shared(), "one-of-two", &DeployOptions { units: 2, ..trusted() });
    deployed.relate_s3();
    let before = deployed.everything();
    for leader_first in [0, 1] {
        let records = deployed.model.remove_unit(&UnitName::new(APPLICATION, leader_first)).unwrap();
        deployed.after(records);
        if leader_first == 0 {
            assert_eq!(deployed.everything(), before);
            assert_eq!(deployed.status_of(1), "active: ready");
        }
    }
    assert_eq!(deployed.names(), Vec::<String>::new());
}

#[test]
fn without_rights_the_unit_goes_and_says_what_it_leaves() {
    let mut deployed = Deployed::new("rightless");
    deployed.relate_s3();
    let records = deployed.model.trust(APPLICATION, false).unwrap();
    deployed.after(records);
    assert!(deployed.status().contains("juju trust"), "{}", deployed.status());
    let records = deployed.model.remove_application(APPLICATION, false).unwrap();
    assert!(records.iter().all(HookRecord::success), "{records:?}");
    assert!(!deployed.model.status().unwrap().applications.contains_key(APPLICATION));
    let log = deployed.model.unit_log(&Deployed::unit()).unwrap();
    let warning = log
        .iter()
        .find(|line| line.level == Level::Warning && line.message.contains("remove it by hand"))
        .expect("a warning");
    for object in ["Deployment velero", "ServiceAccount velero", "namespace rightless"] {
        assert!(warning.message.contains(object), "{}", warning.message);
    }
    deployed.expect("Deployment", "velero");
}

/// The series of Juju, and how a test calls its model on it.
const SERIES: [(Series, &str); 2] = [(Series::Juju36, "on-3"), (Series::Juju40, "on-4")];

fn names(records: &[HookRecord]) -> Vec<String> {
    records.iter().map(|record| format!("{} {}", record.unit.number, record.name)).collect()
}

#[test]
fn a_unit_without_relations_takes_velero_along_also_where_juju_gives_no_last_hook() {
    for (series, suffix) in SERIES {
        let mut deployed = Deployed::of_series(world::shared(), &format!("unrelated-{suffix}"), &trusted(), series);
        deployed.until("Secret", "velero-repo-credentials", |secret| secret.is_some());
        let there = deployed.versions();
        for kind in ["Deployment", "Service ", "ServiceAccount", "ClusterRoleBinding"] {
            assert!(there.keys().any(|name| name.starts_with(kind)), "{kind}: {there:?}");
        }
        let records = deployed.model.remove_application(APPLICATION, false).unwrap();
        assert!(records.iter().all(HookRecord::success), "{records:?}");
        let last: &[&str] = if series == Series::Juju40 { &["0 stop"] } else { &["0 stop", "0 remove"] };
        assert_eq!(names(&records), last);
        deployed.after(records);
        assert_eq!(deployed.names(), Vec::<String>::new(), "{series}");
        assert!(deployed.object("Secret", "velero-repo-credentials").is_none(), "{series}");
    }
}

#[test]
fn a_pod_that_is_only_replaced_takes_nothing_away() {
    for (series, suffix) in SERIES {
        let mut deployed = Deployed::of_series(world::shared(), &format!("replaced-{suffix}"), &trusted(), series);
        deployed.until("Secret", "velero-repo-credentials", |secret| secret.is_some());
        let (before, repositories) = (deployed.standing(), deployed.uid("Secret", "velero-repo-credentials"));
        let records = deployed.model.refresh(APPLICATION, &deployed.world.charm).unwrap();
        assert!(records.iter().all(HookRecord::success), "{records:?}");
        assert_eq!(names(&records), ["0 stop", "0 upgrade-charm", "0 config-changed", "0 start"]);
        deployed.after(records);
        assert_eq!(deployed.standing(), before, "{series}");
        assert_eq!(deployed.uid("Secret", "velero-repo-credentials"), repositories, "{series}");
    }
}

#[test]
fn where_juju_gives_no_last_hook_one_unit_of_several_removes_nothing_and_the_last_one_all() {
    let two = DeployOptions { units: 2, ..trusted() };
    let mut deployed = Deployed::of_series(world::shared(), "several-on-4", &two, Series::Juju40);
    let before = deployed.standing();
    let records = deployed.model.remove_unit(&UnitName::new(APPLICATION, 0)).unwrap();
    assert_eq!(names(&records), ["0 stop", "1 leader-elected"]);
    deployed.after(records);
    assert_eq!(deployed.standing(), before);
    let records = deployed.model.remove_unit(&UnitName::new(APPLICATION, 1)).unwrap();
    assert_eq!(names(&records), ["1 stop"]);
    deployed.after(records);
    assert_eq!(deployed.names(), Vec::<String>::new());
}

#[test]
fn a_password_of_volume_backups_that_the_user_chose_stays() {
    let deployed = Deployed::new("password");
    let chosen = json!({"data": {"repository-password": "Y2hvc2Vu"}});
    // Velero's server makes the Secret with its default at its start.
    deployed.until("Secret", "velero-repo-credentials", |secret| secret.is_some());
    deployed.edit("Secret", "velero-repo-credentials", &chosen);
    deployed.model.remove_application(APPLICATION, false).unwrap();
    assert!(deployed.object("Deployment", "velero").is_none());
    deployed.expect("Secret", "velero-repo-credentials");
}

/// Waits until the definitions have gone of which the last hook of the cluster's last Velero has begun the deletion. The API server
/// deletes what is left of a kind before its definition, one after the other.
pub fn until_definitions_are_gone(world: &World) {
    world.runtime.block_on(async {
        let api = objects::api(world, "", "CustomResourceDefinition");
        let of_velero = kube::api::ListParams::default().labels("component=velero");
        for definition in api.list(&of_velero).await.unwrap() {
            assert!(definition.metadata.deletion_timestamp.is_some(), "{:?}", definition.metadata);
            let name = definition.metadata.name.unwrap();
            let gone = kube::runtime::wait::await_condition(api.clone(), &name, |object: Option<&_>| object.is_none());
            tokio::time::timeout(Duration::from_mins(1), gone).await.unwrap().unwrap();
        }
    });
}

#[test]
fn definitions_go_with_the_last_velero_of_the_cluster_and_not_before() {
    let (_turn, world) = world::untouched();
    other_velero(world, "another");
    let deployed = Deployed::with(world, "first-of-two", &trusted());
    deployed.model.remove_application(APPLICATION, false).unwrap();
    deployed.expect("CustomResourceDefinition", "backups.velero.io");
    objects::forget(world, "another");
    world.runtime.block_on(async {
        let api = objects::api(world, "another", "Deployment");
        let gone = kube::runtime::wait::await_condition(api, "velero", |object: Option<&_>| object.is_none());
        tokio::time::timeout(Duration::from_mins(1), gone).await.unwrap().unwrap();
    });
    let mut last = Deployed::with(world, "last", &trusted());
    last.relate_s3();
    last.run_well("backup create nightly --include-namespaces default --wait");
    last.model.remove_application(APPLICATION, false).unwrap();
    until_definitions_are_gone(world);
    let left = last.versions();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_restore_that_the_server_cannot_finish_does_not_hold_the_removal() {
    let mut deployed = Deployed::new("stuck-restore");
    deployed.relate_s3();
    deployed.run_well("backup create nightly --include-namespaces default --wait");
    deployed.run_well("restore create again --from-backup nightly --wait");
    deployed.edit("Restore", "again", &json!({"metadata": {"finalizers": ["example.test/nobody-takes-this-off"]}}));
    let records = deployed.model.remove_application(APPLICATION, false).unwrap();
    assert!(records.iter().all(HookRecord::success), "{records:?}");
    assert!(deployed.object("Restore", "again").is_none());
    assert_eq!(deployed.names(), Vec::<String>::new());
}

#[test]
fn a_namespace_full_of_backups_is_removed_whole_however_often_that_has_to_be_tried() {
    let mut deployed = Deployed::new("full");
    deployed.relate_s3();
    let object = |kind: &str, name: String, metadata: &Value, spec: &Value, phase: &str| {
        let mut object = json!({"apiVersion": "velero.io/v1", "kind": kind, "metadata": metadata, "spec": spec,
            "status": {"phase": phase}});
        object["metadata"]["name"] = json!(name);
        object
    };
    let none = json!({});
    deployed.create_all(
        "Backup",
        (0..1_000).map(|number| object("Backup", format!("nightly-{number}"), &none, &none, "Completed")),
    );
    let volume = json!({"backupStorageLocation": "default", "node": "any", "pod": {}, "repoIdentifier": "any",
        "volume": "data"});
    deployed.create_all(
        "PodVolumeBackup",
        (0..3_000).map(|number| object("PodVolumeBackup", format!("volume-{number}"), &none, &volume, "Completed")),
    );
    let held = json!({"finalizers": ["restores.velero.io/external-resources-finalizer"]});
    let restore = json!({"backupName": "nightly-1"});
    deployed.create_all(
        "Restore",
        (0..100).map(|number| object("Restore", format!("again-{number}"), &held, &restore, "Completed")),
    );
    // The hook gives up before a pod's time is over, and fails then. Juju tries it again for as long as that takes.
    deployed.model.remove_application(APPLICATION, false).unwrap();
    let is_there = |deployed: &Deployed| deployed.model.status().unwrap().applications.contains_key(APPLICATION);
    for _ in 0..5 {
        if is_there(&deployed) {
            deployed.model.resolved(&Deployed::unit(), true).unwrap();
        }
    }
    assert!(!is_there(&deployed));
    assert_eq!(deployed.names(), Vec::<String>::new());
    for kind in ["Backup", "PodVolumeBackup", "Restore"] {
        assert_eq!(deployed.list(kind).len(), 0, "{kind}");
    }
}
