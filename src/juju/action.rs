//! The action that the process was started for.

use serde_json::{Map, Value};

use super::{HookTools, ToolError};

impl HookTools {
    /// A parameter of the running action that is a text; `None` when it was not given.
    ///
    /// # Errors
    ///
    /// When the tool fails.
    pub async fn action_parameter(&self, name: &str) -> Result<Option<String>, ToolError> {
        let parameters: Option<Map<String, Value>> = self.json("action-get", &[]).await?;
        Ok(parameters.as_ref().and_then(|parameters| parameters.get(name)?.as_str()).map(str::to_owned))
    }

    /// Sets one of the action's results. Linux limits the value to some 128 KiB, as it travels as an argument.
    ///
    /// # Errors
    ///
    /// When the tool fails; it refuses keys other than lower-case words with dashes.
    pub async fn set_action_result(&self, key: &str, value: &str) -> Result<(), ToolError> {
        self.run("action-set", &[&format!("{key}={value}")], None).await?;
        Ok(())
    }

    /// Shows the user a message while the action goes on.
    ///
    /// # Errors
    ///
    /// When the tool fails.
    pub async fn log_to_action(&self, message: &str) -> Result<(), ToolError> {
        self.run("action-log", &["--", message], None).await?;
        Ok(())
    }

    /// Marks the action as failed. The process is to end with exit code 0 all the same, so that Juju keeps this message.
    ///
    /// # Errors
    ///
    /// When the tool fails.
    pub async fn fail_action(&self, message: &str) -> Result<(), ToolError> {
        self.run("action-fail", &["--", message], None).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tool::tests::ScriptedTools;

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
}
