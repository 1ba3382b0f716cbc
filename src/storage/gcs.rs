//! Google Cloud Storage.

use std::{collections::BTreeMap, net::Ipv4Addr};

use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::IgnoredAny};

use super::{Storage, StorageError, StorageFields, StoreKeys, VeleroStorageProvider};
use crate::contract::{ConfigOption, option};

/// The domain of Google's public cloud.
const PUBLIC_UNIVERSE: &str = "googleapis.com";

/// Google Cloud Storage.
pub(crate) struct Gcs;

impl VeleroStorageProvider for Gcs {
    fn provider(&self) -> &'static str {
        "gcp"
    }

    fn plugin_image(&self) -> ConfigOption<&'static str> {
        option::VELERO_GCP_PLUGIN_IMAGE
    }

    fn storage(&self, fields: &StorageFields<'_>, _: &[String]) -> Result<Storage, StorageError> {
        let [bucket, _] = fields.require(["bucket", "secret-key"])?;
        check_bucket(bucket)?;
        let key_file = fields.credentials_file("secret-key")?;
        let key = KeyFile::parse(&key_file)?;
        Ok(Storage {
            bucket: bucket.to_owned(),
            prefix: fields.prefix("path")?,
            // The plugin knows Google's own universe by itself, and another only since its version 1.13.
            backup_location_config: key
                .universe()?
                .filter(|domain| *domain != PUBLIC_UNIVERSE)
                .map(|domain| BTreeMap::from([("universeDomain".to_owned(), domain.to_owned())]))
                .unwrap_or_default(),
            // The plugin takes the project of the disks and their snapshots from the key file.
            snapshot_location_config: key.text("project_id").map(|_| BTreeMap::new()),
            credentials: key_file.clone(),
            keys: StoreKeys::Google { file: key_file },
            certificate_authority: None,
            notes: Vec::new(),
        })
    }
}

/// The JSON file that Google gives out for an account. Any of its texts may be a credential.
#[derive(Deserialize)]
#[serde(transparent)]
struct KeyFile(BTreeMap<String, Entry>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Text(SecretString),
    Other(IgnoredAny),
}

impl KeyFile {
    fn parse(file: &SecretString) -> Result<Self, StorageError> {
        let refuse = |reason: &str| Err(StorageError::invalid("secret-key", reason));
        let Ok(key_file) = serde_json::from_str::<Self>(file.expose_secret()) else {
            return refuse("is no JSON object: set the whole key file of a service account");
        };
        match key_file.text("type") {
            // The plugin panics on such a file.
            None => return refuse("has no \"type\": set the whole key file of a service account"),
            Some("service_account") => {
                for name in ["client_email", "private_key"] {
                    if key_file.text(name).is_none() {
                        return refuse(&format!("has no {name:?}: set the whole key file of the service account"));
                    }
                }
                // The plugin finds out as late as when it signs the first request.
                let private_key = key_file.text("private_key").unwrap_or_default();
                if PrivateKeyDer::from_pem_slice(private_key.as_bytes()).is_err() {
                    return refuse(
                        "has a \"private_key\" that is no PEM: set the whole key file of the service account",
                    );
                }
            }
            Some(_) => {}
        }
        Ok(key_file)
    }

    /// Returns the domain of Google's cloud that the account is of. It is told to Velero in the clear.
    fn universe(&self) -> Result<Option<&str>, StorageError> {
        let fits = |domain: &str| {
            domain.chars().all(|character| character.is_ascii_alphanumeric() || matches!(character, '.' | '-'))
        };
        match self.text("universe_domain") {
            Some(domain) if !fits(domain) => Err(StorageError::invalid(
                "secret-key",
                "has a \"universe_domain\" that is no domain: set the whole key file of the service account",
            )),
            domain => Ok(domain),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name)? {
            Entry::Text(text) => Some(text.expose_secret()).filter(|text| !text.is_empty()),
            Entry::Other(IgnoredAny) => None,
        }
    }
}

/// The rules for names of buckets in the documentation of Google Cloud Storage.
fn check_bucket(bucket: &str) -> Result<(), StorageError> {
    let refuse = |reason: &str| {
        Err(StorageError::invalid("bucket", format!("is {bucket:?}, which Google does not allow: {reason}")))
    };
    let outer = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    // A name with dots is a domain that its owner has proved to own.
    let longest = if bucket.contains('.') { 222 } else { 63 };
    if !(3..=longest).contains(&bucket.chars().count()) || bucket.split('.').any(|part| part.chars().count() > 63) {
        return refuse("a name has 3 to 63 characters, or 222 with dots and 63 between them");
    }
    if !bucket.chars().all(|character| outer(character) || matches!(character, '.' | '-' | '_')) {
        return refuse("a name has only lower-case letters, digits, dots, hyphens and underscores");
    }
    if !bucket.starts_with(outer) || !bucket.ends_with(outer) {
        return refuse("a name begins and ends with a letter or a digit");
    }
    if bucket.contains("..") {
        return refuse("a name has no two dots in a row");
    }
    if bucket.parse::<Ipv4Addr>().is_ok() {
        return refuse("a name is no IP address");
    }
    if bucket.starts_with("goog") || bucket.contains("google") {
        return refuse("a name neither begins with goog nor contains google");
    }
    Ok(())
}

#[cfg(test)]
#[path = "gcs_tests.rs"]
mod tests;
