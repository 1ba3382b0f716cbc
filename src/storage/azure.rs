//! Azure Blob Storage.

use std::collections::BTreeMap;

use secrecy::SecretString;
use url::{Host, Url};

use super::{Storage, StorageError, StorageFields, StoreKeys, VeleroStorageProvider, credentials, host::is_host_name};
use crate::contract::{ConfigOption, option};

/// The variable that holds the account key; the location's configuration names it.
const ACCOUNT_KEY: &str = "AZURE_STORAGE_ACCOUNT_ACCESS_KEY";

/// The fields of a service principal, all of which it needs.
pub(crate) const SERVICE_PRINCIPAL_KEYS: [&str; 4] = ["subscription-id", "tenant-id", "client-id", "client-secret"];

/// What the names of a cloud's hosts end with, and the cloud's name.
const CLOUDS: [(&str, &str); 3] = [
    (".core.windows.net", PUBLIC_CLOUD),
    (".core.chinacloudapi.cn", "AzureChinaCloud"),
    (".core.usgovcloudapi.net", "AzureUSGovernment"),
];
const PUBLIC_CLOUD: &str = "AzurePublicCloud";

/// Azure Blob Storage, by the key of the account or by a service principal.
pub(crate) struct Azure;

impl VeleroStorageProvider for Azure {
    fn provider(&self) -> &'static str {
        "azure"
    }

    fn plugin_image(&self) -> ConfigOption<&'static str> {
        option::VELERO_AZURE_PLUGIN_IMAGE
    }

    /// A service principal makes snapshots of the machines' disks, which are in a resource group of the machines.
    fn needs_provider_ids(&self, fields: &StorageFields<'_>) -> bool {
        has_principal(fields)
    }

    fn storage(&self, fields: &StorageFields<'_>, provider_ids: &[String]) -> Result<Storage, StorageError> {
        let has_principal = has_principal(fields);
        let [container, account] = if has_principal {
            fields.require(["container", "storage-account"])?
        } else {
            let [container, account, _] = fields.require(["container", "storage-account", "secret-key"])?;
            [container, account]
        };
        check_container(container)?;
        check_account(account)?;
        let endpoint = match fields.get("endpoint") {
            Some(text) => Endpoint::parse(text, container, account)?,
            None => Endpoint::default(),
        };
        let resource_group = fields.get("resource-group");
        resource_group.map_or(Ok(()), check_resource_group)?;

        let disks = if has_principal { provider_ids.iter().find_map(|id| resource_group_of(id)) } else { None };

        let mut config = BTreeMap::from([("storageAccount".to_owned(), account.to_owned())]);
        // Not needed with an account key; with a service principal Velero finds the account's own endpoint by it.
        config.extend(resource_group.map(|group| ("resourceGroup".to_owned(), group.to_owned())));
        config.extend(endpoint.uri.as_ref().map(|uri| ("storageAccountURI".to_owned(), uri.clone())));
        let mut lines = vec![SecretString::from(format!("AZURE_CLOUD_NAME={}\n", endpoint.cloud))];
        let keys = if has_principal {
            if endpoint.uri.is_some_and(|uri| uri.starts_with("http:")) {
                return Err(StorageError::invalid(
                    "endpoint",
                    "is not encrypted, and a service principal is only used over https: set it as https://…",
                ));
            }
            lines.extend(service_principal(fields)?);
            lines.extend(disks.map(|group| SecretString::from(format!("AZURE_RESOURCE_GROUP={group}\n"))));
            config.insert("useAAD".to_owned(), true.to_string());
            StoreKeys::AzurePrincipal {
                tenant: fields.identifier("tenant-id")?,
                client: fields.identifier("client-id")?,
                secret: fields.credential("client-secret")?,
            }
        } else {
            let key = fields.identifier("secret-key")?;
            lines.push(credentials::dotenv_line(ACCOUNT_KEY, "secret-key", &key)?);
            config.insert("storageAccountKeyEnvVar".to_owned(), ACCOUNT_KEY.to_owned());
            StoreKeys::AzureAccount { key }
        };
        Ok(Storage {
            bucket: container.to_owned(),
            prefix: fields.prefix("path")?,
            backup_location_config: config,
            // Snapshots of disks have nothing to do with the storage account, whose key opens nothing else. The subscription
            // and the resource group of the disks are in the credentials file.
            snapshot_location_config: disks.map(|_| BTreeMap::new()),
            credentials: credentials::file(lines),
            keys,
            certificate_authority: None,
            notes: if has_principal { fields.notes_on_credentials(&["client-secret"]) } else { Vec::new() },
        })
    }
}

