//! Where backups go: what each kind of object store means for Velero.
//!
//! A [`VeleroStorageProvider`] turns the fields of a store into [`Storage`], or says what is missing or wrong with them.
//! Nothing here knows of relations or talks to a cluster. A new backend is a file here and a line in [`PROVIDERS`].

mod azure;
mod certificates;
mod credentials;
mod fields;
mod gcs;
mod host;
mod s3;
mod s3_attributes;
mod s3_endpoint;

use std::collections::BTreeMap;

use secrecy::SecretString;
use thiserror::Error;

pub(crate) use azure::{Azure, SERVICE_PRINCIPAL_KEYS};
pub(crate) use fields::StorageFields;
pub(crate) use gcs::Gcs;
pub(crate) use s3::S3;

use crate::contract::ConfigOption;

/// A kind of object store.
pub(crate) trait VeleroStorageProvider: Sync {
    /// Velero's name of the provider, which the plugin answers to.
    fn provider(&self) -> &'static str;

    /// Returns the option that holds the image of Velero's plugin.
    fn plugin_image(&self) -> ConfigOption<&'static str>;

    /// Whether the storage that comes of the fields depends on the machines that Velero's cluster runs on.
    fn needs_provider_ids(&self, _: &StorageFields<'_>) -> bool {
        false
    }

    /// Reads the fields. `provider_ids` is what the cloud calls the machines of the cluster, as far as it is known; they mean
    /// something only where they are [needed](VeleroStorageProvider::needs_provider_ids).
    ///
    /// # Errors
    ///
    /// When fields are missing, which may still be mended by whoever they come from, or wrong, which a person must mend.
    fn storage(&self, fields: &StorageFields<'_>, provider_ids: &[String]) -> Result<Storage, StorageError>;
}

/// Every kind of object store that the charm knows.
pub(crate) static PROVIDERS: &[&dyn VeleroStorageProvider] = &[&S3, &Azure, &Gcs];

/// An object store, ready to be used by Velero.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    /// The bucket, or what the provider calls so.
    pub bucket: String,
    /// The folder in the bucket, without slashes at its ends; `None` for the bucket's root.
    pub prefix: Option<String>,
    /// The `spec.config` of the BackupStorageLocation.
    pub backup_location_config: BTreeMap<String, String>,
    /// The `spec.config` of the VolumeSnapshotLocation; `None` where volume snapshots cannot work.
    pub snapshot_location_config: Option<BTreeMap<String, String>>,
    /// The content of the credentials file.
    pub credentials: SecretString,
    /// The same credentials one by one.
    pub keys: StoreKeys,
    /// The CA certificates for the store, as PEM; `None` for the public ones.
    pub certificate_authority: Option<String>,
    /// What the user should know of it although it works: what was asked for and cannot be had, and what is probably a mistake.
    pub notes: Vec<String>,
}

/// What opens a store.
#[derive(Clone, Debug)]
pub(crate) enum StoreKeys {
    /// Of S3.
    S3 { access_key: SecretString, secret_key: SecretString },
    /// The key of an Azure storage account.
    AzureAccount { key: SecretString },
    /// A service principal of Azure.
    AzurePrincipal { tenant: SecretString, client: SecretString, secret: SecretString },
    /// The key file of an account of Google's.
    Google { file: SecretString },
}

/// Why fields make no [`Storage`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub(crate) enum StorageError {
    #[error("{} missing", missing.join(", "))]
    Incomplete { missing: Vec<&'static str> },
    /// One has a value that cannot be used. The value itself is only in `reason` where it cannot be a credential.
    #[error("{key} {reason}")]
    Invalid {
        key: &'static str,
        /// What is wrong, as the end of a sentence that begins with the key.
        reason: String,
    },
}

impl StorageError {
    pub(crate) fn invalid(key: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { key, reason: reason.into() }
    }

    /// Returns the field that it is about; the first one where several are missing.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Self::Incomplete { missing } => missing.first().copied().unwrap_or_default(),
            Self::Invalid { key, .. } => key,
        }
    }
}
