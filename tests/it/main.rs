//! The charm from outside: its files, its binary, and what both do to a real cluster.

mod actions;
mod additions;
mod admission;
mod adoption;
mod architecture;
mod arrows;
mod azure;
mod backups;
mod change;
mod change_credentials;
mod change_in_progress;
mod change_place;
mod charmcraft;
mod cluster_trouble;
mod command_line;
mod configuration;
mod demo;
mod deployed;
mod documents;
mod drift;
mod drill;
mod forecasts;
mod gate;
mod gcs;
mod installation;
mod models;
mod neighbours;
mod node_agent;
mod objects;
mod observer;
mod observer_process;
mod packaging;
mod pins;
mod predecessor;
mod prometheus;
mod proxies;
mod readiness;
mod removal;
mod repository_password;
mod resource_policy;
mod retention;
mod run_action;
mod run_flags;
mod second_cluster;
mod secrecy;
mod server_pod;
mod settings;
mod silence;
mod storage;
mod storage_test;
mod storm;
mod storm_beside_velero;
mod units;
mod version;
mod volume_options;
mod volumes;
mod watchers;
mod workload;
mod world;

use std::path::Path;

/// The folder of the charm's project.
fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
