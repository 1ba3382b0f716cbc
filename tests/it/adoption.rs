//! The charm in place of the Python charm of the same name: what it finds is taken over, and what went wrong there does not.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use kube::{ResourceExt, api::ListParams};
use sandbox::juju::{DeployOptions, HookRecord, UnitName};
use serde_json::{Value, json};

use crate::{
    deployed::{APPLICATION, Deployed, trusted},
    gate::Gate,
    objects, predecessor, world,
};

/// Credentials that were right once.
const OLD_CREDENTIALS: &str = "[default]\naws_secret_access_key=OLDMARKEDSECRET42\n";

/// Everything of which there is one before and after.
const KEPT: [(&str, &str); 8] = [
    ("Deployment", "velero"),
    ("DaemonSet", "node-agent"),
    ("ServiceAccount", "velero"),
    ("Service", "velero-metrics"),
    ("Secret", "cloud-credentials"),
    ("BackupStorageLocation", "default"),
    ("Backup", "before-refresh"),
    ("Schedule", "notes-backups-x7k2p"),
];

fn with_node_agent() -> DeployOptions {
    DeployOptions { config: BTreeMap::from([("use-node-agent".into(), "true".into())]), ..trusted() }
}

/// Refreshes to this charm; none of its hooks may fail.
fn refresh(deployed: &mut Deployed) {
    let records = deployed.model.refresh(APPLICATION, &deployed.world.charm).unwrap();
    assert!(records.iter().any(|record| record.name == "upgrade-charm"), "{records:?}");
    assert!(records.iter().all(HookRecord::success), "{records:?}");
    deployed.after(records);
}

fn uids(deployed: &Deployed, kept: &[(&str, &str)]) -> Vec<String> {
    kept.iter().map(|(kind, name)| format!("{kind} {}", deployed.uid(kind, name))).collect()
}

/// What an object is, without what differs from one to the next of its kind.
fn essence(deployed: &Deployed, kind: &str, name: &str) -> Value {
    let object = deployed.expect(kind, name);
    let mut metadata =
        json!({"labels": object["metadata"]["labels"], "annotations": object["metadata"]["annotations"]});
    if let Some(annotations) = metadata["annotations"].as_object_mut() {
        // How often it was changed, and what names the namespace or the bucket.
        let counts = ["deployment.kubernetes.io/revision", "deprecated.daemonset.template.generation"];
        annotations.retain(|annotation, _| {
            !annotation.starts_with("velero-operator/") && !counts.contains(&annotation.as_str())
        });
    }
    let mut spec = object["spec"].clone();
    for own in ["clusterIP", "clusterIPs", "objectStorage"] {
        if let Some(fields) = spec.as_object_mut() {
            fields.remove(own);
        }
    }
    json!({"metadata": metadata, "spec": spec, "roleRef": object["roleRef"]})
}

