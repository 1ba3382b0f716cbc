//! `cargo sandbox`: the command line of the sandbox.

use std::{env, error::Error, process::ExitCode};

use clap::{Parser, Subcommand};
use sandbox::{
    cluster::{self, HiddenCommand},
    error, juju,
    object_store::S3Server,
    progress::Progress,
};

/// Kubernetes, object stores and Juju on one machine.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a cluster with an S3 server, which runs until `down`.
    Up,
    /// End the cluster, and remove every trace of it.
    Down,
    #[command(flatten)]
    Hidden(HiddenCommand),
}

fn main() -> ExitCode {
    // A hook tool is a link to this program, and is called many times: it does not even make a runtime.
    let mut arguments = env::args_os();
    if let Some(tool) = arguments.next().as_ref().and_then(juju::tool_name) {
        return juju::run_tool(tool, arguments);
    }
    if arguments.next().is_some_and(|first| first == juju::SUPERVISOR_ARGUMENT) {
        return juju::supervise();
    }
    people()
}

#[tokio::main(flavor = "current_thread")]
async fn people() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), Box<dyn Error>> {
    match command {
        Command::Up => {
            let progress = Progress::to_stderr();
            let access = cluster::up(&progress).await?;
            let folder = access.kubeconfig.with_file_name("s3");
            let store = S3Server::start_detached(&access, &folder, &progress).await?;
            println!("export KUBECONFIG={}", access.kubeconfig.display());
            println!("# S3: {} and {}, {} {}", store.endpoint, store.tls_endpoint, store.access_key, store.secret_key);
        }
        Command::Down => {
            if !cluster::down().await? {
                println!("there is no cluster");
            }
        }
        Command::Hidden(command) => command.run().await?,
    }
    Ok(())
}
