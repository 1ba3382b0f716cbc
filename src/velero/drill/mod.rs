//! Restore drills: a backup is restored into scratch namespaces, and compared with what was backed up.

pub(crate) mod archive;
pub(crate) mod book;
mod comparison;
pub(crate) mod conduct;
mod contents;
mod door;
mod kinds;
mod marks;
pub(crate) mod network;
pub(crate) mod order;
mod pods;
pub(crate) mod report;
mod run;
mod scratch;
mod turns;
mod volumes;
