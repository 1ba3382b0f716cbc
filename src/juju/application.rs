//! The application, as Juju shows it.

use super::{HookTools, ToolError};

impl HookTools {
    /// Sets the version of the workload that `juju status` shows beside the application.
    pub(crate) async fn set_application_version(&self, version: &str) -> Result<(), ToolError> {
        self.run("application-version-set", &["--", version], None).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tool::tests::ScriptedTools;

    #[tokio::test]
    async fn a_version_is_never_taken_for_a_flag() {
        let scripted = ScriptedTools::new(&[("application-version-set", "true")]);
        scripted.tools().set_application_version("-1").await.unwrap();
        assert_eq!(scripted.calls("application-version-set"), "--\n-1\n");
    }
}
