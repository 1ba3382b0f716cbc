//! This machine: its folders and packages, and the programs that run on it.

pub(crate) mod daemon;
pub mod folders;
pub mod packages;
pub mod process;
pub mod program;
