//! A cluster of an etcd and an API server alone: what is in it, how it becomes what it was, and who writes what others would.

pub(super) mod control_plane;
mod drills;
pub(super) mod etcd;
pub(super) mod files;
pub(super) mod objects;
pub(super) mod player;
