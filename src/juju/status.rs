//! The unit's status, as Juju shows it.

use serde::Deserialize;

use super::{HookTools, ToolError};
use crate::status::Status;

#[derive(Debug, Deserialize, Eq, PartialEq)]
struct Reported {
    status: String,
    #[serde(default)]
    message: String,
}

/// The status of this unit during one hook.
///
/// `status-get` returns what was set before the hook, whatever was set since. So what this hook has set is kept here.
#[derive(Debug)]
pub(crate) struct UnitStatus<'a> {
    tools: &'a HookTools,
    current: Option<Reported>,
}

impl HookTools {
    /// Returns the unit's status.
    pub(crate) async fn unit_status(&self) -> Result<UnitStatus<'_>, ToolError> {
        let current = self.json("status-get", &["--include-data"]).await?;
        Ok(UnitStatus { tools: self, current })
    }
}

impl UnitStatus<'_> {
    /// Whether it is Active now.
    pub(crate) fn is_active(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.status == "active")
    }

    /// Sets the unit's status unless it is that already: Juju renews the time of a status even when nothing changed. Returns
    /// whether it was set.
    pub(crate) async fn report(&mut self, status: &Status) -> Result<bool, ToolError> {
        let wanted = Reported { status: status.word().to_owned(), message: status.message() };
        if self.current.as_ref() == Some(&wanted) {
            return Ok(false);
        }
        self.tools.run("status-set", &[&wanted.status, "--", &wanted.message], None).await?;
        self.current = Some(wanted);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tool::tests::ScriptedTools, *};

    const BLOCKED: &str = r#"echo '{"status":"blocked","message":"-x","status-data":{}}'"#;

    #[tokio::test]
    async fn a_status_is_written_only_when_it_changes() {
        let scripted = ScriptedTools::new(&[("status-get", BLOCKED), ("status-set", "true")]);
        let tools = scripted.tools();
        let mut status = tools.unit_status().await.unwrap();
        assert!(!status.report(&Status::Blocked("-x".into())).await.unwrap());
        assert_eq!(scripted.calls("status-set"), "");
        assert!(!status.is_active());
        assert!(status.report(&Status::Waiting("-x".into())).await.unwrap());
        assert_eq!(scripted.calls("status-set"), "waiting\n--\n-x\n");
    }

    #[tokio::test]
    async fn the_status_from_before_the_hook_is_set_again_over_an_interim_one() {
        let scripted = ScriptedTools::new(&[("status-get", BLOCKED), ("status-set", "true")]);
        let tools = scripted.tools();
        let mut status = tools.unit_status().await.unwrap();
        status.report(&Status::Waiting("for a change".into())).await.unwrap();
        status.report(&Status::Blocked("-x".into())).await.unwrap();
        assert_eq!(scripted.calls("status-set"), "waiting\n--\nfor a change\nblocked\n--\n-x\n");
        assert_eq!(scripted.calls("status-get"), "--format\njson\n--include-data\n", "it is asked once");
    }
}
