//! The observer's own process.

use std::{cell::RefCell, fs::File};

use rustix::{process::setsid, stdio::dup2_stdout};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    ObserverError,
    assignment::Assignment,
    knowledge::Knowledge,
    lock::{Lock, own_build},
    metrics,
    place::Place,
    server::serve,
    watch::Watch,
};
use crate::velero::Velero;

/// Watches until the charm's directory has gone, or somebody ends the process. Where an observer runs already, it returns at once.
///
/// # Errors
///
/// When it cannot begin.
pub(crate) async fn observe(assignment: &Assignment) -> Result<(), ObserverError> {
    // What ends a hook's process group does not end this process.
    setsid().map_err(|error| ObserverError::Detach(error.into()))?;
    let place = Place::in_charm(&assignment.charm_directory);
    let Some(lock) = Lock::take(&place, &own_build()?)? else { return Ok(()) };
    let velero = Velero::in_cluster(&assignment.charm_directory).map_err(ObserverError::Connect)?;
    let mut end = signal(SignalKind::terminate()).map_err(ObserverError::Detach)?;
    // The hook that started it waits for that.
    let null = File::options().write(true).open("/dev/null").map_err(ObserverError::Detach)?;
    dup2_stdout(&null).map_err(|error| ObserverError::Detach(error.into()))?;
    let knowledge = RefCell::new(Knowledge::default());
    tokio::select! {
        () = Watch::new(assignment, &place, &lock, &velero, &knowledge).run() => {}
        () = serve(|| metrics::page(&knowledge.borrow(), jiff::Timestamp::now())) => {}
        _ = end.recv() => {}
    }
    Ok(())
}
