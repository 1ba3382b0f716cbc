//! The charm's process: Juju runs it without arguments, people with them.

use std::{env, process::ExitCode};

use velero_operator::{command_line, hook_process};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if env::args_os().len() == 1 && env::var_os("JUJU_DISPATCH_PATH").is_some() {
        hook_process::run().await
    } else {
        command_line::run().await
    }
}
