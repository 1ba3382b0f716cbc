//! Runs: backups and restores that are made by hand, watched until they have ended, and told of.

pub(crate) mod details;
mod door;
pub(crate) mod follow;
pub(crate) mod listing;
pub(crate) mod make;
pub(crate) mod run;
pub(crate) mod volumes;
