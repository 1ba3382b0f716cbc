//! The providers on what integrators really publish: whole relations, as files.
//!
//! A file has both sides' databags, every value a text as `relation-get` prints it, and the contents of the secrets
//! that are granted.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{PROVIDERS, RequestContext, Storage, StorageError, StorageFields, VeleroStorageProvider};

#[derive(Deserialize)]
struct Relation {
    endpoint: String,
    #[serde(rename = "relation_id")]
    id: String,
    provider: Side,
    requirer: Side,
    secrets: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Side {
    app: BTreeMap<String, String>,
}

macro_rules! relation {
    ($name:literal) => {
        serde_json::from_str::<Relation>(include_str!(concat!("../../tests/it/databags/", $name, ".json"))).unwrap()
    };
}

impl Relation {
    fn provider(&self) -> &'static dyn VeleroStorageProvider {
        *PROVIDERS.iter().find(|provider| provider.endpoint() == self.endpoint).unwrap()
    }

    fn fields(&self) -> StorageFields {
        let mut fields: StorageFields = self.provider.app.clone().into_iter().collect();
        let secret = self.provider.app.get("secret-extra").and_then(|uri| self.secrets.get(uri));
        fields.replace_with(secret.cloned().unwrap_or_default());
        fields
    }

    fn storage(&self) -> Result<Storage, StorageError> {
        self.provider().storage(&self.fields())
    }

    fn storage_with(&self, companion: &Self) -> Result<Storage, StorageError> {
        let mut fields = self.fields();
        fields.complete_with(companion.fields());
        self.provider().storage(&fields)
    }

    fn request(&self) -> BTreeMap<&'static str, String> {
        self.provider().request(&RequestContext {
            relation_number: self.id.rsplit(':').next().unwrap(),
            published: &self.fields(),
            overdue: false,
        })
    }
}

fn config(storage: &Storage) -> Vec<(&str, &str)> {
    storage.backup_location_config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

fn missing(result: Result<Storage, StorageError>) -> Vec<&'static str> {
    match result {
        Err(StorageError::Incomplete { missing }) => missing,
        other => panic!("{other:?}"),
    }
}

#[test]
fn s3_is_the_same_with_the_keys_in_clear_and_in_a_secret() {
    for relation in [relation!("s3-v0"), relation!("s3-v1-secret"), relation!("s3-v1-secret-version-field")] {
        let storage = relation.storage().unwrap();
        assert_eq!((storage.bucket.as_str(), storage.prefix.as_deref()), ("cluster-backups", Some("prod/velero")));
        assert_eq!(
            config(&storage),
            [
                ("checksumAlgorithm", ""),
                ("region", "eu-west-3"),
                ("s3ForcePathStyle", "true"),
                ("s3Url", "https://objects.example.test:9443"),
            ]
        );
        assert_eq!(
            storage.credentials.expose_secret(),
            "[default]\naws_access_key_id=AKEXAMPLE0001\naws_secret_access_key=s3cr3t/with+slash=\n"
        );
        assert_eq!(storage.certificate_authority.unwrap().matches("-----BEGIN CERTIFICATE-----").count(), 2);
        assert_eq!(storage.snapshot_location_config, None);
    }
}

#[test]
fn s3_on_aws_needs_little() {
    for (relation, bucket, expected) in [
        (relation!("s3-v0-minimal"), "cluster-backups", vec![("region", "eu-west-3")]),
        (relation!("s3-no-region"), "cluster-backups", vec![]),
        (relation!("s3-numeric-looking"), "2024", vec![("region", "eu-west-3")]),
        (relation!("s3-tls-chain-base64"), "cluster-backups", vec![("region", "eu-west-3")]),
        (
            relation!("s3-uri-style-host"),
            "cluster-backups",
            vec![("region", "eu-west-3"), ("s3ForcePathStyle", "false")],
        ),
    ] {
        let storage = relation.storage().unwrap();
        assert_eq!(storage.bucket, bucket);
        assert_eq!(config(&storage), expected);
        assert_eq!(storage.snapshot_location_config.is_some(), expected.contains(&("region", "eu-west-3")));
    }
    assert!(relation!("s3-tls-chain-base64").storage().unwrap().certificate_authority.is_some());
}

#[test]
fn s3_that_is_not_complete_says_what_is_missing() {
    assert_eq!(missing(relation!("s3-secret-denied").storage()), ["access-key", "secret-key"]);
    for relation in [relation!("s3-v0-data-only"), relation!("s3-v1-marker-only")] {
        assert_eq!(missing(relation.storage()), ["bucket", "access-key", "secret-key"]);
    }
}

#[test]
fn s3_asks_only_older_integrators_for_a_bucket() {
    for relation in [relation!("s3-v1-marker-only"), relation!("s3-v1-secret"), relation!("s3-v1-secret-version-field")]
    {
        assert!(!relation.request().contains_key("bucket"));
    }
    for relation in [relation!("s3-v0-data-only"), relation!("s3-v0")] {
        assert_eq!(relation.request()["bucket"], "relation-7");
    }
}

