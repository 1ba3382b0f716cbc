//! The application's options.

use serde_json::{Map, Value};

use super::{HookTools, ToolError};

/// The values of the options as Juju prints them, defaults filled in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct ConfigValues(Map<String, Value>);

impl ConfigValues {
    /// Returns the text of an option; `None` when it is absent, which Juju also makes of an empty one.
    pub(crate) fn text(&self, option: &str) -> Option<&str> {
        self.0.get(option)?.as_str()
    }

    pub(crate) fn boolean(&self, option: &str) -> Option<bool> {
        self.0.get(option)?.as_bool()
    }
}

impl<K: Into<String>> FromIterator<(K, Value)> for ConfigValues {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(entries: I) -> Self {
        Self(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }
}

impl HookTools {
    pub(crate) async fn config(&self) -> Result<ConfigValues, ToolError> {
        let values: Option<Map<String, Value>> = self.json("config-get", &[]).await?;
        Ok(ConfigValues(values.unwrap_or_default()))
    }
}
