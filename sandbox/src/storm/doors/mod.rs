//! Where each operation of a charm passes, is counted, and may come to harm.

pub(super) mod api_proxy;
pub mod cli_door;
pub(super) mod fault;
pub(super) mod gate;
pub(super) mod juju_door;
pub(super) mod operation;
