//! What one cluster is made of: its folder, its addresses and its programs.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::network::Link;

/// The name of the only node.
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
    /// Whether its API server keeps an audit log.
    #[serde(default)]
    pub audit: bool,
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
