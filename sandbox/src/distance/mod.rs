//! An API server that is far away: what is said on the way to it and back arrives later, as on a long line. Nothing is
//! lost, and nothing is slower than late.

mod line;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

pub use line::serve;

use crate::{
    host::{
        ClusterAccess,
        daemon::{self, Daemon, DaemonError, Lifetime},
    },
    program::{self, ProgramError},
};

/// The first port that is tried.
const FIRST_PORT: u16 = 6543;

/// The file with a line for each connection, inside of its folder.
const CONNECTIONS: &str = "connections";

/// Why there is no distance.
#[derive(Debug, thiserror::Error)]
pub enum DistanceError {
    /// The program that it is a part of is not there.
    #[error("the distance is a part of the sandbox's own program")]
    Program(#[from] ProgramError),
    /// Its folder cannot be used.
    #[error("the distance cannot use {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It does not run.
    #[error("the distance does not run")]
    Daemon(#[from] DaemonError),
}

/// A long way to the API server, which is there as long as this value lives, and no longer than this process.
#[derive(Debug)]
pub struct Distance {
    folder: PathBuf,
    access: ClusterAccess,
    _daemon: Daemon,
}

impl Distance {
    /// Makes a way to the cluster's API server on which `there_and_back` passes until an answer comes.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(
        cluster: &ClusterAccess,
        folder: &Path,
        there_and_back: Duration,
    ) -> Result<Self, DistanceError> {
        let failed = |source| DistanceError::Folder { folder: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        fs::write(folder.join(CONNECTIONS), "").map_err(failed)?;
        let program = program::path().await?;
        let [address]: [SocketAddr; 1] = daemon::free_ports(cluster.server_address, FIRST_PORT)?;
        let server = format!("{}:{}", cluster.service_host, cluster.service_port);
        let mut daemon = Daemon::new(cluster, Lifetime::Owned, &program, address, folder.join("distance.log"))
            .arguments(["distance", "--address", &address.to_string(), "--server", &server])
            .arguments(["--milliseconds", &there_and_back.as_millis().to_string(), "--folder"])
            .argument(folder);
        daemon.start().await?;
        let (service_host, service_port) = (address.ip().to_string(), address.port());
        let access = ClusterAccess { service_host, service_port, ..cluster.clone() };
        Ok(Self { folder: folder.to_owned(), access, _daemon: daemon })
    }

    /// The cluster for charms that are so far away from it.
    #[must_use]
    pub fn access(&self) -> &ClusterAccess {
        &self.access
    }

    /// How many connections went this way so far.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn connections(&self) -> io::Result<usize> {
        Ok(fs::read_to_string(self.folder.join(CONNECTIONS))?.lines().count())
    }
}
