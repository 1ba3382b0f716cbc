//! What integrators publish of object stores.

use std::collections::BTreeMap;

use rustls_pki_types::{CertificateDer, pem::PemObject};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::{Given, Oracle, assert_printable, given::assert_hidden, installation, status::assert_message};
use crate::{
    status::Status,
    storage::{Azure, Gcs, S3, Storage, StorageError, StorageFields, VeleroStorageProvider},
    velero::install_arguments,
};

/// A field that is a credential, and what it is to the reader of the credentials file.
type Credential = (&'static str, &'static str);

const OF_S3: [Credential; 2] = [("access-key", "access-key"), ("secret-key", "secret-key")];
const OF_AZURE_ACCOUNT: [Credential; 1] = [("secret-key", "AZURE_STORAGE_ACCOUNT_ACCESS_KEY")];
const OF_AZURE_PRINCIPAL: [Credential; 4] = [
    ("subscription-id", "AZURE_SUBSCRIPTION_ID"),
    ("tenant-id", "AZURE_TENANT_ID"),
    ("client-id", "AZURE_CLIENT_ID"),
    ("client-secret", "AZURE_CLIENT_SECRET"),
];
const S3_DEFAULTS: [(&str, &str); 3] =
    [("bucket", "backups"), ("access-key", "AKIA0"), ("secret-key", "s3cr3t/with+slash=")];
const AZURE_DEFAULTS: [(&str, &str); 3] =
    [("container", "backups"), ("storage-account", "stbackups01"), ("secret-key", "ZmFrZS1zdG9yYWdlLWtleQ==")];
const GCS_KEY: &str = r#"{"type": "external_account", "project_id": "apps"}"#;
const MACHINE: &str = "azure:///subscriptions/sub/resourceGroups/mc_nodes/providers/x";

/// A databag of the interface `s3`.
pub(super) fn s3(data: &[u8], oracle: &mut Oracle<'_>) {
    let mut given = Given::read(data, &S3_DEFAULTS);
    given.plant(&["access-key", "secret-key"]);
    let Some(storage) = read(&S3, &given) else { return };
    check_storage(&S3, &storage, oracle);
    check_credentials("aws", &given, &OF_S3, &BTreeMap::new(), &storage, oracle);
    let config = |key: &str| storage.backup_location_config.get(key).cloned();
    check_address(config("s3Url").as_deref(), oracle);
    // What the charm has made of the fields says the same again.
    let style = config("s3ForcePathStyle").map(|by_path| if by_path == "true" { "path" } else { "host" }.to_owned());
    for (key, value) in [
        ("endpoint", config("s3Url")),
        ("region", config("region")),
        ("s3-uri-style", style),
        ("tls-ca-chain", storage.certificate_authority.clone()),
        ("path", storage.prefix.clone()),
    ] {
        given.set(key, value);
    }
    check_same(&S3, &given, &storage);
}

/// Databags of the interfaces `azure_storage` and `azure_service_principal`, and what the cloud calls a machine.
pub(super) fn azure(data: &[u8], oracle: &mut Oracle<'_>) {
    let mut given = Given::read(data, &AZURE_DEFAULTS);
    given.plant(&["secret-key", "client-secret"]);
    let Some(storage) = read(&Azure, &given) else { return };
    check_storage(&Azure, &storage, oracle);
    let config = |key: &str| storage.backup_location_config.get(key).cloned();
    let is_principal = config("useAAD").is_some();
    let credentials: &[Credential] = if is_principal { &OF_AZURE_PRINCIPAL } else { &OF_AZURE_ACCOUNT };
    // These are of the charm's own making.
    let mut others = BTreeMap::new();
    for line in storage.credentials.expose_secret().lines() {
        let (name, value) = line.split_once('=').unwrap();
        if matches!(name, "AZURE_CLOUD_NAME" | "AZURE_RESOURCE_GROUP") {
            others.insert(name, value);
        }
    }
    assert!(others.contains_key("AZURE_CLOUD_NAME"));
    assert_eq!(storage.snapshot_location_config.is_some(), others.contains_key("AZURE_RESOURCE_GROUP"));
    check_credentials("azure", &given, credentials, &others, &storage, oracle);
    let address = config("storageAccountURI");
    assert!(!is_principal || address.as_ref().is_none_or(|address| address.starts_with("https://")));
    check_address(address.as_deref(), oracle);
    if address.is_some() {
        given.set("endpoint", address);
    }
    given.set("path", storage.prefix.clone());
    check_same(&Azure, &given, &storage);
}