fn has_principal(fields: &StorageFields<'_>) -> bool {
    SERVICE_PRINCIPAL_KEYS.iter().any(|key| fields.get(key).is_some())
}

/// Returns the resource group of a machine that is called
/// `azure:///subscriptions/SUBSCRIPTION/resourceGroups/GROUP/providers/…`. Azure does not tell upper case from lower there, and
/// its parts write it in both.
fn resource_group_of(machine: &str) -> Option<&str> {
    let mut segments = machine.strip_prefix("azure:///")?.split('/');
    let (subscriptions, _, groups, group) = (segments.next()?, segments.next()?, segments.next()?, segments.next()?);
    let named = subscriptions.eq_ignore_ascii_case("subscriptions") && groups.eq_ignore_ascii_case("resourceGroups");
    Some(group).filter(|group| named && is_resource_group(group))
}

/// Returns the lines of the credentials file for a service principal.
fn service_principal(fields: &StorageFields<'_>) -> Result<[SecretString; 4], StorageError> {
    fields.require(SERVICE_PRINCIPAL_KEYS)?;
    let line = |variable, key, value| credentials::dotenv_line(variable, key, &value);
    Ok([
        line("AZURE_SUBSCRIPTION_ID", "subscription-id", fields.identifier("subscription-id")?)?,
        line("AZURE_TENANT_ID", "tenant-id", fields.identifier("tenant-id")?)?,
        line("AZURE_CLIENT_ID", "client-id", fields.identifier("client-id")?)?,
        line("AZURE_CLIENT_SECRET", "client-secret", fields.credential("client-secret")?)?,
    ])
}

/// The rules for names of containers in the reference of Azure's blob service.
fn check_container(container: &str) -> Result<(), StorageError> {
    let refuse = |reason: &str| {
        Err(StorageError::invalid("container", format!("is {container:?}, which Azure does not allow: {reason}")))
    };
    if !(3..=63).contains(&container.chars().count()) {
        return refuse("a name has 3 to 63 characters");
    }
    if !container.chars().all(|character| matches!(character, 'a'..='z' | '0'..='9' | '-')) {
        return refuse("a name has only lower-case letters, digits and hyphens");
    }
    if container.starts_with('-') || container.ends_with('-') || container.contains("--") {
        return refuse("a name has a letter or a digit before and after each hyphen");
    }
    Ok(())
}

/// The rules for names of storage accounts in Azure's reference of resource names.
fn check_account(account: &str) -> Result<(), StorageError> {
    let allowed = |character| matches!(character, 'a'..='z' | '0'..='9');
    if (3..=24).contains(&account.chars().count()) && account.chars().all(allowed) {
        return Ok(());
    }
    Err(StorageError::invalid(
        "storage-account",
        format!("is {account:?}, which Azure does not allow: a name has 3 to 24 lower-case letters and digits"),
    ))
}

/// The rules for names of resource groups in the same reference.
fn is_resource_group(group: &str) -> bool {
    let allowed = |character: char| character.is_alphanumeric() || matches!(character, '.' | '_' | '-' | '(' | ')');
    (1..=90).contains(&group.chars().count()) && group.chars().all(allowed) && !group.ends_with('.')
}

