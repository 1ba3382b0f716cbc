//! A stand-in for Google Cloud Storage over a folder: fake-gcs-server, with TLS.
//!
//! It speaks the real JSON API to the real Velero plugin, and takes every request for an allowed one: it looks at no
//! credentials. What is wrong with a key shows here only where the plugin itself reads it.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::process::Command;

use super::bucket::{Bucket, BucketError};
use crate::{
    certificates::{Authority, CertificateError},
    cluster::ClusterAccess,
    host::daemon::{self, Daemon, DaemonError, Lifetime},
    pod_additions::PodAdditions,
    process::{self, ProcessError},
    progress::Progress,
    tools::{self, ToolError},
};

/// The first port that is tried.
const FIRST_PORT: u16 = 4443;

/// The folder of the buckets, inside of the server's.
const BUCKETS: &str = "buckets";

/// How long it may take to make a key.
const KEY_LIMIT: Duration = Duration::from_secs(30);

/// Why there is no GCS server, or no key for it.
#[derive(Debug, thiserror::Error)]
pub enum GcsError {
    /// The program could not be built.
    #[error("the GCS server is a program that is built")]
    Tool(#[from] ToolError),
    /// There is no certificate for TLS.
    #[error("the GCS server needs a certificate")]
    Certificate(#[from] CertificateError),
    /// Its folder cannot be used.
    #[error("the GCS server cannot use {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It does not run.
    #[error("the GCS server does not run")]
    Daemon(#[from] DaemonError),
    /// The bucket could not be made.
    #[error("cannot make a bucket")]
    Bucket(#[from] BucketError),
    /// There is no key for a service account.
    #[error("cannot make the key of a service account")]
    Key(#[source] ProcessError),
}

/// What a user of the server has to know of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GcsAccess {
    /// The address, such as `https://10.213.0.2:4443`.
    pub endpoint: String,
    /// Who signed the server's certificate, as PEM.
    pub certificate_authority: String,
    /// The folder of the buckets.
    pub buckets: PathBuf,
}

impl GcsAccess {
    /// Makes the bucket `name`, if it is not there.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn bucket(&self, name: &str) -> Result<Bucket, BucketError> {
        Bucket::create(self.buckets.join(name))
    }

    /// What leads Velero's plugin, which knows Google's own address only, to this server.
    #[must_use]
    pub fn pod_additions(&self) -> PodAdditions {
        PodAdditions::default()
            .trusting(&self.certificate_authority)
            .with_variable("STORAGE_EMULATOR_HOST", &self.endpoint)
    }
}

/// A server that runs as long as this value lives, and no longer than this process.
#[derive(Debug)]
pub struct GcsServer {
    access: GcsAccess,
    daemon: Daemon,
}

impl GcsServer {
    /// Starts a server that pods of `cluster`, the charm's process and this machine all reach under the same address. It keeps
    /// all that it has in `folder`; for an embedded cluster that should be a folder inside of the cluster's.
    ///
    /// # Errors
    /// When it cannot be built, or does not start.
    pub async fn start(cluster: &ClusterAccess, folder: &Path, progress: &Progress) -> Result<Self, GcsError> {
        let program = tools::program(&tools::FAKE_GCS_SERVER, "fake-gcs-server", progress).await?;
        let failed = |source| GcsError::Folder { folder: folder.to_owned(), source };
        let address = cluster.server_address;
        let authority = Authority::new("velero-operator sandbox GCS")?;
        let certified = authority.server("GCS", &["localhost"], &[address])?;
        let (buckets, certificate, key) = (folder.join(BUCKETS), folder.join("tls.crt"), folder.join("tls.key"));
        fs::create_dir_all(&buckets).map_err(failed)?;
        fs::write(&certificate, certified.certificate).map_err(failed)?;
        fs::write(&key, certified.key).map_err(failed)?;
        let [listener]: [SocketAddr; 1] = daemon::free_ports(address, FIRST_PORT)?;
        let endpoint = format!("https://{listener}");
        let daemon = Daemon::new(cluster, Lifetime::Owned, &program, listener, folder.join("gcs.log"))
            .arguments(["-scheme", "https", "-host", &address.to_string(), "-port", &listener.port().to_string()])
            // What it tells its clients to go to.
            .arguments(["-external-url", &endpoint, "-public-host", &listener.to_string()])
            .arguments(["-log-level", "warn", "-backend", "filesystem", "-filesystem-root"])
            .argument(&buckets)
            .argument("-cert-location")
            .argument(&certificate)
            .argument("-private-key-location")
            .argument(&key);
        let access = GcsAccess { endpoint, certificate_authority: authority.certificate().to_owned(), buckets };
        let mut server = Self { access, daemon };
        server.resume().await?;
        Ok(server)
    }

    /// How to reach the server.
    #[must_use]
    pub fn access(&self) -> &GcsAccess {
        &self.access
    }

    /// Ends the server's process: nothing listens any more. What is stored stays.
    ///
    /// # Errors
    /// When the process cannot be ended.
    pub async fn pause(&mut self) -> Result<(), GcsError> {
        Ok(self.daemon.stop().await?)
    }

    /// Starts what [`GcsServer::pause`] has ended, under the same address.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn resume(&mut self) -> Result<(), GcsError> {
        Ok(self.daemon.start().await?)
    }
}

/// A key file of a service account, as Google gives it out, with a new private key in it. Nobody has the public one.
///
/// # Errors
/// When `openssl` makes no key.
pub async fn service_account_key(account: &str) -> Result<String, GcsError> {
    let mut openssl = Command::new("openssl");
    openssl.args(["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let private_key = process::run(openssl, KEY_LIMIT).await.map_err(GcsError::Key)?;
    let file = json!({
        "type": "service_account",
        "project_id": "velero-operator-sandbox",
        "private_key_id": "0000000000000000000000000000000000000001",
        "private_key": private_key,
        "client_email": format!("{account}@velero-operator-sandbox.iam.gserviceaccount.com"),
        "client_id": "100000000000000000001",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
        "universe_domain": "googleapis.com",
    });
    Ok(format!("{file:#}"))
}
