//! What a hook tool and the unit's agent say to each other: one JSON text a line over the agent's socket.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The tools that Juju puts first in the charm's `PATH`.
pub const TOOLS: &[&str] = &[
    "action-fail",
    "action-get",
    "action-log",
    "action-set",
    "application-version-set",
    "close-port",
    "config-get",
    "goal-state",
    "is-leader",
    "juju-log",
    "network-get",
    "open-port",
    "opened-ports",
    "relation-get",
    "relation-ids",
    "relation-list",
    "relation-model-get",
    "relation-set",
    "secret-add",
    "secret-get",
    "secret-grant",
    "secret-ids",
    "secret-info-get",
    "secret-remove",
    "secret-revoke",
    "secret-set",
    "state-delete",
    "state-get",
    "state-set",
    "status-get",
    "status-set",
    "unit-get",
];

/// The program by which anybody in a unit's pod asks the agent to run commands.
pub const JUJU_EXEC: &str = "juju-exec";
/// The name of the socket in the agent's directory that it asks.
pub const EXEC_SOCKET: &str = "run.socket";

/// Commands are to be run.
#[derive(Debug, Deserialize, Serialize)]
pub struct ExecRequest {
    /// For a shell.
    pub commands: String,
}

/// What came of commands.
#[derive(Debug, Deserialize, Serialize)]
pub struct ExecAnswer {
    /// The shell's exit code.
    pub code: u8,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// A tool was called.
#[derive(Debug, Deserialize, Serialize)]
pub struct Request {
    /// `JUJU_CONTEXT_ID` of the caller.
    pub context: String,
    /// The tool.
    pub tool: String,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// What the agent answers.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// The tool has to send a file's content first (`-`: its standard input).
    Read(PathBuf),
    /// The tool is done.
    Done {
        /// Its exit code.
        code: u8,
        /// For its standard output, or the file of `--output`.
        stdout: String,
        /// For its standard error.
        stderr: String,
        /// The file of `--output`.
        output: Option<PathBuf>,
    },
}

/// A file's content, or why it cannot be read.
pub type FileContent = Result<String, String>;

/// Writes one message.
///
/// # Errors
/// When the other side is gone.
pub fn send<T: Serialize>(mut stream: impl Write, message: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// Reads one message, or `None` if the other side has closed.
///
/// # Errors
/// When the other side is gone or speaks otherwise.
pub fn receive<T: DeserializeOwned>(mut stream: impl BufRead) -> io::Result<Option<T>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_str(&line)?))
}
