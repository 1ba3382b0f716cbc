//! Which unit speaks for the application.

use super::{HookTools, ToolError};

impl HookTools {
    /// Whether this unit leads its application: `true` is a promise for 30 seconds.
    pub(crate) async fn is_leader(&self) -> Result<bool, ToolError> {
        self.json("is-leader", &[]).await
    }
}