/// A databag of the interface `gcs`.
pub(super) fn gcs(data: &[u8], oracle: &mut Oracle<'_>) {
    let given = Given::read(data, &[("bucket", "backups"), ("secret-key", GCS_KEY)]);
    let Some(storage) = read(&Gcs, &given) else { return };
    check_storage(&Gcs, &storage, oracle);
    let key = given.get("secret-key").unwrap_or_default().trim();
    assert_eq!(storage.credentials.expose_secret(), key);
    let file: BTreeMap<String, serde_json::Value> = serde_json::from_str(key).unwrap();
    assert!(file["type"].is_string());
    // Nothing of the file comes to light but the name of the cloud.
    let told = format!("{storage:?}");
    for (name, value) in file.iter().filter(|(name, _)| *name != "universe_domain") {
        let is_known = |text: &str| text.len() < 16 || format!("{given:?}").contains(text);
        assert!(value.as_str().is_none_or(|text| is_known(text) || !told.contains(text)), "{name} in {told}");
    }
    check_same(&Gcs, &given, &storage);
}

/// A certificate chain: what a program in Go finds in what the charm makes of it are the certificates that the charm has found.
pub(super) fn certificates(data: &[u8], oracle: &mut Oracle<'_>) {
    let mut given = Given::read(&[], &S3_DEFAULTS);
    given.set("tls-ca-chain", Some(String::from_utf8_lossy(data).into_owned()));
    let Some(storage) = read(&S3, &given) else { return };
    let Some(bundle) = &storage.certificate_authority else { return };
    let found: Vec<_> = CertificateDer::pem_slice_iter(bundle.as_bytes()).map(Result::unwrap).collect();
    assert!(!found.is_empty());
    if let Some(read) = oracle.ask("certificates", bundle) {
        let mut hash = Sha256::new();
        for certificate in &found {
            hash.update(certificate);
        }
        let hash = data_encoding::HEXLOWER.encode(&hash.finalize());
        assert_eq!(
            read,
            Ok([("count", found.len().to_string()), ("hash", hash)].map(|(key, value)| (key.to_owned(), value)).into())
        );
    }
    // In each form in which integrators send it.
    let encoded = data_encoding::BASE64.encode(bundle.as_bytes());
    let list = serde_json::json!([bundle]).to_string();
    for form in [
        bundle.clone(),
        encoded.clone(),
        list.clone(),
        serde_json::json!([encoded]).to_string(),
        serde_json::json!(list).to_string(),
    ] {
        given.set("tls-ca-chain", Some(form));
        assert_eq!(self::storage(&S3, &given).unwrap().certificate_authority.as_ref(), Some(bundle));
    }
}

/// Attributes of S3: what is asked for is set or refused, and what is set says the same again.
pub(super) fn attributes(data: &[u8], oracle: &mut Oracle<'_>) {
    let text = String::from_utf8_lossy(data).into_owned();
    let mut given = Given::read(&[], &S3_DEFAULTS);
    given.set("attributes", Some(text));
    let Some(storage) = read(&S3, &given) else { return };
    check_storage(&S3, &storage, oracle);
    let headers = [
        ("x-amz-server-side-encryption", "serverSideEncryption"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "kmsKeyId"),
        ("x-amz-tagging", "tagging"),
    ];
    let config = &storage.backup_location_config;
    assert!(config.keys().all(|key| headers.iter().any(|(_, option)| option == key)), "{config:?}");
    if let (Some(kind), Some(_)) = (config.get("serverSideEncryption"), config.get("kmsKeyId")) {
        assert_eq!(kind, "aws:kms");
    }
    if let Some(tags) = config.get("tagging") {
        let tags: Vec<_> = tags.split('&').collect();
        assert!((2..=10).contains(&tags.len()) && tags.iter().all(|tag| tag.matches('=').count() == 1), "{tags:?}");
    }
    let set = headers.iter().filter_map(|(header, option)| Some(format!("{header}={}", config.get(*option)?)));
    given.set("attributes", Some(serde_json::json!(set.collect::<Vec<_>>()).to_string()));
    check_same(&S3, &given, &storage);
}