fn managers(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| entry["manager"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn all_that_the_python_charm_made_is_taken_over_and_nothing_of_it_is_stale() {
    let (_turn, world) = world::alone();
    let (mut deployed, bucket) = predecessor::deployed(world, "python-charm", &with_node_agent());
    predecessor::await_available(&deployed);
    objects::make_namespace(world, "python-charm-workload");
    let workload = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "notes"}, "data": {"a": "b"}});
    let config_maps = objects::api(world, "python-charm-workload", "ConfigMap");
    let workload = serde_json::from_value(workload).unwrap();
    world.runtime.block_on(config_maps.create(&kube::api::PostParams::default(), &workload)).unwrap();
    let command = ["backup", "create", "before-refresh", "--include-namespaces=python-charm-workload", "--wait"];
    assert!(predecessor::velero(&deployed, &command).contains("Completed"));
    let schedule = json!({
        "apiVersion": "velero.io/v1", "kind": "Schedule",
        "metadata": {"name": "notes-backups-x7k2p",
            "labels": {"app": "notes", "endpoint": "backups", "model": "python-charm", "managed-by": "velero-operator"}},
        "spec": {"schedule": "0 3 * * *", "template": {"storageLocation": "default", "ttl": "72h0m0s"}},
    });
    predecessor::create(&deployed, "Schedule", schedule);
    // What is in no manifest of this charm.
    predecessor::add_credentials_of_install(&deployed, OLD_CREDENTIALS);
    let profile = json!({"spec": {"config": {"profile": "default"}}});
    deployed.edit_as(predecessor::CLI, "BackupStorageLocation", "default", &profile);
    predecessor::downgrade_definitions(&deployed);
    let before = uids(&deployed, &KEPT);
    let definition = deployed.uid("CustomResourceDefinition", "backups.velero.io");

    refresh(&mut deployed);

    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(uids(&deployed, &KEPT), before);
    let mut fresh = Deployed::with(world, "fresh-charm", &with_node_agent());
    fresh.relate_s3();
    assert_eq!(fresh.status(), "active: ready");
    for (kind, name) in &KEPT[..6] {
        let object = deployed.expect(kind, name);
        let managers = managers(&object);
        assert!(managers.iter().all(|name| name != predecessor::CLI && name != predecessor::CLIENT), "{managers:?}");
        assert!(managers.iter().any(|name| name == "velero-operator"), "{kind} {name}: {managers:?}");
        if *kind != "BackupStorageLocation" {
            assert_eq!(essence(&deployed, kind, name), essence(&fresh, kind, name), "{kind} {name}");
        }
    }
    let location = deployed.expect("BackupStorageLocation", "default");
    let s3_url = &world.s3().endpoint;
    let config = json!({"checksumAlgorithm": "", "region": "us-east-1", "s3ForcePathStyle": "true", "s3Url": s3_url});
    assert_eq!(location["spec"]["config"], config);
    assert_eq!(location["spec"]["objectStorage"]["bucket"], bucket.as_str());
    // Snapshots of AWS's disks are nothing for this store.
    assert!(deployed.object("VolumeSnapshotLocation", "default").is_none());
    let binding = deployed.expect("ClusterRoleBinding", "velero-python-charm");
    assert_eq!(binding["metadata"]["labels"]["app.kubernetes.io/managed-by"], "velero-operator");

    let definition_of_restores = deployed.expect("CustomResourceDefinition", "restores.velero.io");
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/resourcePolicy";
    assert!(
        definition_of_restores.pointer(spec).is_some_and(Value::is_object),
        "the definitions are those of 1.18 again"
    );
    assert_eq!(deployed.uid("CustomResourceDefinition", "backups.velero.io"), definition);

    let secrets = objects::api(world, "python-charm", "Secret");
    // Juju has one of its own for the application.
    let not_jujus = ListParams::default().labels("app.kubernetes.io/managed-by!=juju");
    for secret in world.runtime.block_on(secrets.list(&not_jujus)).unwrap() {
        let name = secret.name_any();
        assert!(["cloud-credentials", "velero-repo-credentials"].contains(&name.as_str()), "{name}");
        assert!(!secret.data.to_string().contains(&BASE64_STANDARD.encode(OLD_CREDENTIALS)), "{name}");
    }
    let secret = deployed.expect("Secret", "cloud-credentials");
    assert_eq!(secret["data"].as_object().unwrap().keys().collect::<Vec<_>>(), ["creds"]);

    let versions = deployed.versions();
    deployed.update_status();
    assert_eq!(deployed.versions(), versions, "a second look changes nothing");
    world.runtime.block_on(config_maps.delete("notes", &kube::api::DeleteParams::default())).unwrap();
    deployed.run_well("restore create again --from-backup before-refresh --wait");
    let restored = world.runtime.block_on(config_maps.get("notes")).unwrap();
    assert_eq!(restored.data["data"], json!({"a": "b"}));
    assert!(deployed.run_well("schedule get").contains("notes-backups-x7k2p"));
    objects::forget(world, "python-charm-workload");
}

#[test]
fn without_trust_upgrade_charm_says_so_and_does_not_fail() {
    let options = DeployOptions { trust: false, ..with_node_agent() };
    let (mut deployed, _) = predecessor::deployed(world::shared(), "python-untrusted", &options);
    predecessor::await_available(&deployed);
    let before = uids(&deployed, &KEPT[..6]);
    refresh(&mut deployed);
    assert_eq!(
        deployed.status(),
        "blocked: not allowed to manage the cluster: juju trust velero-operator --scope=cluster"
    );
    let managers = managers(&deployed.expect("Deployment", "velero"));
    assert!(managers.iter().all(|name| name != "velero-operator"), "{managers:?}");
    let records = deployed.model.trust(APPLICATION, true).unwrap();
    deployed.after(records);
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(uids(&deployed, &KEPT[..6]), before);
}

