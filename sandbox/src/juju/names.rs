//! What units and secrets are called.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::charm::is_valid_name;

/// The name of a unit: `velero-operator/0`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitName {
    /// The application.
    pub application: String,
    /// Which of its units.
    pub number: u32,
}

/// A text that is not `application/number`.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a valid unit name")]
pub struct InvalidUnitName(String);

impl UnitName {
    /// The unit of that application and number.
    #[must_use]
    pub fn new(application: &str, number: u32) -> Self {
        Self { application: application.to_owned(), number }
    }

    /// The unit's name in logs and paths: `unit-velero-operator-0`.
    #[must_use]
    pub fn tag(&self) -> String {
        format!("unit-{}-{}", self.application, self.number)
    }

    /// The name of the unit's pod: `velero-operator-0`.
    #[must_use]
    pub fn pod(&self) -> String {
        format!("{}-{}", self.application, self.number)
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.application, self.number)
    }
}

impl FromStr for UnitName {
    type Err = InvalidUnitName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_once('/')
            .filter(|(application, _)| is_valid_name(application))
            .and_then(|(application, number)| Some(Self::new(application, number.parse().ok()?)))
            .ok_or_else(|| InvalidUnitName(text.to_owned()))
    }
}

impl TryFrom<String> for UnitName {
    type Error = InvalidUnitName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<UnitName> for String {
    fn from(name: UnitName) -> Self {
        name.to_string()
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
    fn unit_names_are_read_and_written() {
        let name: UnitName = "velero-operator/3".parse().expect("a name");
        assert_eq!(
            (name.to_string(), name.tag()),
            ("velero-operator/3".to_owned(), "unit-velero-operator-3".to_owned())
        );
        for bad in ["velero-operator", "/0", "a/b", "A/0", "a/0/1"] {
            assert!(bad.parse::<UnitName>().is_err(), "{bad}");
        }
    }

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
}
