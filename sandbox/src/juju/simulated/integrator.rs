//! Integrators that are configured by options and by a secret of the user's, and tell both to whom they are related: the
//! fields of the secret in a secret again, for who asks for that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::charm::{ConfigOption, Endpoint, Metadata, OptionType};
use super::super::status::{Status, StatusValue};
use super::python_list;

/// The option that names the secret of the user's.
pub(in crate::juju) const CREDENTIALS: &str = "credentials";

/// What makes one such integrator differ from the others.
#[derive(Debug)]
pub(in crate::juju) struct Profile {
    /// The charm's name.
    name: &'static str,
    /// Its endpoint.
    pub(in crate::juju) endpoint: &'static str,
    /// The interface of that endpoint.
    interface: &'static str,
    /// Its options beside the one for credentials, with their defaults. Each is told under its own name.
    pub(in crate::juju) options: &'static [(&'static str, Option<&'static str>)],
    /// The options that it needs.
    pub(in crate::juju) required: &'static [&'static str],
    /// The fields of the user's secret, all of which it needs.
    pub(in crate::juju) secret_fields: &'static [&'static str],
    /// The fields of which a client has to publish one before it is told anything; none for at once.
    pub(in crate::juju) asked_by: &'static [&'static str],
    /// What is told in place of the options as they are.
    pub(in crate::juju) told: fn(BTreeMap<String, String>) -> BTreeMap<String, String>,
}

/// Every integrator of this kind.
static PROFILES: &[Profile] = &[
    Profile {
        name: "gcs-integrator",
        endpoint: "gcs-credentials",
        interface: "gcs",
        options: &[("bucket", None), ("path", None), ("storage-class", Some("STANDARD"))],
        required: &["bucket"],
        secret_fields: &["secret-key"],
        asked_by: &["requested-secrets", "version"],
        told: std::convert::identity,
    },
    Profile {
        name: "azure-storage-integrator",
        endpoint: "azure-storage-credentials",
        interface: "azure_storage",
        options: &[
            ("connection-protocol", Some("abfss")),
            ("container", None),
            ("endpoint", None),
            ("path", None),
            ("resource-group", None),
            ("storage-account", None),
        ],
        required: &["container", "storage-account"],
        secret_fields: &["secret-key"],
        asked_by: &["container", "version"],
        told: with_azure_endpoint,
    },
    Profile {
        name: "azure-auth-integrator",
        endpoint: "azure-service-principal-credentials",
        interface: "azure_service_principal",
        options: &[("subscription-id", None), ("tenant-id", None)],
        required: &["subscription-id", "tenant-id"],
        secret_fields: &["client-id", "client-secret"],
        asked_by: &[],
        told: std::convert::identity,
    },
];

/// Where the container is, which is told in the protocol's own form unless it is configured.
fn with_azure_endpoint(mut options: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let text = |name: &str| options.get(name).cloned().unwrap_or_default();
    let (container, account, protocol) = (text("container"), text("storage-account"), text("connection-protocol"));
    let endpoint = match protocol.as_str() {
        "abfs" | "abfss" => format!("{protocol}://{container}@{account}.dfs.core.windows.net/"),
        "wasb" | "wasbs" => format!("{protocol}://{container}@{account}.blob.core.windows.net/"),
        _ => format!("{protocol}://{account}.blob.core.windows.net/{container}"),
    };
    options.entry("endpoint".to_owned()).or_insert(endpoint);
    options
}

/// What an integrator knows beside its options.
#[derive(Clone, Deserialize, Serialize)]
pub struct Integrator {
    pub(in crate::juju) charm: String,
    /// The secret of each relation.
    pub(in crate::juju) secrets: BTreeMap<u32, String>,
    /// What it lacks to tell anything.
    pub(in crate::juju) missing: Vec<String>,
}

impl std::fmt::Debug for Integrator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Integrator").field("charm", &self.charm).finish_non_exhaustive()
    }
}

impl Integrator {
    /// The integrator of that name, with its metadata.
    pub(super) fn named(charm: &str) -> Option<(Self, Metadata)> {
        let profile = profile(charm)?;
        let endpoint = Endpoint { interface: profile.interface.to_owned(), limit: None };
        let summary = format!("Tells charms what they need for the interface {}.", profile.interface);
        let metadata = Metadata {
            name: charm.to_owned(),
            summary: summary.clone(),
            description: summary,
            provides: BTreeMap::from([(profile.endpoint.to_owned(), endpoint)]),
            ..Metadata::default()
        };
        Some((Self { charm: charm.to_owned(), secrets: BTreeMap::new(), missing: Vec::new() }, metadata))
    }

    pub(super) fn options(&self) -> BTreeMap<String, ConfigOption> {
        let option = |kind, default: Option<&str>| ConfigOption {
            kind,
            default: default.map(Value::from),
            description: String::new(),
        };
        let plain = profile(&self.charm).into_iter().flat_map(|profile| profile.options);
        plain
            .map(|(name, default)| ((*name).to_owned(), option(OptionType::String, *default)))
            .chain([(CREDENTIALS.to_owned(), option(OptionType::Secret, None))])
            .collect()
    }

    pub(in crate::juju) fn status(&self) -> Status {
        if self.missing.is_empty() {
            return Status::now(StatusValue::Active, "");
        }
        Status::now(StatusValue::Blocked, format!("Missing parameters: {}", python_list(&self.missing)))
    }
}

/// What makes the integrator of that name differ.
pub(in crate::juju) fn profile(charm: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == charm)
}

/// The names of all charms of this kind.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|profile| profile.name)
}
