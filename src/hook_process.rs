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
    observer::{self, Busy, ObserverError, Place, Told},
    reconcile::{self, Outlook, Prospect, ReconcileError},
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
    let place = Place::in_charm(&environment.charm_directory);
    let _busy = Busy::mark(&place);
    match &environment.dispatch {
        Dispatch::Hook(name) => {
            let outcome = match name.as_str() {
                hook::STOP => {
                    tell(observer::end(&place).await);
                    reconcile::stop(&environment).await
                }
                hook::REMOVE => {
                    tell(observer::end(&place).await);
                    reconcile::remove(tools, &environment).await
                }
                name if name == hook::VELERO_CHANGED || contract::hook_names().any(|known| known == name) => {
                    let outlook = reconcile::reconcile(tools, &environment).await;
                    match outlook {
                        Ok(outlook) => {
                            tell(watch_on(&place, &environment, outlook).await);
                            Ok(())
                        }
                        Err(error) => Err(error),
                    }
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

/// Leaves to the observer what is to be watched until the next hook.
async fn watch_on(place: &Place, environment: &Environment, outlook: Outlook) -> Result<(), ObserverError> {
    let told = match outlook {
        Outlook::Removal => return observer::end(place).await,
        Outlook::Unplanned => None,
        Outlook::Planned(prospect) => {
            let Prospect { look, waits, leads, volumes, public_password, drills, failed_drills } = *prospect;
            Some(Told { look, waits, leads, volumes, public_password, drills, failed_drills })
        }
    };
    observer::leave(place, &environment.unit, &environment.charm_directory, told.as_ref()).await
}

/// Tells what is wrong with the observer. No hook fails for that: the next ones do all that this one does.
fn tell(outcome: Result<(), ObserverError>) {
    if let Err(error) = outcome {
        tracing::warn!("until the next hook, nobody watches: {}", ErrorChain(&error));
    }
}
