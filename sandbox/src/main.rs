//! `cargo sandbox`: the command line of the sandbox.

mod cli;

use std::env;
use std::process::ExitCode;

use sandbox::{juju, storm};

fn main() -> ExitCode {
    let mut arguments = env::args_os();
    let name = arguments.next();
    if let Some(tool) = name.as_ref().and_then(juju::tool_name) {
        return juju::run_tool(tool, arguments);
    }
    if name.as_ref().is_some_and(juju::is_juju_exec) {
        return juju::run_juju_exec(arguments);
    }
    if let Some(cli) = name.as_ref().filter(|name| storm::is_cli(name)) {
        return storm::run_cli(cli, arguments);
    }
    // A mount namespace of its own needs a process with one thread, so this comes before any runtime.
    if arguments.next().is_some_and(|first| first == juju::SUPERVISOR_ARGUMENT) {
        return juju::supervise();
    }
    cli::main()
}
