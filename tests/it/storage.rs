//! Storage by the relation `s3-credentials`.

use sandbox::juju::DeployOptions;
use serde_json::json;

use crate::deployed::{APPLICATION, Deployed, trusted};

/// The integrator's two dialects: the older one answers in clear once it is asked for a bucket, the newer one with a secret.
fn with_integrator(name: &str, channel: &str) -> Deployed {
    let mut deployed = Deployed::new(name);
    let s3 = deployed.world.s3().clone();
    let bucket = deployed.world.bucket();
    let options = DeployOptions {
        channel: Some(channel.to_owned()),
        config: [("bucket".to_owned(), bucket), ("endpoint".to_owned(), s3.endpoint.clone())].into(),
        ..trusted()
    };
    deployed.model.deploy_built_in("s3-integrator", &options).unwrap().unwrap();
    let (_, records) = deployed.model.integrate(APPLICATION, "s3-integrator").unwrap();
    deployed.after(records);
    assert!(deployed.status().starts_with("waiting: for s3-credentials to be complete"), "{}", deployed.status());
    let records = deployed.model.sync_s3_credentials("s3-integrator", &s3.access_key, &s3.secret_key).unwrap();
    deployed.after(records);
    deployed
}

#[test]
fn the_integrator_with_plain_keys_is_asked_and_used() {
    let deployed = with_integrator("integrator-plain", "1/stable");
    assert_eq!(deployed.status(), "active: ready");
    let location = deployed.expect("BackupStorageLocation", "default");
    let s3 = deployed.world.s3();
    assert_eq!(location["spec"]["provider"], "aws");
    assert_eq!(location["spec"]["default"], true);
    assert_eq!(location["spec"]["credential"], json!({"name": "cloud-credentials", "key": "creds"}));
    assert_eq!(
        location["spec"]["config"],
        json!({"checksumAlgorithm": "", "region": "us-east-1", "s3ForcePathStyle": "true", "s3Url": s3.endpoint})
    );
    // Snapshots of AWS's disks are nothing for another store.
    assert!(deployed.object("VolumeSnapshotLocation", "default").is_none());
    let plugins = &deployed.expect("Deployment", "velero")["spec"]["template"]["spec"]["initContainers"];
    assert_eq!(plugins[0]["image"], "velero/velero-plugin-for-aws:v1.14.3");
}

#[test]
fn the_integrator_with_a_secret_is_asked_and_used() {
    assert_eq!(with_integrator("integrator-secret", "2/stable").status(), "active: ready");
}

#[test]
fn a_store_with_a_certificate_of_its_own_is_trusted_by_its_chain() {
    let mut deployed = Deployed::new("tls");
    let s3 = deployed.world.s3().clone();
    let bucket = deployed.world.bucket();
    let fields = [
        ("bucket", bucket.as_str()),
        ("endpoint", &s3.tls_endpoint),
        ("access-key", &s3.access_key),
        ("secret-key", &s3.secret_key),
    ];
    let relation = deployed.relate("s3-credentials", "s3", &fields);
    let status = deployed.status();
    assert!(status.starts_with("blocked: storage is not usable:") && status.contains("x509"), "{status}");
    let chain = json!([s3.certificate_authority]).to_string();
    deployed.publish(relation, "s3-credentials", &[("tls-ca-chain", &chain)]);
    assert_eq!(deployed.status(), "active: ready");
    deployed.run_well("backup create over-tls --include-namespaces default --wait");
    assert!(deployed.run_well("backup get").contains("Completed"));
}

#[test]
fn incomplete_data_is_waited_for_and_named() {
    let mut deployed = Deployed::new("incomplete");
    let relation = deployed.relate("s3-credentials", "s3", &[("lib-version", "1.0")]);
    assert_eq!(
        deployed.status(),
        "waiting: for s3-credentials to be complete: bucket, access-key, secret-key missing; configure s3-integrator"
    );
    deployed.publish(relation, "s3-credentials", &[("bucket", "2024"), ("access-key", "4815162342")]);
    assert_eq!(
        deployed.status(),
        "waiting: for s3-credentials to be complete: secret-key missing; configure s3-integrator"
    );
    assert!(deployed.object("BackupStorageLocation", "default").is_none());
    assert_eq!(deployed.expect("Deployment", "velero")["status"]["availableReplicas"], 1);
}

