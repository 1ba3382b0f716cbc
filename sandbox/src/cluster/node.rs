//! A node of an embedded cluster.

use std::{
    ffi::OsStr,
    io,
    net::Ipv4Addr,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::Command;

use super::{
    ClusterAccess,
    blueprint::NodeBlueprint,
    volumes::{self, VolumeError},
};
use crate::process::{self, ProcessError};

/// How long containerd may take to start.
const CONTAINERD_LIMIT: Duration = Duration::from_secs(30);

/// How long kube-proxy may take until the first service is reached.
const SERVICES_LIMIT: Duration = Duration::from_mins(2);

/// How long one try to reach a service may take.
const TRY_LIMIT: Duration = Duration::from_secs(10);

/// How long containerd may take for one image.
const IMAGE_LIMIT: Duration = Duration::from_mins(2);

/// Why the node cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// containerd does not answer.
    #[error("containerd did not answer within {CONTAINERD_LIMIT:?}")]
    Silent(#[source] io::Error),
    /// containerd refused the image.
    #[error("containerd does not take the image {image}")]
    Image {
        /// The image's name or archive.
        image: String,
        /// What it said.
        #[source]
        source: ProcessError,
    },
    /// No service is reached from the node.
    #[error("the node {node} did not reach the API server at its service's address within {SERVICES_LIMIT:?}")]
    Services {
        /// The node's name.
        node: String,
        /// What the last try said.
        #[source]
        source: ProcessError,
    },
}

/// A node of an embedded cluster.
#[derive(Debug)]
pub struct Node {
    name: String,
    folder: PathBuf,
    process: u32,
    address: Ipv4Addr,
    containerd: Containerd,
    access: ClusterAccess,
    volumes: AtomicU16,
}

/// The container runtime of a node.
#[derive(Clone, Debug)]
pub(super) struct Containerd {
    /// The node's first process.
    process: u32,
    socket: PathBuf,
    access: ClusterAccess,
}

impl Node {
    /// The node whose first process is `process`. `access` leads into the first node's namespaces, and the node's own into its.
    pub(super) fn new(blueprint: &NodeBlueprint, process: u32, access: &ClusterAccess) -> Self {
        let access = ClusterAccess { namespaces_of: Some(process), ..access.clone() };
        Self {
            name: blueprint.number.name(),
            folder: blueprint.cluster.folder.clone(),
            process,
            address: blueprint.address(),
            containerd: Containerd { process, socket: blueprint.containerd_socket(), access: access.clone() },
            access,
            volumes: AtomicU16::new(0),
        }
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Ends every process of the node at once, as a power cut does. The cluster goes on to know it.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn power_off(&self) -> io::Result<()> {
        // The first process of a namespace takes all others of it with it.
        match kill(Pid::from_raw(self.process.cast_signed()), Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The node's address, which pods, programs inside of the cluster's namespaces and this machine all reach.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Takes the image of an OCI archive, under the name that the archive says.
    ///
    /// # Errors
    /// When containerd does not answer or does not take it.
    pub async fn import_image(&self, archive: &Path) -> Result<(), NodeError> {
        self.containerd.import_image(archive).await
    }

    /// What takes the node's images.
    pub(super) fn containerd(&self) -> &Containerd {
        &self.containerd
    }

    /// Gives the image `known` one more name, both in full, such as `docker.io/velero/velero:v1.18.3`.
    ///
    /// # Errors
    /// When containerd does not know the image.
    pub async fn tag_image(&self, known: &str, name: &str) -> Result<(), NodeError> {
        let failed = |source| NodeError::Image { image: name.to_owned(), source };
        let arguments = ["images", "tag", "--force", known, name].map(OsStr::new);
        self.containerd.ctr(&arguments).await.map(drop).map_err(failed)
    }

    /// Waits until a connection to the API server's service gets through. A node is ready before kube-proxy has written its rules,
    /// and a pod that is started between the two reaches nothing.
    ///
    /// # Errors
    /// When it takes too long.
    pub(super) async fn reaches_services(&self) -> Result<(), NodeError> {
        let deadline = Instant::now() + SERVICES_LIMIT;
        let port = self.access.service_port.to_string();
        loop {
            let mut connection = Command::from(self.access.command("busybox"));
            connection.args(["nc", "-w", "5", &self.access.service_host, &port]);
            match process::run(connection, TRY_LIMIT).await {
                Ok(_) => return Ok(()),
                Err(source) if Instant::now() > deadline => {
                    return Err(NodeError::Services { node: self.name.clone(), source });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Makes `count` more volumes of the class [`volumes::LOCAL_STORAGE_CLASS`]: each is used once.
    ///
    /// # Errors
    /// When a folder or an object cannot be made.
    pub async fn make_local_volumes(&self, count: u16) -> Result<(), VolumeError> {
        let first = self.volumes.fetch_add(count, Ordering::Relaxed);
        volumes::create(&self.access, &self.folder, &self.name, first..first + count).await
    }
}

impl Containerd {
    /// Takes the image of an OCI archive, under the name that the archive says.
    pub(super) async fn import_image(&self, archive: &Path) -> Result<(), NodeError> {
        self.answers().await?;
        let failed = |source| NodeError::Image { image: archive.display().to_string(), source };
        let arguments = ["images".as_ref(), "import".as_ref(), archive.as_os_str()];
        self.ctr(&arguments).await.map(drop).map_err(failed)
    }

    /// Whether its node has been powered off.
    pub(super) fn is_gone(&self) -> bool {
        !Path::new(&format!("/proc/{}", self.process)).exists()
    }

    async fn ctr(&self, arguments: &[&OsStr]) -> Result<String, ProcessError> {
        let mut command = Command::from(self.access.command("ctr"));
        command.arg("--address").arg(&self.socket).args(["--namespace", "k8s.io"]).args(arguments);
        process::run(command, IMAGE_LIMIT).await
    }

    /// A socket cannot be watched before it is there, so it is tried until it answers.
    async fn answers(&self) -> Result<(), NodeError> {
        let socket = PathBuf::from(format!("/proc/{}/root{}", self.process, self.socket.display()));
        let deadline = Instant::now() + CONTAINERD_LIMIT;
        loop {
            match UnixStream::connect(&socket) {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(NodeError::Silent(error)),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}
