//! What a kind of object store is made of: the fields of its relation, from the databag and the secret together.

use std::{collections::BTreeMap, fmt};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::StorageError;

/// The fields of a store by their keys, borrowed from whoever has them. Some are credentials, so that they do not print
/// themselves.
///
/// A field that says "nothing" is none: integrators that are reset write `""`, `[]` or `null` instead of removing the key.
#[derive(Clone, Default)]
pub(crate) struct StorageFields<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> StorageFields<'a> {
    /// Whether there is nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the fields as they were written.
    #[cfg(test)]
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().map(|(key, value)| (*key, *value))
    }

    /// Returns a field without white space at its ends; `None` when it is not set.
    pub(crate) fn get(&self, key: &str) -> Option<&'a str> {
        self.0.get(key).map(|value| value.trim())
    }

    /// Returns the fields of `keys`, in their order.
    ///
    /// # Errors
    ///
    /// [`StorageError::Incomplete`] with all of those that are missing.
    pub(crate) fn require<const N: usize>(&self, keys: [&'static str; N]) -> Result<[&'a str; N], StorageError> {
        let missing: Vec<_> = keys.into_iter().filter(|key| self.get(key).is_none()).collect();
        if missing.is_empty() {
            Ok(keys.map(|key| self.get(key).unwrap_or_default()))
        } else {
            Err(StorageError::Incomplete { missing })
        }
    }

    /// Returns a field that becomes a line of a credentials file.
    ///
    /// Blanks at its ends stay, as they may be a part of it. Line breaks do not: editors put them at the end of a file.
    ///
    /// # Errors
    ///
    /// When it is not set, or has a character that would end the line.
    pub(crate) fn credential(&self, key: &'static str) -> Result<SecretString, StorageError> {
        let Some(value) = self.0.get(key).map(|value| value.trim_matches(['\r', '\n'])) else {
            return Err(StorageError::Incomplete { missing: vec![key] });
        };
        if value.chars().any(char::is_control) {
            return Err(StorageError::invalid(key, "holds a line break or another control character"));
        }
        Ok(SecretString::from(value))
    }

    /// Returns a field that is a credentials file by itself, without white space at its ends.
    ///
    /// # Errors
    ///
    /// When it is not set.
    pub(crate) fn credentials_file(&self, key: &'static str) -> Result<SecretString, StorageError> {
        self.require([key]).map(|[value]| SecretString::from(value))
    }

    /// Returns a field that becomes a line of a credentials file and is of a form without blanks, so that those at its ends are
    /// none of it.
    ///
    /// # Errors
    ///
    /// As [`StorageFields::credential`].
    pub(crate) fn identifier(&self, key: &'static str) -> Result<SecretString, StorageError> {
        let value = self.credential(key)?;
        Ok(SecretString::from(value.expose_secret().trim()))
    }

    /// Returns notes on credentials that look unusual.
    pub(crate) fn notes_on_credentials(&self, keys: &[&'static str]) -> Vec<String> {
        let padded =
            |key: &&&str| self.0.get(**key).is_some_and(|value| value.trim_matches(['\r', '\n']) != value.trim());
        keys.iter().filter(padded).map(|key| format!("{key} begins or ends with a blank, which is kept")).collect()
    }

    /// Returns a field that Velero is told as it is, without white space at its ends; `None` when it is not set.
    ///
    /// # Errors
    ///
    /// When it has a control character: a NUL can be in no argument, and a line break is not read as it was written.
    pub(crate) fn line(&self, key: &'static str) -> Result<Option<&'a str>, StorageError> {
        match self.get(key) {
            Some(value) if value.chars().any(char::is_control) => {
                Err(StorageError::invalid(key, "holds a control character"))
            }
            value => Ok(value),
        }
    }

    /// Returns a folder without slashes at its ends; `None` for the root.
    ///
    /// # Errors
    ///
    /// As [`StorageFields::line`].
    pub(crate) fn prefix(&self, key: &'static str) -> Result<Option<String>, StorageError> {
        let path = self.line(key)?.map(|path| path.trim_matches('/'));
        Ok(path.filter(|path| !path.is_empty()).map(str::to_owned))
    }
}

/// Of several values for a key the last one counts.
impl<'a> FromIterator<(&'a str, &'a str)> for StorageFields<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(entries: I) -> Self {
        Self(entries.into_iter().filter(|(_, value)| !means_nothing(value)).collect())
    }
}

impl fmt::Debug for StorageFields<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// Whether a value stands for a field that is not set: blanks, the JSON of an empty text or list or of `null`, or lists and
/// texts of such.
fn means_nothing(text: &str) -> bool {
    fn is_nothing(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::String(text) => means_nothing(text),
            Value::Array(entries) => entries.iter().all(is_nothing),
            Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
        }
    }
    let text = text.trim();
    text.is_empty()
        || text.starts_with(['"', '[', 'n']) && serde_json::from_str(text).is_ok_and(|value| is_nothing(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_integrators_write_for_nothing_is_a_field_that_is_not_set() {
        for nothing in
            ["", " ", "\"\"", "[]", "null", "\" \"", "[\"\"]", "[null, [ ]]", r#""[\"\"]""#, r#"["\"\""]"#, "\n"]
        {
            let fields: StorageFields =
                [("tls-ca-chain", nothing), ("bucket", "backups"), ("bucket", nothing)].into_iter().collect();
            assert_eq!((fields.get("tls-ca-chain"), fields.get("bucket")), (None, Some("backups")), "{nothing:?}");
            assert_eq!(fields.require(["tls-ca-chain"]).unwrap_err().to_string(), "tls-ca-chain missing");
        }
        for something in ["nothing", "{}", "0", "false", "[0]", "\"", "[", "[\"a\"]", "\"null-values\""] {
            let fields: StorageFields = [("bucket", something)].into_iter().collect();
            assert_eq!(fields.get("bucket"), Some(something));
        }
    }

    #[test]
    fn a_text_nested_without_end_is_not_followed_to_its_end() {
        let mut text = "[".repeat(100_000);
        text += &"]".repeat(100_000);
        let fields: StorageFields = [("bucket", text.as_str())].into_iter().collect();
        assert!(fields.get("bucket").is_some());
    }

    #[test]
    fn line_breaks_at_the_ends_of_a_credential_are_not_a_part_of_it_and_blanks_are() {
        let fields: StorageFields = [("secret-key", "\r\n a b \n"), ("access-key", "a\n")].into_iter().collect();
        assert_eq!(fields.credential("secret-key").unwrap().expose_secret(), " a b ");
        assert_eq!(fields.credential("access-key").unwrap().expose_secret(), "a");
        assert_eq!(
            fields.notes_on_credentials(&["access-key", "secret-key", "client-secret"]),
            ["secret-key begins or ends with a blank, which is kept"]
        );
    }

    #[test]
    fn fields_print_their_names_alone() {
        let fields: StorageFields = [("bucket", "backups"), ("secret-key", "marked")].into_iter().collect();
        assert_eq!(format!("{fields:?}"), r#"{"bucket", "secret-key"}"#);
    }
}
