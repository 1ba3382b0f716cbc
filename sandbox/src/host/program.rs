//! The sandbox's own program, which a cluster runs parts of itself with.

use std::{
    env, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use tokio::process::Command;

use crate::process::{self, ProcessError};

/// The program's name.
const NAME: &str = "sandbox";

/// Long enough to build it from nothing.
const BUILD_LIMIT: Duration = Duration::from_mins(20);

/// Why the program is not there.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The system does not say what runs.
    #[error("cannot find out which program this is")]
    Unknown(#[source] io::Error),
    /// Cargo could not build it.
    #[error("cannot build the program {NAME}")]
    Build(#[source] ProcessError),
    /// Cargo did not say where it is.
    #[error("Cargo built no program {NAME}")]
    Missing,
}

/// The path of the program: this one, or, when this is a test, the one that Cargo has or makes.
///
/// # Errors
/// When this is not the sandbox, and Cargo cannot build it.
pub async fn path() -> Result<PathBuf, ProgramError> {
    let this = env::current_exe().map_err(ProgramError::Unknown)?;
    if this.file_name().is_some_and(|name| name == NAME) {
        return Ok(this);
    }
    build(!cfg!(debug_assertions)).await
}

/// The path of a release build of the program, which Cargo has or makes.
///
/// # Errors
/// When Cargo cannot build it.
pub async fn release() -> Result<PathBuf, ProgramError> {
    build(true).await
}

async fn build(release: bool) -> Result<PathBuf, ProgramError> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        // The same packages as `cargo test` builds, so that it builds nothing again.
        .args(["build", "--quiet", "--bin", NAME, "--message-format=json"]);
    if release {
        cargo.arg("--release");
    }
    // What Cargo tells a test of its package would look to Cargo like a change, and some crates would be compiled again.
    for (variable, _) in env::vars_os() {
        if variable.to_str().is_some_and(describes_a_package) {
            cargo.env_remove(variable);
        }
    }
    let messages = process::run(cargo, BUILD_LIMIT).await.map_err(ProgramError::Build)?;
    executable(&messages).ok_or(ProgramError::Missing)
}

fn describes_a_package(variable: &str) -> bool {
    let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
    prefixes.iter().any(|prefix| variable.starts_with(prefix))
}

/// The program that Cargo's messages, a JSON object on each line, tell of.
fn executable(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == NAME)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_settings_of_cargo_stay() {
        assert!(describes_a_package("CARGO_PKG_NAME"));
        assert!(!describes_a_package("CARGO_HOME") && !describes_a_package("CARGO_TARGET_DIR"));
    }

    #[test]
    fn the_program_is_the_one_that_cargo_names_not_the_library() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"sandbox"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"sandbox"},"executable":"/target/debug/sandbox"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(executable(messages), Some("/target/debug/sandbox".into()));
    }
}
