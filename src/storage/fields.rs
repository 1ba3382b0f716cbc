//! What a kind of object store is made of: the fields of its relation, from the databag and the secret together.

use std::{collections::BTreeMap, fmt};

use secrecy::SecretString;

use super::StorageError;

/// The fields of a relation by their keys. Some are credentials, so that they do not print themselves.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct StorageFields {
    fields: BTreeMap<String, String>,
    machines: Vec<String>,
}

impl StorageFields {
    /// Whether the other side has published nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Adds what the cloud calls the machines that Velero's cluster runs on, which
    /// [`depends_on_machines`](super::VeleroStorageProvider::depends_on_machines) asks for.
    pub fn set_machines(&mut self, machines: Vec<String>) {
        self.machines = machines;
    }

    /// What the cloud calls the machines, as far as it is known.
    #[must_use]
    pub fn machines(&self) -> &[String] {
        &self.machines
    }

    /// Adds fields that win over those already there.
    pub fn replace_with(&mut self, winning: impl IntoIterator<Item = (String, String)>) {
        self.fields.extend(winning);
    }

    /// Adds fields that give way to those already there.
    pub fn complete_with(&mut self, other: Self) {
        for (key, value) in other.fields {
            self.fields.entry(key).or_insert(value);
        }
    }

    /// A field without white space at its ends; `None` when nothing is left of it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.fields.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The fields of `keys`, in their order.
    ///
    /// # Errors
    ///
    /// [`StorageError::Incomplete`] with all of those that are missing.
    pub fn require<const N: usize>(&self, keys: [&'static str; N]) -> Result<[&str; N], StorageError> {
        let missing: Vec<_> = keys.into_iter().filter(|key| self.get(key).is_none()).collect();
        if missing.is_empty() {
            Ok(keys.map(|key| self.get(key).unwrap_or_default()))
        } else {
            Err(StorageError::Incomplete { missing })
        }
    }

    /// A field that becomes a line of a credentials file.
    ///
    /// # Errors
    ///
    /// When it has a character that would end the line.
    pub fn credential(key: &'static str, value: &str) -> Result<SecretString, StorageError> {
        if value.chars().any(char::is_control) {
            return Err(StorageError::invalid(key, "holds a line break or another control character"));
        }
        Ok(SecretString::from(value))
    }

    /// A folder without slashes at its ends; `None` for the root.
    ///
    /// # Errors
    ///
    /// When it has a character that no folder of an object store should have.
    pub fn prefix(&self, key: &'static str) -> Result<Option<String>, StorageError> {
        let Some(path) = self.get(key) else {
            return Ok(None);
        };
        if path.chars().any(char::is_control) {
            return Err(StorageError::invalid(key, "holds a control character"));
        }
        let path = path.trim_matches('/');
        Ok(Some(path.to_owned()).filter(|path| !path.is_empty()))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for StorageFields {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let fields = entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Self { fields, machines: Vec::new() }
    }
}

impl fmt::Debug for StorageFields {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.fields.keys()).finish()
    }
}
