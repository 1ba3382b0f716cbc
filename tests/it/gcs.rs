//! Storage by the relation `gcs-credentials`: the real plugin against a stand-in for Google's server. The demo of it backs up
//! volumes, too.
//!
//! The server looks at no credentials. That wrong ones are noticed is tried where the plugin itself looks at the key file.

use base64::{Engine, engine::general_purpose::STANDARD};
use sandbox::{
    juju::DeployOptions,
    object_store::service_account_key,
    pod_additions::{FIELD_MANAGER, KeptAdditions},
};
use serde_json::{Value, json};

use crate::{
    deployed::{APPLICATION, Deployed, trusted},
    world,
};

const INTEGRATOR: &str = "gcs-integrator";

/// The user's secret with the key file.
const SECRET: &str = "gcs-key";

/// The charm in a model, integrated with a bucket.
struct Integrated {
    deployed: Deployed,
    bucket: String,
    _kept: KeptAdditions,
}

impl Integrated {
    /// Deploys the charm, and the integrator as its user does, with a bucket that is there.
    fn new(model: &str, key_file: &str) -> Self {
        Self::with(model, &world::shared().gcs_bucket(), key_file)
    }

    fn with(model: &str, bucket: &str, key_file: &str) -> Self {
        let world = world::shared();
        let additions = world.gcs().pod_additions();
        let kept = world.runtime.block_on(additions.keep(world.cluster.access(), model)).unwrap();
        let authority = &world.gcs().certificate_authority;
        let mut deployed = Deployed::trusting(world, model, &trusted(), authority);
        let config = [("bucket".to_owned(), bucket.to_owned())].into();
        let options = DeployOptions { config, ..DeployOptions::default() };
        deployed.model.deploy_built_in(INTEGRATOR, &options).unwrap().unwrap();
        let (_, records) = deployed.model.integrate(APPLICATION, INTEGRATOR).unwrap();
        deployed.after(records);
        // It tells nothing before it has all.
        let incomplete =
            "waiting: for gcs-credentials to be complete: bucket, secret-key missing; configure gcs-integrator";
        assert_eq!(deployed.status(), incomplete);
        let secret = deployed.model.add_user_secret(SECRET, &content(key_file)).unwrap();
        deployed.model.grant_user_secret(SECRET, INTEGRATOR).unwrap();
        let records = deployed.model.configure(INTEGRATOR, "credentials", &secret.to_string()).unwrap();
        deployed.after(records);
        Self { deployed, bucket: bucket.to_owned(), _kept: kept }
    }

    /// Lets the user renew the secret, and tells which hooks that runs.
    fn renew(&mut self, key_file: &str) -> Vec<String> {
        let records = self.deployed.model.update_user_secret(SECRET, &content(key_file)).unwrap();
        let hooks = records.iter().map(|record| record.name.clone()).collect();
        self.deployed.after(records);
        hooks
    }

    fn key_file_in_cluster(&self) -> String {
        let secret = self.deployed.expect("Secret", "cloud-credentials");
        String::from_utf8(STANDARD.decode(secret["data"]["creds"].as_str().unwrap()).unwrap()).unwrap()
    }
}

fn content(key_file: &str) -> std::collections::BTreeMap<String, String> {
    [("secret-key".to_owned(), key_file.to_owned())].into()
}

fn key_file(account: &str) -> String {
    world::shared().runtime.block_on(service_account_key(account)).unwrap()
}

/// A key file in which one field is another.
fn key_file_with(field: &str, value: Value) -> String {
    let mut file: Value = serde_json::from_str(&key_file("odd")).unwrap();
    file[field] = value;
    file.to_string()
}

