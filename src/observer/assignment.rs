//! What an observer is started for.

use std::path::PathBuf;

/// Whom an observer serves.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    /// The unit's name.
    pub unit: String,
    /// The charm's directory.
    pub charm_directory: PathBuf,
    /// The program by which Juju is asked to run a hook.
    pub juju_exec: PathBuf,
}
