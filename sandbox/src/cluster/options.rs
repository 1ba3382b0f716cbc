//! What a cluster may have beside what every one has.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::images::Plugin;

/// A level of the pod security standards.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PodSecurityLevel {
    /// Keeps nothing out.
    Privileged,
    /// Keeps out what is known to give a pod rights over its node.
    Baseline,
    /// Keeps out what is not hardened.
    Restricted,
}

/// What a cluster is to have beside what every one has.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ClusterOptions {
    /// Whether the API server keeps a log of the requests of service accounts.
    #[serde(default)]
    pub audit: bool,
    /// The level of the pod security standards that the API server enforces in every namespace that does not say another, those
    /// of Kubernetes itself aside; none unless it is set.
    #[serde(default)]
    pub pod_security: Option<PodSecurityLevel>,
    /// The plugins of Velero's whose images it has from the start.
    #[serde(default)]
    pub plugins: BTreeSet<Plugin>,
    /// What its first node is to be like.
    #[serde(default)]
    pub node: NodeOptions,
}

/// What a node is to be like.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct NodeOptions {
    /// Where its kubelet keeps its files: an absolute path below `/var`, of which the cluster has a copy of its own.
    pub kubelet_root: PathBuf,
    /// The labels that its kubelet gives it, as `key=value`.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Features of its kubelet that are on or off other than by default.
    #[serde(default)]
    pub feature_gates: BTreeMap<String, bool>,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self { kubelet_root: "/var/lib/kubelet".into(), labels: Vec::new(), feature_gates: BTreeMap::new() }
    }
}

/// As one word, for the programs that a cluster runs of the sandbox.
impl fmt::Display for ClusterOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for ClusterOptions {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}
