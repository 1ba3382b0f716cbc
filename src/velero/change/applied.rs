//! What a change of the cluster did.

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
    /// The release that the CustomResourceDefinitions of the cluster are of, which may be a newer Velero's.
    pub definitions: Option<Version>,
}
