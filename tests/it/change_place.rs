//! Storage locations that move: in place, with nothing of the old place in the new, and nothing lost in the old.

use sandbox::juju::HookRecord;
use serde_json::{Value, json};

use crate::{
    deployed::Deployed,
    gate::{create_pod, pod},
    objects,
};

/// A pod with a file in a volume that is backed up by its files.
fn workload(deployed: &Deployed) -> String {
    let namespace = format!("{}-workload", deployed.namespace());
    objects::make_namespace(deployed.world, &namespace);
    let annotations = json!({"backup.velero.io/backup-volumes": "data"});
    create_pod(deployed.world, &namespace, &pod("notes", &annotations, &json!({"emptyDir": {}}), "/data"));
    namespace
}

/// The uid and spec of the location, the bucket's folder apart.
fn location(deployed: &Deployed) -> (Value, Value) {
    let location = deployed.expect("BackupStorageLocation", "default");
    (location["metadata"]["uid"].clone(), location["spec"].clone())
}

fn keys(deployed: &Deployed, bucket: &str) -> Vec<String> {
    deployed.world.s3().bucket(bucket).unwrap().keys().unwrap()
}

#[test]
fn another_bucket_has_its_own_backups_and_the_old_one_keeps_its_own() {
    let mut deployed = Deployed::new("moved");
    deployed.configure("use-node-agent", "true");
    let old = deployed.relate_s3();
    let new = deployed.world.bucket();
    let relation = deployed.model.status().unwrap().relations[0].id;
    let namespace = workload(&deployed);
    let backup =
        |place: &str| format!("backup create nightly --include-namespaces {namespace} --labels place={place} --wait");
    deployed.run_well(&backup("old"));
    deployed.until_phase("Backup", "nightly", "Completed");
    let before = keys(&deployed, &old);
    assert!(before.iter().any(|key| key.starts_with("kopia/")), "{before:?}");
    let (uid, _) = location(&deployed);
    let pods = deployed.pods();

    deployed.publish(relation, "s3-credentials", &[("bucket", &new)]);
    assert_eq!(deployed.status(), "active: ready");
    let (uid_after, spec) = location(&deployed);
    assert_eq!((uid_after, &spec["objectStorage"]["bucket"]), (uid.clone(), &json!(new)));
    assert_eq!(deployed.pods(), pods);
    assert!(deployed.object("Backup", "nightly").is_none(), "a backup of the old bucket is shown as one of the new");
    // At once, under the same name, with the files of the volume: nothing of the old place is in its way.
    deployed.run_well(&backup("new"));
    deployed.until_phase("Backup", "nightly", "Completed");
    assert!(keys(&deployed, &new).iter().any(|key| key.starts_with("kopia/")));
    assert_eq!(keys(&deployed, &old), before);

    deployed.publish(relation, "s3-credentials", &[("bucket", &old)]);
    assert_eq!(deployed.status(), "active: ready");
    let of_old = |backup: Option<&Value>| backup.is_some_and(|backup| backup["metadata"]["labels"]["place"] == "old");
    deployed.until("Backup", "nightly", of_old);
    assert_eq!(location(&deployed).0, uid);
    assert_eq!(keys(&deployed, &old), before);
    let copy = format!("{namespace}-copy");
    deployed.run_well(&format!(
        "restore create again --from-backup nightly --namespace-mappings {namespace}:{copy} --wait"
    ));
    deployed.until_phase("Restore", "again", "Completed");
    objects::forget(deployed.world, &copy);
    objects::forget(deployed.world, &namespace);
}

