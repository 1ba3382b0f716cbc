//! A real Azure Blob server: Azurite, over TLS as Azure's own is.

mod client;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use client::AzureRequestError;

use crate::{
    certificates::{Authority, CertificateError},
    cluster::ClusterAccess,
    host::daemon::{self, Daemon, DaemonError, Lifetime},
    progress::Progress,
    tools::{self, ToolError},
};

/// The first port that is tried.
const FIRST_PORT: u16 = 10000;

/// The only storage account.
const ACCOUNT: &str = "sandboxstorage";

/// The variable by which Azurite is told its accounts and their keys.
const ACCOUNTS: &str = "AZURITE_ACCOUNTS";

/// Why there is no Azure Blob server.
#[derive(Debug, thiserror::Error)]
pub enum AzureError {
    /// The program could not be installed.
    #[error("the Azure Blob server is a program that is installed")]
    Tool(#[from] ToolError),
    /// There is no certificate for TLS.
    #[error("the Azure Blob server needs a certificate")]
    Certificate(#[from] CertificateError),
    /// Its folder cannot be used.
    #[error("the Azure Blob server cannot use {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It does not run.
    #[error("the Azure Blob server does not run")]
    Daemon(#[from] DaemonError),
}

/// What a user of the server has to know of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct AzureAccess {
    /// The address of the storage account, such as `https://10.213.0.2:10000/sandboxstorage`.
    pub endpoint: String,
    /// Who signed the server's certificate, as PEM.
    pub certificate_authority: String,
    /// The name of the storage account.
    pub account: String,
    /// The key of the storage account, as base64.
    pub key: String,
}

/// A server that runs as long as this value lives, and no longer than this process.
#[derive(Debug)]
pub struct AzureServer {
    access: AzureAccess,
    daemon: Daemon,
}

impl AzureServer {
    /// Starts a server that pods of `cluster`, the charm's process and this machine all reach under the same address, with a
    /// certificate of `authority`. It keeps all that it has in `folder`; for an embedded cluster that should be a folder inside
    /// of the cluster's.
    ///
    /// # Errors
    /// When it cannot be installed, or does not start.
    pub async fn start(
        cluster: &ClusterAccess,
        authority: &Authority,
        folder: &Path,
        progress: &Progress,
    ) -> Result<Self, AzureError> {
        Self::start_as(Lifetime::Owned, cluster, authority, folder, progress).await
    }

    /// Starts a server as [`AzureServer::start`] does, which outlives this process: it ends with its embedded cluster, or by
    /// [`AzureServer::end_detached`].
    ///
    /// # Errors
    /// When it cannot be installed, or does not start.
    pub async fn start_detached(
        cluster: &ClusterAccess,
        authority: &Authority,
        folder: &Path,
        progress: &Progress,
    ) -> Result<AzureAccess, AzureError> {
        let server = Self::start_as(Lifetime::Detached, cluster, authority, folder, progress).await?;
        daemon::detach(folder, [server.daemon])?;
        Ok(server.access)
    }

    /// Ends the server that was started detached in `folder`, if it still runs.
    ///
    /// # Errors
    /// When its process cannot be ended.
    pub fn end_detached(folder: &Path) -> Result<(), AzureError> {
        Ok(daemon::end_detached(folder)?)
    }

    async fn start_as(
        lifetime: Lifetime,
        cluster: &ClusterAccess,
        authority: &Authority,
        folder: &Path,
        progress: &Progress,
    ) -> Result<Self, AzureError> {
        let program = tools::program(&tools::AZURITE, tools::AZURITE.programs[0], progress).await?;
        let failed = |source| AzureError::Folder { folder: folder.to_owned(), source };
        let address = cluster.server_address;
        let certified = authority.server("Azure Blob", &["localhost"], &[address])?;
        let blobs = folder.join("blobs");
        fs::create_dir_all(&blobs).map_err(failed)?;
        let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        fs::write(&certificate, certified.certificate).map_err(failed)?;
        fs::write(&key, certified.key).map_err(failed)?;
        let [listener]: [SocketAddr; 1] = daemon::free_ports(address, FIRST_PORT)?;
        let daemon = Daemon::new(cluster, lifetime, Path::new("node"), listener, folder.join("azurite.log"))
            // It writes down only every few seconds which containers and blobs there are.
            .with_last_words()
            .argument(program)
            .arguments(["--blobHost", &address.to_string(), "--blobPort", &listener.port().to_string()])
            .arguments(["--location".as_ref(), blobs.as_os_str()])
            .arguments(["--cert".as_ref(), certificate.as_os_str(), "--key".as_ref(), key.as_os_str()])
            // Bearer tokens are checked for all but their signature.
            .arguments(["--oauth", "basic", "--disableTelemetry"]);
        let access = AzureAccess {
            endpoint: format!("https://{listener}/{ACCOUNT}"),
            certificate_authority: authority.certificate().to_owned(),
            account: ACCOUNT.to_owned(),
            key: new_key(),
        };
        let mut server = Self { access, daemon };
        server.resume().await?;
        Ok(server)
    }

    /// How to reach the server.
    #[must_use]
    pub fn access(&self) -> &AzureAccess {
        &self.access
    }

    /// Ends the server's process: nothing listens any more. What is stored stays.
    ///
    /// # Errors
    /// When the process cannot be ended.
    pub async fn pause(&mut self) -> Result<(), AzureError> {
        Ok(self.daemon.stop().await?)
    }

    /// Starts what [`AzureServer::pause`] has ended, under the same address.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn resume(&mut self) -> Result<(), AzureError> {
        self.daemon.set_variable(ACCOUNTS, format!("{}:{}", self.access.account, self.access.key));
        Ok(self.daemon.start().await?)
    }

    /// Gives the storage account another key, which is in [`AzureServer::access`] then. The one before is refused from then on.
    ///
    /// # Errors
    /// When the server does not start with it.
    pub async fn rotate_key(&mut self) -> Result<(), AzureError> {
        self.pause().await?;
        self.access.key = new_key();
        self.resume().await
    }
}

/// A key as Azure makes them: 64 random bytes, as base64.
fn new_key() -> String {
    STANDARD.encode([(); 4].map(|()| Uuid::new_v4().into_bytes()).concat())
}
