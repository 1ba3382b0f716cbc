//! The velero-operator charm: what Juju runs once for each hook or action.

pub mod contract;
