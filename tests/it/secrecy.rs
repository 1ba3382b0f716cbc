//! Credentials stay where they belong: marked ones are searched for everywhere else.

use base64::{Engine, prelude::BASE64_STANDARD};
use sandbox::{entra_id::ServicePrincipal, object_store::service_account_key, pod_additions::PodAdditions};
use serde_json::{Value, json};

use crate::{
    deployed::{APPLICATION, Deployed, files_with, trusted},
    world,
};

/// Makes errors and output of all kinds, and looks for the secrets in them. The last of `secrets` must be where it belongs.
pub fn expect_kept(deployed: &mut Deployed, secrets: &[&str]) {
    deployed.run("backup create fails --wait");
    deployed.run("backup get");
    deployed.update_status();

    let encoded: Vec<_> = secrets.iter().map(|secret| BASE64_STANDARD.encode(secret)).collect();
    let searched: Vec<&str> = secrets.iter().copied().chain(encoded.iter().map(String::as_str)).collect();
    let leaked = |place: &str, text: &str| {
        for secret in &searched {
            assert!(!text.contains(secret), "{place} has {secret}: {text}");
        }
    };
    for record in &deployed.records {
        for call in &record.tools {
            leaked("a hook tool's arguments", &format!("{call:?}"));
        }
        leaked("a hook's output", &format!("{} {}", record.stdout, record.stderr));
    }
    for line in deployed.model.unit_log(&Deployed::unit()).unwrap() {
        leaked("the unit's log", &line.message);
    }
    leaked("the status", &json!(deployed.model.status().unwrap()).to_string());
    for object in ["Deployment velero", "BackupStorageLocation default", "Service velero-metrics"] {
        let (kind, name) = object.split_once(' ').unwrap();
        leaked(object, &deployed.expect(kind, name).to_string());
    }
    // The controller's own file stands for Juju's database, which has them from the integrator.
    let directory = deployed.charm_directory();
    for secret in &searched {
        let files = files_with(&directory, secret);
        assert!(files.iter().all(|file| !file.contains("/charm/")), "{secret} is in {files:?}");
    }
    // And the search would find them: they are where they belong.
    let secret = deployed.expect("Secret", "cloud-credentials");
    let content = BASE64_STANDARD.decode(secret["data"]["creds"].as_str().unwrap()).unwrap();
    assert!(String::from_utf8(content).unwrap().contains(secrets.last().unwrap()));
    assert_eq!(deployed.records[0].unit.application, APPLICATION);
}

#[test]
fn the_keys_of_s3_are_in_one_secret_of_the_cluster_and_nowhere_else() {
    let mut deployed = Deployed::new("secrecy");
    let secrets = ["MARKEDACCESSKEY42", "marked/secret+key=42"];
    let s3 = deployed.world.s3().clone();
    let bucket = deployed.world.bucket();
    let fields = [
        ("bucket", bucket.as_str()),
        ("endpoint", &s3.endpoint),
        ("access-key", secrets[0]),
        ("secret-key", secrets[1]),
    ];
    // The store does not know these keys, so that errors about them are made everywhere.
    let relation = deployed.relate("s3-credentials", "s3", &fields);
    assert!(deployed.status().starts_with("blocked: storage is not usable"), "{}", deployed.status());
    for broken in ["marked/secret+key=42\nsecond line", "marked/secret+key=42 #", "marked/secret+key=42"] {
        deployed.publish(relation, "s3-credentials", &[("secret-key", broken), ("s3-uri-style", "dns")]);
        deployed.publish(relation, "s3-credentials", &[("s3-uri-style", "")]);
    }
    expect_kept(&mut deployed, &secrets);
}

#[test]
fn the_secret_of_a_service_principal_is_in_one_secret_of_the_cluster_and_nowhere_else() {
    let world = world::shared();
    let authority = world.azure().authority.certificate();
    let additions = PodAdditions::default().trusting(authority);
    let _kept = world.runtime.block_on(additions.keep(world.cluster.access(), "secrecy-azure")).unwrap();
    let mut deployed = Deployed::trusting(world, "secrecy-azure", &trusted(), authority);
    let blobs = world.azure().blobs().clone();
    let container = world.container(&blobs);
    let principal = ServicePrincipal::random();
    world.azure().directory.admit(&principal).unwrap();
    let account_key = BASE64_STANDARD.encode("the marked key of the account");
    let secrets = [account_key.as_str(), "marked~client.secret_42"];
    // Neither is right, so that errors about them are made everywhere.
    let storage = deployed.relate(
        "azure-storage",
        "azure_storage",
        &[
            ("container", &container),
            ("storage-account", &blobs.account),
            ("connection-protocol", "https"),
            ("endpoint", &blobs.endpoint),
            ("secret-key", secrets[0]),
        ],
    );
    assert!(deployed.status().starts_with("blocked: storage is not usable"), "{}", deployed.status());
    let fields = [
        ("subscription-id", &*principal.subscription_id),
        ("tenant-id", &principal.tenant_id),
        ("client-id", &principal.client_id),
        ("client-secret", secrets[1]),
    ];
    let relation = deployed.relate("azure-service-principal", "azure_service_principal", &fields);
    deployed.assert_comes_to_say("Invalid client secret");
    for broken in ["marked~client.secret_42\nsecond line", "marked~client.secret_42'#", "marked~client.secret_42"] {
        deployed.publish(relation, "azure-service-principal", &[("client-secret", broken)]);
    }
    deployed.publish(
        storage,
        "azure-storage",
        &[("endpoint", "https://user:marked~client.secret_42@blobs.example.test")],
    );
    deployed.publish(storage, "azure-storage", &[("endpoint", &blobs.endpoint)]);
    expect_kept(&mut deployed, &secrets);
}

#[test]
fn a_key_file_of_google_is_in_one_secret_of_the_cluster_and_nowhere_else() {
    let world = world::shared();
    let additions = world.gcs().pod_additions();
    let _kept = world.runtime.block_on(additions.keep(world.cluster.access(), "secrecy-gcs")).unwrap();
    let mut deployed = Deployed::trusting(world, "secrecy-gcs", &trusted(), &world.gcs().certificate_authority);
    let key_file = world.runtime.block_on(service_account_key("marked")).unwrap();
    let file: Value = serde_json::from_str(&key_file).unwrap();
    let private_key = file["private_key"].as_str().unwrap();
    // Each line of the key is as good as a part of it.
    let lines: Vec<&str> = private_key.lines().filter(|line| !line.starts_with('-') && line.len() == 64).collect();
    assert!(lines.len() > 10);
    let bucket = world.gcs_bucket();
    let relation = deployed.relate("gcs-credentials", "gcs", &[("bucket", &bucket), ("secret-key", &key_file)]);
    assert_eq!(deployed.status(), "active: ready");
    let mut odd = file.clone();
    odd["type"] = json!("no_such_type");
    // Some are refused by the charm, one by the plugin.
    for broken in [format!("{key_file} and more"), key_file.replace("PRIVATE KEY", "KEY"), odd.to_string()] {
        deployed.publish(relation, "gcs-credentials", &[("secret-key", &broken)]);
        assert!(deployed.status().starts_with("blocked: "), "{}", deployed.status());
    }
    expect_kept(&mut deployed, &lines);
}
