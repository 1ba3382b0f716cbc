//! `cargo sandbox`: the command line of the sandbox.

use std::{error::Error, process::ExitCode};

use clap::{Parser, Subcommand};
use sandbox::{
    cluster::{self, HiddenCommand},
    error,
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
    /// Start a cluster, which runs until `down`.
    Up,
    /// End the cluster, and remove every trace of it.
    Down,
    #[command(flatten)]
    Hidden(HiddenCommand),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
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
            let access = cluster::up(&Progress::to_stderr()).await?;
            println!("export KUBECONFIG={}", access.kubeconfig.display());
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
