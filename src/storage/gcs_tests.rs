use serde_json::{Value, json};

use super::*;

fn key_file() -> Value {
    json!({
        "type": "service_account",
        "project_id": "example-proj",
        "private_key": "-----BEGIN PRIVATE KEY-----\nbWFya2Vk\n-----END PRIVATE KEY-----\n",
        "client_email": "velero@example-proj.iam.gserviceaccount.com",
    })
}

fn storage_of(bucket: &str, key_file: &str) -> Result<Storage, StorageError> {
    Gcs.storage(&[("bucket", bucket), ("secret-key", key_file), ("path", "/prod/velero/")].into_iter().collect(), &[])
}

#[test]
fn the_key_file_is_the_credentials_file() {
    let key_file = serde_json::to_string_pretty(&key_file()).unwrap();
    let storage = storage_of("cluster-backups", &key_file).unwrap();
    assert_eq!(storage.bucket, "cluster-backups");
    assert_eq!(storage.prefix.as_deref(), Some("prod/velero"));
    assert_eq!(storage.backup_location_config, BTreeMap::new());
    assert_eq!(storage.snapshot_location_config, Some(BTreeMap::new()));
    assert_eq!(storage.credentials.expose_secret(), key_file);
}

#[test]
fn without_a_project_there_are_no_snapshots() {
    let mut key_file = key_file();
    key_file["project_id"] = json!("");
    assert_eq!(storage_of("cluster-backups", &key_file.to_string()).unwrap().snapshot_location_config, None);
}

#[test]
fn a_key_of_another_universe_leads_there() {
    let mut key_file = key_file();
    for (domain, config) in [("googleapis.com", None), ("apis.example.test", Some("apis.example.test"))] {
        key_file["universe_domain"] = json!(domain);
        let storage = storage_of("cluster-backups", &key_file.to_string()).unwrap();
        assert_eq!(storage.backup_location_config.get("universeDomain").map(String::as_str), config);
    }
    // They would be no argument of the CLI, or another one.
    for domain in ["apis\0test", "apis\r\ntest", "apis,test", "apis test"] {
        key_file["universe_domain"] = json!(domain);
        let error = storage_of("cluster-backups", &key_file.to_string()).unwrap_err().to_string();
        assert!(error.starts_with("secret-key has a \"universe_domain\" that is no domain"), "{error}");
    }
}

#[test]
fn a_key_file_of_another_type_is_left_to_the_plugin() {
    let key_file = json!({"type": "external_account", "audience": "//iam.example.test"}).to_string();
    assert_eq!(storage_of("cluster-backups", &key_file).unwrap().credentials.expose_secret(), key_file);
}

#[test]
fn a_key_file_that_is_refused_is_not_repeated() {
    let without = |name: &str| {
        let mut key_file = key_file();
        key_file[name] = json!(7);
        key_file.to_string()
    };
    for (key_file, part) in [
        ("marked".to_owned(), "no JSON object"),
        ("[\"marked\"]".to_owned(), "no JSON object"),
        (json!(key_file().to_string()).to_string(), "no JSON object"),
        (key_file().to_string() + "marked", "no JSON object"),
        (without("type"), "has no \"type\""),
        (without("client_email"), "has no \"client_email\""),
        (without("private_key"), "has no \"private_key\""),
        (key_file().to_string().replace("PRIVATE KEY", "marked"), "\"private_key\" that is no PEM"),
    ] {
        let error = storage_of("cluster-backups", &key_file).unwrap_err().to_string();
        assert!(
            error.starts_with("secret-key ")
                && error.contains(part)
                && !error.contains("marked")
                && !error.contains("bWFya2Vk"),
            "{error}"
        );
    }
}

#[test]
fn names_of_buckets_follow_the_rules_of_google() {
    let key_file = key_file().to_string();
    let part = "a".repeat(63);
    for bucket in ["abc", "2024", "cluster_backups-1", "backups.example.test", &format!("{part}.{part}.{part}.test")] {
        assert!(storage_of(bucket, &key_file).is_ok(), "{bucket}");
    }
    for (bucket, reason) in [
        ("ab", "3 to 63"),
        (&*format!("{part}a"), "3 to 63"),
        (&*format!("{part}a.test"), "63 between"),
        ("Upper", "lower-case"),
        ("_abc", "begins and ends"),
        ("a..b", "two dots"),
        ("192.0.2.7", "IP address"),
        ("goog-backups", "goog"),
        ("my-google-backups", "google"),
    ] {
        let error = storage_of(bucket, &key_file).unwrap_err().to_string();
        assert!(error.starts_with("bucket ") && error.contains(reason), "{error}");
    }
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    assert_eq!(Gcs.storage(&StorageFields::default(), &[]).unwrap_err().to_string(), "bucket, secret-key missing");
}

#[test]
fn it_is_the_provider_of_veleros_plugin_for_google() {
    assert_eq!(Gcs.provider(), "gcp");
}
