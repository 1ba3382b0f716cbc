//! What hooks do for the observer: they tell it what they have seen, and see that one runs.

use std::{
    env,
    ffi::OsStr,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, retry_on_intr},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use tokio::{io::AsyncReadExt, process::Command, task::spawn_blocking, time::timeout};

use super::{
    ObserverError,
    lock::{Holder, own_build},
    note::{Note, Told},
    place::Place,
};

/// The subcommand of the charm's program that is the observer.
pub(crate) const COMMAND: &str = "observe";
/// The program by which Juju runs something for a unit when its turn is there; every agent of Juju 3 and 4 has it.
const JUJU_EXEC: &str = "juju-exec";
/// What the observer knows of a hook's environment. Nothing of it is of that hook alone.
const KEPT_VARIABLES: [&str; 3] = ["PATH", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"];
/// How long it may take to begin, and how long to end.
const PATIENCE: Duration = Duration::from_secs(3);

/// Leaves a note of what a hook has seen, and sees that an observer of this very build runs. Where Juju has no way to be asked for a
/// hook, there is none.
///
/// # Errors
///
/// When none runs afterwards. The next hook tries it again.
pub(crate) async fn leave(place: &Place, unit: &str, charm: &Path, told: Option<&Told>) -> Result<(), ObserverError> {
    let Some(juju_exec) = env::var_os("PATH").as_deref().and_then(|path| on_path(path, JUJU_EXEC)) else {
        return Ok(());
    };
    Note::leave(place, told)?;
    match Holder::of(place)? {
        Some(holder) if holder.build == own_build()? => return Ok(()),
        Some(_) => end(place).await?,
        None => {}
    }
    start(place, unit, charm, &juju_exec).await
}

/// Ends the observer, if one runs.
///
/// # Errors
///
/// When it does not end.
pub(crate) async fn end(place: &Place) -> Result<(), ObserverError> {
    let Some(holder) = Holder::of(place)? else { return Ok(()) };
    let process = holder.process;
    let failed = |source: Errno| ObserverError::End { process, source: source.into() };
    let Some(id) = Pid::from_raw(process) else { return Ok(()) };
    let handle = match pidfd_open(id, PidfdFlags::empty()) {
        // It has just ended.
        Err(Errno::SRCH) => return Ok(()),
        opened => opened.map_err(failed)?,
    };
    // If it still holds the lock, the handle is of it, and not of another process that got its id.
    if Holder::of(place)? != Some(holder) {
        return Ok(());
    }
    let ended = spawn_blocking(move || end_process(&handle)).await;
    let ended = ended.map_err(|error| ObserverError::End { process, source: error.into() })?;
    if ended.map_err(failed)? { Ok(()) } else { Err(ObserverError::Stuck { process }) }
}

/// Asks a process to end, and then makes it. Returns whether it has.
fn end_process(handle: &OwnedFd) -> rustix::io::Result<bool> {
    let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    for signal in [Signal::TERM, Signal::KILL] {
        match pidfd_send_signal(handle, signal) {
            Err(Errno::SRCH) => return Ok(true),
            sent => sent?,
        }
        // It can be read from when the process has ended.
        if retry_on_intr(|| poll(&mut [PollFd::new(handle, PollFlags::IN)], Some(&patience)))? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Starts an observer, and waits until it holds the lock.
async fn start(place: &Place, unit: &str, charm: &Path, juju_exec: &Path) -> Result<(), ObserverError> {
    let program = env::current_exe().map_err(ObserverError::Program)?;
    let kept = KEPT_VARIABLES.iter().filter_map(|name| Some((name, env::var_os(name)?)));
    let mut child = Command::new(program)
        .args([OsStr::new(COMMAND), OsStr::new("--unit"), OsStr::new(unit)])
        .args([OsStr::new("--charm-directory"), charm.as_os_str()])
        .args([OsStr::new("--juju-exec"), juju_exec.as_os_str()])
        .env_clear()
        .envs(kept)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(ObserverError::Start)?;
    // It closes its standard output when it holds the lock and is on its own, or cannot be.
    if let Some(mut output) = child.stdout.take() {
        let closed = timeout(PATIENCE, output.read_to_end(&mut Vec::new())).await;
        closed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(ObserverError::Start)?;
    }
    Holder::of(place)?.map(drop).ok_or(ObserverError::EndedAtOnce)
}

/// Returns a program that is in one of the folders of a search path.
fn on_path(path: &OsStr, program: &str) -> Option<PathBuf> {
    env::split_paths(path).map(|folder| folder.join(program)).find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_where_the_path_leads() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = env::join_paths([first.path(), second.path()]).unwrap();
        assert_eq!(on_path(&path, JUJU_EXEC), None);
        std::fs::write(second.path().join(JUJU_EXEC), "").unwrap();
        assert_eq!(on_path(&path, JUJU_EXEC), Some(second.path().join(JUJU_EXEC)));
    }

    #[tokio::test]
    async fn where_none_runs_there_is_none_to_end() {
        let charm = tempfile::tempdir().unwrap();
        end(&Place::in_charm(charm.path())).await.unwrap();
    }
}
