//! What a cluster leaves behind when its guard could not clean up, because it was killed too.
//!
//! A cluster's guard holds a lock on the cluster's folder for as long as it lives. A folder that nobody locks is a leftover.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    blueprint::Blueprint,
    cgroups::{self, CgroupError},
    network::{NetworkError, Reservation},
};
use crate::folders::{self, FolderError};

/// The file of a cluster's folder that its guard locks.
pub(super) const LOCK: &str = "lock";

/// How long the processes of a cluster, which is at its end, may hold on to its files.
const REMOVAL_LIMIT: Duration = Duration::from_secs(30);

/// Why something is left of a cluster.
#[derive(Debug, thiserror::Error)]
pub enum LeftoversError {
    /// The link could not be removed.
    #[error("cannot remove the link to the cluster")]
    Network(#[from] NetworkError),
    /// The control groups could not be removed.
    #[error("cannot remove the control groups of the cluster")]
    Cgroup(#[from] CgroupError),
    /// The folder could not be removed.
    #[error("cannot remove {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The lock of all clusters cannot be had.
    #[error("cannot keep other clusters from starting")]
    LockAll(#[source] io::Error),
    /// There is no folder for that lock.
    #[error("cannot keep other clusters from starting")]
    LockFolder(#[from] FolderError),
}

/// Waits until no other process makes or removes the folder of a cluster, and keeps all from it as long as the file is open.
pub(super) fn lock_all() -> Result<File, LeftoversError> {
    // Not beside the clusters' folders, of which nothing shall be left.
    let lock = File::create(folders::cache()?.join("clusters.lock")).map_err(LeftoversError::LockAll)?;
    lock.lock().map_err(LeftoversError::LockAll)?;
    Ok(lock)
}

/// Locks the folder of a cluster, for as long as the file is open.
///
/// # Errors
/// When somebody else has locked it, or it is not there.
pub(super) fn lock(folder: &Path) -> io::Result<File> {
    let lock = File::create(folder.join(LOCK))?;
    lock.try_lock()?;
    Ok(lock)
}

/// Whether the guard of the cluster in `folder` lives.
#[must_use]
pub(super) fn is_alive(folder: &Path) -> bool {
    let lock = File::open(folder.join(LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Removes the folder `clusters` and the one above it, unless something is in them. The caller holds [`lock_all`]'s lock.
pub(super) fn remove_if_empty(clusters: &Path, _lock: &File) {
    // What is not empty stays, and a folder that cannot be removed although it is empty is no harm.
    if fs::remove_dir(clusters).is_ok()
        && let Some(state) = clusters.parent()
    {
        drop(fs::remove_dir(state));
    }
}

/// Removes all that is left of every cluster of the folder `clusters` whose guard is dead.
///
/// # Errors
/// When something cannot be removed.
pub(super) async fn sweep(clusters: &Path) -> Result<(), LeftoversError> {
    let failed = |source| LeftoversError::Folder { path: clusters.to_owned(), source };
    let entries = match fs::read_dir(clusters) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let folder = entry.map_err(failed)?.path();
        // No lock, no cluster: nobody has started one there yet, or its folder is just being removed.
        if folder.is_dir()
            && let Ok(lock) = lock(&folder)
        {
            remove(&folder, &lock, None).await?;
        }
    }
    Ok(())
}

/// Removes all that is left of the cluster in `folder`, which the caller has locked, and whose processes are at their end. What
/// bears its number is removed only if nobody else has the number by now.
///
/// # Errors
/// When something cannot be removed.
pub(super) async fn remove(
    folder: &Path,
    _lock: &File,
    reservation: Option<Reservation>,
) -> Result<(), LeftoversError> {
    // Without a blueprint, there was nothing but the folder.
    if let Ok(blueprint) = Blueprint::load(folder) {
        let reservation = match reservation {
            Some(held) => Some(held),
            None => blueprint.link.take_over()?,
        };
        if reservation.is_some() {
            blueprint.link.remove().await?;
            cgroups::remove(&blueprint.link.unique_name())?;
        }
    }
    let deadline = Instant::now() + REMOVAL_LIMIT;
    loop {
        match fs::remove_dir_all(folder) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // Mounts go a moment after the last process that saw them.
            Err(_) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(source) => return Err(LeftoversError::Folder { path: folder.to_owned(), source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_that_nobody_locks_is_removed_and_a_locked_one_is_not() {
        let clusters = tempfile::tempdir().unwrap();
        let (dead, alive) = (clusters.path().join("dead"), clusters.path().join("alive"));
        fs::create_dir_all(&dead).unwrap();
        fs::create_dir_all(&alive).unwrap();
        drop(lock(&dead).unwrap());
        let guard = lock(&alive).unwrap();

        assert!(is_alive(&alive) && !is_alive(&dead));
        sweep(clusters.path()).await.unwrap();
        assert!(alive.exists() && !dead.exists());
        drop(guard);
    }
}
