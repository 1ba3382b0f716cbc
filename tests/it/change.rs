//! Changes that have nothing to do with storage, and those of storage that leave everything where it is.

use serde_json::json;
use velero_operator::contract::{RELATIONS, Role, endpoint};

use crate::deployed::Deployed;

#[test]
fn a_relation_that_is_no_storage_changes_no_object_and_restarts_nothing() {
    let mut deployed = Deployed::new("no-storage-relation");
    deployed.relate_s3();
    assert_eq!(deployed.status(), "active: ready");
    let before = deployed.standing();
    let storages = [endpoint::S3_CREDENTIALS, endpoint::AZURE_STORAGE, endpoint::GCS_CREDENTIALS];
    for other in RELATIONS.iter().filter(|relation| !storages.contains(&relation.name)) {
        let relation = match other.role {
            Role::Requires => deployed.relate(other.name, other.interface, &[("tenant-id", "one"), ("app", "client")]),
            Role::Provides => deployed.relate_requirer(other.name, other.interface),
        };
        assert_eq!(deployed.standing(), before, "{}", other.name);
        deployed.publish(relation, other.name, &[("tenant-id", "two"), ("client-secret", "rotated")]);
        assert_eq!(deployed.standing(), before, "{}", other.name);
        deployed.remove_relation(other.name);
        assert_eq!(deployed.standing(), before, "{}", other.name);
        assert_eq!(deployed.status(), "active: ready", "{}", other.name);
    }
}

#[test]
fn what_a_relation_says_of_other_things_than_the_location_changes_nothing() {
    let mut deployed = Deployed::new("same-location");
    let bucket = deployed.relate_s3();
    let relation = deployed.model.status().unwrap().relations[0].id;
    let before = deployed.standing();
    for change in [
        &[("data", "{}"), ("storage-class", "STANDARD_IA"), ("delete-older-than-days", "30"), ("s3-api-version", "4")]
            [..],
        &[("attributes", "[\"Cache-Control=max-age=60\"]"), ("unknown", "value")],
        &[("bucket", &format!(" {bucket} "))],
        &[("lib-version", "1.0")],
        &[("lib-version", ""), ("version", "1")],
    ] {
        deployed.publish(relation, "s3-credentials", change);
        assert_eq!(deployed.standing(), before, "{change:?}");
        assert_eq!(deployed.status(), "active: ready", "{change:?}");
    }
}

#[test]
fn headers_for_the_objects_in_the_bucket_reach_the_plugin() {
    let mut deployed = Deployed::new("headers");
    deployed.relate_s3();
    let relation = deployed.model.status().unwrap().relations[0].id;
    let before = deployed.standing();
    deployed.publish(relation, "s3-credentials", &[("attributes", "[\"x-amz-server-side-encryption=DES\"]")]);
    let status = deployed.status();
    assert!(status.starts_with("blocked: s3-credentials: attributes has an encryption that is none of"), "{status}");
    assert_eq!(deployed.standing(), before);
    deployed.publish(relation, "s3-credentials", &[("attributes", "[\"x-amz-tagging=team=ops&tier=gold\"]")]);
    assert_eq!(deployed.status(), "active: ready");
    let location = deployed.expect("BackupStorageLocation", "default");
    assert_eq!(location["spec"]["config"]["tagging"], json!("team=ops&tier=gold"));
    deployed.run_well("backup create tagged --include-namespaces default --wait");
    deployed.until_phase("Backup", "tagged", "Completed");
}