#[test]
fn a_bucket_takes_backups_and_gives_them_and_their_logs_back() {
    let mut integrated = Integrated::new("gcs", &key_file("first"));
    let deployed = &mut integrated.deployed;
    assert_eq!(deployed.status(), "active: ready");
    let location = deployed.expect("BackupStorageLocation", "default");
    assert_eq!(location["spec"]["provider"], "gcp");
    assert_eq!(location["spec"]["objectStorage"]["bucket"], integrated.bucket);
    assert_eq!(location["spec"]["config"].as_object().map_or(0, serde_json::Map::len), 0, "{location}");
    assert_eq!(location["spec"]["credential"], json!({"name": "cloud-credentials", "key": "creds"}));
    // The key file names the project of the disks.
    assert_eq!(deployed.expect("VolumeSnapshotLocation", "default")["spec"]["provider"], "gcp");
    let server = deployed.expect("Deployment", "velero");
    assert_eq!(
        server["spec"]["template"]["spec"]["initContainers"][0]["image"],
        "velero/velero-plugin-for-gcp:v1.14.3"
    );
    let managers = server["metadata"]["managedFields"].as_array().unwrap();
    assert!(managers.iter().any(|fields| fields["manager"] == FIELD_MANAGER), "{managers:?}");

    let before = deployed.versions();
    deployed.update_status();
    assert_eq!(deployed.versions(), before);

    // Velero's pods are led to the stand-in for Google, and the units are not: that is no reason to be Blocked.
    let untried = deployed.act_in_vain("test-storage", &json!({}));
    assert!(untried.starts_with("the charm does not reach the storage, which says nothing of Velero: "), "{untried}");
    let output = deployed.run_well("backup create nightly --include-namespaces default --wait");
    assert!(output.contains("Backup completed with status: Completed"), "{output}");
    let output = deployed.run_well("restore create again --from-backup nightly --wait");
    assert!(output.contains("Restore completed with status: Completed"), "{output}");
    let logs = deployed.run_well("backup logs nightly");
    assert!(logs.contains("level=info"), "{logs}");
    let keys = deployed.world.gcs().bucket(&integrated.bucket).unwrap().keys().unwrap();
    for prefix in ["backups/nightly/", "restores/again/"] {
        assert!(keys.iter().any(|key| key.starts_with(prefix)), "{prefix}: {keys:?}");
    }

    let drilled = deployed.act_well("verify-backup", &json!({"backup": "nightly"}));
    assert!(drilled["objects-restored"] != "0", "{drilled}");
    // A unit that has no way to the store that Velero has says what it could not look at.
    deployed.model = deployed.model.clone().trusting(&deployed.world.s3().certificate_authority);
    let drilled = deployed.act_well("verify-backup", &json!({"backup": "nightly"}));
    let not_checked = drilled["not-checked"].as_str().unwrap();
    assert!(not_checked.starts_with("its objects, as this unit cannot read the store as Velero does; "), "{drilled}");
    assert_eq!((&drilled["result"], &drilled["objects-restored"]), (&json!("good"), &json!("0")));
}

#[test]
fn a_bucket_that_is_not_there_is_told_in_the_locations_own_words() {
    let integrated = Integrated::with("gcs-no-bucket", "no-such-bucket", &key_file("first"));
    let status = integrated.deployed.status();
    assert!(status.starts_with("blocked: storage is not usable: ") && status.contains("404"), "{status}");
    let location = integrated.deployed.expect("BackupStorageLocation", "default");
    assert!(status.ends_with(location["status"]["message"].as_str().unwrap()), "{status} is not of {location}");
}

#[test]
fn a_renewed_key_is_validated_in_that_hook_and_restarts_nothing() {
    let first = key_file("first");
    let mut integrated = Integrated::new("gcs-renewed", &first);
    assert_eq!(integrated.deployed.status(), "active: ready");
    assert_eq!(integrated.key_file_in_cluster(), first);
    let server = integrated.deployed.expect("Deployment", "velero");

    let second = key_file("second");
    assert_eq!(integrated.renew(&second), ["secret-changed"]);
    assert_eq!(integrated.deployed.status(), "active: ready");
    assert_eq!(integrated.key_file_in_cluster(), second);

    // Nothing but the plugin knows which types of key files there are.
    integrated.renew(&key_file_with("type", json!("no_such_type")));
    let status = integrated.deployed.status();
    assert!(status.starts_with("blocked: storage is not usable: ") && status.contains("no_such_type"), "{status}");
    integrated.renew(&second);
    assert_eq!(integrated.deployed.status(), "active: ready");
    let now = integrated.deployed.expect("Deployment", "velero");
    assert_eq!(now["metadata"]["generation"], server["metadata"]["generation"]);
}

#[test]
fn a_key_file_that_cannot_work_is_named_and_what_runs_stays() {
    let good = key_file("first");
    let mut integrated = Integrated::new("gcs-wrong-key", &good);
    assert_eq!(integrated.deployed.status(), "active: ready");
    let before = integrated.deployed.versions();
    for (wrong, told) in [
        ("not json at all".to_owned(), "is no JSON object"),
        (key_file_with("private_key", Value::Null), "has no \"private_key\""),
        (key_file_with("private_key", json!("c2VjcmV0")), "\"private_key\" that is no PEM"),
        (key_file_with("client_email", json!("")), "has no \"client_email\""),
    ] {
        integrated.renew(&wrong);
        let status = integrated.deployed.status();
        assert!(status.starts_with("blocked: gcs-credentials: secret-key ") && status.contains(told), "{status}");
        assert_eq!(integrated.deployed.versions(), before, "{told}");
    }
    integrated.renew(&good);
    assert_eq!(integrated.deployed.status(), "active: ready");
    assert_eq!(integrated.deployed.versions(), before);
}
