//! A program that listens next to a cluster, and is reached by its pods, the charm and this machine under the same address.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File},
    io,
    net::{IpAddr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child, Command};

use super::ClusterAccess;

/// How long a program may take to listen after its start, and to let go of its port after its end.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How long a program may take to write down what it holds in memory before it is ended.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(10);

/// How long a port may take to answer that nobody is there.
const PROBE_LIMIT: Duration = Duration::from_millis(200);

/// The file of the processes of detached programs, inside of their folder.
const PROCESSES: &str = "processes.json";

/// Why a program does not listen, or does not end.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The program cannot be run, or not be ended.
    #[error("cannot run {}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The folder of detached programs cannot be used.
    #[error("cannot use {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no free port.
    #[error("all ports from {first} on are in use at {address}")]
    NoPort {
        /// Where a port was looked for.
        address: IpAddr,
        /// The first one that was tried.
        first: u16,
    },
    /// The program ended, or does not answer.
    #[error("{} does not answer at {address}: {log}", program.display())]
    Silent {
        /// The program.
        program: PathBuf,
        /// Where it should listen.
        address: SocketAddr,
        /// What it wrote to its log.
        log: String,
    },
}

/// How long a program runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lifetime {
    /// As long as the value that stands for it, and no longer than this process.
    Owned,
    /// Until its embedded cluster ends, or [`end_detached`].
    Detached,
}

/// A program that listens at one address.
#[derive(Debug)]
pub(crate) struct Daemon {
    cluster: ClusterAccess,
    lifetime: Lifetime,
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    address: SocketAddr,
    log: PathBuf,
    has_last_words: bool,
    process: Option<Child>,
}

impl Daemon {
    /// A program that is to listen at `address` and to write what it says to the file `log`. It does not run yet.
    pub(crate) fn new(
        cluster: &ClusterAccess,
        lifetime: Lifetime,
        program: &Path,
        address: SocketAddr,
        log: PathBuf,
    ) -> Self {
        Self {
            cluster: cluster.clone(),
            lifetime,
            program: program.to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            address,
            log,
            has_last_words: false,
            process: None,
        }
    }

    /// The same program, if it holds in memory what it is to have again after its next start: it is asked to end before it is
    /// ended.
    pub(crate) fn with_last_words(mut self) -> Self {
        self.has_last_words = true;
        self
    }

    /// The same program with one more argument.
    pub(crate) fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// The same program with these arguments, too.
    pub(crate) fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// The same program with another value of an environment variable.
    pub(crate) fn variable(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.set_variable(name, value);
        self
    }

    /// Gives an environment variable another value, from the next start on.
    pub(crate) fn set_variable(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, value.into()));
    }

    /// Starts the program, unless it runs, and returns when it listens.
    pub(crate) async fn start(&mut self) -> Result<(), DaemonError> {
        if self.process.is_none() {
            self.process = Some(self.spawn().map_err(|source| self.failed(source))?);
        }
        // A port cannot be watched before somebody listens, so it is tried until somebody does.
        let deadline = Instant::now() + START_LIMIT;
        while !answers(&self.address) {
            let ended = match &mut self.process {
                Some(process) => process.try_wait().map(|status| status.is_some()),
                None => Ok(true),
            };
            if ended.map_err(|source| self.failed(source))? || Instant::now() > deadline {
                let log = fs::read_to_string(&self.log).unwrap_or_default().trim().to_owned();
                return Err(DaemonError::Silent { program: self.program.clone(), address: self.address, log });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Ends the program, and returns when it listens no more.
    pub(crate) async fn stop(&mut self) -> Result<(), DaemonError> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        if self.has_last_words {
            ask_to_end(&mut process).await;
        }
        process.kill().await.map_err(|source| self.failed(source))?;
        // What listens ends a moment after the process that is waited for, which entered the cluster for it.
        let deadline = Instant::now() + START_LIMIT;
        while answers(&self.address) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    fn spawn(&self) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        // Unless it is detached, it ends with whoever started it: this process, or the one that has entered the cluster's
        // namespaces for it.
        let mut command = match self.lifetime {
            Lifetime::Detached => Command::from(self.cluster.network_command(&self.program)),
            Lifetime::Owned => {
                let mut command = Command::from(self.cluster.network_command("setpriv"));
                command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program);
                command
            }
        };
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            // What the user's terminal sends is not for the server: others may have to finish with it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
    }

    fn failed(&self, source: io::Error) -> DaemonError {
        DaemonError::Run { program: self.program.clone(), source }
    }
}

