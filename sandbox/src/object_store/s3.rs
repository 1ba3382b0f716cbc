//! A real S3 server over a folder: versitygw, once plain and once with TLS.

use std::{
    ffi::OsString,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::bucket::{Bucket, BucketError};
use crate::{
    certificates::{Authority, CertificateError},
    cluster::ClusterAccess,
    host::daemon::{self, Daemon, DaemonError, Lifetime},
    process::{self, ProcessError},
    progress::Progress,
    tools::{self, ToolError},
};

/// How long the server's own command line may take.
const ADMIN_LIMIT: Duration = Duration::from_secs(20);

/// The first pair of ports that is tried.
const FIRST_PORT: u16 = 9000;

/// The folder of the buckets, inside of the server's.
const BUCKETS: &str = "buckets";

/// The user who may do everything.
const ROOT: (&str, &str) = ("sandbox-access", "sandbox-secret-key");

/// A name that the server's certificate is for, and that no DNS knows.
pub const S3_NAME: &str = "store.sandbox.test";

/// Why there is no S3 server, or it does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    /// The program could not be built.
    #[error("the S3 server is a program that is built")]
    Tool(#[from] ToolError),
    /// There is no certificate for TLS.
    #[error("the S3 server needs a certificate")]
    Certificate(#[from] CertificateError),
    /// Its folder cannot be used.
    #[error("the S3 server cannot use {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It does not run.
    #[error("the S3 server does not run")]
    Daemon(#[from] DaemonError),
    /// The bucket could not be made.
    #[error("cannot make a bucket")]
    Bucket(#[from] BucketError),
    /// The server refused to change its users.
    #[error("cannot change the users of the S3 server")]
    User(#[source] ProcessError),
}

/// What a user of the server has to know of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct S3Access {
    /// The address without TLS, such as `http://10.213.0.2:9000`.
    pub endpoint: String,
    /// The address with TLS.
    pub tls_endpoint: String,
    /// Who signed the server's certificate, as PEM.
    pub certificate_authority: String,
    /// The access key of the user who may do everything.
    pub access_key: String,
    /// The secret key of that user.
    pub secret_key: String,
    /// The folder of the buckets.
    pub buckets: PathBuf,
}

impl S3Access {
    /// Makes the bucket `name`, if it is not there.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn bucket(&self, name: &str) -> Result<Bucket, BucketError> {
        Bucket::create(self.buckets.join(name))
    }

    /// Moves a bucket here from the server that has it, as the bucket `name`.
    ///
    /// # Errors
    /// When it cannot be moved, as where there is one of that name with something in it.
    pub fn take_over(&self, bucket: Bucket, name: &str) -> Result<Bucket, BucketError> {
        bucket.moved_to(self.buckets.join(name))
    }
}

/// A server that runs as long as this value lives, and no longer than this process.
#[derive(Debug)]
pub struct S3Server {
    access: S3Access,
    program: PathBuf,
    daemons: [Daemon; 2],
}

impl S3Server {
    /// Starts a server that pods of `cluster`, the charm's process and this machine all reach under the same address. It keeps
    /// all that it has in `folder`; for an embedded cluster that should be a folder inside of the cluster's.
    ///
    /// # Errors
    /// When it cannot be built, or does not start.
    pub async fn start(cluster: &ClusterAccess, folder: &Path, progress: &Progress) -> Result<Self, S3Error> {
        Self::start_as(Lifetime::Owned, cluster, folder, progress).await
    }

    /// Starts a server as [`S3Server::start`] does, which outlives this process: it ends with its embedded cluster, or by
    /// [`S3Server::end_detached`].
    ///
    /// # Errors
    /// When it cannot be built, or does not start.
    pub async fn start_detached(
        cluster: &ClusterAccess,
        folder: &Path,
        progress: &Progress,
    ) -> Result<S3Access, S3Error> {
        let server = Self::start_as(Lifetime::Detached, cluster, folder, progress).await?;
        daemon::detach(folder, server.daemons)?;
        Ok(server.access)
    }

    /// Ends the server that was started detached in `folder`, if it still runs.
    ///
    /// # Errors
    /// When a process cannot be ended.
    pub fn end_detached(folder: &Path) -> Result<(), S3Error> {
        Ok(daemon::end_detached(folder)?)
    }

    async fn start_as(
        lifetime: Lifetime,
        cluster: &ClusterAccess,
        folder: &Path,
        progress: &Progress,
    ) -> Result<Self, S3Error> {
        let program = tools::program(&tools::VERSITYGW, "versitygw", progress).await?;
        let failed = |source| S3Error::Folder { folder: folder.to_owned(), source };
        let address = cluster.server_address;
        let authority = Authority::new("velero-operator sandbox S3")?;
        let certified = authority.server("S3", &["localhost", S3_NAME], &[address])?;
        let buckets = folder.join(BUCKETS);
        for path in [&buckets, &folder.join("users")] {
            fs::create_dir_all(path).map_err(failed)?;
        }
        fs::write(folder.join("ca.crt"), authority.certificate()).map_err(failed)?;
        fs::write(folder.join("tls.crt"), certified.certificate).map_err(failed)?;
        fs::write(folder.join("tls.key"), certified.key).map_err(failed)?;
        let listeners: [SocketAddr; 2] = daemon::free_ports(address, FIRST_PORT)?;
        let access = S3Access {
            endpoint: format!("http://{}", listeners[0]),
            tls_endpoint: format!("https://{}", listeners[1]),
            certificate_authority: authority.certificate().to_owned(),
            access_key: ROOT.0.to_owned(),
            secret_key: ROOT.1.to_owned(),
            buckets,
        };
        let daemon = |address: SocketAddr, log: &str, tls: &[OsString]| {
            Daemon::new(cluster, lifetime, &program, address, folder.join(log))
                .arguments(["--quiet", "--port", &address.to_string(), "--iam-cache-disable", "--iam-dir"])
                .argument(folder.join("users"))
                .arguments(tls)
                .argument("posix")
                .argument(&access.buckets)
                .variable("ROOT_ACCESS_KEY", &access.access_key)
                .variable("ROOT_SECRET_KEY", &access.secret_key)
        };
        let certificate =
            ["--cert".into(), folder.join("tls.crt").into(), "--key".into(), folder.join("tls.key").into()];
        let daemons = [daemon(listeners[0], "s3.log", &[]), daemon(listeners[1], "s3-tls.log", &certificate)];
        let mut server = Self { access, program, daemons };
        server.resume().await?;
        Ok(server)
    }

    /// How to reach the server.
    #[must_use]
    pub fn access(&self) -> &S3Access {
        &self.access
    }

    /// Ends the server's processes: nothing listens any more. What is stored stays.
    ///
    /// # Errors
    /// When a process cannot be ended.
    pub async fn pause(&mut self) -> Result<(), S3Error> {
        for daemon in &mut self.daemons {
            daemon.stop().await?;
        }
        Ok(())
    }

    /// Starts what [`S3Server::pause`] has ended, under the same addresses.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn resume(&mut self) -> Result<(), S3Error> {
        for daemon in &mut self.daemons {
            daemon.start().await?;
        }
        Ok(())
    }

    /// Makes a user who may do everything, next to the one of [`S3Access`].
    ///
    /// # Errors
    /// When the server refuses, as for a user that it has already.
    pub async fn create_user(&self, access_key: &str, secret_key: &str) -> Result<(), S3Error> {
        self.admin(&["create-user", "--access", access_key, "--secret", secret_key, "--role", "admin"]).await
    }

    /// Makes a user who may do nothing but these things, such as `s3:GetObject`, and only in that bucket.
    ///
    /// # Errors
    /// When the server refuses, as for a user that it has already, or the bucket cannot be changed.
    pub async fn create_user_of(
        &self,
        bucket: &Bucket,
        access_key: &str,
        secret_key: &str,
        actions: &[&str],
    ) -> Result<(), S3Error> {
        self.allow(bucket, access_key, actions)?;
        self.admin(&["create-user", "--access", access_key, "--secret", secret_key, "--role", "user"]).await
    }

    /// Lets the only user of a bucket do these things there from now on, and nothing else.
    ///
    /// # Errors
    /// When the bucket cannot be changed.
    pub fn allow(&self, bucket: &Bucket, access_key: &str, actions: &[&str]) -> Result<(), S3Error> {
        Ok(bucket.allow(access_key, actions)?)
    }

    /// Removes a user, whose requests are refused from then on.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn delete_user(&self, access_key: &str) -> Result<(), S3Error> {
        self.admin(&["delete-user", "--access", access_key]).await
    }

    async fn admin(&self, arguments: &[&str]) -> Result<(), S3Error> {
        let mut command = Command::new(&self.program);
        command
            .args(["admin", "--access", &self.access.access_key, "--secret", &self.access.secret_key])
            .args(["--endpoint-url", &self.access.endpoint])
            .args(arguments);
        process::run(command, ADMIN_LIMIT).await.map(drop).map_err(S3Error::User)
    }
}
