//! The charm from outside: its files, its binary, and what both do to a real cluster.

mod charmcraft;
mod cluster_trouble;
mod command_line;
mod configuration;
mod demo;
mod deployed;
mod installation;
mod node_agent;
mod objects;
mod packaging;
mod pins;
mod removal;
mod run_action;
mod secrecy;
mod storage;
mod version;
mod volumes;
mod workload;
mod world;

use std::path::Path;

/// The folder of the charm's project.
fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
