//! The velero-operator charm: what Juju runs once for each hook or action.
//!
//! A hook goes one way, whatever woke it: [`juju`] tells what is the case (a snapshot), a [`plan`] says what should run,
//! [`velero`] brings the cluster to it and judges what runs, and the worst of all that was seen becomes the unit's
//! [`status`]. [`reconcile`] is that way from start to end.

pub mod actions;
pub mod cluster;
pub mod command_line;
pub mod contract;
pub mod error_chain;
pub mod hook_process;
mod integrations;
pub mod juju;
pub mod plan;
pub mod process;
pub mod reconcile;
mod snapshot;
pub mod status;
mod storage;
pub mod text;
pub mod velero;
