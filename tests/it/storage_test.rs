//! The storage, tried by use: the action `test-storage`, and what the charm tries by itself before a unit is Active.

use sandbox::juju::ActionStatus;
use serde_json::{Value, json};

use crate::deployed::Deployed;

/// What Velero needs to call a location available.
const LISTED: [&str; 2] = ["s3:ListBucket", "s3:GetObject"];

/// Has the charm try everything, and expects that all of it works and nothing is left. Returns what it tells.
pub fn try_all(deployed: &Deployed) -> Value {
    let results = deployed.act_well("test-storage", &json!({"size": 3}));
    for step in ["write", "list", "read", "overwrite", "delete"] {
        assert_eq!(results[step], "yes", "{results}");
    }
    assert_eq!(results["clock-difference"], "less than 2 s");
    for rate in ["upload", "download"] {
        let told = results[rate].as_str().unwrap().strip_suffix(" MiB/s").unwrap();
        assert!(told.parse::<f64>().unwrap() > 0.0, "{results}");
    }
    let location = deployed.expect("BackupStorageLocation", "default");
    let noted = location["metadata"]["annotations"]["velero-operator/tested-for"].as_str().unwrap();
    assert!(noted.ends_with(" works"), "{noted}");
    results
}

#[test]
fn what_a_storage_allows_is_told_by_use_and_nothing_is_left_there() {
    let mut deployed = Deployed::new("tested");
    let nothing = deployed.act_in_vain("test-storage", &json!({}));
    assert!(nothing.starts_with("no storage: juju integrate "), "{nothing}");
    let s3 = deployed.world.s3().clone();
    let (name, chain) = (deployed.world.bucket(), json!([s3.certificate_authority]).to_string());
    let fields = [
        ("bucket", name.as_str()),
        ("path", "one/two"),
        ("endpoint", &s3.tls_endpoint),
        ("tls-ca-chain", &chain),
        ("access-key", &s3.access_key),
        ("secret-key", &s3.secret_key),
    ];
    deployed.relate("s3-credentials", "s3", &fields);
    assert_eq!(deployed.status(), "active: ready");
    let bucket = s3.bucket(&name).unwrap();
    let before = bucket.keys().unwrap();
    assert_eq!(try_all(&deployed)["versioning"], "no");
    assert_eq!(bucket.keys().unwrap(), before);
    let too_much = deployed.act_in_vain("test-storage", &json!({"size": 1000}));
    assert_eq!(too_much, "size 1000 is not from 0 to 256");
    // Nothing has changed since.
    let versions = deployed.versions();
    deployed.update_status();
    assert_eq!((deployed.status().as_str(), deployed.versions()), ("active: ready", versions));
}

#[test]
fn keys_that_may_list_and_not_write_are_told_before_a_backup_fails() {
    let mut deployed = Deployed::new("read-only");
    let world = deployed.world;
    let store = world.own_store("read-only");
    let s3 = store.access().clone();
    let bucket = s3.bucket("backups").unwrap();
    let user = ("reader", "reader-secret-key");
    world.runtime.block_on(store.create_user_of(&bucket, user.0, user.1, &LISTED)).unwrap();
    let fields =
        [("bucket", "backups"), ("endpoint", s3.endpoint.as_str()), ("access-key", user.0), ("secret-key", user.1)];
    let relation = deployed.relate("s3-credentials", "s3", &fields);
    let blocked = "blocked: the storage does not take backups, it does not let Velero write in backups: AccessDenied: ";
    assert!(deployed.status().starts_with(blocked), "{}", deployed.status());
    assert_eq!(deployed.expect("BackupStorageLocation", "default")["status"]["phase"], "Available");
    let refused = deployed.act("test-storage", &json!({}));
    assert_eq!(refused.status, ActionStatus::Failed);
    assert!(refused.message.contains("does not let Velero write in backups: AccessDenied"), "{}", refused.message);
    assert!(refused.results["write"].as_str().unwrap().starts_with("no: AccessDenied"), "{:?}", refused.results);
    assert_eq!(refused.results.get("read"), None::<&Value>);

    // Each hook tries again what was refused.
    store.allow(&bucket, user.0, &[LISTED[0], LISTED[1], "s3:PutObject"]).unwrap();
    deployed.update_status();
    let keeps = "active: ready; the credentials may not delete in the storage, where expired backups stay: \
                 see the action test-storage";
    assert_eq!(deployed.status(), keeps);
    let results = deployed.act_well("test-storage", &json!({}));
    assert!(results["delete"].as_str().unwrap().starts_with("no: AccessDenied"), "{results}");

    // What was found out of a place and its credentials is not tried again, but in a hook that brings others.
    store.allow(&bucket, user.0, &LISTED).unwrap();
    let versions = deployed.versions();
    deployed.update_status();
    assert_eq!((deployed.status().as_str(), deployed.versions()), (keeps, versions));
    deployed.publish(relation, "s3-credentials", &[("path", "elsewhere")]);
    assert!(deployed.status().starts_with(blocked), "{}", deployed.status());
    store.allow(&bucket, user.0, &["s3:ListBucket", "s3:*Object"]).unwrap();
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
}

#[test]
fn a_bucket_that_locks_its_objects_is_told_before_a_backup_ends_in_vain() {
    let mut deployed = Deployed::new("locked");
    let s3 = deployed.world.s3().clone();
    let name = deployed.world.bucket();
    s3.bucket(&name).unwrap().lock_objects(30).unwrap();
    deployed.relate_bucket(&name);
    let status = deployed.status();
    let blocked = format!("blocked: the storage does not take backups, it does not let Velero overwrite in {name}: ");
    assert!(status.starts_with(&blocked), "{status}");
}

#[test]
fn two_models_do_not_write_into_one_place_unless_one_takes_it_over() {
    let mut first = Deployed::new("first-owner");
    let bucket = first.relate_s3();
    assert_eq!(first.status(), "active: ready");
    assert_eq!(try_all(&first)["owner"], "this application");
    let mut second = Deployed::new("second-owner");
    second.relate_bucket(&bucket);
    let of_the_first =
        "blocked: the storage is that of velero-operator in model first-owner: use another bucket or path; ";
    assert!(second.status().starts_with(of_the_first), "{}", second.status());
    assert!(second.object("BackupStorageLocation", "default").is_none());
    let told = second.act_well("test-storage", &json!({"size": 0}));
    assert_eq!(told["owner"], "velero-operator in model first-owner");
    first.update_status();
    assert_eq!(first.status(), "active: ready");

    second.act_well("test-storage", &json!({"size": 0, "take-over": true}));
    second.update_status();
    second.assert_becomes_active();
    assert_eq!(first.act_well("test-storage", &json!({"size": 0}))["owner"], "velero-operator in model second-owner");
}
