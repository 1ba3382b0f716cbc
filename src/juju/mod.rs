//! The only door to Juju: its environment variables and its hook tools, typed.
//!
//! Every tool goes through [`HookTools`]; what the tools mean is in one file per noun. Nothing here knows of Velero.

mod action;
mod application;
mod config;
mod environment;
mod goal_state;
mod leadership;
mod log;
mod network;
mod relation;
mod secret;
mod state;
mod status;
mod tool;

pub(crate) use action::ActionParameters;
pub(crate) use config::ConfigValues;
pub(crate) use environment::{Dispatch, Environment, EnvironmentError, ModelId, ModelProxies};
pub(crate) use goal_state::GoalState;
pub(crate) use log::JujuLog;
pub(crate) use relation::{Bag, Databag, RelationId};
pub(crate) use secret::SecretContent;
pub(crate) use status::UnitStatus;
#[cfg(test)]
pub(crate) use tool::tests::ScriptedTools;
pub(crate) use tool::{HookTools, ToolError};
#[cfg(any(test, fuzzing))]
pub(crate) use {network::Network, relation::flat_map, tool::read as read_printed};
