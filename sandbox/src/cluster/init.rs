//! The first process of a cluster's process namespace. When it ends, the system ends every process of the cluster.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufRead, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::wait::{WaitStatus, waitpid},
    unistd::Pid,
};

use super::{
    blueprint::{Blueprint, NodeBlueprint, NodeNumber},
    mounts::{self, MountError},
    services::{self, KUBELET, Service},
};

/// The line by which init says that it is there.
pub(super) const STARTED: &str = "started";

/// How `unshare` gives init namespaces of its own, of which it is the first process.
pub(super) const NAMESPACES: [&str; 8] =
    ["--mount", "--net", "--ipc", "--pid", "--fork", "--mount-proc", "--kill-child", "--"];

/// A service that ends sooner than this after its start is given as long before the next.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// How long a service waits for the socket of another.
const SOCKET_LIMIT: Duration = Duration::from_secs(30);

/// By how many percent the heap of a service grows before Go collects its garbage, instead of 100: several clusters share two
/// cores, and have memory enough.
const HEAP_GROWTH: &str = "400";

/// Why init gave up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The cluster's folder cannot be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The mounts are not as they should be.
    #[error("cannot set up the mounts of the cluster")]
    Mount(#[from] MountError),
    /// A service could not be started.
    #[error("cannot start {service}")]
    Start {
        /// The service.
        service: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system does not say which children have ended.
    #[error("cannot wait for the services")]
    Wait(#[source] Errno),
    /// Whoever started init ended before it said that all is ready.
    #[error("the guard of the cluster has gone")]
    Orphaned,
}

/// Sets up the mounts of a node of the cluster in `folder`, and runs its services: the first node's until standard input ends,
/// and a further one's until the first node ends, whose processes those of the others are too.
///
/// # Errors
/// When a mount fails or a service cannot be started. It does not return otherwise.
pub(super) fn run(folder: &Path, number: NodeNumber) -> Result<(), InitError> {
    let cluster = Blueprint::load(folder).map_err(file(folder))?;
    let node = NodeBlueprint::load(&cluster, number).map_err(file(folder))?;
    say_started().map_err(file(folder))?;
    // Who started this process says with a line that the network is ready, and the guard with the end of its input that the
    // cluster shall end. The latter is true too when the guard has been killed.
    wait_for_line(folder)?;
    let mut all = Vec::new();
    if number == NodeNumber::FIRST {
        thread::spawn(|| {
            drop(io::copy(&mut io::stdin().lock(), &mut io::sink()));
            process::exit(0);
        });
        all.extend(services::of_cluster(&cluster));
    }
    all.extend(services::of_node(&node));
    mounts::set_up(&node)?;
    write("/proc/sys/net/ipv4/ip_forward", "1")?;
    let mut supervisor = Supervisor { logs: node.file("logs"), running: HashMap::new() };
    for service in all {
        // A further node joins a cluster that is in use: pods are put there at once, and want their images.
        if number != NodeNumber::FIRST && service.name == KUBELET {
            wait_for_line(folder)?;
        }
        supervisor.start(service)?;
    }
    supervisor.supervise()
}

fn wait_for_line(folder: &Path) -> Result<(), InitError> {
    match io::stdin().lock().read_line(&mut String::new()).map_err(file(folder))? {
        0 => Err(InitError::Orphaned),
        _ => Ok(()),
    }
}

fn say_started() -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{STARTED}")?;
    stdout.flush()
}

fn file(path: &Path) -> impl Fn(io::Error) -> InitError + '_ {
    move |source| InitError::File { path: path.to_owned(), source }
}

fn write(path: &str, text: &str) -> Result<(), InitError> {
    fs::write(path, text).map_err(file(Path::new(path)))
}

struct Supervisor {
    logs: PathBuf,
    running: HashMap<Pid, (Service, Instant)>,
}

impl Supervisor {
    fn start(&mut self, service: Service) -> Result<(), InitError> {
        let failed = |source| InitError::Start { service: service.name, source };
        if let Some(socket) = &service.after {
            wait_for(socket).map_err(failed)?;
        }
        let log = self.logs.join(format!("{}.log", service.name));
        let log = File::options().create(true).append(true).open(&log).map_err(file(&log))?;
        let child = Command::new(&service.program)
            .args(&service.arguments)
            .env("GOGC", HEAP_GROWTH)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .spawn()
            .map_err(failed)?;
        let process = Pid::from_raw(child.id().cast_signed());
        self.running.insert(process, (service, Instant::now()));
        Ok(())
    }

    /// Starts a service again when it has ended, and lets go of every other process that has: the system hands those whose
    /// parents have ended to the first process.
    fn supervise(mut self) -> Result<(), InitError> {
        loop {
            let process = match waitpid(None, None) {
                Ok(WaitStatus::Exited(process, _) | WaitStatus::Signaled(process, ..)) => process,
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(errno) => return Err(InitError::Wait(errno)),
            };
            if let Some((service, since)) = self.running.remove(&process) {
                eprintln!("{} has ended after {:?}: starting it again", service.name, since.elapsed());
                thread::sleep(RESTART_PAUSE.saturating_sub(since.elapsed()));
                self.start(service)?;
            }
        }
    }
}

/// A socket cannot be watched before it is there, so it is tried until it answers.
fn wait_for(socket: &Path) -> io::Result<()> {
    let deadline = Instant::now() + SOCKET_LIMIT;
    loop {
        match UnixStream::connect(socket) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}
