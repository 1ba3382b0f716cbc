//! Keys and values out of any bytes.

use std::{collections::BTreeMap, fmt};

/// What stands between entries.
pub(super) const BETWEEN: char = '\u{1e}';
/// What is put into credentials, so that they are known wherever they come to light.
pub(super) const PLANTED: &str = "pL4nt3d";

/// Keys and values, as a databag has them.
pub(super) struct Given(BTreeMap<String, String>);

impl Given {
    /// Reads `KEY=VALUE` between [`BETWEEN`]. What is not given is as in `defaults`; what is empty is not there.
    pub(super) fn read(data: &[u8], defaults: &[(&str, &str)]) -> Self {
        let text = String::from_utf8_lossy(data);
        let given = text.split(BETWEEN).filter_map(|entry| entry.split_once('='));
        let entries = defaults.iter().copied().chain(given);
        let mut entries: BTreeMap<_, _> = entries.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        entries.retain(|_, value| !value.is_empty());
        Self(entries)
    }

    /// Marks the values of these keys, each in its middle.
    pub(super) fn plant(&mut self, secret: &[&str]) {
        self.0.iter_mut().filter(|(key, _)| secret.contains(&key.as_str())).for_each(|(_, value)| plant(value));
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Sets a key, or takes it away.
    pub(super) fn set(&mut self, key: &str, value: Option<String>) {
        match value {
            Some(value) => self.0.insert(key.to_owned(), value),
            None => self.0.remove(key),
        };
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// Shows all but the file of credentials.
impl fmt::Debug for Given {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.0.iter().filter(|(key, _)| *key != "secret-key")).finish()
    }
}

/// Puts the mark into the middle of a text.
pub(super) fn plant(text: &mut String) {
    text.insert_str(text.floor_char_boundary(text.len() / 2), PLANTED);
}

/// Fails where a credential has come to light.
pub(super) fn assert_hidden(text: &str) {
    assert!(!text.contains(PLANTED), "a credential in {text:?}");
}
