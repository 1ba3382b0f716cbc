//! Where a unit's hooks and its observer meet.

use std::path::{Path, PathBuf};

/// The folder in the charm's directory, which is the unit's own and goes with it.
const FOLDER: &str = ".velero-observer";

/// The files that hooks and observer share.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    folder: PathBuf,
}

impl Place {
    /// Returns the place in a charm's directory. It need not be there yet.
    pub(crate) fn in_charm(charm_directory: &Path) -> Self {
        Self { folder: charm_directory.join(FOLDER) }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Which the observer holds locked for as long as it lives.
    pub(super) fn lock(&self) -> PathBuf {
        self.folder.join("lock")
    }

    /// Which a hook or action holds locked for as long as it runs.
    pub(super) fn busy(&self) -> PathBuf {
        self.folder.join("busy")
    }

    /// What the last hook has seen.
    pub(super) fn note(&self) -> PathBuf {
        self.folder.join("note.json")
    }
}
