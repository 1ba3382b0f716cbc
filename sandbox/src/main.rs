//! `cargo sandbox`: the command line of the sandbox.

use std::env;
use std::process::ExitCode;

use sandbox::juju;

fn main() -> ExitCode {
    let mut arguments = env::args_os();
    if let Some(tool) = arguments.next().as_ref().and_then(juju::tool_name) {
        return juju::run_tool(tool, arguments);
    }
    if arguments.next().is_some_and(|first| first == juju::SUPERVISOR_ARGUMENT) {
        return juju::supervise();
    }
    ExitCode::SUCCESS
}