#[test]
fn what_is_not_wanted_any_more_of_the_python_charms_goes() {
    let (mut deployed, _) = predecessor::deployed(world::shared(), "python-unwanted", &trusted());
    predecessor::await_available(&deployed);
    deployed.expect("DaemonSet", "node-agent");
    refresh(&mut deployed);
    assert!(deployed.object("DaemonSet", "node-agent").is_none());
    deployed.remove_relation("s3-credentials");
    for (kind, name) in [("BackupStorageLocation", "default"), ("Secret", "cloud-credentials")] {
        assert!(deployed.object(kind, name).is_none(), "{kind}");
    }
    let records = deployed.model.remove_application(APPLICATION, false).unwrap();
    assert!(records.iter().all(HookRecord::success), "{records:?}");
    let mut left: Vec<_> = deployed.versions().into_keys().collect();
    left.retain(|name| !name.starts_with("CustomResourceDefinition"));
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_refresh_waits_for_the_backup_that_the_python_charms_server_makes() {
    let (mut deployed, _) = predecessor::deployed(world::shared(), "python-busy", &with_node_agent());
    predecessor::await_available(&deployed);
    let gate = Gate::new(&deployed);
    let included = format!("--include-namespaces={}", gate.namespace);
    predecessor::velero(&deployed, &["backup", "create", "slow", &included]);
    deployed.until_phase("Backup", "slow", "InProgress");
    let before = (deployed.pods(), uids(&deployed, &KEPT[..6]));
    refresh(&mut deployed);
    let status = deployed.status();
    assert!(status.starts_with("waiting: to ") && status.ends_with("until backup slow has ended"), "{status}");
    assert_eq!((deployed.pods(), uids(&deployed, &KEPT[..6])), before);
    gate.open("backup");
    deployed.until_phase("Backup", "slow", "Completed");
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    let managers = managers(&deployed.expect("Deployment", "velero"));
    assert!(!managers.iter().any(|name| name == predecessor::CLIENT), "{managers:?}");
}

#[test]
fn a_relations_change_remakes_nothing_and_fails_no_backup() {
    let mut deployed = Deployed::new("python-fault-a");
    deployed.relate_s3();
    let relation = deployed.model.status().unwrap().relations[0].id;
    let gate = Gate::new(&deployed);
    deployed.run_well(&format!("backup create slow --include-namespaces {}", gate.namespace));
    deployed.until_phase("Backup", "slow", "InProgress");
    let before = deployed.standing();
    deployed.publish(relation, "s3-credentials", &[("delete-older-than-days", "7"), ("data", "{}")]);
    deployed.relate("azure-service-principal", "azure_service_principal", &[("tenant-id", "t")]);
    deployed.remove_relation("azure-service-principal");
    assert_eq!(deployed.standing(), before);
    assert_eq!(deployed.status(), "active: ready");
    gate.open("backup");
    deployed.until_phase("Backup", "slow", "Completed");
}

#[test]
fn removing_one_unit_of_two_leaves_all_and_the_definitions() {
    // Nobody else's Velero is there for whose sake the definitions could have stayed.
    let (_turn, world) = world::alone();
    let mut deployed = Deployed::with(world, "python-fault-b", &DeployOptions { units: 2, ..trusted() });
    deployed.relate_s3();
    let before = deployed.versions();
    assert!(before.keys().any(|name| name == "CustomResourceDefinition backups.velero.io"));
    let records = deployed.model.remove_unit(&UnitName::new(APPLICATION, 1)).unwrap();
    assert!(records.iter().all(HookRecord::success), "{records:?}");
    assert_eq!(deployed.versions(), before);
}

#[test]
fn a_location_that_is_deleted_by_hand_is_made_again() {
    let mut deployed = Deployed::new("python-fault-c");
    deployed.relate_s3();
    deployed.delete("BackupStorageLocation", "default");
    deployed.update_status();
    assert_eq!(deployed.expect("BackupStorageLocation", "default")["status"]["phase"], "Available");
    assert_eq!(deployed.status(), "active: ready");
}

#[test]
fn a_server_that_is_scaled_to_zero_is_not_called_ready() {
    let mut deployed = Deployed::with(world::shared(), "python-fault-d", &DeployOptions { units: 2, ..trusted() });
    deployed.relate_s3();
    deployed.edit("Deployment", "velero", &json!({"spec": {"replicas": 0}}));
    // A unit that may only look says what it sees; the leader mends it before it says anything.
    deployed.model.fire(&UnitName::new(APPLICATION, 1), "update-status").unwrap();
    assert!(deployed.status_of(1).ends_with("to be scaled up: it has no pods"), "{}", deployed.status_of(1));
    deployed.update_status();
    assert_eq!(deployed.expect("Deployment", "velero")["status"]["availableReplicas"], 1);
    assert_eq!(deployed.status(), "active: ready");
}

#[test]
fn a_definition_that_somebody_annotated_does_not_fail_upgrade_charm() {
    let (_turn, world) = world::alone();
    let (mut deployed, _) = predecessor::deployed(world, "python-fault-e", &trusted());
    predecessor::await_available(&deployed);
    predecessor::downgrade_definitions(&deployed);
    let annotations = json!({"controller-gen.kubebuilder.io/version": "v9", "example.test/note": "mine"});
    let edit = json!({"metadata": {"annotations": annotations}});
    deployed.edit("CustomResourceDefinition", "backups.velero.io", &edit);
    refresh(&mut deployed);
    assert_eq!(deployed.status(), "active: ready");
    let definition = deployed.expect("CustomResourceDefinition", "backups.velero.io");
    assert_eq!(definition["metadata"]["annotations"]["velero-operator/velero-version"], "1.18.3");
    assert_eq!(definition["metadata"]["annotations"]["example.test/note"], "mine");
}

#[test]
fn a_rotated_azure_secret_arrives_in_the_hook_that_tells_of_it() {
    let mut deployed = Deployed::new("python-fault-g");
    // The server runs without Azure's plugin, which this test has no use for: that the location works is not its subject.
    deployed.configure("velero-azure-plugin-image", "velero/velero-plugin-for-aws:v1.14.3");
    let relation = deployed.relate("azure-storage", "azure_storage", &[]);
    let content = |key: &str| BTreeMap::from([("secret-key".to_owned(), BASE64_STANDARD.encode(key))]);
    let secret = deployed.model.add_secret("azure-storage-provider", None, &content("first")).unwrap();
    deployed.model.grant_secret(&secret, relation).unwrap();
    let fields = [
        ("container", "backups"),
        ("storage-account", "account"),
        ("connection-protocol", "https"),
        ("endpoint", "https://account.blob.core.windows.net/backups"),
        ("resource-group", "group"),
        ("secret-extra", &secret.to_string()),
    ];
    deployed.publish(relation, "azure-storage", &fields);
    let file = |deployed: &Deployed| {
        let secret = deployed.expect("Secret", "cloud-credentials");
        String::from_utf8(BASE64_STANDARD.decode(secret["data"]["creds"].as_str().unwrap()).unwrap()).unwrap()
    };
    assert!(file(&deployed).contains(&BASE64_STANDARD.encode("first")), "{}", file(&deployed));
    let records = deployed.model.update_secret(&secret, &content("second")).unwrap();
    let hooks: Vec<_> = records.iter().map(|record| record.name.as_str()).collect();
    assert_eq!(hooks, ["secret-changed"]);
    assert!(file(&deployed).contains(&BASE64_STANDARD.encode("second")), "{}", file(&deployed));
}

#[test]
fn a_config_change_between_relation_and_plugin_is_not_blocked() {
    let mut deployed = Deployed::new("python-fault-h");
    let s3 = deployed.world.s3().clone();
    let bucket = deployed.world.bucket();
    let relation = deployed.relate("s3-credentials", "s3", &[("lib-version", "1.0")]);
    let image = "docker.io/velero/velero-plugin-for-aws:v1.14.3";
    deployed.configure("velero-aws-plugin-image", image);
    assert!(deployed.status().starts_with("waiting: for s3-credentials to be complete"), "{}", deployed.status());
    let fields = [
        ("bucket", bucket.as_str()),
        ("endpoint", &s3.endpoint),
        ("access-key", &s3.access_key),
        ("secret-key", &s3.secret_key),
    ];
    deployed.publish(relation, "s3-credentials", &fields);
    assert_eq!(deployed.status(), "active: ready");
    let server = deployed.expect("Deployment", "velero");
    assert_eq!(server["spec"]["template"]["spec"]["initContainers"][0]["image"], image);
}