#[test]
fn a_region_is_no_other_place_and_a_folder_and_an_endpoint_are() {
    let mut deployed = Deployed::new("re-addressed");
    let bucket = deployed.relate_s3();
    let relation = deployed.model.status().unwrap().relations[0].id;
    let s3 = deployed.world.s3().clone();
    let chain = json!([s3.certificate_authority]).to_string();
    let (uid, _) = location(&deployed);
    for (number, (key, value, pointer, expected, moves)) in [
        ("region", "us-east-1", "/config/region", "us-east-1", false),
        ("path", "/folder/", "/objectStorage/prefix", "folder", true),
        ("tls-ca-chain", chain.as_str(), "/objectStorage/bucket", bucket.as_str(), false),
        ("endpoint", &s3.tls_endpoint, "/config/s3Url", &s3.tls_endpoint, true),
        ("path", "another", "/objectStorage/prefix", "another", true),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("backup-{number}");
        deployed.run_well(&format!("backup create {name} --include-namespaces default --wait"));
        deployed.until_phase("Backup", &name, "Completed");
        let (backup, pods) = (deployed.expect("Backup", &name)["metadata"]["uid"].clone(), deployed.pods());
        deployed.publish(relation, "s3-credentials", &[(key, value)]);
        assert_eq!(deployed.status(), "active: ready", "{key}={value}");
        let (uid_after, spec) = location(&deployed);
        assert_eq!((uid_after, spec.pointer(pointer)), (uid.clone(), Some(&json!(expected))), "{key}={value}");
        assert_eq!(deployed.pods(), pods, "{key}={value}");
        let after = deployed.object("Backup", &name).map(|backup| backup["metadata"]["uid"].clone());
        assert_eq!(after, (!moves).then_some(backup), "{key}={value}");
    }
    // The store knows one region only.
    deployed.run_well("backup create nightly --include-namespaces default --wait");
    let backup = deployed.expect("Backup", "nightly")["metadata"]["uid"].clone();
    deployed.publish(relation, "s3-credentials", &[("region", "eu-west-3")]);
    let status = deployed.status();
    assert!(status.starts_with("blocked: storage is not usable:") && status.contains("region"), "{status}");
    let (uid_after, spec) = location(&deployed);
    assert_eq!((uid_after, &spec["config"]["region"]), (uid, &json!("eu-west-3")));
    assert_eq!(deployed.expect("Backup", "nightly")["metadata"]["uid"], backup);
}

#[test]
fn a_storage_that_is_removed_takes_its_backups_out_of_the_cluster_and_brings_them_back() {
    let mut deployed = Deployed::new("left-and-back");
    let bucket = deployed.relate_s3();
    deployed.run_well("backup create nightly --include-namespaces default --wait");
    deployed.until_phase("Backup", "nightly", "Completed");
    let before = keys(&deployed, &bucket);
    deployed.remove_relation("s3-credentials");
    assert!(deployed.object("Backup", "nightly").is_none());
    assert_eq!(keys(&deployed, &bucket), before);
    let s3 = deployed.world.s3().clone();
    let fields = [
        ("bucket", bucket.as_str()),
        ("endpoint", &s3.endpoint),
        ("access-key", &s3.access_key),
        ("secret-key", &s3.secret_key),
    ];
    let (relation, records) =
        deployed.model.integrate("velero-operator:s3-credentials", "s3-credentials-provider").unwrap();
    deployed.after(records);
    deployed.publish(relation, "s3-credentials", &fields);
    assert_eq!(deployed.status(), "active: ready");
    deployed.until_phase("Backup", "nightly", "Completed");
    assert_eq!(keys(&deployed, &bucket), before);
}

/// How much more memory a hook may take where there are many backups, in bytes. What it takes anyway is the CLI's, which hooks run
/// that change what Velero consists of.
const MEMORY_FOR_BACKUPS: u64 = 10_000_000;

#[test]
fn with_many_backups_a_hook_takes_no_more_memory_than_with_few() {
    let mut deployed = Deployed::new("many-records");
    deployed.relate_s3();
    let new = deployed.world.bucket();
    let relation = deployed.model.status().unwrap().relations[0].id;
    let backup = |number: usize| {
        json!({"apiVersion": "velero.io/v1", "kind": "Backup", "spec": {"storageLocation": "default"},
            "metadata": {"name": format!("nightly-{number}"), "annotations": {"padding": "x".repeat(2_000)},
                "labels": {"velero.io/storage-location": "default"}},
            "status": {"phase": "Completed"}})
    };
    deployed.configure("default-volumes-to-fs-backup", "false");
    let peak = |records: &[HookRecord]| records.iter().map(|record| record.outcome.peak_memory).max().unwrap();
    let (with_few, hooks) = (peak(&deployed.records), deployed.records.len());
    deployed.create_all("Backup", (0..2_000).map(backup));
    deployed.configure("use-node-agent", "true");
    deployed.publish(relation, "s3-credentials", &[("bucket", &new)]);
    let (_, spec) = location(&deployed);
    assert_eq!(spec["objectStorage"]["bucket"], json!(new));
    assert_eq!(deployed.list("Backup").len(), 0, "records of the old bucket are left");
    let with_many = peak(&deployed.records[hooks..]);
    assert!(with_many < with_few + MEMORY_FOR_BACKUPS, "{with_many} bytes, and {with_few} without backups");
}
