//! The directory in which kubelets keep the volumes of pods, and how it is found out. No I/O here.
//!
//! The Kubernetes API does not tell it. These do, the most reliable first: a node agent that runs, which checks at startup
//! that the pods of its node are there; the kubelet, which from Kubernetes 1.36 on tells its flags; the label of a distribution that
//! keeps it elsewhere than all others do.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::api::apps::v1::DaemonSet;

use super::{
    few,
    observed::{is_probed, runs_everywhere},
};
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

/// What is known of a node.
#[derive(Clone, Debug)]
pub(crate) struct NodeFacts {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    /// The directory that its kubelet tells.
    pub told: Option<KubeletRoot>,
}

impl NodeFacts {
    /// Returns the directory that is known of it: its own word, or that of its distribution's label.
    fn root(&self) -> Option<KubeletRoot> {
        let by_label = || {
            let distribution = DISTRIBUTIONS.iter().find(|(label, _)| self.labels.contains_key(*label));
            distribution.map(|(_, root)| KubeletRoot::known(root))
        };
        self.told.clone().or_else(by_label)
    }
}

/// The directory of all nodes, as far as there is one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum FoundRoot {
    /// It is the same on all nodes.
    Common(KubeletRoot),
    /// It is not.
    Several {
        /// Which nodes have which.
        roots: SeveralRoots,
        /// The one that the node agent uses now.
        current: CurrentRoot,
    },
}

/// The directory that the node agent uses now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum CurrentRoot {
    /// There is no node agent.
    NoAgent,
    /// This one.
    Known(KubeletRoot),
    /// Another than the charm would give it: somebody has changed its DaemonSet.
    Unknown,
}

/// The directories of nodes that do not all have the same, each with the names of its nodes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct SeveralRoots(BTreeMap<KubeletRoot, Vec<String>>);

impl fmt::Display for SeveralRoots {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the nodes' kubelets keep their files in different directories, ")?;
        for (number, (root, nodes)) in self.0.iter().enumerate() {
            let separator = if number > 0 { "; " } else { "" };
            write!(formatter, "{separator}{root} on {}", few::named(nodes))?;
        }
        Ok(())
    }
}

/// Returns the directory that a node agent has been found to be right with, as it runs on every node.
pub(crate) fn proven(agent: &DaemonSet) -> Option<KubeletRoot> {
    // One that was not installed by this charm counts as ready before it has looked.
    (runs_everywhere(agent) && is_probed(agent)).then(|| current(agent))?
}

fn current_of(agent: Option<&DaemonSet>) -> CurrentRoot {
    match agent {
        None => CurrentRoot::NoAgent,
        Some(agent) => current(agent).map_or(CurrentRoot::Unknown, CurrentRoot::Known),
    }
}

/// Returns the directory that a node agent uses, as far as it is one that the charm could give it.
fn current(agent: &DaemonSet) -> Option<KubeletRoot> {
    let volumes = agent.spec.as_ref()?.template.spec.as_ref()?.volumes.as_ref()?;
    let pods = volumes.iter().find(|volume| volume.name == PODS_VOLUME)?;
    pods.host_path.as_ref()?.path.trim_end_matches('/').strip_suffix("/pods")?.parse().ok()
}

/// Returns the directory for the node agent, by what is known of the nodes that it has to run on.
///
/// A node of which nothing is known (its kubelet was not asked, or is older, or is down) is like almost all others. Where another
/// kubelet has told its directory it says nothing: the nodes of a cluster are mostly made by the same hand, and on one that is
/// unlike the others the node agent ends, so that it does not go unnoticed.
pub(crate) fn choose(agent: Option<&DaemonSet>, nodes: &[NodeFacts]) -> FoundRoot {
    let mut roots: BTreeMap<KubeletRoot, Vec<String>> = BTreeMap::new();
    let anyone_told = nodes.iter().any(|node| node.told.is_some());
    for node in nodes {
        let assumed = || (!anyone_told).then(|| KubeletRoot::known(DEFAULT));
        if let Some(root) = node.root().or_else(assumed) {
            roots.entry(root).or_default().push(node.name.clone());
        }
    }
    if roots.len() > 1 {
        return FoundRoot::Several { roots: SeveralRoots(roots), current: current_of(agent) };
    }
    let root = roots.into_keys().next().unwrap_or_else(|| KubeletRoot::known(DEFAULT));
    FoundRoot::Common(root)
}

#[cfg(test)]
#[path = "kubelet_root_tests.rs"]
mod tests;
