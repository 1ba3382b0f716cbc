//! What one cluster is made of: its folder, its addresses and its programs.

use std::{
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    network::{self, Link},
    options::{ClusterOptions, NodeOptions},
};

/// The name of the first node.
pub const NODE: &str = "sandbox";

/// The port of the API server.
pub const API_PORT: u16 = 6443;

/// The name of the log of requests.
pub(super) const AUDIT_LOG: &str = "audit.log";

/// The file of a cluster's folder that says what there is to clean up when the cluster is gone.
const FILE: &str = "cluster.json";

/// The programs of a cluster that are built and not installed: the folders of their builds.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Programs {
    /// The folder of the programs of Kubernetes.
    pub kubernetes: PathBuf,
    /// The folder of etcd.
    pub etcd: PathBuf,
}

/// All that the parts of a cluster need to know of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Blueprint {
    /// The cluster's folder, which holds all that it writes.
    pub folder: PathBuf,
    /// Its link to this machine.
    pub link: Link,
    /// Its programs.
    pub programs: Programs,
    /// What it has beside what every one has.
    pub options: ClusterOptions,
}

/// As many nodes can be added to a cluster: their kubelets' certificates are made with all others, as the key that signs them
/// is then written nowhere.
pub(super) const FURTHER_NODES: u8 = MOST_NODES - 1;

/// As many nodes a cluster can have.
pub const MOST_NODES: u8 = 4;

/// The number of a node of a cluster: the first one is 0.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct NodeNumber(pub u8);

impl NodeNumber {
    /// The first node, which runs the services of the whole cluster too.
    pub const FIRST: Self = Self(0);

    /// Those that can be added.
    pub fn further() -> impl Iterator<Item = Self> {
        (1..=FURTHER_NODES).map(Self)
    }

    /// The node's name.
    #[must_use]
    pub fn name(self) -> String {
        if self == Self::FIRST { NODE.to_owned() } else { format!("{NODE}-{}", self.0 + 1) }
    }

    /// The kubeconfig of its kubelet, in the cluster's folder.
    #[must_use]
    pub fn kubeconfig(self) -> String {
        format!("{}.kubeconfig", if self == Self::FIRST { "kubelet".to_owned() } else { self.name() })
    }
}

/// All that the parts of a node need to know of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct NodeBlueprint {
    /// Its number.
    pub number: NodeNumber,
    /// What it is like.
    pub options: NodeOptions,
    /// The cluster that it belongs to.
    pub cluster: Blueprint,
}

impl NodeBlueprint {
    /// The file of a node's folder that says what it is like.
    const FILE: &str = "node.json";

    /// The folder that holds all that the node writes: the first one's is the cluster's.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.cluster.node_folder(self.number)
    }

    /// A file of the node's folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The node's address: pods, nodes and, the first one's, this machine too reach it.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        if self.number == NodeNumber::FIRST { self.cluster.link.node() } else { network::node_address(self.number.0) }
    }

    /// Where its containerd listens, inside of its mount namespace. That begins with what the first node has mounted, so a further
    /// node's socket must not be taken for the first one's.
    #[must_use]
    pub fn containerd_socket(&self) -> PathBuf {
        let folder = if self.number == NodeNumber::FIRST { "containerd".to_owned() } else { self.number.name() };
        Path::new("/run").join(folder).join("containerd.sock")
    }

    /// Its control group in every hierarchy, below the cluster's.
    #[must_use]
    pub fn control_group(&self) -> String {
        let cluster = self.cluster.link.unique_name();
        if self.number == NodeNumber::FIRST { cluster } else { format!("{cluster}/{}", self.number.name()) }
    }

    /// Writes it into the node's folder, for the node's own first process.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self) -> io::Result<()> {
        fs::write(self.file(Self::FILE), serde_json::to_vec(self)?)
    }

    /// Reads it from the node's folder.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn load(cluster: &Blueprint, number: NodeNumber) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(cluster.node_folder(number).join(Self::FILE))?)?)
    }
}

impl Blueprint {
    /// Writes it into the cluster's folder.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self) -> io::Result<()> {
        fs::write(self.folder.join(FILE), serde_json::to_vec(self)?)
    }

    /// Reads it from the cluster's folder.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn load(folder: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(folder.join(FILE))?)?)
    }

    /// A file of the cluster's folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Its first node.
    pub(super) fn first_node(&self) -> NodeBlueprint {
        NodeBlueprint { number: NodeNumber::FIRST, options: self.options.node.clone(), cluster: self.clone() }
    }

    /// The folder of a node.
    pub(super) fn node_folder(&self, number: NodeNumber) -> PathBuf {
        if number == NodeNumber::FIRST { self.folder.clone() } else { self.folder.join("nodes").join(number.name()) }
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.file("kubeconfig")
    }

    /// The certificate authority of the API server, as PEM.
    #[must_use]
    pub fn certificate_authority(&self) -> PathBuf {
        self.file("pki/ca.crt")
    }

    /// The log of requests, when there is one.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.logs().join(AUDIT_LOG)
    }

    /// The folder with a log of each service.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.file("logs")
    }

    /// The API server's address for everybody but pods.
    #[must_use]
    pub fn api_server(&self) -> String {
        format!("https://{}:{API_PORT}", self.link.node())
    }
}
