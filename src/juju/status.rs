//! The unit's status, as Juju shows it.

use serde::Deserialize;

use super::{HookTools, ToolError};
use crate::status::Status;

#[derive(Deserialize)]
struct Reported {
    status: String,
    #[serde(default)]
    message: String,
}

impl HookTools {
    /// Sets the unit's status unless it is that already: Juju renews the time of a status even when nothing changed.
    ///
    /// # Errors
    ///
    /// When a tool fails.
    pub async fn report_status(&self, status: &Status) -> Result<(), ToolError> {
        let current: Option<Reported> = self.json("status-get", &["--include-data"]).await?;
        let message = status.message();
        if current.is_some_and(|current| current.status == status.word() && current.message == message) {
            return Ok(());
        }
        self.run("status-set", &[status.word(), "--", &message], None).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tool::tests::ScriptedTools, *};

    #[tokio::test]
    async fn a_status_is_written_only_when_it_changes() {
        let scripted = ScriptedTools::new(&[
            ("status-get", r#"echo '{"status":"blocked","message":"-x","status-data":{}}'"#),
            ("status-set", "true"),
        ]);
        let tools = scripted.tools();
        tools.report_status(&Status::Blocked("-x".into())).await.unwrap();
        assert_eq!(scripted.calls("status-set"), "");
        tools.report_status(&Status::Waiting("-x".into())).await.unwrap();
        assert_eq!(scripted.calls("status-set"), "waiting\n--\n-x\n");
    }
}
