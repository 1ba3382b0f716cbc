//! A stand-in for Microsoft Entra ID: it gives out tokens to service principals, by name and over TLS as the real one does.
//!
//! Clients are not configured for it. Velero's plugin goes to the name that Microsoft's clients all go to; in the
//! cluster that name leads here, as it does where a company keeps its own cloud.

mod grant;
mod names;
mod server;

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use server::{ServeError, serve};

use crate::{
    certificates::{Authority, CertificateError},
    host::{
        ClusterAccess,
        daemon::{self, Daemon, DaemonError, Lifetime},
    },
    program::{self, ProgramError},
};

/// The name that clients of Microsoft's public cloud sign in at.
pub const HOST: &str = "login.microsoftonline.com";

/// The port of HTTPS.
const PORT: u16 = 443;

/// The file of those who may sign in, inside of the folder.
const PRINCIPALS: &str = "principals.json";

/// Why there is no stand-in for Entra ID.
#[derive(Debug, thiserror::Error)]
pub enum EntraIdError {
    /// There is no certificate for TLS.
    #[error("the stand-in for Entra ID needs a certificate")]
    Certificate(#[from] CertificateError),
    /// The program that it is a part of is not there.
    #[error("the stand-in for Entra ID is a part of the sandbox's own program")]
    Program(#[from] ProgramError),
    /// Its folder cannot be used.
    #[error("the stand-in for Entra ID cannot use {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It does not run.
    #[error("the stand-in for Entra ID does not run")]
    Daemon(#[from] DaemonError),
    /// The cluster asks others for names.
    #[error("the stand-in for Entra ID is found in the sandbox's own cluster only: another one has its own names")]
    OtherCluster,
}

/// An application that may sign in to a tenant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ServicePrincipal {
    /// The subscription that it may do something in.
    pub subscription_id: String,
    /// The tenant.
    pub tenant_id: String,
    /// The application.
    pub client_id: String,
    /// What it proves by that it is.
    pub client_secret: String,
}

impl ServicePrincipal {
    /// A new one, of a tenant of its own.
    #[must_use]
    pub fn random() -> Self {
        let [subscription_id, tenant_id, client_id] = [(); 3].map(|()| Uuid::new_v4().to_string());
        Self { subscription_id, tenant_id, client_id, client_secret: new_secret() }
    }
}

/// A secret with characters of all kinds that Entra ID's own have.
fn new_secret() -> String {
    format!("Q~{}.-_", Uuid::new_v4().simple())
}

/// A stand-in that runs as long as this value lives, and no longer than this process.
#[derive(Debug)]
pub struct EntraId {
    folder: PathBuf,
    daemon: Daemon,
}

impl EntraId {
    /// Starts it for the pods of `cluster`, with a certificate of `authority`. Nobody may sign in yet.
    ///
    /// # Errors
    /// When the cluster is not the sandbox's own, or it does not start.
    pub async fn start(cluster: &ClusterAccess, authority: &Authority, folder: &Path) -> Result<Self, EntraIdError> {
        Self::start_as(Lifetime::Owned, cluster, authority, folder).await
    }

    /// Starts it as [`EntraId::start`] does, with a service principal that may sign in; it ends with its cluster.
    ///
    /// # Errors
    /// As [`EntraId::start`].
    pub async fn start_detached(
        cluster: &ClusterAccess,
        authority: &Authority,
        folder: &Path,
    ) -> Result<ServicePrincipal, EntraIdError> {
        let stand_in = Self::start_as(Lifetime::Detached, cluster, authority, folder).await?;
        let principal = ServicePrincipal::random();
        stand_in.admit(&principal)?;
        daemon::detach(folder, [stand_in.daemon])?;
        Ok(principal)
    }

    async fn start_as(
        lifetime: Lifetime,
        cluster: &ClusterAccess,
        authority: &Authority,
        folder: &Path,
    ) -> Result<Self, EntraIdError> {
        if cluster.namespaces_of.is_none() {
            return Err(EntraIdError::OtherCluster);
        }
        let failed = |source| EntraIdError::Folder { folder: folder.to_owned(), source };
        let certified = authority.server("Entra ID", &[HOST], &[])?;
        fs::create_dir_all(folder).map_err(failed)?;
        fs::write(folder.join(server::CERTIFICATE), certified.certificate).map_err(failed)?;
        fs::write(folder.join(server::KEY), certified.key).map_err(failed)?;
        fs::write(folder.join(PRINCIPALS), "[]").map_err(failed)?;
        let program = program::path().await?;
        let address = cluster.server_address;
        let listener = SocketAddr::new(address, PORT);
        let mut daemon = Daemon::new(cluster, lifetime, &program, listener, folder.join("entra-id.log"))
            .arguments(["entra-id", "--address", &address.to_string(), "--folder"])
            .argument(folder);
        daemon.start().await?;
        Ok(Self { folder: folder.to_owned(), daemon })
    }

    /// Lets a service principal sign in; one that is known by its client already, by this secret only from then on.
    ///
    /// # Errors
    /// When the file of those who may sign in cannot be used.
    pub fn admit(&self, principal: &ServicePrincipal) -> Result<(), EntraIdError> {
        let admit = || {
            let mut principals = principals(&self.folder)?;
            principals.retain(|known| known.client_id != principal.client_id);
            principals.push(principal.clone());
            // In one step, as it is read for each request.
            let new = self.folder.join("principals.new");
            fs::write(&new, serde_json::to_vec(&principals)?)?;
            fs::rename(new, self.folder.join(PRINCIPALS))
        };
        admit().map_err(|source| EntraIdError::Folder { folder: self.folder.clone(), source })
    }

    /// Lets a service principal sign in by another secret, and by the one before no more.
    ///
    /// # Errors
    /// As [`EntraId::admit`].
    pub fn rotate_secret(&self, principal: &mut ServicePrincipal) -> Result<(), EntraIdError> {
        principal.client_secret = new_secret();
        self.admit(principal)
    }
}

fn principals(folder: &Path) -> io::Result<Vec<ServicePrincipal>> {
    Ok(serde_json::from_slice(&fs::read(folder.join(PRINCIPALS))?)?)
}

/// Where the stand-in listens.
#[derive(Clone, Copy, Debug)]
struct Listeners {
    https: SocketAddr,
    names: SocketAddr,
}

impl Listeners {
    fn at(address: IpAddr) -> Self {
        Self { https: SocketAddr::new(address, PORT), names: SocketAddr::new(address, names::PORT) }
    }
}
