//! How units and applications are, in Juju's words.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The words for how something is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusValue {
    /// A hook failed: Juju sets it, never the charm.
    Error,
    /// A person must act.
    Blocked,
    /// It resolves itself.
    Waiting,
    /// The charm is at work.
    Maintenance,
    /// All is well.
    Active,
    /// The charm never said.
    Unknown,
    /// The unit has gone.
    Terminated,
}

impl StatusValue {
    /// The word itself.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Blocked => "blocked",
            Self::Waiting => "waiting",
            Self::Maintenance => "maintenance",
            Self::Active => "active",
            Self::Unknown => "unknown",
            Self::Terminated => "terminated",
        }
    }
}

impl fmt::Display for StatusValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// How something is, and since when.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// The word.
    pub value: StatusValue,
    /// One line for people.
    pub message: String,
    /// When it was last set, also if to the same.
    pub since: Timestamp,
}

impl Status {
    /// A status as of now.
    #[must_use]
    pub fn now(value: StatusValue, message: impl Into<String>) -> Self {
        Self { value, message: message.into(), since: Timestamp::now() }
    }
}
