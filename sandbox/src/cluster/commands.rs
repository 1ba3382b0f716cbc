//! The commands by which the sandbox runs parts of itself: not for people.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::Subcommand;

use super::{
    blueprint::{NodeNumber, Programs},
    guard::{self, GuardError, Orders},
    init::{self, InitError},
    options::ClusterOptions,
};
use crate::{
    distance,
    entra_id::{self, ServeError},
    forward_proxy,
};

/// A part of an embedded cluster, or of what runs beside it, that is a process of its own.
#[derive(Debug, Subcommand)]
pub enum HiddenCommand {
    /// Runs a cluster, and removes every trace of it at its end.
    #[command(hide = true)]
    ClusterGuard {
        /// The cluster's folder.
        #[arg(long)]
        folder: PathBuf,
        /// The folder of the programs of Kubernetes.
        #[arg(long)]
        kubernetes: PathBuf,
        /// The folder of etcd.
        #[arg(long)]
        etcd: PathBuf,
        /// What it has beside what every one has.
        #[arg(long)]
        options: ClusterOptions,
    },
    /// Is the first process of a cluster's namespaces, or of one of its nodes'.
    #[command(hide = true)]
    ClusterInit {
        /// The cluster's folder.
        #[arg(long)]
        folder: PathBuf,
        /// The number of the node.
        #[arg(long, default_value_t = NodeNumber::FIRST.0)]
        node: u8,
    },
    /// Is Entra ID for the pods of a cluster.
    #[command(hide = true)]
    EntraId {
        /// Where it listens.
        #[arg(long)]
        address: IpAddr,
        /// The folder with its certificate and those who may sign in.
        #[arg(long)]
        folder: PathBuf,
    },
    /// Is a forward proxy for the pods of a cluster.
    #[command(hide = true)]
    ForwardProxy {
        /// Where it listens.
        #[arg(long)]
        address: SocketAddr,
        /// The folder with what it is told, and what it was asked.
        #[arg(long)]
        folder: PathBuf,
    },
    /// Is a long way to the API server of a cluster.
    #[command(hide = true)]
    Distance {
        /// Where it begins.
        #[arg(long)]
        address: SocketAddr,
        /// Where it leads, as `HOST:PORT`.
        #[arg(long)]
        server: String,
        /// How long it is there and back.
        #[arg(long)]
        milliseconds: u64,
        /// The folder in which its connections are noted.
        #[arg(long)]
        folder: PathBuf,
    },
}

/// Why a part of a cluster ended.
#[derive(Debug, thiserror::Error)]
pub enum HiddenCommandError {
    /// The guard did.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The first process did.
    #[error(transparent)]
    Init(#[from] InitError),
    /// The stand-in for Entra ID did.
    #[error(transparent)]
    EntraId(#[from] ServeError),
    /// The forward proxy did.
    #[error("the forward proxy does not run")]
    ForwardProxy(#[source] io::Error),
    /// The long way did.
    #[error("the way to the API server has ended")]
    Distance(#[source] io::Error),
}

impl HiddenCommand {
    /// Runs it, and returns when it has ended.
    ///
    /// # Errors
    /// When it ended for a reason other than that it was told to.
    pub async fn run(self) -> Result<(), HiddenCommandError> {
        match self {
            Self::ClusterGuard { folder, kubernetes, etcd, options } => {
                let programs = Programs { kubernetes, etcd };
                Ok(guard::run(&Orders { folder, programs, options }).await?)
            }
            Self::ClusterInit { folder, node } => Ok(init::run(&folder, NodeNumber(node))?),
            Self::EntraId { address, folder } => Ok(entra_id::serve(address, &folder).await?),
            Self::ForwardProxy { address, folder } => {
                forward_proxy::serve(address, &folder).await.map_err(HiddenCommandError::ForwardProxy)
            }
            Self::Distance { address, server, milliseconds, folder } => {
                let there_and_back = Duration::from_millis(milliseconds);
                distance::serve(address, &server, there_and_back, &folder).await.map_err(HiddenCommandError::Distance)
            }
        }
    }
}
