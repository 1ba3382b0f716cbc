//! A local Juju: models, applications and units on a cluster, with the contract that charms have with the real one.
//!
//! A model is a namespace. A charm runs as a process in the environment that Juju gives it: its variables, its hook
//! tools, its service account; hooks come in Juju's order, what a failing hook wrote is thrown away, and what Juju
//! refuses is refused.

pub mod charm;
pub mod cloud;

mod agent;
mod boundary;
mod context;
mod ending_order;
mod environment;
mod error;
mod exec_client;
mod hook;
mod interruption;
mod log;
mod memory;
mod model;
mod names;
mod process;
mod reactions;
mod relation;
mod resolver;
mod secret;
mod series;
mod simulated;
mod state;
mod status;
mod store;
mod tool_client;
mod tools;
mod wire;

pub use agent::{AgentError, Disturbance, HookRecord, ToolCall};
pub use boundary::{Boundary, Passage};
pub use ending_order::EndingOrder;
pub use environment::Execution;
pub use error::Error;
pub use exec_client::{is_juju_exec, run as run_juju_exec};
pub use hook::{Hook, RelationEvent};
pub use log::{Level, LogLine};
pub use model::{
    ActionResult, ActionStatus, ApplicationView, DeployOptions, Model, ModelView, Progress, RelationView, Scripted,
    UnitView,
};
pub use names::{InvalidSecretUri, InvalidUnitName, SecretUri, UnitName};
pub use process::{Outcome, SUPERVISOR_ARGUMENT, supervise};
pub use relation::Whose;
pub use series::Series;
pub use simulated::{Dialect, built_in, built_in_names};
pub use state::{Life, ModelState};
pub use status::{Status, StatusValue};
pub use store::StoreError;
pub use tool_client::{run as run_tool, tool_name};
