//! This machine: its folders and packages, the programs that run on it, and how those beside a cluster reach that.

mod address;
mod cluster_access;
pub(crate) mod daemon;
pub mod folders;
pub mod packages;
pub mod process;
pub mod program;

pub(crate) use address::source_address;
pub use cluster_access::ClusterAccess;
