//! Juju secrets: who owns them, who may read them, which revision a reader is on.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::state::{ModelState, UnitName};

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

impl ModelState {
    /// Whether the unit may read the secret: it is its own or its application's, or granted through a relation that
    /// is not being removed.
    #[must_use]
    pub fn may_read(&self, secret: &Secret, unit: &UnitName) -> bool {
        let own = match &secret.owner {
            Owner::Application(application) => *application == unit.application,
            Owner::Unit(owner) => owner == unit,
            Owner::User => false,
        };
        own || secret.grants.iter().any(|grant| {
            grant.application == unit.application
                && grant.unit.is_none_or(|number| number == unit.number)
                && grant.relation.is_none_or(|id| self.relations.get(&id).is_some_and(|relation| !relation.dying))
        })
    }

    /// The content of the newest revision of a secret that the user has granted to the application.
    #[must_use]
    pub fn granted_by_user(&self, uri: &str, application: &str) -> Option<BTreeMap<String, String>> {
        let secret = self.secrets.get(&uri.parse::<SecretUri>().ok()?.id)?;
        let granted = secret.grants.iter().any(|grant| grant.relation.is_none() && grant.application == application);
        let (_, content) = secret.revisions.last_key_value().filter(|_| secret.owner == Owner::User && granted)?;
        let decoded = |value: &String| String::from_utf8(STANDARD.decode(value).ok()?).ok();
        content.iter().map(|(key, value)| Some((key.clone(), decoded(value)?))).collect()
    }

    /// The first secret whose newest revision the unit has read before but was not told of.
    #[must_use]
    pub fn changed_secret(&self, unit: &UnitName) -> Option<(&str, &Consumer)> {
        self.secrets.iter().find_map(|(id, secret)| {
            let consumer = secret.consumers.get(unit)?;
            (secret.latest() > consumer.notified && self.may_read(secret, unit)).then_some((id.as_str(), consumer))
        })
    }
}

/// The name of a secret: `secret:<id>`, or with the model that it is from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SecretUri {
    /// The UUID of its model, if given.
    pub source: Option<String>,
    /// The 20 characters that name it.
    pub id: String,
}

/// A text that names no secret.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("secret URI {0:?} not valid")]
pub struct InvalidSecretUri(String);

impl SecretUri {
    /// A name that no secret has yet.
    #[must_use]
    pub fn random() -> Self {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
        let random = uuid::Uuid::new_v4().to_u128_le();
        let mut id: String = (0..19).map(|place| ALPHABET[(random >> (place * 5)) as usize & 31] as char).collect();
        id.push(if random >> 120 & 1 == 0 { '0' } else { 'g' });
        Self { source: None, id }
    }
}

impl fmt::Display for SecretUri {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(formatter, "secret://{source}/{}", self.id),
            None => write!(formatter, "secret:{}", self.id),
        }
    }
}

impl FromStr for SecretUri {
    type Err = InvalidSecretUri;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("secret://").or_else(|| text.strip_prefix("secret:")).unwrap_or(text);
        let (source, id) = match rest.split_once('/') {
            Some((source, id)) => (Some(source), id),
            None => (None, rest),
        };
        let valid_id = id.len() == 20
            && id.bytes().all(|each| matches!(each, b'0'..=b'9' | b'a'..=b'v'))
            && (id.ends_with('0') || id.ends_with('g'));
        let valid_source = source.is_none_or(|source| uuid::Uuid::parse_str(source).is_ok());
        if valid_id && valid_source {
            Ok(Self { source: source.map(str::to_owned), id: id.to_owned() })
        } else {
            Err(InvalidSecretUri(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_uri_names_the_same_secret() {
        let uuid = "6b0e3c52-7d1f-4a86-9c35-e2a41f80d7b9";
        let id = "d5k2n8fq9mvc7a3t1he0";
        for text in
            [id.to_owned(), format!("secret:{id}"), format!("secret://{uuid}/{id}"), format!("secret:{uuid}/{id}")]
        {
            assert_eq!(text.parse::<SecretUri>().expect("a URI").id, id, "{text}");
        }
        for bad in ["", "secret:", "secret:short", "secret:d5k2n8fq9mvc7a3t1he1", "secret:D5K2N8FQ9MVC7A3T1HE0"] {
            assert_eq!(bad.parse::<SecretUri>(), Err(InvalidSecretUri(bad.to_owned())));
        }
    }

    #[test]
    fn random_uris_are_valid() {
        for _ in 0..50 {
            let uri = SecretUri::random();
            assert_eq!(uri.to_string().parse::<SecretUri>(), Ok(uri));
        }
    }

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
