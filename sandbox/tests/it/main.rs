//! The sandbox against this machine: real clusters, and a real S3 server.

mod cluster;
mod juju;
mod machine;
mod object_store;
