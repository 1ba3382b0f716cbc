//! The store's side of the `s3` interface, as the charm `s3-integrator` speaks it: track 1 with the keys in clear
//! (dialect 0), track 2 with the keys in a Juju secret (dialect 1).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::charm::{ConfigOption, Endpoint, Metadata, OptionType};
use super::super::status::{Status, StatusValue};

/// Its endpoint.
pub(in crate::juju) const ENDPOINT: &str = "s3-credentials";
/// Its options.
pub(in crate::juju) const OPTIONS: [&str; 10] = [
    "attributes",
    "bucket",
    "endpoint",
    "experimental-delete-older-than-days",
    "path",
    "region",
    "s3-api-version",
    "s3-uri-style",
    "storage-class",
    "tls-ca-chain",
];

/// The version of the protocol.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Keys in clear; answers once the other side has asked for a bucket.
    #[default]
    V0,
    /// Keys in a secret, for who asks for that.
    V1,
}

impl Dialect {
    /// What the integrator of that channel speaks: track 2 is the newer one.
    #[must_use]
    pub fn of_channel(channel: Option<&str>) -> Self {
        if channel.is_some_and(|channel| channel == "2" || channel.starts_with("2/")) { Self::V1 } else { Self::V0 }
    }
}

/// What the integrator knows beside its options.
#[derive(Clone, Default, Deserialize, Serialize)]
pub struct S3Integrator {
    /// The version of the protocol.
    pub dialect: Dialect,
    pub(in crate::juju) access_key: String,
    pub(in crate::juju) secret_key: String,
    /// The bucket that a client asked for while none was configured: dialect 0 takes it as its own.
    pub(in crate::juju) adopted_bucket: Option<String>,
    /// The secret of each relation.
    pub(in crate::juju) secrets: BTreeMap<u32, String>,
}

impl std::fmt::Debug for S3Integrator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("S3Integrator").field("dialect", &self.dialect).finish_non_exhaustive()
    }
}

impl S3Integrator {
    /// The charm's name.
    pub const NAME: &str = "s3-integrator";

    pub(in crate::juju) fn new(dialect: Dialect) -> Self {
        Self { dialect, ..Self::default() }
    }

    pub(in crate::juju) fn metadata() -> Metadata {
        let endpoint = Endpoint { interface: "s3".to_owned(), limit: None };
        Metadata {
            name: Self::NAME.to_owned(),
            summary: "Tells charms of an S3 store.".to_owned(),
            description: "Tells charms of an S3 store.".to_owned(),
            provides: BTreeMap::from([(ENDPOINT.to_owned(), endpoint)]),
            ..Metadata::default()
        }
    }

    pub(super) fn options() -> BTreeMap<String, ConfigOption> {
        let option = || ConfigOption { kind: OptionType::String, default: None, description: String::new() };
        OPTIONS.iter().map(|name| ((*name).to_owned(), option())).collect()
    }

    /// The action `sync-s3-credentials`.
    pub fn sync_credentials(&mut self, access_key: &str, secret_key: &str) {
        access_key.clone_into(&mut self.access_key);
        secret_key.clone_into(&mut self.secret_key);
    }

    /// Whether it was given both keys.
    pub(in crate::juju) fn has_credentials(&self) -> bool {
        !self.access_key.is_empty() && !self.secret_key.is_empty()
    }

    pub(super) fn status(&self) -> Status {
        if self.has_credentials() {
            Status::now(StatusValue::Active, "")
        } else {
            Status::now(StatusValue::Blocked, "Missing parameters: ['access-key', 'secret-key']")
        }
    }
}
