//! The directory in which kubelets keep the volumes of pods, and how it is found out. No I/O here.
//!
//! The Kubernetes API does not say it. What does, the surest first: a node agent that runs, which looks at its start whether
//! the pods of its node are there; the kubelet, which from Kubernetes 1.36 on tells its flags; the label of a distribution that
//! keeps it elsewhere than all others do.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::api::apps::v1::DaemonSet;

use super::observed::{is_probed, runs_everywhere};
use crate::velero::wanted::KubeletRoot;

/// Where kubelets keep their files unless they are told otherwise.
const DEFAULT: &str = "/var/lib/kubelet";

/// The labels by which distributions mark their nodes whose kubelets are told otherwise, and what these are told.
const DISTRIBUTIONS: [(&str, &str); 2] = [
    ("microk8s.io/cluster", "/var/snap/microk8s/common/var/lib/kubelet"),
    ("node.k0sproject.io/role", "/var/lib/k0s/kubelet"),
];

/// The volume of the node agent that holds the pods of its node.
const PODS_VOLUME: &str = "host-pods";

/// As many nodes of each directory are named as a status has room for.
const NODES_NAMED: usize = 3;

/// What is known of a node.
#[derive(Clone, Debug)]
pub(crate) struct NodeFacts {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The directory that its kubelet tells.
    pub told: Option<KubeletRoot>,
}

impl NodeFacts {
    fn root(&self) -> KubeletRoot {
        let by_label = || {
            let distribution = DISTRIBUTIONS.iter().find(|(label, _)| self.labels.contains_key(*label));
            KubeletRoot::known(distribution.map_or(DEFAULT, |(_, root)| root))
        };
        self.told.clone().unwrap_or_else(by_label)
    }
}

/// The directory of all nodes, as far as there is one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FoundRoot {
    /// It is the same on all nodes.
    Common(KubeletRoot),
    /// It is not.
    Several {
        /// Which nodes have which.
        roots: SeveralRoots,
        /// The one that the node agent uses now.
        current: Option<KubeletRoot>,
    },
}

/// The directories of nodes that do not all have the same, each with the names of its nodes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SeveralRoots(BTreeMap<KubeletRoot, Vec<String>>);

impl fmt::Display for SeveralRoots {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the nodes' kubelets keep their files in different directories, ")?;
        for (number, (root, nodes)) in self.0.iter().enumerate() {
            let separator = if number > 0 { "; " } else { "" };
            let named = nodes.iter().take(NODES_NAMED).cloned().collect::<Vec<_>>().join(", ");
            write!(formatter, "{separator}{root} on {named}")?;
            if nodes.len() > NODES_NAMED {
                write!(formatter, " and {} more", nodes.len() - NODES_NAMED)?;
            }
        }
        Ok(())
    }
}

/// The directory that a node agent has been found to be right with, as it runs on every node.
#[must_use]
pub(crate) fn proven(agent: &DaemonSet) -> Option<KubeletRoot> {
    // One that was not installed by this charm counts as ready before it has looked.
    (runs_everywhere(agent) && is_probed(agent)).then(|| current(agent))?
}

/// The directory that a node agent uses.
fn current(agent: &DaemonSet) -> Option<KubeletRoot> {
    let volumes = agent.spec.as_ref()?.template.spec.as_ref()?.volumes.as_ref()?;
    let pods = volumes.iter().find(|volume| volume.name == PODS_VOLUME)?;
    pods.host_path.as_ref()?.path.strip_suffix("/pods")?.parse().ok()
}

/// The directory for the node agent, by what is known of the nodes that it has to run on.
#[must_use]
pub(crate) fn choose(agent: Option<&DaemonSet>, nodes: &[NodeFacts]) -> FoundRoot {
    let mut roots: BTreeMap<KubeletRoot, Vec<String>> = BTreeMap::new();
    for node in nodes {
        roots.entry(node.root()).or_default().push(node.name.clone());
    }
    if roots.len() > 1 {
        return FoundRoot::Several { roots: SeveralRoots(roots), current: agent.and_then(current) };
    }
    let root = roots.into_keys().next().unwrap_or_else(|| KubeletRoot::known(DEFAULT));
    FoundRoot::Common(root)
}

#[cfg(test)]
#[path = "kubelet_root_tests.rs"]
mod tests;
