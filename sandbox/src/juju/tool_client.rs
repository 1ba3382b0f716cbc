//! The hook tools as the charm sees them: links to the sandbox program, which asks the unit's agent.
//!
//! This path is walked many times in each hook, so it does nothing but connect, ask and print.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use super::wire::{FileContent, Request, Response, TOOLS, receive, send};

/// The tool that the program was called as, if by one of their names.
#[must_use]
pub fn tool_name(program: &OsString) -> Option<&'static str> {
    let name = Path::new(program).file_name()?.to_str()?;
    TOOLS.iter().copied().find(|tool| *tool == name)
}

/// Runs the tool: asks the agent and does as it says.
pub fn run(tool: &str, arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    match ask(tool, arguments) {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            eprintln!("ERROR {message}");
            ExitCode::FAILURE
        }
    }
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).ok().filter(|value| !value.is_empty()).ok_or_else(|| format!("{name} not set"))
}

fn ask(tool: &str, arguments: Vec<String>) -> Result<u8, String> {
    let context = variable("JUJU_CONTEXT_ID")?;
    let address = variable("JUJU_AGENT_SOCKET_ADDRESS")?;
    let stream = UnixStream::connect(&address).map_err(|error| format!("dial unix {address}: connect: {error}"))?;
    let lost = |error: io::Error| format!("connection is shut down: {error}");
    let mut answers = BufReader::new(&stream);
    send(&stream, &Request { context, tool: tool.to_owned(), arguments }).map_err(lost)?;
    loop {
        match receive(&mut answers).map_err(lost)?.ok_or("connection is shut down")? {
            Response::Read(path) => send(&stream, &read(&path)).map_err(lost)?,
            Response::Done { code, stdout, stderr, output } => {
                match output {
                    Some(path) => fs::write(&path, stdout).map_err(|error| format!("open {}: {error}", path.display())),
                    None => io::stdout().write_all(stdout.as_bytes()).map_err(|error| error.to_string()),
                }?;
                io::stderr().write_all(stderr.as_bytes()).map_err(|error| error.to_string())?;
                return Ok(code);
            }
        }
    }
}

fn read(path: &Path) -> FileContent {
    let mut content = Vec::new();
    if path == Path::new("-") {
        io::stdin().read_to_end(&mut content).map_err(|error| error.to_string())?;
    } else {
        content = fs::read(path).map_err(|error| format!("open {}: {error}", path.display()))?;
    }
    String::from_utf8(content).map_err(|error| error.to_string())
}
