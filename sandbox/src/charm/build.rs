//! The build of the charm's binary, by Cargo.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use serde::Deserialize;
use tokio::process::Command;

/// How long a build may take: a first one on a small machine, many times over.
const LIMIT: Duration = Duration::from_mins(30);

/// The charm's binary, as Cargo names it.
const BINARY: &str = "velero-operator";

/// How much the compiler is to make of the charm.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Profile {
    /// What users get.
    Release,
    /// What Cargo has mostly compiled already when the sandbox runs: it is there in a fraction of the time.
    Dev,
}

impl Profile {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Release => &["--release"],
            Self::Dev => &[],
        }
    }

    /// The name of the folder that Cargo keeps its builds in.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "debug",
        }
    }
}

/// Why there is no binary of the charm.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Cargo could not be run.
    #[error("cannot run {}", cargo.display())]
    RunCargo {
        /// The program that was tried.
        cargo: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The build did not come to an end.
    #[error("the build of the charm took longer than {} min", LIMIT.as_secs() / 60)]
    TimedOut,
    /// The build failed.
    #[error("cargo cannot build the charm, and ended with {status}:\n{words}")]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        words: String,
    },
    /// The build succeeded and did not say where the binary is.
    #[error("cargo named no executable {BINARY}")]
    NoExecutable,
}

/// Builds the charm's binary and returns its path. With nothing changed since the last time, that is Cargo's look at the files.
///
/// # Errors
/// When Cargo cannot be run, fails or takes too long.
pub(crate) async fn build(project: &Path, profile: Profile) -> Result<PathBuf, BuildError> {
    let cargo = PathBuf::from(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let mut command = Command::new(&cargo);
    command
        .current_dir(project)
        .args(["build", "--locked", "--quiet", "--bin", BINARY])
        .args(profile.arguments())
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for variable in std::env::vars_os().map(|(name, _)| name).filter(describes_a_package) {
        command.env_remove(variable);
    }
    let output = tokio::time::timeout(LIMIT, command.output())
        .await
        .map_err(|_| BuildError::TimedOut)?
        .map_err(|source| BuildError::RunCargo { cargo, source })?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        return Err(BuildError::Failed { status: output.status, words });
    }
    executable(&output.stdout).ok_or(BuildError::NoExecutable)
}

/// Under `cargo test` and `cargo run` the environment describes the package that runs. Some build scripts watch those
/// variables, and would build their crates anew at each change between that and a shell.
fn describes_a_package(variable: &OsString) -> bool {
    let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    variable.to_str().is_some_and(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
}

/// Finds the binary among Cargo's messages, one JSON object a line.
fn executable(messages: &[u8]) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        target: Option<Target>,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }

    messages
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok())
        .filter(|message| message.target.as_ref().is_some_and(|target| target.name == BINARY))
        .find_map(|message| message.executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_found_among_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"serde"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"velero-operator"},"executable":"/t/release/velero-operator"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
            "\n",
        );
        let found = executable(messages.as_bytes());
        assert_eq!(found, Some(PathBuf::from("/t/release/velero-operator")));
        assert_eq!(executable(b"{}\n"), None);
    }
}
