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
    /// Returns the options. Some have defaults, so that Juju always says something: that nothing is set is never taken from nothing
    /// said, as what runs would be changed by it.
    ///
    /// # Errors
    ///
    /// When Juju does not say.
    pub(crate) async fn config(&self) -> Result<ConfigValues, ToolError> {
        Ok(ConfigValues(self.json("config-get", &[]).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tool::tests::ScriptedTools;

    #[tokio::test]
    async fn options_that_juju_does_not_tell_are_not_taken_for_unset() {
        for silence in ["true", "echo null"] {
            let scripted = ScriptedTools::new(&[("config-get", silence)]);
            assert!(scripted.tools().config().await.is_err(), "{silence}");
        }
    }
}
