//! Credentials that change: they arrive in that hook, and no status is believed that was found out without them.

use std::{collections::BTreeMap, thread, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use sandbox::{
    certificates::Authority,
    juju::{DeployOptions, HookRecord},
};
use serde_json::json;

use crate::deployed::{APPLICATION, Deployed, trusted};

/// The objects that new credentials change.
const ROTATED: [&str; 2] = ["Secret cloud-credentials", "BackupStorageLocation default"];

fn credentials(deployed: &Deployed) -> String {
    let secret = deployed.expect("Secret", "cloud-credentials");
    String::from_utf8(BASE64_STANDARD.decode(secret["data"]["creds"].as_str().unwrap()).unwrap()).unwrap()
}

fn validated(deployed: &Deployed) -> Timestamp {
    let location = deployed.expect("BackupStorageLocation", "default");
    location["status"]["lastValidationTime"].as_str().unwrap().parse().unwrap()
}

/// The same once that second is over: the server tells the time in whole seconds, and two validations may come in one.
fn last_validated(deployed: &Deployed) -> Timestamp {
    let validated = validated(deployed);
    while Timestamp::now().as_second() <= validated.as_second() {
        thread::sleep(Duration::from_millis(50));
    }
    validated
}

/// The objects of Velero that those of before differ in, and the pods.
fn changed(deployed: &Deployed, before: &BTreeMap<String, String>) -> Vec<String> {
    let after = deployed.standing();
    let mut names: Vec<_> =
        before.keys().chain(after.keys()).filter(|name| before.get(*name) != after.get(*name)).cloned().collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn rotated_keys_arrive_in_that_hook_and_are_validated_before_the_unit_is_active() {
    let mut deployed = Deployed::new("rotated");
    let world = deployed.world;
    let mut store = world.own_store("rotated");
    let s3 = store.access().clone();
    s3.bucket("backups").unwrap();
    world.runtime.block_on(store.create_user("second", "second-secret-key")).unwrap();
    let fields = [
        ("bucket", "backups"),
        ("endpoint", s3.endpoint.as_str()),
        ("access-key", &s3.access_key),
        ("secret-key", &s3.secret_key),
    ];
    let relation = deployed.relate("s3-credentials", "s3", &fields);
    assert_eq!(deployed.status(), "active: ready");
    let uid = deployed.expect("BackupStorageLocation", "default")["metadata"]["uid"].clone();
    let (first, before) = (last_validated(&deployed), deployed.standing());

    deployed.publish(relation, "s3-credentials", &[("access-key", "second"), ("secret-key", "second-secret-key")]);
    assert_eq!(deployed.status(), "active: ready");
    assert!(credentials(&deployed).contains("aws_secret_access_key=second-secret-key\n"));
    assert!(validated(&deployed) > first);
    let mut rotated = ROTATED.map(str::to_owned);
    rotated.sort();
    assert_eq!(changed(&deployed, &before), rotated);

    // It was Available a moment ago; the server refuses these.
    deployed.publish(relation, "s3-credentials", &[("secret-key", "wrong")]);
    let status = deployed.status();
    assert!(
        status.starts_with("blocked: storage is not usable:") && status.contains("SignatureDoesNotMatch"),
        "{status}"
    );
    assert!(credentials(&deployed).contains("aws_secret_access_key=wrong\n"));

    // It is Available again, and then the store does not answer when keys change, so that nothing says they are right.
    deployed.publish(relation, "s3-credentials", &[("secret-key", "second-secret-key")]);
    assert_eq!(deployed.status(), "active: ready");
    world.runtime.block_on(store.pause()).unwrap();
    let first_keys = [("access-key", s3.access_key.as_str()), ("secret-key", s3.secret_key.as_str())];
    deployed.publish(relation, "s3-credentials", &first_keys);
    let status = deployed.status();
    assert!(status.starts_with("blocked: storage is not usable:"), "{status}");
    assert!(credentials(&deployed).contains(&s3.secret_key));
    world.runtime.block_on(store.resume()).unwrap();
    deployed.until_phase("BackupStorageLocation", "default", "Available");
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(deployed.expect("BackupStorageLocation", "default")["metadata"]["uid"], uid);
    assert_eq!(changed(&deployed, &before), rotated);
}

#[test]
fn an_integrators_new_secret_revision_arrives_in_secret_changed() {
    let mut deployed = Deployed::new("rotated-secret");
    let world = deployed.world;
    let store = world.own_store("rotated-secret");
    let s3 = store.access().clone();
    s3.bucket("backups").unwrap();
    world.runtime.block_on(store.create_user("second", "second-secret-key")).unwrap();
    let config = [("bucket", "backups"), ("endpoint", s3.endpoint.as_str())];
    let options = DeployOptions {
        channel: Some("2/stable".to_owned()),
        config: config.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..trusted()
    };
    deployed.model.deploy_built_in("s3-integrator", &options).unwrap().unwrap();
    deployed.model.sync_s3_credentials("s3-integrator", &s3.access_key, &s3.secret_key).unwrap();
    let (_, records) = deployed.model.integrate(APPLICATION, "s3-integrator").unwrap();
    deployed.after(records);
    assert_eq!(deployed.status(), "active: ready");
    let (first, before) = (last_validated(&deployed), deployed.standing());
    for (access_key, secret_key, expected) in [
        ("second", "second-secret-key", "active: ready"),
        ("second", "wrong", "blocked: storage is not usable:"),
        (&s3.access_key, &s3.secret_key, "active: ready"),
    ] {
        let records = deployed.model.sync_s3_credentials("s3-integrator", access_key, secret_key).unwrap();
        let hooks: Vec<_> = records.iter().map(|record: &HookRecord| record.name.as_str()).collect();
        assert_eq!(hooks, ["secret-changed"]);
        assert!(deployed.status().starts_with(expected), "{}", deployed.status());
        assert!(credentials(&deployed).contains(&format!("aws_secret_access_key={secret_key}\n")));
        assert!(validated(&deployed) > first);
    }
    let mut rotated = ROTATED.map(str::to_owned);
    rotated.sort();
    assert_eq!(changed(&deployed, &before), rotated);
}

#[test]
fn a_secret_that_is_withdrawn_is_named_and_what_runs_stays() {
    let mut deployed = Deployed::new("withdrawn");
    let s3 = deployed.world.s3().clone();
    let bucket = deployed.world.bucket();
    let fields = [("bucket", bucket.as_str()), ("endpoint", &s3.endpoint), ("version", "1")];
    let relation = deployed.relate("s3-credentials", "s3", &fields);
    let keys = [("access-key", &s3.access_key), ("secret-key", &s3.secret_key)];
    let content = keys.map(|(key, value)| (key.to_owned(), value.clone())).into();
    let uri = deployed.model.add_secret("s3-credentials-provider", None, &content).unwrap();
    let withheld = "waiting: for the secret of s3-credentials: it is not granted to this application";
    // The databag may be there before the grant.
    deployed.publish(relation, "s3-credentials", &[("secret-extra", &uri.to_string())]);
    assert_eq!(deployed.status(), withheld);
    deployed.model.grant_secret(&uri, relation).unwrap();
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    let before = deployed.standing();
    deployed.model.revoke_secret(&uri).unwrap();
    deployed.update_status();
    assert_eq!(deployed.status(), withheld);
    assert_eq!(deployed.standing(), before);
    deployed.model.grant_secret(&uri, relation).unwrap();
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(deployed.standing(), before);
    // The integrator may go over to another secret, and the old one be gone.
    deployed.model.remove_secret(&uri).unwrap();
    deployed.update_status();
    assert_eq!(deployed.status(), withheld);
    let another = deployed.model.add_secret("s3-credentials-provider", None, &content).unwrap();
    deployed.model.grant_secret(&another, relation).unwrap();
    deployed.publish(relation, "s3-credentials", &[("secret-extra", &another.to_string())]);
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(deployed.standing(), before, "the keys are the same");
}

#[test]
fn a_chain_of_certificates_is_rotated_without_a_gap() {
    let mut deployed = Deployed::new("rotated-chain");
    let s3 = deployed.world.s3().clone();
    let bucket = deployed.world.bucket();
    let other = Authority::new("another authority").unwrap().certificate().to_owned();
    let chain = |certificates: &[&String]| json!(certificates).to_string();
    let fields = [
        ("bucket", bucket.as_str()),
        ("endpoint", &s3.tls_endpoint),
        ("access-key", &s3.access_key),
        ("secret-key", &s3.secret_key),
        ("tls-ca-chain", &chain(&[&other, &s3.certificate_authority])),
    ];
    let relation = deployed.relate("s3-credentials", "s3", &fields);
    assert_eq!(deployed.status(), "active: ready");
    let pods = deployed.pods();
    for (certificates, expected) in [
        (chain(&[&s3.certificate_authority, &other]), "active: ready"),
        (chain(&[&other]), "blocked: storage is not usable:"),
        (chain(&[&s3.certificate_authority]), "active: ready"),
    ] {
        deployed.publish(relation, "s3-credentials", &[("tls-ca-chain", &certificates)]);
        assert!(deployed.status().starts_with(expected), "{}", deployed.status());
    }
    assert_eq!(deployed.pods(), pods);
}

#[test]
fn while_an_image_is_wrong_new_keys_arrive_all_the_same_and_what_is_not_integrated_any_more_goes() {
    let mut deployed = Deployed::new("wrong-image");
    deployed.relate_s3();
    assert_eq!(deployed.status(), "active: ready");
    let relation = deployed.model.status().unwrap().relations[0].id;
    let server = deployed.expect("Deployment", "velero")["metadata"]["generation"].clone();
    for (image, secret_key) in [("", "first-rotation"), ("velero/velero:v1.17.2", "second-rotation")] {
        deployed.configure("velero-image", image);
        let status = deployed.status();
        assert!(status.starts_with("blocked: ") && status.contains("velero-image"), "{status}");
        deployed.publish(relation, "s3-credentials", &[("secret-key", secret_key)]);
        assert!(credentials(&deployed).contains(&format!("aws_secret_access_key={secret_key}\n")), "{image}");
        assert_eq!(deployed.status(), status);
    }
    deployed.remove_relation("s3-credentials");
    assert!(deployed.object("Secret", "cloud-credentials").is_none());
    assert!(deployed.object("BackupStorageLocation", "default").is_none());
    let status = deployed.status();
    assert!(status.starts_with("blocked: ") && status.contains("velero-image"), "{status}");
    // What runs is not touched by any of that.
    assert_eq!(deployed.expect("Deployment", "velero")["metadata"]["generation"], server);
    deployed.reset("velero-image");
    assert!(deployed.status().starts_with("blocked: no storage"), "{}", deployed.status());
}
