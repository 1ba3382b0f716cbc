//! Bringing the cluster to what is wanted, and taking Velero away.

pub(crate) mod applied;
pub(crate) mod apply;
pub(crate) mod definitions;
pub(crate) mod namespace;
pub(crate) mod policies;
mod proxies;
pub(crate) mod prune;
mod release;
pub(crate) mod removal;
mod repository;
pub(crate) mod retention;
pub(crate) mod schedules;
