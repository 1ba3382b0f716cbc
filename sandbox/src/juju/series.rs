//! The series of Juju that a model is of, and what is different from one to the other.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::SecretUri;

/// A series of Juju.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Series {
    /// 3.6, the last one with long support.
    #[default]
    #[serde(rename = "3.6")]
    Juju36,
    /// 4.0.
    #[serde(rename = "4.0")]
    Juju40,
}

impl Series {
    /// The version whose contract is kept, as `JUJU_VERSION` says it.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::Juju36 => "3.6.9",
            Self::Juju40 => "4.0.12",
        }
    }

    /// Whether units that do not lead are told by `leader-settings-changed`.
    #[must_use]
    pub fn has_leader_settings(self) -> bool {
        self == Self::Juju36
    }

    /// Whether a charm is told of service levels and meters.
    #[must_use]
    pub fn has_meters(self) -> bool {
        self == Self::Juju36
    }

    /// Whether a unit that is removed while it has no relation is dead at once: its pod is told to end, `stop` runs without a
    /// connection to the controller, and no `remove` comes.
    #[must_use]
    pub fn kills_units_without_relations(self) -> bool {
        self == Self::Juju40
    }

    /// What `secret-get` says of a secret that does not exist.
    #[must_use]
    pub fn secret_not_found(self, uri: &SecretUri) -> String {
        format!("secret {:?} not found", uri.to_string())
    }

    /// What `secret-get` says of a label that the unit gave no secret.
    #[must_use]
    pub fn label_not_found(self, label: &str) -> String {
        match self {
            Self::Juju36 => format!("consumer label {label:?} not found"),
            Self::Juju40 => format!("secret URI for consumer label {label:?} not found"),
        }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.version())
    }
}