/// Asks a program to end, and waits a while until it has.
async fn ask_to_end(process: &mut Child) {
    let Some(number) = process.id() else { return };
    // Inside of a cluster's namespaces the program is the child of the one that entered them.
    let children = fs::read_to_string(format!("/proc/{number}/task/{number}/children")).unwrap_or_default();
    let child = children.split_whitespace().find_map(|child| child.parse().ok());
    // A program that has ended meanwhile cannot be asked, and need not be.
    let _ = kill(Pid::from_raw(child.unwrap_or_else(|| number.cast_signed())), Signal::SIGTERM);
    let _ = tokio::time::timeout(LAST_WORDS_LIMIT, process.wait()).await;
}

/// Lets programs that were started as [`Lifetime::Detached`] outlive this process, and notes them in `folder`, to which an
/// argument of each leads.
pub(crate) fn detach(folder: &Path, daemons: impl IntoIterator<Item = Daemon>) -> Result<(), DaemonError> {
    let processes: Vec<Child> = daemons.into_iter().filter_map(|daemon| daemon.process).collect();
    let numbers: Vec<_> = processes.iter().filter_map(Child::id).collect();
    let text = serde_json::to_vec(&numbers).map_err(io::Error::from);
    text.and_then(|text| fs::write(folder.join(PROCESSES), text)).map_err(unusable(folder))?;
    for process in processes {
        // Dropped, it would be ended.
        std::mem::forget(process);
    }
    Ok(())
}

/// Ends what was detached in `folder`, if it still runs.
pub(crate) fn end_detached(folder: &Path) -> Result<(), DaemonError> {
    let failed = unusable(folder);
    let text = match fs::read(folder.join(PROCESSES)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read.map_err(&failed)?,
    };
    let processes: Vec<i32> = serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
    for process in processes.into_iter().filter(|process| is_of(folder, *process)) {
        match kill(Pid::from_raw(process), Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
    }
    fs::remove_file(folder.join(PROCESSES)).map_err(failed)
}

fn unusable(folder: &Path) -> impl Fn(io::Error) -> DaemonError {
    let folder = folder.to_owned();
    move |source| DaemonError::Folder { folder: folder.clone(), source }
}

/// Whether `process` is one of those of the folder: its number may be another program's by now.
fn is_of(folder: &Path, process: i32) -> bool {
    let arguments = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&arguments).split('\0').any(|argument| Path::new(argument).starts_with(folder))
}

fn answers(address: &SocketAddr) -> bool {
    TcpStream::connect_timeout(address, PROBE_LIMIT).is_ok()
}

/// The first `COUNT` ports from `first` on that nobody listens at, and that this process has not given to another program: one
/// that is paused wants to listen there again. This machine cannot take them for another network namespace, so it only looks.
pub(crate) fn free_ports<const COUNT: usize>(address: IpAddr, first: u16) -> Result<[SocketAddr; COUNT], DaemonError> {
    static GIVEN: Mutex<BTreeSet<SocketAddr>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let free =
        (first..=u16::MAX).map(|port| SocketAddr::new(address, port)).filter(|at| !given.contains(at) && !answers(at));
    let ports: Vec<_> = free.take(COUNT).collect();
    given.extend(&ports);
    ports.try_into().map_err(|_| DaemonError::NoPort { address, first })
}
