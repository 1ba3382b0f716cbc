//! A Kubernetes cluster to run the charm on.
//!
//! The embedded cluster is a handful of processes in namespaces of their own:
//!
//! ```text
//! owner ──► guard ──► unshare ──► init (process 1 of the cluster) ──► etcd, kube-apiserver, containerd, kubelet, …
//! ```
//!
//! When init ends, the system ends all of the cluster. Init ends when its standard input does, of which the guard holds the
//! other end; the guard ends when its own does, of which the owner holds the other end. So nothing outlives the owner,
//! however it ends; and the guard, which does outlive it by a moment, removes what a process leaves behind.

mod blueprint;
mod cgroups;
mod commands;
mod credentials;
mod detached;
mod further_node;
mod guard;
mod init;
mod kubeconfig;
mod leftovers;
mod mounts;
mod network;
mod node;
mod options;
mod readiness;
mod services;
mod volumes;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::Mutex,
};

pub use blueprint::MOST_NODES;
pub use commands::{HiddenCommand, HiddenCommandError};
pub use detached::{DetachedError, current, down, up};
pub use further_node::FurtherNodeError;
pub use kubeconfig::AccessError;
pub use node::{Node, NodeError};
pub use options::{ClusterOptions, NodeOptions, PodSecurityLevel};
pub use readiness::{ReadinessError, client};
pub use volumes::{LOCAL_STORAGE_CLASS, VolumeError};

use self::{
    blueprint::{Blueprint, Programs},
    guard::Notice,
    leftovers::LeftoversError,
    node::Containerd,
};
pub use crate::host::ClusterAccess;
use crate::{
    folders::{self, FolderError},
    images::{self, ImageError, Plugin},
    packages,
    preparation::{self, PreparationError},
    program::{self, ProgramError},
    progress::Progress,
    tools::{self, ToolError},
};

/// How long the guard may take for each thing that it says.
const GUARD_LIMIT: Duration = Duration::from_secs(30);

