use secrecy::ExposeSecret;

use super::*;

fn fields<'a>(entries: &[(&'a str, &'a str)]) -> StorageFields<'a> {
    entries.iter().copied().collect()
}

const MINIMAL: &[(&str, &str)] =
    &[("bucket", "cluster-backups"), ("access-key", "AKEXAMPLE0001"), ("secret-key", "s3cr3t/with+slash=")];

fn storage_with(more: &[(&str, &str)]) -> Result<Storage, StorageError> {
    S3.storage(&MINIMAL.iter().chain(more).copied().collect(), &[])
}

fn config(storage: &Storage) -> Vec<(&str, &str)> {
    storage.backup_location_config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

#[test]
fn aws_with_a_region_has_snapshots_and_its_own_defaults() {
    let storage = storage_with(&[("region", "eu-west-3")]).unwrap();
    assert_eq!(config(&storage), [("region", "eu-west-3")]);
    assert_eq!(storage.snapshot_location_config, Some(BTreeMap::from([("region".into(), "eu-west-3".into())])));
    assert_eq!(
        storage.credentials.expose_secret(),
        "[default]\naws_access_key_id=AKEXAMPLE0001\naws_secret_access_key=s3cr3t/with+slash=\n"
    );
    assert_eq!(storage.prefix, None);
}

#[test]
fn aws_without_a_region_leaves_it_to_the_plugin_and_has_no_snapshots() {
    let storage = storage_with(&[]).unwrap();
    assert_eq!(config(&storage), []);
    assert_eq!(storage.snapshot_location_config, None);
}

#[test]
fn another_store_gets_a_region_the_path_style_and_no_checksums() {
    let storage =
        storage_with(&[("endpoint", "https://objects.example.test:9443/"), ("path", "/prod/velero/")]).unwrap();
    assert_eq!(
        config(&storage),
        [
            ("checksumAlgorithm", ""),
            ("region", "us-east-1"),
            ("s3ForcePathStyle", "true"),
            ("s3Url", "https://objects.example.test:9443"),
        ]
    );
    assert_eq!(storage.prefix.as_deref(), Some("prod/velero"));
    assert_eq!(storage.snapshot_location_config, None);
}

#[test]
fn headers_that_the_plugin_can_send_are_options_of_it() {
    let attributes = r#"["Cache-Control=max-age=60", "x-amz-server-side-encryption=AES256"]"#;
    let storage = storage_with(&[("region", "eu-west-3"), ("attributes", attributes)]).unwrap();
    assert_eq!(config(&storage), [("region", "eu-west-3"), ("serverSideEncryption", "AES256")]);
}

#[test]
fn an_endpoint_of_aws_is_aws() {
    let storage = storage_with(&[("endpoint", "https://s3.eu-west-3.amazonaws.com"), ("region", "eu-west-3")]).unwrap();
    assert_eq!(config(&storage), [("region", "eu-west-3"), ("s3Url", "https://s3.eu-west-3.amazonaws.com")]);
    assert!(storage.snapshot_location_config.is_some());
}

#[test]
fn an_endpoint_of_aws_tells_the_region_that_the_plugin_would_not_ask_for() {
    let storage = storage_with(&[("endpoint", "https://s3.eu-west-3.amazonaws.com")]).unwrap();
    assert_eq!(config(&storage), [("region", "eu-west-3"), ("s3Url", "https://s3.eu-west-3.amazonaws.com")]);
    assert_eq!(storage.snapshot_location_config, Some(BTreeMap::from([("region".into(), "eu-west-3".into())])));
    let storage = storage_with(&[("endpoint", "https://s3.amazonaws.com")]).unwrap();
    assert_eq!(config(&storage), []);
    let accelerated = [("endpoint", "https://s3-accelerate.amazonaws.com"), ("region", "eu-west-3")];
    assert_eq!(storage_with(&accelerated[..1]).unwrap_err(), StorageError::Incomplete { missing: vec!["region"] });
    assert_eq!(storage_with(&accelerated).unwrap().backup_location_config["region"], "eu-west-3");
}

#[test]
fn buckets_that_stores_have_are_taken() {
    let old = format!("Old_Backups.{}", "x".repeat(243));
    for bucket in ["Tanzu-Dev-Test-TKG-Backups", &old, "ab", "-a..b-", "10.0.0.1", "büro"] {
        for endpoint in [("endpoint", "https://objects.example.test"), ("region", "us-east-1")] {
            assert_eq!(storage_with(&[("bucket", bucket), endpoint]).unwrap().bucket, bucket);
        }
    }
}

#[test]
fn what_is_probably_a_mistake_is_said_and_does_not_stop_anything() {
    let notes = |more: &[(&str, &str)]| storage_with(more).unwrap().notes;
    assert_eq!(notes(&[("endpoint", "https://objects.example.test")]), Vec::<String>::new());
    assert_eq!(
        notes(&[("endpoint", "https://cluster-backups.objects.example.test")]),
        [
            "endpoint begins with the name of the bucket: if it is the address of the bucket, set it without cluster-backups."
        ]
    );
    assert_eq!(notes(&[("secret-key", " s3cr3t")]), ["secret-key begins or ends with a blank, which is kept"]);
    let storage = storage_with(&[("attributes", r#"["x-amz-tagging=a=b"]"#)]).unwrap();
    assert!(!storage.backup_location_config.contains_key("tagging"));
    assert!(storage.notes[0].starts_with("the tags of attributes are not set"), "{:?}", storage.notes);
}

#[test]
fn options_that_were_reset_are_not_set() {
    for nothing in ["\"\"", "[]", "null", " ", "[\"\"]"] {
        let storage =
            storage_with(&[("tls-ca-chain", nothing), ("attributes", nothing), ("path", nothing), ("region", nothing)]);
        let storage = storage.unwrap();
        assert_eq!((storage.certificate_authority, storage.prefix), (None, None));
        assert!(storage.backup_location_config.is_empty() && storage.notes.is_empty());
    }
}

#[test]
fn both_words_for_addressing_by_host_are_understood() {
    for (style, forced) in [("path", "true"), ("host", "false"), ("virtual", "false")] {
        let storage = storage_with(&[("s3-uri-style", style)]).unwrap();
        assert_eq!(storage.backup_location_config["s3ForcePathStyle"], forced);
    }
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    let error = S3.storage(&fields(&[("lib-version", "1.0")]), &[]).unwrap_err();
    assert_eq!(error.to_string(), "bucket, access-key, secret-key missing");
}

#[test]
fn texts_that_look_like_numbers_are_texts() {
    let storage = storage_with(&[("bucket", "2024"), ("access-key", "4815162342"), ("secret-key", "1e10")]).unwrap();
    assert_eq!(storage.bucket, "2024");
    assert_eq!(
        storage.credentials.expose_secret(),
        "[default]\naws_access_key_id=4815162342\naws_secret_access_key=1e10\n"
    );
}

#[test]
fn wrong_values_are_named_by_their_key() {
    for (key, value, part) in [
        ("bucket", "backups/velero", "as path"),
        ("bucket", "my backups", "white space"),
        ("bucket", "a\u{1}b", "white space"),
        ("bucket", "..", "no name"),
        ("s3-uri-style", "dns", "set it to path"),
        ("endpoint", "objects.example.test", "no URL"),
        ("endpoint", "ftp://objects.example.test", "http://"),
        ("endpoint", "https://objects.example.test/backups", "path"),
        ("endpoint", "https://objects.example.test?x=1", "more than"),
        ("endpoint", "https://user:pw@objects.example.test", "password"),
        ("tls-ca-chain", "[\"x\"]", "certificates"),
        ("path", "a\u{1}b", "control character"),
        ("region", "eu\0west", "control character"),
        ("region", "eu\r\nwest", "control character"),
        ("attributes", "[\"x-amz-server-side-encryption=DES\"]", "AES256"),
    ] {
        let error = storage_with(&[(key, value)]).unwrap_err().to_string();
        assert!(error.starts_with(key), "{error}");
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_credential_that_is_refused_is_not_repeated() {
    for key in ["access-key", "secret-key"] {
        let error = storage_with(&[(key, "marked\nsecret")]).unwrap_err().to_string();
        assert!(error.starts_with(key) && !error.contains("marked"), "{error}");
    }
}
