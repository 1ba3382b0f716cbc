//! `cargo sandbox`: the command line of the sandbox.

use std::{error::Error, process::ExitCode};

use clap::{Parser, Subcommand};
use sandbox::{
    cluster::{self, HiddenCommand},
    error,
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
