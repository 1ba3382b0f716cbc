//! The actions of `juju run`, one file each.

pub mod command;
mod create_backup;
pub mod flags;
mod forecasts;
mod list_backups;
mod output;
mod progress;
mod restore;
mod restore_parameters;
mod results;
mod run;
mod show_retention;
mod table;
mod targets;
mod test_storage;
mod verify_backup;
mod waiting;

#[cfg(any(test, fuzzing))]
pub(crate) use restore_parameters::read as read_restore;

use std::error::Error;

use crate::{
    contract::Action,
    error_chain::ErrorChain,
    juju::{Environment, HookTools, ToolError},
    plan,
    snapshot::SnapshotError,
    velero::{Velero, VeleroError},
};

/// The result that tells scripts that an action has ended well.
const SUCCESS: (&str, &str) = ("status", "success");

/// Why an action could not be run, or its failure not be reported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActionError {
    #[error("there is no action {0}")]
    Unknown(String),
    #[error("cannot talk to Juju")]
    Juju(#[from] ToolError),
    #[error("cannot find out what applications have declared")]
    Snapshot(#[from] SnapshotError),
    /// The action has failed: what its user is told.
    #[error(transparent)]
    Failed(Box<dyn Error + Send + Sync>),
}

/// Does what the user has asked for.
///
/// # Errors
///
/// When Juju cannot be talked to. Whatever else goes wrong is the action's own failure.
pub(crate) async fn perform(action: Action, tools: &HookTools, environment: &Environment) -> Result<(), ActionError> {
    let outcome = match action {
        Action::Run | Action::RunCli => run::run(tools, environment).await,
        // They wait for many things, and would make this future as large.
        Action::CreateBackup => Box::pin(create_backup::run(tools, environment)).await,
        Action::ListBackups => Box::pin(list_backups::run(tools, environment)).await,
        Action::ShowRetention => Box::pin(show_retention::run(tools, environment)).await,
        Action::Restore => Box::pin(restore::run(tools, environment)).await,
        Action::TestStorage => Box::pin(test_storage::run(tools, environment)).await,
        Action::VerifyBackup => Box::pin(verify_backup::run(tools, environment)).await,
    };
    match outcome {
        Err(ActionError::Failed(error)) => Ok(tools.fail_action(&ErrorChain(error.as_ref()).to_string()).await?),
        outcome => outcome,
    }
}

/// Returns the failure of an action that has this to say.
fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> ActionError {
    ActionError::Failed(error.into())
}

/// Returns what turns an error of Velero's into the failure of an action: with what to do, where that is known.
fn refused(environment: &Environment) -> impl Fn(VeleroError) -> ActionError {
    let application = environment.application();
    move |error| match error.refusal(application) {
        Some(status) => failed(status.message()),
        None => failed(error),
    }
}

fn connect(environment: &Environment) -> Result<Velero, ActionError> {
    let velero = Velero::in_cluster(&environment.charm_directory).map_err(failed)?;
    // Where they cannot be used, the unit's status says so.
    Ok(velero.by_proxies(plan::reach::proxies(&environment.proxies).ok().flatten()))
}

/// Fails where the unit goes away: nobody would wait for what it begins.
async fn refuse_while_dying(tools: &HookTools, environment: &Environment) -> Result<(), ActionError> {
    let unit = &environment.unit;
    if tools.goal_state().await?.is_dying(unit) == Some(true) {
        return Err(failed(format!("{unit} is being removed: run the action on another unit")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::juju::{Dispatch, ModelId, ModelProxies, ScriptedTools};

    fn environment(unit: &str) -> Environment {
        let dispatch = Dispatch::Action("create-backup".to_owned());
        let model = ModelId { name: "backups".to_owned(), uuid: "2f6d1f6e-58b1-4d27-9d0c-5f0a3c6b7e11".to_owned() };
        Environment {
            dispatch,
            unit: unit.to_owned(),
            model,
            charm_directory: "/charm".into(),
            relation: None,
            proxies: ModelProxies::default(),
        }
    }

    #[tokio::test]
    async fn a_unit_that_goes_away_begins_nothing() {
        let goal = r#"echo '{"units":{"v/0":{"status":"dying"},"v/1":{"status":"active"}}}'"#;
        let scripted = ScriptedTools::new(&[("goal-state", goal)]);
        let refused = refuse_while_dying(&scripted.tools(), &environment("v/0")).await.unwrap_err();
        assert_eq!(refused.to_string(), "v/0 is being removed: run the action on another unit");
        assert!(refuse_while_dying(&scripted.tools(), &environment("v/1")).await.is_ok());
    }

    #[tokio::test]
    async fn what_an_action_fails_with_is_told_by_juju() {
        let scripted = ScriptedTools::new(&[("action-get", "echo '{\"target\":\"ledger\"}'"), ("action-fail", "true")]);
        perform(Action::CreateBackup, &scripted.tools(), &environment("v/0")).await.unwrap();
        assert_eq!(scripted.calls("action-fail"), "--\ntarget \"ledger\" is not of the form APP:ENDPOINT\n");
    }
}
