//! The cluster of `up` and `down`: there is one for each user, and it outlives the process that started it.

use std::{
    fs::{self, File},
    io,
    path::Path,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use super::{Cluster, ClusterAccess, ClusterError, ClusterOptions, FurtherNodeError, NodeOptions, clusters, leftovers};
use crate::{images::Plugin, progress::Progress};

/// The name of its folder.
const NAME: &str = "up";

/// The file of a cluster's folder that says how to reach it.
const ACCESS: &str = "access.json";

/// How long the guard may take to clean up.
const DOWN_LIMIT: Duration = Duration::from_secs(40);

/// Why there is no such cluster, or still is.
#[derive(Debug, thiserror::Error)]
pub enum DetachedError {
    /// There is one already.
    #[error("the cluster is already up; `cargo sandbox down` ends it")]
    AlreadyUp,
    /// It could not be started.
    #[error("the cluster is not up")]
    Start(#[from] ClusterError),
    /// One of its nodes could not be added.
    #[error("the cluster has not as many nodes as asked for")]
    Node(#[from] FurtherNodeError),
    /// It is not yet up, or no more.
    #[error("the cluster is just starting or ending")]
    InBetween,
    /// The guard could not be told.
    #[error("cannot end the cluster")]
    Down(#[source] io::Error),
    /// The guard does not end.
    #[error("the cluster did not end within {DOWN_LIMIT:?}")]
    TimedOut,
}

#[derive(Deserialize, Serialize)]
struct Record {
    guard: u32,
    access: ClusterAccess,
}

/// Starts the user's cluster of so many nodes, with the images of those plugins, which runs until [`down`].
///
/// # Errors
/// When it is up already, or does not start.
pub async fn up(
    nodes: u8,
    plugins: impl IntoIterator<Item = Plugin>,
    progress: &Progress,
) -> Result<ClusterAccess, DetachedError> {
    let folder = clusters().map_err(ClusterError::from)?.join(NAME);
    if leftovers::is_alive(&folder) {
        return Err(if read(&folder).is_ok() { DetachedError::AlreadyUp } else { DetachedError::InBetween });
    }
    let options = ClusterOptions { plugins: plugins.into_iter().collect(), ..ClusterOptions::default() };
    let cluster = Box::pin(Cluster::start_in(Some(NAME), &options, progress)).await?;
    for _ in 1..nodes {
        cluster.add_node(NodeOptions::default(), progress).await?;
    }
    Ok(cluster.detach().await?)
}

/// How to reach the user's cluster, if it is up.
///
/// # Errors
/// When the user has no folder for it.
pub fn current() -> Result<Option<ClusterAccess>, DetachedError> {
    let folder = clusters().map_err(ClusterError::from)?.join(NAME);
    Ok(if leftovers::is_alive(&folder) { read(&folder).ok().map(|record| record.access) } else { None })
}

/// Ends the user's cluster, and returns when nothing is left of it; `false` when there is none.
///
/// # Errors
/// When something cannot be removed.
pub async fn down() -> Result<bool, DetachedError> {
    let clusters = clusters().map_err(ClusterError::from)?;
    let folder = clusters.join(NAME);
    if !leftovers::is_alive(&folder) {
        let was_left = folder.exists();
        let lock = leftovers::lock_all().map_err(ClusterError::from)?;
        leftovers::sweep(&clusters).await.map_err(ClusterError::from)?;
        leftovers::remove_if_empty(&clusters, &lock);
        return Ok(was_left);
    }
    // The guard's lock is let go of when it ends, and it ends when it has cleaned up.
    let lock = File::open(folder.join(leftovers::LOCK)).map_err(DetachedError::Down)?;
    let record = match read(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(DetachedError::InBetween),
        record => record.map_err(DetachedError::Down)?,
    };
    terminate(record.guard).map_err(DetachedError::Down)?;
    match tokio::time::timeout(DOWN_LIMIT, tokio::task::spawn_blocking(move || lock.lock())).await {
        Err(_) => Err(DetachedError::TimedOut),
        Ok(Err(panic)) => Err(DetachedError::Down(io::Error::other(panic))),
        Ok(Ok(locked)) => locked.map(|()| true).map_err(DetachedError::Down),
    }
}

/// Writes down how to reach the cluster in `folder`.
pub(super) fn record(folder: &Path, guard: u32, access: &ClusterAccess) -> io::Result<()> {
    let record = Record { guard, access: access.clone() };
    fs::write(folder.join(ACCESS), serde_json::to_vec(&record)?)
}

/// Tells a guard to end its cluster.
pub(super) fn terminate(guard: u32) -> io::Result<()> {
    match kill(Pid::from_raw(guard.cast_signed()), Signal::SIGTERM) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn read(folder: &Path) -> io::Result<Record> {
    Ok(serde_json::from_slice(&fs::read(folder.join(ACCESS))?)?)
}
