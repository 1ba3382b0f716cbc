//! The actions of `juju run`, one file each.

pub mod command;
pub mod flags;
pub mod output;
pub mod run;

use thiserror::Error;

use crate::juju::ToolError;

/// Why an action could not even fail properly.
#[derive(Debug, Error)]
pub enum ActionError {
    /// The charm has no such action.
    #[error("there is no action {0}")]
    Unknown(String),
    /// Juju could not be asked or told.
    #[error("cannot talk to Juju")]
    Juju(#[from] ToolError),
}
