//! The file system of a charm process: the host's, with Juju's and Kubernetes' files where a pod has them.
//!
//! Everything is mounted in a private namespace, on memory; the real file system is never written.

use std::fs::{self, File, OpenOptions};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::libc::O_PATH;
use nix::mount::{MsFlags, mount};

use super::super::wire::{EXEC_SOCKET, JUJU_EXEC, TOOLS};
use super::Surroundings;

const SERVICE_ACCOUNT: &str = "/run/secrets/kubernetes.io/serviceaccount";

/// Where the system has the certificates of all authorities that it trusts.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where the system has whom to ask for names.
const RESOLVER: &str = "/etc/resolv.conf";

/// Arranges the files and returns the charm's directory as its process sees it.
pub(super) fn arrange(surroundings: &Surroundings) -> Result<PathBuf, String> {
    mount_with(None, Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;
    // Opened before anything is covered: the sources may lie below what gets covered.
    let charm = Source::open(&surroundings.charm_directory)?;
    let socket = Source::open(&surroundings.socket)?;
    let exec_socket = surroundings.exec_socket.as_deref().map(Source::open).transpose()?;
    let program = Source::open(&surroundings.tools_program)?;
    let resolver = Resolver::read();

    cover("/run")?;
    if let Some(resolver) = resolver {
        resolver.restore()?;
    }
    let account = Path::new(SERVICE_ACCOUNT);
    create_directory(account)?;
    for (name, content) in &surroundings.service_account {
        let path = account.join(name);
        fs::write(&path, content).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }

    if let Some(nameserver) = surroundings.nameserver {
        ask(nameserver)?;
    }
    if let Some(authority) = &surroundings.authority {
        trust(authority)?;
    }

    cover("/var/lib")?;
    let juju = Path::new("/var/lib/juju");
    let agent = juju.join("agents").join(&surroundings.unit_tag);
    let charm_directory = agent.join("charm");
    create_directory(&charm_directory)?;
    charm.bind_to(&charm_directory)?;
    bind_file(&socket, &agent.join("agent.socket"))?;

    let tools = juju.join("tools").join(&surroundings.unit_tag);
    create_directory(&tools)?;
    bind_file(&program, &tools.join("jujud"))?;
    if let Some(socket) = &exec_socket {
        bind_file(socket, &agent.join(EXEC_SOCKET))?;
    }
    // In a pod it is in `/usr/bin`, which is this machine's here.
    for tool in TOOLS.iter().copied().chain(exec_socket.map(|_| JUJU_EXEC)) {
        let link = tools.join(tool);
        symlink("jujud", &link).map_err(|error| format!("cannot link {}: {error}", link.display()))?;
    }
    Ok(charm_directory)
}

/// A file or directory held open, so that it can be mounted elsewhere after its path is covered.
struct Source(File);

impl Source {
    fn open(path: &Path) -> Result<Self, String> {
        OpenOptions::new()
            .read(true)
            .custom_flags(O_PATH)
            .open(path)
            .map(Self)
            .map_err(|error| format!("cannot open {}: {error}", path.display()))
    }

    fn bind_to(&self, target: &Path) -> Result<(), String> {
        let path = PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()));
        mount_with(Some(&path), target, None, MsFlags::MS_BIND)
    }
}

/// Where names are looked up: often a link into `/run`, which a pod has a file of its own for.
struct Resolver {
    path: PathBuf,
    content: Vec<u8>,
}

impl Resolver {
    fn read() -> Option<Self> {
        let path = fs::canonicalize(RESOLVER).ok()?;
        let content = fs::read(&path).ok()?;
        path.starts_with("/run").then_some(Self { path, content })
    }

    fn restore(&self) -> Result<(), String> {
        if let Some(parent) = self.path.parent() {
            create_directory(parent)?;
        }
        fs::write(&self.path, &self.content).map_err(|error| format!("cannot write {}: {error}", self.path.display()))
    }
}

/// Has names looked up there alone, as in a pod: what is nobody's name in the cluster leads nowhere.
fn ask(nameserver: IpAddr) -> Result<(), String> {
    let own = Path::new("/run/names-of-the-cluster");
    let content = format!("nameserver {nameserver}\noptions timeout:1 attempts:1\n");
    fs::write(own, content).map_err(|error| format!("cannot write {}: {error}", own.display()))?;
    let usual = fs::canonicalize(RESOLVER).map_err(|error| format!("cannot find {RESOLVER}: {error}"))?;
    Source::open(own)?.bind_to(&usual)
}

/// Lets the system trust one more authority.
fn trust(authority: &str) -> Result<(), String> {
    let (system, more) = (Path::new(AUTHORITIES), Path::new("/run/ca-certificates.crt"));
    let certificates = fs::read_to_string(system).map_err(|error| format!("cannot read {AUTHORITIES}: {error}"))?;
    fs::write(more, certificates + authority).map_err(|error| format!("cannot write {}: {error}", more.display()))?;
    Source::open(more)?.bind_to(system)
}

fn bind_file(source: &Source, target: &Path) -> Result<(), String> {
    File::create(target).map_err(|error| format!("cannot create {}: {error}", target.display()))?;
    source.bind_to(target)
}

fn create_directory(path: &Path) -> Result<(), String> {
    fs::create_dir_all(path).map_err(|error| format!("cannot create {}: {error}", path.display()))
}

fn cover(path: &str) -> Result<(), String> {
    mount_with(Some(Path::new("tmpfs")), Path::new(path), Some("tmpfs"), MsFlags::empty())
}

fn mount_with(source: Option<&Path>, target: &Path, kind: Option<&str>, flags: MsFlags) -> Result<(), String> {
    mount(source, target, kind, flags, None::<&str>)
        .map_err(|error| format!("cannot mount {}: {error}", target.display()))
}