#[test]
fn azure_is_the_same_with_each_protocol_and_with_the_key_in_clear_and_in_a_secret() {
    for (relation, resource_group) in [
        (relation!("azure"), true),
        (relation!("azure-abfss"), true),
        (relation!("azure-plain-key"), true),
        (relation!("azure-no-resource-group"), false),
    ] {
        let storage = relation.storage().unwrap();
        assert_eq!((storage.bucket.as_str(), storage.prefix.as_deref()), ("cluster-backups", Some("prod/velero")));
        let mut expected =
            vec![("storageAccount", "stbackups01"), ("storageAccountKeyEnvVar", "AZURE_STORAGE_ACCOUNT_ACCESS_KEY")];
        if resource_group {
            expected.insert(0, ("resourceGroup", "rg-backups"));
        }
        assert_eq!(config(&storage), expected);
        assert_eq!(storage.snapshot_location_config, None);
    }
    assert_eq!(missing(relation!("azure-no-secret").storage()), ["secret-key"]);
}

#[test]
fn azure_with_a_service_principal_has_snapshots_on_machines_of_azure() {
    let principal = relation!("azure-service-principal");
    for azure in [relation!("azure"), relation!("azure-no-secret")] {
        let mut fields = azure.fields();
        fields.complete_with(principal.fields());
        fields.set_machines(vec!["azure:///subscriptions/3c0e8a54/resourceGroups/mc_nodes/providers/x".to_owned()]);
        let storage = azure.provider().storage(&fields).unwrap();
        assert_eq!(
            config(&storage),
            [("resourceGroup", "rg-backups"), ("storageAccount", "stbackups01"), ("useAAD", "true")]
        );
        assert!(storage.snapshot_location_config.is_some());
        let file = storage.credentials.expose_secret();
        assert!(file.contains("AZURE_CLIENT_SECRET=fake~client.secret_value\n") && !file.contains("ACCESS_KEY"));
        assert!(file.ends_with("AZURE_RESOURCE_GROUP=mc_nodes\n"));
    }
    let result = relation!("azure").storage_with(&relation!("azure-service-principal-no-secret"));
    assert_eq!(missing(result), ["client-id", "client-secret"]);
    assert_eq!(missing(principal_alone(&principal)), ["container", "storage-account"]);
}

/// A storage relation whose integrator has published nothing, beside a service principal.
fn principal_alone(principal: &Relation) -> Result<Storage, StorageError> {
    relation!("azure").provider().storage(&principal.fields())
}

#[test]
fn gcs_takes_its_key_file_from_the_secret() {
    let relation = relation!("gcs");
    let storage = relation.storage().unwrap();
    assert_eq!((storage.bucket.as_str(), storage.prefix.as_deref()), ("cluster-backups", Some("prod/velero")));
    assert_eq!(config(&storage), []);
    assert_eq!(storage.snapshot_location_config, Some(BTreeMap::new()));
    assert_eq!(Some(storage.credentials.expose_secret()), relation.fields().get("secret-key"));
    assert_eq!(missing(relation!("gcs-no-secret").storage()), ["secret-key"]);
    let error = relation!("gcs-key-not-json").storage().unwrap_err().to_string();
    assert!(error.starts_with("secret-key is no JSON object") && !error.contains("not json at all"), "{error}");
}

#[test]
fn integrators_of_azure_and_google_are_asked_as_they_expect_it() {
    for relation in [relation!("azure"), relation!("azure-no-secret"), relation!("gcs"), relation!("gcs-no-secret")] {
        let request: BTreeMap<_, _> = relation.request().into_iter().map(|(key, value)| (key.into(), value)).collect();
        assert_eq!(request, relation.requirer.app, "{}", relation.endpoint);
    }
    let principal = relation!("azure-service-principal");
    let [companion] = relation!("azure").provider().companions() else { panic!("one companion") };
    assert_eq!(companion.endpoint, principal.endpoint);
    let request: BTreeMap<_, _> =
        companion.request.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    assert_eq!(request, principal.requirer.app);
}

#[test]
fn no_error_repeats_a_credential() {
    for (relation, companion, keys) in [
        (relation!("s3-v0"), None, vec!["access-key", "secret-key"]),
        (relation!("azure-plain-key"), None, vec!["secret-key"]),
        (relation!("azure"), Some(relation!("azure-service-principal")), vec!["client-id", "client-secret"]),
        (relation!("gcs"), None, vec!["secret-key"]),
    ] {
        for key in keys {
            let mut fields = relation.fields();
            fields.complete_with(companion.as_ref().map(Relation::fields).unwrap_or_default());
            fields.replace_with([(key.to_owned(), "marked\nsecret".to_owned())]);
            let error = relation.provider().storage(&fields).unwrap_err();
            assert_eq!(error.key(), key);
            assert!(!format!("{error} {error:?}").contains("marked"), "{error}");
        }
    }
}
