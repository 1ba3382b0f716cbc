//! The charm from outside: its files, its binary, and what both do to a real cluster.

mod charmcraft;
mod packaging;
mod pins;

use std::path::Path;

/// The folder of the charm's project.
fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
