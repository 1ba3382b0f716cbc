//! What integrators really publish, as files: whole relations, and what comes of them.
//!
//! A file has both sides' databags, every value a text as `relation-get` prints it, and the contents of the secrets
//! that are granted.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{Declarations, Publication, declarations, publications, storage_relations};
use crate::{
    backups::{BackupSpec, Cron, SpecId, Target, Ttl},
    contract,
    juju::{Databag, ModelId, ModelProxies, RelationId, SecretContent},
    snapshot::{OptionSecret, Relation, Snapshot},
    storage::{Storage, StorageError, StorageFields},
};

#[derive(Deserialize)]
struct Recorded {
    endpoint: String,
    #[serde(rename = "relation_id")]
    id: String,
    provider: Side,
    requirer: Side,
    secrets: BTreeMap<String, BTreeMap<String, SecretString>>,
}

#[derive(Deserialize)]
struct Side {
    name: String,
    app: BTreeMap<String, String>,
}

macro_rules! relation {
    ($name:literal) => {
        serde_json::from_str::<Recorded>(include_str!(concat!("../../tests/it/databags/", $name, ".json"))).unwrap()
    };
}

impl Recorded {
    fn relation(&self) -> Relation {
        let secret = self.provider.app.get("secret-extra").and_then(|uri| self.secrets.get(uri));
        Relation {
            id: RelationId::new(&*self.id),
            remote: Some(self.provider.name.clone()),
            theirs: self.provider.app.clone().into_iter().collect(),
            ours: Databag::default(),
            own: Databag::default(),
            secret: secret.cloned().map(SecretContent::from),
        }
    }

    fn storage(&self) -> Result<Storage, StorageError> {
        storage(&snapshot(&[self]))
    }

    /// What the charm publishes, which has published nothing yet.
    fn request(&self) -> BTreeMap<&'static str, String> {
        let [Publication { relation, values, .. }] = &publications(&snapshot(&[self]))[..] else {
            panic!("one relation")
        };
        assert_eq!(relation.as_str(), self.id);
        values.clone()
    }
}

fn snapshot(relations: &[&Recorded]) -> Snapshot {
    let endpoint = |name: &str| contract::RELATIONS.iter().find(|endpoint| endpoint.name == name).unwrap().name;
    Snapshot {
        application: "velero-operator".to_owned(),
        unit: "velero-operator/0".to_owned(),
        model: ModelId::default(),
        proxies: ModelProxies::default(),
        address: None,
        repository_password: OptionSecret::Unset,
        retention: None,
        leader: true,
        periodic: false,
        unsettled: false,
        config: BTreeMap::<String, serde_json::Value>::new().into_iter().collect(),
        relations: relations.iter().map(|relation| (endpoint(&relation.endpoint), vec![relation.relation()])).collect(),
    }
}

const MACHINE: &str = "azure:///subscriptions/3c0e8a54/resourceGroups/mc_nodes/providers/x";

fn storage(snapshot: &Snapshot) -> Result<Storage, StorageError> {
    let relations = storage_relations(snapshot);
    let [relation] = &relations[..] else { panic!("{} storages", relations.len()) };
    relation.interface.provider().storage(&relation.fields, &[MACHINE.to_owned()])
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
        let storage = storage(&snapshot(&[&azure, &principal])).unwrap();
        assert_eq!(
            config(&storage),
            [("resourceGroup", "rg-backups"), ("storageAccount", "stbackups01"), ("useAAD", "true")]
        );
        assert!(storage.snapshot_location_config.is_some());
        let file = storage.credentials.expose_secret();
        assert!(file.contains("AZURE_CLIENT_SECRET=fake~client.secret_value\n") && !file.contains("ACCESS_KEY"));
        assert!(file.ends_with("AZURE_RESOURCE_GROUP=mc_nodes\n"));
    }
    let incomplete = snapshot(&[&relation!("azure"), &relation!("azure-service-principal-no-secret")]);
    assert_eq!(missing(storage(&incomplete)), ["client-id", "client-secret"]);
    let mut silent = relation!("azure");
    silent.provider.app.clear();
    assert_eq!(missing(storage(&snapshot(&[&silent, &principal]))), ["container", "storage-account"]);
    assert!(storage_relations(&snapshot(&[&principal])).is_empty());
}

#[test]
fn gcs_takes_its_key_file_from_the_secret() {
    let relation = relation!("gcs");
    let storage = relation.storage().unwrap();
    assert_eq!((storage.bucket.as_str(), storage.prefix.as_deref()), ("cluster-backups", Some("prod/velero")));
    assert_eq!(config(&storage), []);
    assert_eq!(storage.snapshot_location_config, Some(BTreeMap::new()));
    let [(_, secret)] = &relation.secrets.iter().collect::<Vec<_>>()[..] else { panic!("one secret") };
    assert_eq!(storage.credentials.expose_secret(), secret["secret-key"].expose_secret());
    assert_eq!(missing(relation!("gcs-no-secret").storage()), ["secret-key"]);
    let error = relation!("gcs-key-not-json").storage().unwrap_err().to_string();
    assert!(error.starts_with("secret-key is no JSON object") && !error.contains("not json at all"), "{error}");
}

#[test]
fn integrators_of_azure_and_google_are_asked_as_they_expect_it() {
    for relation in [
        relation!("azure"),
        relation!("azure-no-secret"),
        relation!("azure-service-principal"),
        relation!("gcs"),
        relation!("gcs-no-secret"),
    ] {
        let request: BTreeMap<_, _> = relation.request().into_iter().map(|(key, value)| (key.into(), value)).collect();
        assert_eq!(request, relation.requirer.app, "{}", relation.endpoint);
    }
}

