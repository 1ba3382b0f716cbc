//! A forward proxy, as companies have between their clusters and everything else: whoever knows its password is led anywhere, and
//! what was asked of it can be looked up.

mod server;

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

pub use server::serve;

use crate::{
    host::{
        ClusterAccess,
        daemon::{self, Daemon, DaemonError, Lifetime},
    },
    program::{self, ProgramError},
};

/// The first port that is tried.
const FIRST_PORT: u16 = 3128;

/// The file of what the proxy is told, inside of its folder.
const ORDERS: &str = "orders.json";

/// The file of what it was asked, a line for each request.
const REQUESTS: &str = "requests";

/// Why there is no proxy.
#[derive(Debug, thiserror::Error)]
pub enum ForwardProxyError {
    /// The program that it is a part of is not there.
    #[error("the forward proxy is a part of the sandbox's own program")]
    Program(#[from] ProgramError),
    /// Its folder cannot be used.
    #[error("the forward proxy cannot use {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It does not run.
    #[error("the forward proxy does not run")]
    Daemon(#[from] DaemonError),
}

/// What a proxy is told.
#[derive(Debug, Deserialize, Serialize)]
struct Orders {
    /// The user and the password that it asks for, with a colon between them.
    login: String,
    /// A name that nobody else knows, and where it leads.
    name: (String, IpAddr),
}

/// A proxy that runs as long as this value lives, and no longer than this process.
#[derive(Debug)]
pub struct ForwardProxy {
    folder: PathBuf,
    address: SocketAddr,
    _daemon: Daemon,
}

impl ForwardProxy {
    /// Starts a proxy for the pods of `cluster` and the charm, which asks for this user and password. It alone knows `name`, which
    /// leads to the servers that are made for the cluster.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(
        cluster: &ClusterAccess,
        folder: &Path,
        login: &str,
        name: &str,
    ) -> Result<Self, ForwardProxyError> {
        let failed = |source| ForwardProxyError::Folder { folder: folder.to_owned(), source };
        let orders = Orders { login: login.to_owned(), name: (name.to_owned(), cluster.server_address) };
        fs::create_dir_all(folder).map_err(failed)?;
        fs::write(folder.join(ORDERS), serde_json::to_vec(&orders).unwrap_or_default()).map_err(failed)?;
        fs::write(folder.join(REQUESTS), "").map_err(failed)?;
        let program = program::path().await?;
        let [address]: [SocketAddr; 1] = daemon::free_ports(cluster.server_address, FIRST_PORT)?;
        let mut daemon = Daemon::new(cluster, Lifetime::Owned, &program, address, folder.join("forward-proxy.log"))
            .arguments(["forward-proxy", "--address", &address.to_string(), "--folder"])
            .argument(folder);
        daemon.start().await?;
        Ok(Self { folder: folder.to_owned(), address, _daemon: daemon })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked so far, in order: for each request the method and where it leads, as `CONNECT store:443`, and before them
    /// `refused` for those who did not know the password.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn requests(&self) -> io::Result<Vec<String>> {
        Ok(fs::read_to_string(self.folder.join(REQUESTS))?.lines().map(str::to_owned).collect())
    }
}
