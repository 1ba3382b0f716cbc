//! What has to be known of the cluster before anything can be planned.

use super::{holdings::Holdings, kubelet_root::FoundRoot, snapshot_classes::SnapshotClasses};
use crate::{
    proxies::Proxies,
    velero::wanted::{ProxiesSecret, Version},
};

/// What has to be found out for a plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    /// The application whose plan it is.
    pub application: String,
    /// Whether the storage depends on what the cloud calls the machines of the cluster.
    pub provider_ids: bool,
    /// Whether a node agent is wanted, and nobody has said where kubelets keep the volumes of pods. Then the kubelets are asked.
    pub kubelet_root: bool,
    /// The proxies by which the store is to be reached, whose Secret is looked at.
    pub proxies: Option<Proxies>,
    /// Whether snapshots by CSI drivers are wanted, for which there have to be classes.
    pub snapshot_classes: bool,
    /// The names of the Secrets by which images are to be pulled.
    pub pull_secrets: Vec<String>,
    /// The names of the application's ConfigMaps that may be wanted, and that somebody else may have taken.
    pub config_maps: Vec<String>,
}

/// What a plan depends on beside what Juju says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// What the cloud calls the machines of the cluster, where the storage needs it.
    pub provider_ids: Vec<String>,
    /// The release of the CLI that the charm brings along, if it is one.
    pub cli: Option<Version>,
    /// Where the kubelets keep the volumes of pods, if it was asked for.
    pub kubelet_root: Option<FoundRoot>,
    /// The Secret with the proxies, if there are to be any.
    pub proxies: Option<ProxiesSecret>,
    /// The VolumeSnapshotClasses, if they were asked for.
    pub snapshot_classes: Option<SnapshotClasses>,
    /// The names of those Secrets for pulling images that are not there.
    pub missing_pull_secrets: Vec<String>,
    /// What is there under the names of Velero's objects, and whose it is.
    pub holdings: Holdings,
}
