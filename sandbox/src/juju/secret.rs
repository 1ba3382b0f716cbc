//! Juju secrets: who owns them, who may read them, which revision a reader is on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::names::UnitName;

/// Whose secret it is, and hence who may change it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// An application: its leader manages the secret, and all its units read it.
    Application(String),
    /// A unit.
    Unit(UnitName),
    /// The user, who manages it by `add-secret`, `update-secret` and `grant-secret`.
    User,
}

impl Owner {
    /// The application that it is or belongs to; `None` for the user.
    #[must_use]
    pub fn application(&self) -> Option<&str> {
        match self {
            Self::Application(name) => Some(name),
            Self::Unit(unit) => Some(&unit.application),
            Self::User => None,
        }
    }
}

/// Who may read a secret.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Grant {
    /// The relation for as long as which it holds; `None` for a grant by the user.
    pub relation: Option<u32>,
    /// The application that may read it.
    pub application: String,
    /// Just one of its units.
    pub unit: Option<u32>,
}

/// A unit that has read a secret.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Consumer {
    /// The name that the reader gave it.
    pub label: String,
    /// The revision that plain reads return.
    pub pinned: u32,
    /// The newest revision that `secret-changed` told of.
    pub notified: u32,
}

/// A secret with all its revisions.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Secret {
    /// Whose it is.
    pub owner: Owner,
    /// The name that the owner gave it.
    pub label: String,
    /// What it is for.
    pub description: String,
    /// When it should be rotated: `never`, `daily`, …; the local Juju has no timer.
    pub rotate: String,
    /// When its content expires, as written; the local Juju has no timer.
    pub expire: String,
    /// The contents, oldest first, each value as base64.
    pub revisions: BTreeMap<u32, BTreeMap<String, String>>,
    /// Who may read it.
    pub grants: Vec<Grant>,
    /// Who has.
    pub consumers: BTreeMap<UnitName, Consumer>,
}

/// What may be said of a secret beside its content; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub(super) struct SecretDescription {
    pub label: Option<String>,
    pub description: Option<String>,
    pub rotate: Option<String>,
    pub expire: Option<String>,
}

impl Secret {
    /// A secret with one revision.
    #[must_use]
    pub fn new(owner: Owner, content: BTreeMap<String, String>) -> Self {
        Self {
            owner,
            label: String::new(),
            description: String::new(),
            rotate: "never".to_owned(),
            expire: String::new(),
            revisions: BTreeMap::from([(1, content)]),
            grants: Vec::new(),
            consumers: BTreeMap::new(),
        }
    }

    /// The newest revision.
    #[must_use]
    pub fn latest(&self) -> u32 {
        self.revisions.last_key_value().map_or(0, |(revision, _)| *revision)
    }

    /// Says something else of it.
    pub(super) fn describe(&mut self, about: &SecretDescription) {
        let parts = [
            (&mut self.label, &about.label),
            (&mut self.description, &about.description),
            (&mut self.rotate, &about.rotate),
            (&mut self.expire, &about.expire),
        ];
        for (part, said) in parts {
            if let Some(said) = said {
                said.clone_into(part);
            }
        }
    }

    /// Adds a revision, unless the content is the same.
    pub fn update(&mut self, content: BTreeMap<String, String>) {
        if self.revisions.last_key_value().is_none_or(|(_, last)| *last != content) {
            self.revisions.insert(self.latest() + 1, content);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_is_no_new_revision() {
        let content = BTreeMap::from([("key".to_owned(), "dmFsdWU=".to_owned())]);
        let mut secret = Secret::new(Owner::Application("a".to_owned()), content.clone());
        secret.update(content);
        assert_eq!(secret.latest(), 1);
        secret.update(BTreeMap::from([("key".to_owned(), "b3RoZXI=".to_owned())]));
        assert_eq!(secret.latest(), 2);
    }
}
