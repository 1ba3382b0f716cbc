//! The storage locations and their credentials: when they change, and how their validation is known to be current.

pub(crate) mod records;
pub(crate) mod snapshots;
pub(crate) mod tested;
pub(crate) mod update;
pub(crate) mod usable;
pub(crate) mod validation;