fn check_resource_group(group: &str) -> Result<(), StorageError> {
    if is_resource_group(group) {
        return Ok(());
    }
    Err(StorageError::invalid(
        "resource-group",
        format!(
            "is {group:?}, which Azure does not allow: a name has up to 90 letters, digits, dots, hyphens, underscores \
             and parentheses, and no dot at its end"
        ),
    ))
}

/// Where the blob service of a storage account is.
struct Endpoint {
    /// Its address without the container; `None` for the one that Velero makes of the account's name.
    uri: Option<String>,
    /// The cloud's name, by which Velero finds everything that is not the blob service.
    cloud: &'static str,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self { uri: None, cloud: PUBLIC_CLOUD }
    }
}

impl Endpoint {
    /// Reads the address in each form that integrators have for it: `https://HOST/CONTAINER`, or
    /// `abfss://CONTAINER@HOST/` and `wasbs://CONTAINER@HOST/` as Hadoop writes them, of which the first names the
    /// host of the Data Lake service. An emulator has the account in the path.
    fn parse(text: &str, container: &str, account: &str) -> Result<Self, StorageError> {
        let refuse = |reason: &str| Err(StorageError::invalid("endpoint", reason));
        // The URL parser does not see tabs and line breaks either, wherever they are.
        let text = text.replace(['\t', '\r', '\n'], "").replace('\\', "/");
        let (scheme, rest) = text.split_once(':').unwrap_or_default();
        let (scheme, container_is_user) = match scheme.to_ascii_lowercase().as_str() {
            "https" => ("https", false),
            "http" => ("http", false),
            "abfss" | "wasbs" => ("https", true),
            "abfs" | "wasb" => ("http", true),
            _ => return refuse("begins with none of https://, http://, abfss://, abfs://, wasbs:// and wasb://"),
        };
        let Ok(url) = Url::parse(&format!("{scheme}:{rest}")) else {
            return refuse("is no URL: set it as https://HOST");
        };
        if url.query().is_some() || url.fragment().is_some() {
            return refuse("holds more than scheme, host, port and container: set it as https://HOST");
        }
        if url.password().is_some() || (!container_is_user && !url.username().is_empty()) {
            return refuse("holds a user name or a password: remove it");
        }
        if !["", container].contains(&url.username()) {
            return refuse("names another container than the option container");
        }
        // A dot at the end would keep the clouds from being found.
        let host = url.host_str().unwrap_or_default().trim_end_matches('.').replacen(".dfs.", ".blob.", 1);
        if host.split('.').any(str::is_empty) {
            return refuse("has no name of a host: set it as https://HOST");
        }
        // The URL parser takes letters that Go's refuses.
        if matches!(url.host(), Some(Host::Domain(_))) && !is_host_name(&host) {
            return refuse("has a host that is neither a name nor an IP address: set it as https://HOST");
        }
        let account_is_in_host = host.split('.').next() == Some(account);
        let segments: Vec<&str> = url.path().split('/').filter(|segment| !segment.is_empty()).collect();
        let (root, path) = match segments.as_slice() {
            [first, path @ ..] if !account_is_in_host && *first == account => (format!("/{account}"), path),
            path => (String::new(), path),
        };
        if !(path.is_empty() || !container_is_user && path == [container]) {
            return refuse("has a path that is not the container: set it as https://HOST, and the folder as path");
        }
        let cloud = CLOUDS.iter().find(|(suffix, _)| host.ends_with(suffix));
        // Azure's own hosts all speak TLS, without which the links to logs and results do not work.
        let scheme = if cloud.is_some() { "https" } else { scheme };
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let uri = format!("{scheme}://{host}{port}{root}");
        Ok(Self {
            uri: Some(uri).filter(|uri| *uri != format!("https://{account}.blob{}", CLOUDS[0].0)),
            cloud: cloud.map_or(PUBLIC_CLOUD, |(_, name)| name),
        })
    }
}

#[cfg(test)]
#[path = "azure_tests.rs"]
mod tests;
