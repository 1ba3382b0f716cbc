//! What a change of the cluster did.

use kube::api::DynamicObject;

use crate::{status::Status, velero::wanted::Version};

/// What applying an installation did.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// The objects that were changed, made or deleted.
    pub changed: Vec<String>,
    /// What could not be done yet, as statuses.
    pub postponed: Vec<Status>,
    /// Whether the kinds of Velero's objects cannot be used yet, so that nothing else was looked at.
    pub lacks_kinds: bool,
    /// What the cluster refused, in its words.
    pub refused: Vec<Status>,
    /// Whether the server's Deployment is among what was refused: then the planned server will not run.
    pub server_refused: bool,
    /// Whether the node agent's DaemonSet is.
    pub node_agent_refused: bool,
    /// The release that the CustomResourceDefinitions of the cluster are of, which may be a newer Velero's.
    pub definitions: Option<Version>,
}

impl Applied {
    /// Notes which pods do not come as planned where an object was refused.
    pub(super) fn note_refused(&mut self, object: &DynamicObject) {
        match object.types.as_ref().map(|types| types.kind.as_str()) {
            Some("Deployment") => self.server_refused = true,
            Some("DaemonSet") => self.node_agent_refused = true,
            _ => {}
        }
    }

    /// Whether pods are refused that a hook would wait for.
    pub(crate) fn lacks_pods(&self) -> bool {
        self.server_refused || self.node_agent_refused
    }
}