/// A credential of any form, in a credentials file of each kind.
pub(super) fn credentials(data: &[u8], oracle: &mut Oracle<'_>) {
    let text = String::from_utf8_lossy(data).into_owned();
    for (provider, reader, defaults, fields) in [
        (&S3 as &dyn VeleroStorageProvider, "aws", &S3_DEFAULTS, &OF_S3[..]),
        (&Azure, "azure", &AZURE_DEFAULTS, &OF_AZURE_PRINCIPAL),
    ] {
        let mut given = Given::read(&[], defaults);
        for (field, _) in fields {
            given.set(field, Some((*field).to_owned()));
        }
        given.set(fields[fields.len() - 1].0, Some(text.clone()));
        let Some(storage) = read(provider, &given) else { continue };
        let of_charm = [("AZURE_CLOUD_NAME", "AzurePublicCloud"), ("AZURE_RESOURCE_GROUP", "mc_nodes")];
        let others = if reader == "azure" { of_charm.into() } else { BTreeMap::new() };
        check_credentials(reader, &given, fields, &others, &storage, oracle);
    }
}

/// Returns what the charm makes of fields.
fn storage(provider: &dyn VeleroStorageProvider, given: &Given) -> Result<Storage, StorageError> {
    let fields: StorageFields<'_> = given.entries().filter(|(key, _)| *key != "machine").collect();
    assert_hidden(&format!("{fields:?}"));
    provider.storage(&fields, &[given.get("machine").unwrap_or(MACHINE).to_owned()])
}

/// Returns it where the charm takes the fields. A refusal is fit for a status.
fn read(provider: &dyn VeleroStorageProvider, given: &Given) -> Option<Storage> {
    storage(provider, given).map_err(|error| assert_message(&Status::Blocked(error.to_string()))).ok()
}

/// What the CLI is told is printable, has no credential, and is to the CLI what was meant.
fn check_storage(provider: &dyn VeleroStorageProvider, storage: &Storage, oracle: &mut Oracle<'_>) {
    assert_hidden(&format!("{storage:?}"));
    for note in &storage.notes {
        assert_message(&Status::Active(note.clone()));
    }
    let prefix = storage.prefix.as_deref();
    assert!(prefix.is_none_or(|prefix| !prefix.is_empty() && !prefix.starts_with('/') && !prefix.ends_with('/')));
    let arguments = install_arguments("velero", &installation::with(provider.provider(), storage.clone()));
    for argument in &arguments {
        assert_hidden(argument);
        assert_printable(argument);
    }
    for (flag, map) in [
        ("--backup-location-config=", Some(&storage.backup_location_config)),
        ("--snapshot-location-config=", storage.snapshot_location_config.as_ref()),
    ] {
        let given = arguments.iter().find_map(|argument| argument.strip_prefix(flag));
        assert_eq!(given.is_some(), map.is_some_and(|map| !map.is_empty()));
        if let Some(read) = given.and_then(|text| oracle.ask("map", text)) {
            assert_eq!(read.as_ref().ok(), map, "{read:?}");
        }
    }
}

/// The address of a store is to a program in Go what it is to the charm.
fn check_address(url: Option<&str>, oracle: &mut Oracle<'_>) {
    let Some(url) = url else { return };
    assert!(!url.ends_with('/') && url.is_ascii(), "{url}");
    if let Some(read) = oracle.ask("endpoint", url) {
        let read = read.unwrap();
        assert!(!read["host"].is_empty());
        assert_eq!(format!("{}://{}{}", read["scheme"], read["host"], read["path"]), url);
    }
}

/// The reader of the credentials file finds each credential there as it was given, and beside them what is in `others`.
fn check_credentials(
    reader: &str,
    given: &Given,
    credentials: &[Credential],
    others: &BTreeMap<&str, &str>,
    storage: &Storage,
    oracle: &mut Oracle<'_>,
) {
    let Some(read) = oracle.ask(reader, storage.credentials.expose_secret()) else { return };
    let credential = |(field, name): &Credential| {
        let value = given.get(field).unwrap_or_default().trim_matches(['\r', '\n']);
        // A blank at the end of what is no text of a user's own choice is none of it.
        let is_free = reader == "aws" || *field == "client-secret";
        ((*name).to_owned(), if is_free { value } else { value.trim() }.to_owned())
    };
    let others = others.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let expected: BTreeMap<_, _> = credentials.iter().map(credential).chain(others).collect();
    assert_eq!(read, Ok(expected));
}

/// The fields as the charm has understood them are the same storage.
fn check_same(provider: &dyn VeleroStorageProvider, given: &Given, expected: &Storage) {
    let again = storage(provider, given).unwrap();
    assert_eq!(again.bucket, expected.bucket);
    assert_eq!(again.prefix, expected.prefix);
    assert_eq!(again.backup_location_config, expected.backup_location_config);
    assert_eq!(again.snapshot_location_config, expected.snapshot_location_config);
    assert_eq!(again.certificate_authority, expected.certificate_authority);
    assert_eq!(again.credentials.expose_secret(), expected.credentials.expose_secret());
}
