//! What Juju shows of the application as a whole.

use super::{HookTools, ToolError};

impl HookTools {
    /// Sets the version that `juju status` shows for the workload.
    ///
    /// # Errors
    ///
    /// When the tool fails.
    pub async fn set_application_version(&self, version: &str) -> Result<(), ToolError> {
        self.run("application-version-set", &["--", version], None).await?;
        Ok(())
    }
}