#[test]
fn only_the_leader_publishes_and_only_what_is_not_published_yet() {
    let relation = relation!("gcs");
    let mut snapshot = snapshot(&[&relation]);
    assert_eq!(publications(&snapshot).len(), 1);
    snapshot.relations.get_mut("gcs-credentials").unwrap()[0].ours = [("version", "1")].into_iter().collect();
    assert_eq!(publications(&snapshot)[0].values.keys().collect::<Vec<_>>(), [&"requested-secrets"]);
    snapshot.relations.get_mut("gcs-credentials").unwrap()[0].ours = relation.requirer.app.into_iter().collect();
    assert_eq!(publications(&snapshot), []);
    snapshot.relations.get_mut("gcs-credentials").unwrap()[0].ours = Databag::default();
    snapshot.leader = false;
    assert_eq!(publications(&snapshot), []);
}

#[test]
fn a_secret_that_is_not_granted_is_known_to_be_withheld() {
    for (relation, withheld) in
        [(relation!("s3-secret-denied"), true), (relation!("gcs-no-secret"), false), (relation!("gcs"), false)]
    {
        assert_eq!(storage_relations(&snapshot(&[&relation]))[0].secret_withheld, withheld, "{}", relation.endpoint);
    }
}

#[test]
fn an_option_that_was_reset_is_not_set() {
    let storage = relation!("s3-v0-reset").storage().unwrap();
    assert_eq!((storage.certificate_authority, storage.notes), (None, vec![]));
}

#[test]
fn no_error_repeats_a_credential() {
    for (relation, companion, keys) in [
        (relation!("s3-v0"), None, vec!["access-key", "secret-key"]),
        (relation!("azure-plain-key"), None, vec!["secret-key"]),
        (relation!("azure"), Some(relation!("azure-service-principal")), vec!["client-id", "client-secret"]),
        (relation!("gcs"), None, vec!["secret-key"]),
    ] {
        let relations: Vec<_> = [Some(relation), companion].into_iter().flatten().collect();
        let snapshot = snapshot(&relations.iter().collect::<Vec<_>>());
        let storage = &storage_relations(&snapshot)[0];
        for key in keys {
            let entries = [(key, "marked\nsecret")];
            let known = storage.fields.entries().filter(|(name, _)| *name != key);
            let fields: StorageFields = known.chain(entries).collect();
            let error = storage.interface.provider().storage(&fields, &[]).unwrap_err();
            assert_eq!(error.key(), key);
            assert!(!format!("{error} {error:?}").contains("marked"), "{error}");
        }
    }
}

fn declared(relation: &Recorded) -> Declarations {
    declarations(&snapshot(&[relation]))
}

#[test]
fn an_application_declares_a_spec() {
    let Declarations { declarations, unknown } = declared(&relation!("velero-backups"));
    assert!(unknown.is_empty());
    let [declaration] = &declarations[..] else { panic!("{declarations:?}") };
    assert_eq!((declaration.id, declaration.name.as_str()), (SpecId { relation: 11, position: 0 }, "ledger"));
    let target = Target {
        application: "ledger".to_owned(),
        endpoint: "ledger-backups".to_owned(),
        model: Some("apps-prod".to_owned()),
    };
    assert_eq!(declaration.target, Some(target));
    let spec = declaration.spec.as_ref().unwrap();
    assert_eq!(spec.schedule.as_ref().map(Cron::as_str), Some("30 1 * * *"));
    assert_eq!(spec.include_namespaces.as_deref(), Some(&["team-a".to_owned(), "team-b".to_owned()][..]));
    let on_demand = declared(&relation!("velero-backups-on-demand")).declarations.remove(0).spec.unwrap();
    assert_eq!((on_demand.schedule, on_demand.paused), (None, None));
}

#[test]
fn an_application_that_has_nothing_to_declare_yet_is_no_error() {
    assert_eq!(declared(&relation!("velero-backups-empty")), Declarations::default());
}

#[test]
fn a_spec_that_cannot_be_used_is_told() {
    for (relation, told) in [
        (relation!("velero-backups-not-json"), "spec is not JSON, at line 1, column 25"),
        (
            relation!("velero-backups-ttl-in-days"),
            "ttl \"30d\" is no duration that Velero reads: there is no unit \"d\"",
        ),
    ] {
        let error = declared(&relation).declarations.remove(0).spec.unwrap_err().to_string();
        assert!(error.starts_with(told), "{error}");
    }
}

#[test]
fn a_list_of_specs_declares_each_of_them() {
    let Declarations { declarations, unknown } = declared(&relation!("k8s-backup-target"));
    assert!(unknown.is_empty());
    let [full, bad, nothing] = &declarations[..] else { panic!("{declarations:?}") };
    assert_eq!(full.spec.as_ref().unwrap().ttl.as_ref().map(Ttl::as_str), Some("720h"));
    assert!(bad.spec.as_ref().unwrap_err().to_string().starts_with("include_namespaces is an empty list"));
    assert_eq!((nothing.id, &nothing.spec), (SpecId { relation: 12, position: 2 }, &Ok(BackupSpec::default())));
}

#[test]
fn what_cannot_be_read_at_all_is_not_taken_for_nothing() {
    let mut relation = relation!("k8s-backup-target");
    relation.provider.app.insert("backup_targets".to_owned(), "{}".to_owned());
    let problem = "the backup specs of ledger, relation 12: backup_targets is not a JSON list";
    assert_eq!(declared(&relation).unknown, [(12, Some(problem.to_owned()))].into());
    let mut snapshot = snapshot(&[&relation!("velero-backups")]);
    for relation in snapshot.relations.values_mut().flatten() {
        relation.remote = None;
    }
    let declared = declarations(&snapshot);
    assert_eq!((declared.declarations.len(), declared.unknown), (0, [(11, None)].into()));
}
