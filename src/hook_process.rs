//! The process that Juju starts for a hook or an action.

use std::{env, process::ExitCode};

use tokio::sync::oneshot;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    actions::{self, ActionError},
    contract::{self, Action, hook},
    error_chain::ErrorChain,
    juju::{Dispatch, Environment, EnvironmentError, HookTools, JujuLog},
    reconcile::{self, ReconcileError},
};

/// Why the process ends with an exit code that makes Juju run the hook again, or fail the action.
#[derive(Debug, thiserror::Error)]
enum HookError {
    #[error("this is not a charm's environment")]
    Environment(#[from] EnvironmentError),
    #[error("the hook {0} failed")]
    Hook(String, #[source] ReconcileError),
    #[error("the action {0} failed")]
    Action(String, #[source] ActionError),
}

/// Does what Juju started this process for.
pub async fn run() -> ExitCode {
    let tools = HookTools::new();
    let (layer, mut log) = JujuLog::new();
    // What the libraries log is of no use to readers of a unit's log.
    let ours = Targets::new().with_default(LevelFilter::WARN).with_target(env!("CARGO_CRATE_NAME"), LevelFilter::INFO);
    tracing_subscriber::registry().with(layer.with_filter(ours)).init();

    let (finished, done) = oneshot::channel::<()>();
    let work = async {
        let outcome = dispatch(&tools).await;
        if let Err(error) = &outcome {
            tracing::error!("{}", ErrorChain(error));
        }
        drop(finished);
        outcome
    };
    let written = log.follow(&tools, async {
        // The sender is dropped when the work is done.
        let _ = done.await;
    });
    match futures::join!(work, written) {
        (Ok(()), ()) => ExitCode::SUCCESS,
        (Err(_), ()) => ExitCode::FAILURE,
    }
}

async fn dispatch(tools: &HookTools) -> Result<(), HookError> {
    let environment = Environment::from_variables(|variable| env::var(variable).ok())?;
    match &environment.dispatch {
        Dispatch::Hook(name) => {
            let outcome = match name.as_str() {
                hook::STOP => reconcile::stop(&environment).await,
                hook::REMOVE => reconcile::remove(tools, &environment).await,
                name if contract::hook_names().any(|known| known == name) => {
                    reconcile::reconcile(tools, &environment).await
                }
                unknown => {
                    tracing::info!("nothing to do for the hook {unknown}");
                    Ok(())
                }
            };
            outcome.map_err(|error| HookError::Hook(name.clone(), error))
        }
        Dispatch::Action(name) => {
            let outcome = match Action::named(name) {
                Some(action) => actions::perform(action, tools, &environment).await,
                None => Err(ActionError::Unknown(name.clone())),
            };
            outcome.map_err(|error| HookError::Action(name.clone(), error))
        }
    }
}
