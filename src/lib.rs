//! The velero-operator charm: what Juju runs once for each hook or action.
//!
//! Every hook does the same: `juju` reads what is the case (a snapshot), `plan` decides what should run, `velero` brings the cluster
//! to it and judges what runs, and the worst of what was seen becomes the unit's `status`. `reconcile` does this from start to end.

// What nobody outside reaches does not look as if somebody did.
#![warn(unreachable_pub)]

pub mod actions;
mod backups;
mod cluster;
pub mod command_line;
pub mod contract;
mod error_chain;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod hook_process;
mod integrations;
mod juju;
mod observability;
mod observer;
mod plan;
mod process;
mod proxies;
mod reconcile;
mod settings;
mod snapshot;
mod status;
mod storage;
mod store;
#[cfg(test)]
mod test_readers;
mod text;
mod velero;
