//! Where backups go: what each kind of object store means for Velero.
//!
//! A [`VeleroStorageProvider`] turns the fields of a relation into [`Storage`], or says what is missing or wrong with them.
//! Nothing here reads relations or talks to a cluster. A new backend is a file here and a line in [`PROVIDERS`].

mod azure;
mod certificates;
mod credentials;
mod fields;
mod gcs;
mod s3;
mod s3_attributes;
mod s3_endpoint;

use std::collections::BTreeMap;

use secrecy::SecretString;
use thiserror::Error;

pub use fields::StorageFields;

use crate::contract::ConfigOption;

/// A kind of object store.
pub trait VeleroStorageProvider: Sync {
    /// The endpoint of the charm whose relation carries the fields.
    fn endpoint(&self) -> &'static str;

    /// The charm to integrate with, as messages name it.
    fn integrator(&self) -> &'static str;

    /// Velero's name of the provider, which the plugin answers to.
    fn provider(&self) -> &'static str;

    /// The option that holds the image of Velero's plugin.
    fn plugin_image(&self) -> ConfigOption<&'static str>;

    /// Endpoints whose fields complete those of [`VeleroStorageProvider::endpoint`], and what the charm publishes there.
    fn companions(&self) -> &'static [Companion] {
        &[]
    }

    /// The endpoint that a field comes from, and the charm to configure for it.
    fn source_of(&self, key: &str) -> FieldSource {
        match self.companions().iter().find(|companion| companion.keys.contains(&key)) {
            Some(companion) => FieldSource { endpoint: companion.endpoint, integrator: companion.integrator },
            None => FieldSource { endpoint: self.endpoint(), integrator: self.integrator() },
        }
    }

    /// What the charm has to publish before the other side answers.
    fn request(&self, seen: &RequestContext<'_>) -> BTreeMap<&'static str, String>;

    /// Whether the storage that comes of the fields depends on the machines that Velero's cluster runs on, which
    /// [`StorageFields::set_machines`] tells of.
    fn depends_on_machines(&self, _: &StorageFields) -> bool {
        false
    }

    /// Reads the fields of the relation.
    ///
    /// # Errors
    ///
    /// When fields are missing, which the other side may still mend by itself, or wrong, which a person must.
    fn storage(&self, fields: &StorageFields) -> Result<Storage, StorageError>;
}

/// Every kind of object store that the charm knows.
pub static PROVIDERS: &[&dyn VeleroStorageProvider] = &[&s3::S3, &azure::Azure, &gcs::Gcs];

/// An endpoint that adds fields to those of a storage relation, and makes no storage alone.
#[derive(Clone, Copy, Debug)]
pub struct Companion {
    /// The endpoint of the charm.
    pub endpoint: &'static str,
    /// The charm to integrate with, as messages name it.
    pub integrator: &'static str,
    /// The fields that it adds.
    pub keys: &'static [&'static str],
    /// What the charm has to publish before the other side answers.
    pub request: &'static [(&'static str, &'static str)],
}

/// Where a field comes from, as messages name it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FieldSource {
    /// The endpoint of the charm.
    pub endpoint: &'static str,
    /// The charm on the other side.
    pub integrator: &'static str,
}

/// What a [`VeleroStorageProvider::request`] may depend on.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext<'a> {
    /// The number of the relation, unique in the model.
    pub relation_number: &'a str,
    /// What the other side has published so far.
    pub published: &'a StorageFields,
    /// Whether the other side had more time to publish something than the hooks of a new relation take.
    pub overdue: bool,
}

/// An object store, ready to be used by Velero.
#[derive(Clone, Debug)]
pub struct Storage {
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
    /// The certificates that the store's own one is to be checked against, as PEM; `None` for the public ones.
    pub certificate_authority: Option<String>,
    /// What the user should know of it although it works: what was asked for and cannot be had, and what is probably a mistake.
    pub notes: Vec<String>,
}

/// Why fields of a relation make no [`Storage`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum StorageError {
    /// Some are not there yet.
    #[error("{} missing", missing.join(", "))]
    Incomplete {
        /// Their keys.
        missing: Vec<&'static str>,
    },
    /// One has a value that cannot be used. The value itself is only in `reason` where it cannot be a credential.
    #[error("{key} {reason}")]
    Invalid {
        /// Its key.
        key: &'static str,
        /// What is wrong, as the end of a sentence that begins with the key.
        reason: String,
    },
}

impl StorageError {
    pub(crate) fn invalid(key: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { key, reason: reason.into() }
    }

    /// The field that it is about; the first one where several are missing.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Incomplete { missing } => missing.first().copied().unwrap_or_default(),
            Self::Invalid { key, .. } => key,
        }
    }
}

#[cfg(test)]
mod databag_tests;
#[cfg(test)]
mod readers;
