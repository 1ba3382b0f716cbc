//! The action that the process was started for.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{HookTools, ToolError};
use crate::text;

/// Linux takes arguments of up to 128 KiB, with the NUL at their end.
const LONGEST_ARGUMENT: usize = 128 * 1024 - 1;
/// It takes arguments and environment of together about 2 MiB.
const MOST_ARGUMENTS: usize = 1024 * 1024;
/// What an argument takes beside its text: a NUL and a pointer.
const ARGUMENT_EXTRA: usize = 9;

/// The parameters of the running action, with their defaults filled in. Juju has checked their types.
#[derive(Clone, Debug, Default)]
pub(crate) struct ActionParameters(Map<String, Value>);

impl ActionParameters {
    /// Returns a parameter that is a text; `None` when it was not given.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    pub(crate) fn boolean(&self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_i64()
    }
}

impl<K: Into<String>> FromIterator<(K, Value)> for ActionParameters {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(entries: I) -> Self {
        Self(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }
}

impl HookTools {
    /// Returns the parameters of the running action.
    pub(crate) async fn action_parameters(&self) -> Result<ActionParameters, ToolError> {
        let parameters: Option<Map<String, Value>> = self.json("action-get", &[]).await?;
        Ok(ActionParameters(parameters.unwrap_or_default()))
    }

    /// Sets one of the action's results. The middle of a value is left out that does not fit into an argument.
    ///
    /// # Errors
    ///
    /// When the tool fails; it refuses keys other than lower-case words with dashes.
    pub(crate) async fn set_action_result(&self, key: &str, value: &str) -> Result<(), ToolError> {
        self.run("action-set", &[&argument(&format!("{key}={value}"))], None).await?;
        Ok(())
    }

    /// Sets many of the action's results, by as few calls as their sizes allow.
    ///
    /// # Errors
    ///
    /// As [`Self::set_action_result`].
    pub(crate) async fn set_action_results(&self, results: &[(String, String)]) -> Result<(), ToolError> {
        let written: Vec<_> =
            results.iter().map(|(key, value)| argument(&format!("{key}={value}")).into_owned()).collect();
        let mut rest = written.as_slice();
        while !rest.is_empty() {
            let mut room = MOST_ARGUMENTS;
            let fits = |text: &&String| {
                let fits = text.len() < room;
                room = room.saturating_sub(text.len() + ARGUMENT_EXTRA);
                fits
            };
            // One always fits.
            let (now, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            let arguments: Vec<_> = now.iter().map(String::as_str).collect();
            self.run("action-set", &arguments, None).await?;
            rest = later;
        }
        Ok(())
    }

    /// Shows the user a message while the action goes on.
    pub(crate) async fn log_to_action(&self, message: &str) -> Result<(), ToolError> {
        self.run("action-log", &["--", &argument(message)], None).await?;
        Ok(())
    }

    /// Marks the action as failed. The process is to end with exit code 0 all the same, so that Juju keeps this message.
    pub(crate) async fn fail_action(&self, message: &str) -> Result<(), ToolError> {
        self.run("action-fail", &["--", &argument(message)], None).await?;
        Ok(())
    }
}

/// Returns a text as an argument can hold it: without NUL, and no longer than Linux takes.
fn argument(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST_ARGUMENT && !text.contains('\0') {
        return Cow::Borrowed(text);
    }
    let text = text.replace('\0', "\u{fffd}");
    Cow::Owned(text::shorten(&text, LONGEST_ARGUMENT).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{super::ScriptedTools, LONGEST_ARGUMENT};

    #[tokio::test]
    async fn messages_and_results_that_look_like_flags_arrive_as_they_are() {
        let scripted = ScriptedTools::new(&[("action-fail", "true"), ("action-log", "true"), ("action-set", "true")]);
        let tools = scripted.tools();
        tools.fail_action("-oops").await.unwrap();
        tools.log_to_action("--help").await.unwrap();
        tools.set_action_result("output", "-a\nb=c").await.unwrap();
        assert_eq!(scripted.calls("action-fail"), "--\n-oops\n");
        assert_eq!(scripted.calls("action-log"), "--\n--help\n");
        assert_eq!(scripted.calls("action-set"), "output=-a\nb=c\n");
    }

    #[tokio::test]
    async fn many_results_go_by_few_calls() {
        let scripted = ScriptedTools::new(&[("action-set", "echo end >>\"$0.ends\"")]);
        let results: Vec<_> = (0..30_000).map(|number| (format!("backups.{number}.name"), "x".repeat(30))).collect();
        scripted.tools().set_action_results(&results).await.unwrap();
        let calls = scripted.calls("action-set");
        assert_eq!(calls.lines().count(), results.len());
        assert_eq!(calls.lines().last(), Some(format!("backups.29999.name={}", "x".repeat(30)).as_str()));
        assert_eq!(scripted.lines("action-set.ends"), 2);
    }

    #[tokio::test]
    async fn what_no_argument_can_hold_arrives_shortened() {
        let scripted = ScriptedTools::new(&[("action-fail", "true"), ("action-log", "true"), ("action-set", "true")]);
        let tools = scripted.tools();
        let text = format!("begin\0{}end", "€".repeat(100_000));
        tools.fail_action(&text).await.unwrap();
        tools.log_to_action(&text).await.unwrap();
        tools.set_action_result("output", &text).await.unwrap();
        for tool in ["action-fail", "action-log", "action-set"] {
            let calls = scripted.calls(tool);
            assert!(calls.contains("begin\u{fffd}€") && calls.ends_with("€end\n"), "{tool}");
            assert!(calls.contains("bytes are left out here"), "{tool}");
        }
        // The longest that arrives as it is.
        let text = "x".repeat(LONGEST_ARGUMENT);
        tools.fail_action(&text).await.unwrap();
        assert!(scripted.calls("action-fail").ends_with(&format!("\n--\n{text}\n")));
    }
}
