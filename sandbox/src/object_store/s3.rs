//! A real S3 server over a folder: versitygw, once plain and once with TLS.

use std::{
    fs::{self, File},
    io,
    net::{IpAddr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

use super::bucket::{Bucket, BucketError};
use crate::{
    certificates::{Authority, CertificateError},
    cluster::ClusterAccess,
    process::{self, ProcessError},
    progress::Progress,
    tools::{self, ToolError},
};

/// How long the server may take to answer after its start.
const START_LIMIT: Duration = Duration::from_secs(15);

/// How long a port may take to answer that nobody is there.
const PROBE_LIMIT: Duration = Duration::from_millis(200);

/// How long the server's own command line may take.
const ADMIN_LIMIT: Duration = Duration::from_secs(20);

/// The first pair of ports that is tried.
const FIRST_PORT: u16 = 9000;

/// The folder of the buckets, inside of the server's.
const BUCKETS: &str = "buckets";

/// The file of the processes of a detached server, inside of the server's folder.
const PROCESSES: &str = "processes.json";

/// The user who may do everything.
const ROOT: (&str, &str) = ("sandbox-access", "sandbox-secret-key");

/// Why there is no S3 server, or it does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    /// The program could not be built.
    #[error("the S3 server is a program that is built")]
    Tool(#[from] ToolError),
    /// There is no certificate for TLS.
    #[error("the S3 server needs a certificate")]
    Certificate(#[from] CertificateError),
    /// Its folder cannot be used, or the program cannot be run.
    #[error("cannot run the S3 server in {}", folder.display())]
    Run {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no pair of free ports.
    #[error("all ports from {FIRST_PORT} on are in use at {0}")]
    NoPort(IpAddr),
    /// The server ended, or does not answer.
    #[error("the S3 server at {address} does not answer: {log}")]
    Silent {
        /// Where it should listen.
        address: SocketAddr,
        /// What it wrote to its log.
        log: String,
    },
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
}

/// A server that runs as long as this value lives, and no longer than this process.
#[derive(Debug)]
pub struct S3Server {
    detached: bool,
    access: S3Access,
    cluster: ClusterAccess,
    program: PathBuf,
    folder: PathBuf,
    listeners: [SocketAddr; 2],
    processes: Vec<Child>,
}

impl S3Server {
    /// Starts a server that pods of `cluster`, the charm's process and this machine all reach under the same address. It keeps
    /// all that it has in `folder`; for an embedded cluster that should be a folder inside of the cluster's.
    ///
    /// # Errors
    /// When it cannot be built, or does not start.
    pub async fn start(cluster: &ClusterAccess, folder: &Path, progress: &Progress) -> Result<Self, S3Error> {
        Self::start_as(false, cluster, folder, progress).await
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
        let mut server = Self::start_as(true, cluster, folder, progress).await?;
        let processes: Vec<_> = server.processes.iter().filter_map(Child::id).collect();
        let text = serde_json::to_vec(&processes).map_err(io::Error::from);
        text.and_then(|text| fs::write(folder.join(PROCESSES), text)).map_err(|source| server.failed(source))?;
        for process in server.processes.drain(..) {
            // Dropped, it would be ended.
            std::mem::forget(process);
        }
        Ok(server.access)
    }

    /// Ends the server that was started detached in `folder`, if it still runs.
    ///
    /// # Errors
    /// When a process cannot be ended.
    pub fn end_detached(folder: &Path) -> Result<(), S3Error> {
        let failed = |source| S3Error::Run { folder: folder.to_owned(), source };
        let text = match fs::read(folder.join(PROCESSES)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            read => read.map_err(failed)?,
        };
        let processes: Vec<i32> = serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
        for process in processes.into_iter().filter(|process| is_server_in(folder, *process)) {
            match kill(Pid::from_raw(process), Signal::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(failed(errno.into())),
            }
        }
        fs::remove_file(folder.join(PROCESSES)).map_err(failed)
    }

    async fn start_as(
        detached: bool,
        cluster: &ClusterAccess,
        folder: &Path,
        progress: &Progress,
    ) -> Result<Self, S3Error> {
        let program = tools::program(&tools::VERSITYGW, "versitygw", progress).await?;
        let failed = |source| S3Error::Run { folder: folder.to_owned(), source };
        let address = cluster.server_address;
        let authority = Authority::new("velero-operator sandbox S3")?;
        let certified = authority.server("S3", &["localhost"], &[address])?;
        let buckets = folder.join(BUCKETS);
        for path in [&buckets, &folder.join("users")] {
            fs::create_dir_all(path).map_err(failed)?;
        }
        fs::write(folder.join("ca.crt"), authority.certificate()).map_err(failed)?;
        fs::write(folder.join("tls.crt"), certified.certificate).map_err(failed)?;
        fs::write(folder.join("tls.key"), certified.key).map_err(failed)?;
        let listeners = free_ports(address)?;
        let access = S3Access {
            endpoint: format!("http://{}", listeners[0]),
            tls_endpoint: format!("https://{}", listeners[1]),
            certificate_authority: authority.certificate().to_owned(),
            access_key: ROOT.0.to_owned(),
            secret_key: ROOT.1.to_owned(),
            buckets,
        };
        let (cluster, folder) = (cluster.clone(), folder.to_owned());
        let mut server = Self { detached, access, cluster, program, folder, listeners, processes: Vec::new() };
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
        for mut process in self.processes.drain(..) {
            process.kill().await.map_err(|source| S3Error::Run { folder: self.folder.clone(), source })?;
        }
        // What listens ends a moment after the process that is waited for, which entered the cluster for it.
        let deadline = Instant::now() + START_LIMIT;
        while self.listeners.iter().any(answers) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Starts what [`S3Server::pause`] has ended, under the same addresses.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn resume(&mut self) -> Result<(), S3Error> {
        if !self.processes.is_empty() {
            return Ok(());
        }
        for (listener, tls) in self.listeners.into_iter().zip([false, true]) {
            let process = self.spawn(listener, tls).map_err(|source| self.failed(source))?;
            self.processes.push(process);
        }
        for (number, listener) in self.listeners.into_iter().enumerate() {
            self.answered(number, listener).await?;
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

    /// Removes a user, whose requests are refused from then on.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn delete_user(&self, access_key: &str) -> Result<(), S3Error> {
        self.admin(&["delete-user", "--access", access_key]).await
    }

    fn failed(&self, source: io::Error) -> S3Error {
        S3Error::Run { folder: self.folder.clone(), source }
    }

    async fn admin(&self, arguments: &[&str]) -> Result<(), S3Error> {
        let mut command = Command::new(&self.program);
        command
            .args(["admin", "--access", &self.access.access_key, "--secret", &self.access.secret_key])
            .args(["--endpoint-url", &self.access.endpoint])
            .args(arguments);
        process::run(command, ADMIN_LIMIT).await.map(drop).map_err(S3Error::User)
    }

    fn spawn(&self, listener: SocketAddr, tls: bool) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(self.log(usize::from(tls)))?;
        // Unless it is detached, it ends with whoever started it: this process, or the one that has entered the cluster's
        // namespaces for it.
        let mut command = if self.detached {
            Command::from(self.cluster.network_command(&self.program))
        } else {
            let mut command = Command::from(self.cluster.network_command("setpriv"));
            command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program);
            command
        };
        command
            // What the user's terminal sends is not for the server: others may have to finish with it.
            .process_group(0)
            .args(["--quiet", "--port", &listener.to_string(), "--iam-cache-disable", "--iam-dir"])
            .arg(self.folder.join("users"))
            .env("ROOT_ACCESS_KEY", &self.access.access_key)
            .env("ROOT_SECRET_KEY", &self.access.secret_key);
        if tls {
            command.arg("--cert").arg(self.folder.join("tls.crt")).arg("--key").arg(self.folder.join("tls.key"));
        }
        command.arg("posix").arg(&self.access.buckets);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true).spawn()
    }

    fn log(&self, number: usize) -> PathBuf {
        self.folder.join(["s3.log", "s3-tls.log"][number])
    }

    /// A port cannot be watched before somebody listens, so it is tried until somebody does.
    async fn answered(&mut self, number: usize, address: SocketAddr) -> Result<(), S3Error> {
        let deadline = Instant::now() + START_LIMIT;
        while !answers(&address) {
            let ended = self.processes[number].try_wait().map_err(|source| self.failed(source))?.is_some();
            if ended || Instant::now() > deadline {
                let log = fs::read_to_string(self.log(number)).unwrap_or_default();
                return Err(S3Error::Silent { address, log: log.trim().to_owned() });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// Whether `process` is one of the server's: its number may be another program's by now.
fn is_server_in(folder: &Path, process: i32) -> bool {
    let arguments = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&arguments).split('\0').any(|argument| Path::new(argument) == folder.join(BUCKETS))
}

fn answers(address: &SocketAddr) -> bool {
    TcpStream::connect_timeout(address, PROBE_LIMIT).is_ok()
}

/// Two ports that nobody listens at. This machine cannot take them for another network namespace, so it only looks.
fn free_ports(address: IpAddr) -> Result<[SocketAddr; 2], S3Error> {
    let mut free = (FIRST_PORT..=u16::MAX).map(|port| SocketAddr::new(address, port)).filter(|at| !answers(at));
    free.next().zip(free.next()).map(<[SocketAddr; 2]>::from).ok_or(S3Error::NoPort(address))
}
