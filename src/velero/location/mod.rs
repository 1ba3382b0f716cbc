//! The storage locations and their credentials: when they are changed, and that what the server says of them is about the change.

pub(crate) mod records;
pub(crate) mod update;
pub(crate) mod validation;
