//! The Kubernetes API as the charm uses it: calls with limits, whose fields are whose, and what differs. Nothing here knows Velero.

mod call;
mod client;
mod comparison;
mod connection;
mod ownership;
mod pages;
#[cfg(test)]
pub(crate) mod test_api;

pub(crate) use call::{ClusterError, asked_twice, call, call_if_there, found};
pub(crate) use client::{Cluster, FIELD_MANAGER, api_resource, describe, named};
pub(crate) use comparison::{MANIFEST_ANNOTATION, contains, differs};
pub(crate) use ownership::{FieldOwners, holds};
pub(crate) use pages::{Deletable, Head, Listed, MetadataOnly};
