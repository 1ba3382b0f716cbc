//! Nodes beside the first one: each with namespaces of its own inside of the cluster's, so that it ends with the cluster.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::{
    ClusterAccess, Node, NodeError, ReadinessError, VolumeError,
    blueprint::{Blueprint, FURTHER_NODES, NodeBlueprint, NodeNumber},
    cgroups::{self, CgroupError},
    init,
    network::{self, NetworkError},
    options::NodeOptions,
    readiness, services,
};
use crate::{
    images::ImageError,
    process,
    program::{self, ProgramError},
    progress::Progress,
};

/// How long its first process may take to say that it is there.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How many volumes it has.
const VOLUMES: u16 = 5;

/// Why there is no further node.
#[derive(Debug, thiserror::Error)]
pub enum FurtherNodeError {
    /// There are as many as there can be.
    #[error("a cluster can have {FURTHER_NODES} nodes beside the first one, and has them")]
    TooMany,
    /// A file of its folder could not be used, or its first process not be started.
    #[error("cannot start the node {node}")]
    Start {
        /// Its name.
        node: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The sandbox's own program is missing.
    #[error("the node needs a program")]
    Program(#[from] ProgramError),
    /// There is no control group for it.
    #[error("cannot set up the control groups of the node")]
    Cgroup(#[from] CgroupError),
    /// There is no link to it.
    #[error("cannot link the node to the first one")]
    Network(#[from] NetworkError),
    /// An image is missing.
    #[error("the node needs images that are made")]
    Images(#[from] ImageError),
    /// It refused an image.
    #[error("cannot furnish the node")]
    Node(#[from] NodeError),
    /// It did not become ready.
    #[error("the node did not become ready")]
    NotReady(#[from] ReadinessError),
    /// Its volumes could not be made.
    #[error("cannot give the node volumes")]
    Volume(#[from] VolumeError),
}

/// Adds the node of that number to the cluster in `folder`, with the images of those archives.
pub(super) async fn add(
    folder: &Path,
    access: &ClusterAccess,
    number: u8,
    options: NodeOptions,
    images: &[PathBuf],
    progress: &Progress,
) -> Result<Node, FurtherNodeError> {
    if number > FURTHER_NODES {
        return Err(FurtherNodeError::TooMany);
    }
    let number = NodeNumber(number);
    let name = number.name();
    progress.tell(&format!("starting the node {name}"));
    let failed = |source| FurtherNodeError::Start { node: name.clone(), source };
    let cluster = Blueprint::load(folder).map_err(failed)?;
    let blueprint = NodeBlueprint { number, options, cluster };
    services::write_node_configuration(&blueprint).and_then(|()| blueprint.save()).map_err(failed)?;
    cgroups::create(&blueprint.control_group())?;

    let first = access.namespaces_of.ok_or_else(|| failed(io::Error::other("the cluster is not the sandbox's")))?;
    let program = program::path().await?;
    let mut starting = start(&program, access, &blueprint).map_err(failed)?;
    let own = timeout(START_LIMIT, first_process(&mut starting))
        .await
        .map_err(|_| failed(io::ErrorKind::TimedOut.into()))?
        .map_err(failed)?;
    network::link_nodes(first, own, number.0).await?;
    let mut stdin = starting.stdin.take().ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
    stdin.write_all(b"go\n").await.map_err(failed)?;

    let node = Node::new(&blueprint, own, access);
    for archive in images {
        node.import_image(archive).await?;
    }
    stdin.write_all(b"join\n").await.map_err(failed)?;
    let client = readiness::client(access).await?;
    Box::pin(readiness::node_ready(&client, &name)).await?;
    node.reaches_services().await?;
    node.make_local_volumes(VOLUMES).await?;
    Ok(node)
}

/// Starts its first process, in new namespaces inside of the first node's, which waits for its network.
fn start(program: &Path, access: &ClusterAccess, node: &NodeBlueprint) -> io::Result<Child> {
    let log = File::create(node.file("logs").join("init.log"))?;
    Command::from(access.command("unshare"))
        .args(init::NAMESPACES)
        .arg(program)
        .args(["cluster-init", "--folder"])
        .arg(&node.cluster.folder)
        .args(["--node", &node.number.0.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        // It is not for the user's terminal to end it.
        .process_group(0)
        .spawn()
}

/// The number that this machine knows it by, once it is there.
async fn first_process(starting: &mut Child) -> io::Result<u32> {
    let stdout = starting.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut said = String::new();
    BufReader::new(stdout).read_line(&mut said).await?;
    if said.trim_end() != init::STARTED {
        return Err(io::Error::other("its first process ended at once: its init.log says why"));
    }
    // `nsenter` has started `unshare`, and that the process.
    let nsenter = starting.id().ok_or_else(|| io::Error::other("nsenter has ended"))?;
    process::only_child(process::only_child(nsenter)?)
}
