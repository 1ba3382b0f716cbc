//! Kubernetes, object stores and Juju on one machine, for the velero-operator charm's demo and tests.

pub mod bench;
pub mod charm;
pub mod cluster;
pub mod dashboard;
pub mod demo;
pub mod distance;
pub mod entra_id;
pub mod error;
pub mod forward_proxy;
mod host;
pub mod images;
pub mod juju;
pub mod object_store;
pub mod pod_additions;
pub mod preparation;
pub mod progress;
pub mod prometheus;
pub mod storm;
mod tls;
pub mod tools;

pub use host::{folders, packages, process, program};
pub use tls::{certificates, https};
