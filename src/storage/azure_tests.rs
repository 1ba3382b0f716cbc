use secrecy::ExposeSecret;

use super::*;

const ACCOUNT: &[(&str, &str)] = &[("container", "cluster-backups"), ("storage-account", "stbackups01")];
const KEY: &[(&str, &str)] = &[("secret-key", "ZmFrZS1zdG9yYWdlLWtleQ==")];
const PRINCIPAL: &[(&str, &str)] =
    &[("subscription-id", "sub"), ("tenant-id", "ten"), ("client-id", "cli"), ("client-secret", "fake~secret")];

fn storage_with(parts: &[&[(&str, &str)]]) -> Result<Storage, StorageError> {
    storage_on(parts, &[])
}

fn config(storage: &Storage) -> Vec<(&str, &str)> {
    storage.backup_location_config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

#[test]
fn an_account_key_needs_neither_a_resource_group_nor_an_endpoint() {
    let storage = storage_with(&[KEY]).unwrap();
    assert_eq!(
        config(&storage),
        [("storageAccount", "stbackups01"), ("storageAccountKeyEnvVar", "AZURE_STORAGE_ACCOUNT_ACCESS_KEY")]
    );
    assert_eq!(
        storage.credentials.expose_secret(),
        "AZURE_CLOUD_NAME=AzurePublicCloud\nAZURE_STORAGE_ACCOUNT_ACCESS_KEY=ZmFrZS1zdG9yYWdlLWtleQ==\n"
    );
    assert_eq!(storage.snapshot_location_config, None);
}

#[test]
fn an_account_key_makes_no_snapshots_whatever_the_resource_group() {
    let storage = storage_with(&[KEY, &[("resource-group", "rg-backups")]]).unwrap();
    assert_eq!(storage.backup_location_config["resourceGroup"], "rg-backups");
    assert_eq!(storage.snapshot_location_config, None);
}

#[test]
fn a_service_principal_takes_the_place_of_the_account_key() {
    for key in [KEY, &[]] {
        let storage = storage_with(&[key, PRINCIPAL, &[("resource-group", "rg(backups)")]]).unwrap();
        assert_eq!(
            config(&storage),
            [("resourceGroup", "rg(backups)"), ("storageAccount", "stbackups01"), ("useAAD", "true")]
        );
        assert_eq!(
            storage.credentials.expose_secret(),
            "AZURE_CLOUD_NAME=AzurePublicCloud\nAZURE_SUBSCRIPTION_ID=sub\nAZURE_TENANT_ID=ten\nAZURE_CLIENT_ID=cli\n\
             AZURE_CLIENT_SECRET=fake~secret\n"
        );
        // The resource group of the storage account has none of the disks.
        assert_eq!(storage.snapshot_location_config, None);
    }
}

fn storage_on(parts: &[&[(&str, &str)]], provider_ids: &[&str]) -> Result<Storage, StorageError> {
    let fields = [ACCOUNT].iter().chain(parts).flat_map(|part| part.iter().copied()).collect();
    let provider_ids: Vec<_> = provider_ids.iter().map(|id| (*id).to_owned()).collect();
    Azure.storage(&fields, &provider_ids)
}

const MACHINE: &str = "azure:///subscriptions/sub/resourceGroups/mc_rg_cluster_eu/providers/Microsoft.Compute/\
                       virtualMachineScaleSets/pool/virtualMachines/0";

#[test]
fn a_service_principal_makes_snapshots_in_the_resource_group_of_the_machines() {
    let lower_case = MACHINE.to_ascii_lowercase();
    for machine in [MACHINE, &lower_case] {
        let storage = storage_on(&[PRINCIPAL], &["", "aws:///eu-west-3a/i-0", machine]).unwrap();
        assert_eq!(storage.snapshot_location_config, Some(BTreeMap::new()));
        assert!(storage.credentials.expose_secret().ends_with("\nAZURE_RESOURCE_GROUP=mc_rg_cluster_eu\n"));
        assert_eq!(config(&storage), [("storageAccount", "stbackups01"), ("useAAD", "true")]);
    }
}

#[test]
fn machines_that_tell_no_resource_group_mean_no_snapshots() {
    for machine in [
        "",
        "aws:///eu-west-3a/i-0",
        "azure:///subscriptions/sub",
        "azure:///subscriptions/sub/resourceGroups/",
        "azure:///subscriptions/sub/resourceGroups//providers/x",
        "azure:///subscriptions/sub/resourceGroups/a b\nKEY=value/providers/x",
        "azure:///subscriptions/sub/providers/x/resourceGroups/rg",
    ] {
        let storage = storage_on(&[PRINCIPAL], &[machine]).unwrap();
        assert_eq!(storage.snapshot_location_config, None, "{machine}");
        assert!(!storage.credentials.expose_secret().contains("RESOURCE_GROUP"), "{machine}");
    }
}

#[test]
fn machines_are_looked_at_only_for_a_service_principal() {
    let depends = |parts: &[&[(&str, &str)]]| {
        Azure.needs_provider_ids(&parts.iter().flat_map(|part| part.iter().copied()).collect())
    };
    assert!(depends(&[ACCOUNT, PRINCIPAL]) && !depends(&[ACCOUNT, KEY]));
    let storage = storage_on(&[KEY], &[MACHINE]).unwrap();
    assert_eq!(storage.snapshot_location_config, None);
    assert!(!storage.credentials.expose_secret().contains("RESOURCE_GROUP"));
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    let missing = |fields: &[(&str, &str)]| Azure.storage(&fields.iter().copied().collect(), &[]).unwrap_err();
    assert_eq!(missing(&[]).to_string(), "container, storage-account, secret-key missing");
    assert_eq!(missing(&PRINCIPAL[..1]).to_string(), "container, storage-account missing");
    let error = storage_with(&[KEY, &PRINCIPAL[..2]]).unwrap_err();
    assert_eq!(error.to_string(), "client-id, client-secret missing");
}

#[test]
fn the_blob_service_is_found_in_every_form_of_an_endpoint() {
    for (endpoint, uri, cloud) in [
        ("https://stbackups01.blob.core.windows.net/cluster-backups", None, PUBLIC_CLOUD),
        ("https://stbackups01.blob.core.windows.net", None, PUBLIC_CLOUD),
        ("http://StBackups01.blob.core.windows.net:80/", None, PUBLIC_CLOUD),
        ("https:/stbackups01.blob.core.windows.net", None, PUBLIC_CLOUD),
        ("https:\\\\stbackups01.blob.core.windows.net\\cluster-backups", None, PUBLIC_CLOUD),
        ("HTTPS:///stbackups01.blob.core.windows.net.:443/", None, PUBLIC_CLOUD),
        ("ABFSS:/cluster-backups@StBackups01.dfs.core.windows.net./", None, PUBLIC_CLOUD),
        ("htt\tps://blobs.exam\nple.test", Some("https://blobs.example.test"), PUBLIC_CLOUD),
        ("https://büro.example.test", Some("https://xn--bro-hoa.example.test"), PUBLIC_CLOUD),
        ("abfss://cluster-backups@stbackups01.dfs.core.windows.net/", None, PUBLIC_CLOUD),
        ("abfs://cluster-backups@stbackups01.dfs.core.windows.net/", None, PUBLIC_CLOUD),
        ("wasbs://cluster-backups@stbackups01.blob.core.windows.net/", None, PUBLIC_CLOUD),
        (
            "abfss://cluster-backups@stbackups01.dfs.core.chinacloudapi.cn/",
            Some("https://stbackups01.blob.core.chinacloudapi.cn"),
            "AzureChinaCloud",
        ),
        (
            "https://stbackups01.blob.core.usgovcloudapi.net/cluster-backups",
            Some("https://stbackups01.blob.core.usgovcloudapi.net"),
            "AzureUSGovernment",
        ),
        (
            "https://stbackups01.z13.blob.storage.azure.net/cluster-backups",
            Some("https://stbackups01.z13.blob.storage.azure.net"),
            PUBLIC_CLOUD,
        ),
        (
            "https://blobs.example.test:10000/stbackups01/cluster-backups/",
            Some("https://blobs.example.test:10000/stbackups01"),
            PUBLIC_CLOUD,
        ),
        ("http://192.0.2.7:10000/stbackups01", Some("http://192.0.2.7:10000/stbackups01"), PUBLIC_CLOUD),
        (
            "wasb://cluster-backups@192.0.2.7:10000/stbackups01",
            Some("http://192.0.2.7:10000/stbackups01"),
            PUBLIC_CLOUD,
        ),
        ("https://backups.example.test/cluster-backups", Some("https://backups.example.test"), PUBLIC_CLOUD),
    ] {
        let storage = storage_with(&[KEY, &[("endpoint", endpoint)]]).unwrap();
        assert_eq!(storage.backup_location_config.get("storageAccountURI").map(String::as_str), uri, "{endpoint}");
        let line = format!("AZURE_CLOUD_NAME={cloud}\n");
        assert!(storage.credentials.expose_secret().starts_with(&line), "{endpoint}");
    }
}

#[test]
fn wrong_values_are_named_by_their_key() {
    for (key, value, part) in [
        ("container", "ab", "3 to 63"),
        ("container", "Upper", "lower-case"),
        ("container", "a--b", "hyphen"),
        ("container", "-ab", "hyphen"),
        ("container", "ab-", "hyphen"),
        ("storage-account", "st-backups", "3 to 24"),
        ("storage-account", "https://st", "3 to 24"),
        ("resource-group", "rg backups", "does not allow"),
        ("resource-group", "rg.", "dot at its end"),
        ("endpoint", "stbackups01.blob.core.windows.net", "begins with none"),
        ("endpoint", "s3://bucket", "begins with none"),
        ("endpoint", "https://", "no URL"),
        ("endpoint", "https://blobs..example.test", "no name of a host"),
        ("endpoint", "https://blobs{.example.test", "neither a name nor an IP address"),
        ("endpoint", "https://stbackups01.blob.core.windows.net/other", "not the container"),
        ("endpoint", "https://stbackups01.blob.core.windows.net/stbackups01/cluster-backups", "not the container"),
        ("endpoint", "abfss://cluster-backups@stbackups01.dfs.core.windows.net/folder", "not the container"),
        ("endpoint", "abfss://other@stbackups01.dfs.core.windows.net/", "another container"),
        ("path", "a\u{1}b", "control character"),
    ] {
        let error = storage_with(&[KEY, &[(key, value)]]).unwrap_err().to_string();
        assert!(error.starts_with(key) && error.contains(part), "{error}");
    }
}

#[test]
fn a_service_principal_is_not_sent_in_clear() {
    let endpoint: &[_] = &[("endpoint", "http://192.0.2.7:10000/stbackups01")];
    assert!(storage_with(&[KEY, endpoint]).is_ok());
    let error = storage_with(&[PRINCIPAL, endpoint]).unwrap_err().to_string();
    assert!(error.starts_with("endpoint is not encrypted"), "{error}");
}

#[test]
fn a_credential_that_is_refused_is_not_repeated() {
    for (key, value) in [
        ("secret-key", "marked\nkey"),
        ("endpoint", "https://stbackups01.blob.core.windows.net/cluster-backups?sig=marked"),
        ("endpoint", "https://user:marked@stbackups01.blob.core.windows.net"),
        ("endpoint", "https://:marked@stbackups01.blob.core.windows.net"),
        ("endpoint", "https://marked@stbackups01.blob.core.windows.net"),
    ] {
        let error = storage_with(&[KEY, &[(key, value)]]).unwrap_err().to_string();
        assert!(error.starts_with(key) && !error.contains("marked"), "{error}");
    }
    for key in SERVICE_PRINCIPAL_KEYS {
        let error = storage_with(&[PRINCIPAL, &[(key, "marked\u{7}x")]]).unwrap_err().to_string();
        assert!(error.starts_with(key) && !error.contains("marked"), "{error}");
    }
}

#[test]
fn blanks_around_what_has_none_are_cut_off_and_those_of_a_client_secret_stay_and_are_said() {
    let storage = storage_with(&[&[("secret-key", " ZmFrZS1zdG9yYWdlLWtleQ==\n")]]).unwrap();
    assert!(storage.credentials.expose_secret().ends_with("=ZmFrZS1zdG9yYWdlLWtleQ==\n") && storage.notes.is_empty());
    let storage = storage_with(&[&PRINCIPAL[..3], &[("client-secret", "fake~secret ")]]).unwrap();
    assert!(storage.credentials.expose_secret().ends_with("\nAZURE_CLIENT_SECRET='fake~secret '\n"));
    assert!(storage.notes[0].starts_with("client-secret begins or ends with a blank"), "{:?}", storage.notes);
}

#[test]
fn a_client_secret_is_quoted_for_the_credentials_file() {
    let storage = storage_with(&[PRINCIPAL, &[("client-secret", "a#b $HOME \"c\\d")]]);
    assert!(matches!(storage, Err(StorageError::Invalid { key: "client-secret", .. })));
    let storage = storage_with(&[PRINCIPAL, &[("client-secret", "a#b $HOME c\\d")]]).unwrap();
    assert!(storage.credentials.expose_secret().ends_with("\nAZURE_CLIENT_SECRET='a#b $HOME c\\d'\n"));
}

#[test]
fn it_is_the_provider_of_veleros_plugin_for_azure() {
    assert_eq!(Azure.provider(), "azure");
}