/// How long the guard may take to clean up.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// Why there is no embedded cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Only root can make a cluster.
    #[error("the embedded cluster makes namespaces and mounts, which only root may")]
    NotRoot,
    /// What it consists of is missing.
    #[error("the embedded cluster needs programs that are not there yet")]
    Preparation(#[from] PreparationError),
    /// A program is missing.
    #[error("the embedded cluster needs programs that are built")]
    Tool(#[from] ToolError),
    /// An image is missing.
    #[error("the embedded cluster needs images that are made")]
    Image(#[from] ImageError),
    /// The sandbox's own program is missing.
    #[error("the embedded cluster needs a program to guard it")]
    Program(#[from] ProgramError),
    /// The user has no folder for it.
    #[error("the embedded cluster needs a folder")]
    Folder(#[from] FolderError),
    /// Something is left of another cluster.
    #[error("cannot clean up after a cluster that was killed")]
    Leftovers(#[from] LeftoversError),
    /// The folder of the cluster, or the guard that works in it, could not be made or read.
    #[error("cannot start the guard of the cluster in {}", folder.display())]
    Guard {
        /// The cluster's folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The guard did not succeed.
    #[error("the cluster did not start: {reason}")]
    Failed {
        /// In the guard's words.
        reason: String,
    },
    /// The guard does not answer.
    #[error("the guard of the cluster said nothing for {0:?}")]
    Silent(Duration),
    /// The node refused what it has to be given.
    #[error("cannot furnish the node of the cluster")]
    Node(#[from] NodeError),
    /// The cluster did not become ready.
    #[error("the cluster did not become ready")]
    NotReady(#[from] ReadinessError),
    /// The volumes could not be made.
    #[error("cannot give the cluster volumes")]
    Volume(#[from] VolumeError),
}

/// How many volumes a new cluster has.
const VOLUMES: u16 = 60;

/// An embedded cluster that this process owns: it ends when this value is dropped, or when this process ends.
#[derive(Debug)]
pub struct Cluster {
    guard: Guard,
    node: Node,
    access: ClusterAccess,
    further_nodes: AtomicU8,
    images: Mutex<Images>,
}

/// The images that the nodes of a cluster have, and what takes them.
#[derive(Debug)]
struct Images {
    archives: Vec<PathBuf>,
    plugins: BTreeSet<Plugin>,
    nodes: Vec<Containerd>,
}

impl Cluster {
    /// Starts a cluster, and waits until pods can be made: it has [`LOCAL_STORAGE_CLASS`] volumes and the images of
    /// [`images::archives`]. What it needs and is not there yet is installed or built first, which takes minutes.
    ///
    /// # Errors
    /// When something that it needs cannot be had, or it does not become ready.
    pub async fn start(progress: &Progress) -> Result<Self, ClusterError> {
        Self::start_with(&ClusterOptions::default(), progress).await
    }

    /// Starts a cluster as [`Cluster::start`] does, with what `options` say.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn start_with(options: &ClusterOptions, progress: &Progress) -> Result<Self, ClusterError> {
        Box::pin(Self::start_in(None, options, progress)).await
    }

    /// Starts a cluster; with a `name`, its folder has that name.
    async fn start_in(name: Option<&str>, options: &ClusterOptions, progress: &Progress) -> Result<Self, ClusterError> {
        may_start()?;
        preparation::prepare(preparation::of_cluster(options.plugins.iter().copied()), progress).await?;
        let programs = Programs {
            kubernetes: tools::folder(&tools::KUBERNETES, progress).await?,
            etcd: tools::folder(&tools::ETCD, progress).await?,
        };
        let mut archives = images::archives(progress).await?;
        for plugin in &options.plugins {
            archives.push(images::plugin_archive(*plugin, progress).await?);
        }
        progress.tell("starting the cluster");
        let (mut guard, process) = Guard::start(&programs, name, options).await?;
        match Box::pin(furnish(&guard, process, &archives)).await {
            Ok((node, access)) => {
                let nodes = vec![node.containerd().clone()];
                let images = Mutex::new(Images { archives, plugins: options.plugins.clone(), nodes });
                Ok(Self { guard, node, access, further_nodes: AtomicU8::new(0), images })
            }
            Err(error) => {
                let error = guard.blame(error);
                guard.stop().await?;
                Err(error)
            }
        }
    }

    /// How to reach the cluster.
    #[must_use]
    pub fn access(&self) -> &ClusterAccess {
        &self.access
    }

    /// The cluster's first node, to give it images and volumes.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Adds a node, and waits until pods can be made on it: it has volumes and images as the first one has. It goes with the
    /// cluster.
    ///
    /// # Errors
    /// When there are three more than the first one already, or it does not become ready.
    pub async fn add_node(&self, options: NodeOptions, progress: &Progress) -> Result<Node, FurtherNodeError> {
        let number = self.further_nodes.fetch_add(1, Ordering::Relaxed) + 1;
        // Nobody must give the cluster an image that this node would lack.
        let mut images = self.images.lock().await;
        let folder = &self.guard.folder;
        let node = further_node::add(folder, &self.access, number, options, &images.archives, progress).await?;
        images.nodes.push(node.containerd().clone());
        Ok(node)
    }

    /// Gives all nodes, those that are added later too, the image of a plugin of Velero's, which is built if it has not been yet.
    ///
    /// # Errors
    /// When it cannot be built, or a node refuses it.
    pub async fn provide(&self, plugin: Plugin, progress: &Progress) -> Result<(), ClusterError> {
        let mut images = self.images.lock().await;
        if images.plugins.contains(&plugin) {
            return Ok(());
        }
        let archive = images::plugin_archive(plugin, progress).await?;
        for node in images.nodes.iter().filter(|node| !node.is_gone()) {
            node.import_image(&archive).await?;
        }
        images.plugins.insert(plugin);
        images.archives.push(archive);
        Ok(())
    }

    /// The cluster's folder, which goes with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.guard.folder
    }

    /// The folder with a log of each of the cluster's programs.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.guard.folder.join("logs")
    }

    /// The log of requests of a cluster that was started with that option: an event, as JSON, on each line.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.logs().join(blueprint::AUDIT_LOG)
    }

    /// Lets the cluster outlive this process, and writes down how to reach it.
    async fn detach(mut self) -> Result<ClusterAccess, ClusterError> {
        let folder = self.guard.folder.clone();
        let failed = |source| ClusterError::Guard { folder: folder.clone(), source };
        let process = self.guard.child.id().ok_or_else(|| failed(io::Error::other("the guard has ended")))?;
        detached::record(&folder, process, &self.access).map_err(failed)?;
        self.guard.detach().await.map_err(failed)?;
        Ok(self.access)
    }

    /// Ends the cluster, and returns when nothing is left of it.
    ///
    /// # Errors
    /// When something could not be removed.
    pub async fn stop(mut self) -> Result<(), ClusterError> {
        self.guard.stop().await
    }
}

/// The guard of a cluster. When this is dropped, the guard notices, and ends the cluster unless it has been detached.
#[derive(Debug)]
struct Guard {
    folder: PathBuf,
    child: Child,
    notices: Lines<BufReader<ChildStdout>>,
}

impl Guard {
    async fn start(
        programs: &Programs,
        name: Option<&str>,
        options: &ClusterOptions,
    ) -> Result<(Self, u32), ClusterError> {
        let clusters = clusters()?;
        let failed = |source| ClusterError::Guard { folder: clusters.clone(), source };
        // A folder without a guard is a leftover. Nobody must think so of the new one, as long as its guard is not there.
        let lock = leftovers::lock_all()?;
        fs::create_dir_all(&clusters).map_err(failed)?;
        leftovers::sweep(&clusters).await?;
        let folder = match name {
            Some(name) => fs::create_dir(clusters.join(name)).map(|()| clusters.join(name)),
            None => tempfile::Builder::new().prefix("owned-").tempdir_in(&clusters).map(tempfile::TempDir::keep),
        }
        .map_err(failed)?;
        let mut guard = Self::spawn(folder, programs, options).await?;
        guard.next_notice().await?;
        drop(lock);
        match guard.next_notice().await? {
            Notice::Running { process } => Ok((guard, process)),
            other => Err(ClusterError::Failed { reason: format!("its guard said {other:?}") }),
        }
    }

    async fn spawn(folder: PathBuf, programs: &Programs, options: &ClusterOptions) -> Result<Self, ClusterError> {
        let program = program::path().await?;
        let failed = |source| ClusterError::Guard { folder: folder.clone(), source };
        let log = File::create(folder.join("guard.log")).map_err(failed)?;
        let mut command = Command::new(program);
        command
            .args(["cluster-guard", "--folder"])
            .arg(&folder)
            .arg("--kubernetes")
            .arg(&programs.kubernetes)
            .arg("--etcd")
            .arg(&programs.etcd)
            .args(["--options", &options.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // Of all that the cluster runs, some is where only an administrator's PATH leads.
            .env("PATH", packages::path())
            // What the user's terminal sends to this process is not for the guard: it has to clean up afterwards.
            .process_group(0);
        let mut child = command.spawn().map_err(failed)?;
        let Some(stdout) = child.stdout.take() else {
            return Err(failed(io::Error::other("the guard has no standard output")));
        };
        Ok(Self { folder, child, notices: BufReader::new(stdout).lines() })
    }

    async fn next_notice(&mut self) -> Result<Notice, ClusterError> {
        let failed = |source| ClusterError::Guard { folder: self.folder.clone(), source };
        let line = tokio::time::timeout(GUARD_LIMIT, self.notices.next_line())
            .await
            .map_err(|_| ClusterError::Silent(GUARD_LIMIT))?
            .map_err(failed)?;
        let Some(line) = line else {
            let reason = fs::read_to_string(self.folder.join("guard.log")).unwrap_or_default();
            return Err(ClusterError::Failed { reason: format!("its guard ended: {}", reason.trim()) });
        };
        match serde_json::from_str(&line).map_err(|error| failed(error.into()))? {
            Notice::Failed { reason } => Err(ClusterError::Failed { reason }),
            notice => Ok(notice),
        }
    }

    /// The end of the cluster's logs tells more of a cluster that did not become ready than that it did not.
    fn blame(&self, error: ClusterError) -> ClusterError {
        match error {
            ClusterError::NotReady(error) => {
                let logs = readiness::last_words(&self.folder.join("logs"));
                ClusterError::Failed { reason: format!("{}\n{logs}", crate::error::chain(&error)) }
            }
            other => other,
        }
    }

    /// Lets the cluster outlive this process.
    async fn detach(&mut self) -> io::Result<()> {
        let gone = || io::Error::other("the guard has ended");
        let stdin = self.child.stdin.as_mut().ok_or_else(gone)?;
        stdin.write_all(format!("{}\n", guard::DETACH).as_bytes()).await?;
        stdin.flush().await
    }

    async fn stop(&mut self) -> Result<(), ClusterError> {
        let failed = |source| ClusterError::Guard { folder: self.folder.clone(), source };
        drop(self.child.stdin.take());
        if let Some(process) = self.child.id() {
            detached::terminate(process).map_err(failed)?;
        }
        let status = tokio::time::timeout(STOP_LIMIT, self.child.wait())
            .await
            .map_err(|_| ClusterError::Silent(STOP_LIMIT))?
            .map_err(failed)?;
        if status.success() {
            return Ok(());
        }
        self.next_notice().await.map(drop)
    }
}

/// Whether this user may start a cluster.
///
/// # Errors
/// When they are not root.
pub fn may_start() -> Result<(), ClusterError> {
    if nix::unistd::geteuid().is_root() { Ok(()) } else { Err(ClusterError::NotRoot) }
}

/// Gives the new cluster what pods need, and waits until it is ready for them.
async fn furnish(guard: &Guard, process: u32, archives: &[PathBuf]) -> Result<(Node, ClusterAccess), ClusterError> {
    let folder = &guard.folder;
    let failed = |source| ClusterError::Guard { folder: folder.clone(), source };
    let blueprint = Blueprint::load(folder).map_err(failed)?;
    let access = ClusterAccess {
        kubeconfig: blueprint.kubeconfig(),
        namespaces_of: Some(process),
        service_host: network::KUBERNETES_SERVICE.to_string(),
        service_port: 443,
        certificate_authority: fs::read_to_string(blueprint.certificate_authority()).map_err(failed)?,
        server_address: blueprint.link.node().into(),
        nameserver: Some(blueprint.link.node().into()),
    };
    let node = Node::new(&blueprint.first_node(), process, &access);
    let images = async {
        for archive in archives {
            node.import_image(archive).await?;
        }
        Ok::<(), ClusterError>(())
    };
    let objects = async {
        let client = readiness::client(&access).await?;
        readiness::answer(&client).await?;
        let volumes = async {
            volumes::create_storage(&access).await?;
            Ok::<(), ClusterError>(node.make_local_volumes(VOLUMES).await?)
        };
        let settled = async {
            Box::pin(readiness::settle(&client)).await?;
            Ok::<(), ClusterError>(node.reaches_services().await?)
        };
        tokio::try_join!(volumes, settled).map(drop)
    };
    tokio::try_join!(images, objects)?;
    Ok((node, access))
}

/// The folder of all clusters of this user, which is there when one is.
fn clusters() -> Result<PathBuf, FolderError> {
    Ok(folders::state()?.join("clusters"))
}