#[test]
fn invalid_data_is_named_by_its_key_and_what_runs_is_left() {
    let mut deployed = Deployed::new("invalid");
    let bucket = deployed.relate_s3();
    let relation = deployed.model.status().unwrap().relations[0].id;
    let endpoint = deployed.world.s3().endpoint.clone();
    let before = deployed.versions();
    for (key, value, right) in [
        ("s3-uri-style", "dns", ""),
        ("tls-ca-chain", "[\"-----BEGIN CERTIFICATE-----\"]", ""),
        ("bucket", "not/allowed", bucket.as_str()),
        ("endpoint", "https://example.test/path", endpoint.as_str()),
    ] {
        deployed.publish(relation, "s3-credentials", &[(key, value)]);
        let status = deployed.status();
        assert!(status.starts_with(&format!("blocked: s3-credentials: {key} ")), "{status}");
        assert_eq!(deployed.versions(), before, "{key}");
        deployed.publish(relation, "s3-credentials", &[(key, right)]);
    }
}

#[test]
fn credentials_that_the_store_refuses_are_told_in_its_words() {
    let mut deployed = Deployed::new("refused");
    deployed.relate_s3();
    let relation = deployed.model.status().unwrap().relations[0].id;
    let right = deployed.world.s3().secret_key.clone();
    deployed.publish(relation, "s3-credentials", &[("secret-key", "wrong")]);
    let status = deployed.status();
    assert!(
        status.starts_with("blocked: storage is not usable:") && status.contains("SignatureDoesNotMatch"),
        "{status}"
    );
    deployed.publish(relation, "s3-credentials", &[("secret-key", &right)]);
    assert_eq!(deployed.status(), "active: ready");
}

#[test]
fn two_storages_are_named_and_what_runs_is_left() {
    let mut deployed = Deployed::new("two-storages");
    deployed.relate_s3();
    let before = deployed.standing();
    deployed.relate("azure-storage", "azure_storage", &[("container", "backups")]);
    assert_eq!(
        deployed.status(),
        "blocked: more than one storage is integrated, remove all but one of s3-credentials, azure-storage"
    );
    assert_eq!(deployed.standing(), before);
    deployed.remove_relation("azure-storage");
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(deployed.standing(), before);
}

#[test]
fn the_storage_of_a_removed_relation_does_not_stay_for_another_that_is_not_complete() {
    let mut deployed = Deployed::new("replaced");
    // The image of its plugin comes with it.
    deployed.world.azure();
    deployed.relate_s3();
    deployed.relate("azure-storage", "azure_storage", &[("container", "backups")]);
    deployed.remove_relation("s3-credentials");
    assert!(deployed.status().starts_with("waiting: for azure-storage to be complete"), "{}", deployed.status());
    for (kind, name) in [("BackupStorageLocation", "default"), ("Secret", "cloud-credentials")] {
        assert!(deployed.object(kind, name).is_none(), "{kind}");
    }
}

#[test]
fn a_broken_relation_takes_the_storage_and_leaves_velero() {
    let mut deployed = Deployed::new("broken");
    deployed.relate_s3();
    deployed.remove_relation("s3-credentials");
    assert!(deployed.status().starts_with("blocked: no storage"), "{}", deployed.status());
    for (kind, name) in [("BackupStorageLocation", "default"), ("Secret", "cloud-credentials")] {
        assert!(deployed.object(kind, name).is_none(), "{kind}");
    }
    let server = deployed.expect("Deployment", "velero");
    assert_eq!(server["status"]["availableReplicas"], 1);
    assert!(server["spec"]["template"]["spec"]["initContainers"].is_null());
}
