//! The action that the process was started for.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{HookTools, ToolError};
use crate::text;

/// Linux takes arguments of up to 128 KiB, with the NUL at their end.
const LONGEST_ARGUMENT: usize = 128 * 1024 - 1;

impl HookTools {
    /// Returns a parameter of the running action that is a text; `None` when it was not given.
    pub(crate) async fn action_parameter(&self, name: &str) -> Result<Option<String>, ToolError> {
        let parameters: Option<Map<String, Value>> = self.json("action-get", &[]).await?;
        Ok(parameters.as_ref().and_then(|parameters| parameters.get(name)?.as_str()).map(str::to_owned))
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
