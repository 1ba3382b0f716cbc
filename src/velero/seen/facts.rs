//! What has to be known of the cluster before anything can be planned.

use super::{holdings::Holdings, kubelet_root::FoundRoot};
use crate::velero::wanted::Version;

/// What a plan depends on beside what Juju says.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The release of the CLI that the charm brings along, if it is one.
    pub cli: Option<Version>,
    /// Where the kubelets keep the volumes of pods, if it was asked for.
    pub kubelet_root: Option<FoundRoot>,
    /// What is there under the names of Velero's objects, and whose it is.
    pub holdings: Holdings,
}
