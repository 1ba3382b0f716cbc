//! A Kubernetes cluster to run the charm on.

mod access;

pub use access::ClusterAccess;
