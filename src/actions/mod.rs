//! The actions of `juju run`, one file each.

pub mod command;
pub mod flags;
mod output;
mod run;

pub(crate) use run::run;

use thiserror::Error;

use crate::juju::ToolError;

/// Why an action could not be run, or its failure not be reported.
#[derive(Debug, Error)]
pub(crate) enum ActionError {
    #[error("there is no action {0}")]
    Unknown(String),
    #[error("cannot talk to Juju")]
    Juju(#[from] ToolError),
}
