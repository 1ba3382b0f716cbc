//! Credentials stay where they belong: marked ones are searched for everywhere else.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;

use crate::deployed::{APPLICATION, Deployed, files_with};

const MARKED: [&str; 2] = ["MARKEDACCESSKEY42", "marked/secret+key=42"];

#[test]
fn credentials_are_in_one_secret_of_the_cluster_and_nowhere_else() {
    let mut deployed = Deployed::new("secrecy");
    let world = deployed.world;
    let [access_key, secret_key] = MARKED;
    let s3 = world.s3().clone();
    let bucket = world.bucket();
    let fields = [
        ("bucket", bucket.as_str()),
        ("endpoint", &s3.endpoint),
        ("access-key", access_key),
        ("secret-key", secret_key),
    ];
    // The store does not know these keys, so that errors about them are made everywhere.
    let relation = deployed.relate("s3-credentials", "s3", &fields);
    assert!(deployed.status().starts_with("blocked: storage is not usable"), "{}", deployed.status());
    deployed.run("backup create fails --wait");
    deployed.run("backup get");
    for broken in ["marked/secret+key=42\nsecond line", "marked/secret+key=42"] {
        deployed.publish(relation, "s3-credentials", &[("secret-key", broken), ("s3-uri-style", "dns")]);
        deployed.publish(relation, "s3-credentials", &[("s3-uri-style", "")]);
    }
    deployed.update_status();

    let encoded = MARKED.map(|secret| BASE64_STANDARD.encode(secret));
    let secrets: Vec<&str> = MARKED.into_iter().chain(encoded.iter().map(String::as_str)).collect();
    let leaked = |place: &str, text: &str| {
        for secret in &secrets {
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
    for secret in &secrets {
        let files = files_with(&directory, secret);
        assert!(files.iter().all(|file| !file.contains("/charm/")), "{secret} is in {files:?}");
    }
    // And the search would find them: they are where they belong.
    let secret = deployed.expect("Secret", "cloud-credentials");
    let content = BASE64_STANDARD.decode(secret["data"]["creds"].as_str().unwrap()).unwrap();
    assert!(String::from_utf8(content).unwrap().contains(secret_key));
    assert_eq!(deployed.records[0].unit.application, APPLICATION);
}
