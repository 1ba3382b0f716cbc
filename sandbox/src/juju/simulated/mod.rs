//! Applications that the sandbox plays itself, without a charm process.

pub(super) mod integrator;
pub(super) mod s3_integrator;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::charm::{ConfigOption, Metadata};
use super::status::{Status, StatusValue};
pub use integrator::Integrator;
pub use s3_integrator::{Dialect, S3Integrator};

/// How an application behaves that has no charm process.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Simulated {
    /// Tells bucket and keys of an S3 store to whom it is related.
    S3Integrator(S3Integrator),
    /// Tells what it is configured with to whom it is related.
    Integrator(Integrator),
    /// Does nothing of its own: a test writes its settings.
    Scripted,
}

impl Simulated {
    /// The options that it has.
    #[must_use]
    pub fn options(&self) -> BTreeMap<String, ConfigOption> {
        match self {
            Self::S3Integrator(_) => S3Integrator::options(),
            Self::Integrator(integrator) => integrator.options(),
            Self::Scripted => BTreeMap::new(),
        }
    }

    /// How its units are.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::S3Integrator(integrator) => integrator.status(),
            Self::Integrator(integrator) => integrator.status(),
            Self::Scripted => Status::now(StatusValue::Active, ""),
        }
    }
}

/// The charms that the sandbox plays, by the name that `deploy` knows them by.
#[must_use]
pub fn built_in(charm: &str, channel: Option<&str>) -> Option<(Simulated, Metadata)> {
    if charm == S3Integrator::NAME {
        let integrator = S3Integrator::new(Dialect::of_channel(channel));
        return Some((Simulated::S3Integrator(integrator), S3Integrator::metadata()));
    }
    Integrator::named(charm).map(|(integrator, metadata)| (Simulated::Integrator(integrator), metadata))
}

/// The names of all charms that the sandbox plays.
pub fn built_in_names() -> impl Iterator<Item = &'static str> {
    std::iter::once(S3Integrator::NAME).chain(integrator::names())
}

/// A JSON list as Python writes it.
pub(super) fn python_list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| Value::from(item.as_str()).to_string()).collect();
    format!("[{}]", items.join(", "))
}
