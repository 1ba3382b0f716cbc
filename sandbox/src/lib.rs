//! Kubernetes, object stores and Juju on one machine, for the velero-operator charm's demo and tests.

pub mod charm;
pub mod cluster;
