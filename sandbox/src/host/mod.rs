//! This machine: its folders and packages, the programs that run on it, and how those beside a cluster reach that.

mod cluster_access;
pub(crate) mod daemon;
pub mod folders;
pub mod packages;
pub mod process;
pub mod program;

pub use cluster_access::ClusterAccess;
