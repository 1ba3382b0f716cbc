//! Kubernetes, object stores and Juju on one machine, for the velero-operator charm's demo and tests.

pub mod bench;
pub mod certificates;
pub mod charm;
pub mod cluster;
pub mod demo;
pub mod entra_id;
pub mod error;
pub mod folders;
mod hexadecimal;
pub mod https;
pub mod images;
pub mod juju;
pub mod object_store;
pub mod packages;
pub mod pod_additions;
pub mod process;
pub mod program;
pub mod progress;
pub mod tools;
