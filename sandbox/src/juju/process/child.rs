//! The verb's end of a charm process.

use std::io::{self, BufReader};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStderr, ChildStdout, Command, Stdio};

use super::super::wire::{receive, send};
use super::{Launch, Report, SUPERVISOR_ARGUMENT};

/// Why a charm process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The supervisor, which is the sandbox program, did not start.
    #[error("cannot start {}", program.display())]
    Supervisor {
        /// The program.
        program: std::path::PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It started but does not listen.
    #[error("cannot tell the charm's supervisor what to run")]
    Tell(#[source] io::Error),
}

/// A charm process that runs.
#[derive(Debug)]
pub struct Child {
    supervisor: std::process::Child,
    socket: UnixStream,
}

impl Child {
    /// Starts a charm by way of the sandbox program at `program`, with its output as pipes.
    ///
    /// # Errors
    /// When the supervisor cannot be started; that the charm cannot be is told as [`Report::Failed`].
    pub fn spawn(program: &Path, launch: &Launch) -> Result<(Self, ChildStdout, ChildStderr), SpawnError> {
        let failed = |source| SpawnError::Supervisor { program: program.to_owned(), source };
        let (socket, theirs) = UnixStream::pair().map_err(failed)?;
        let mut supervisor = Command::new(program)
            .arg(SUPERVISOR_ARGUMENT)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // What the user's terminal sends to the verb would end the supervisor, and not the charm, which it has to end.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let (Some(stdout), Some(stderr)) = (supervisor.stdout.take(), supervisor.stderr.take()) else {
            return Err(failed(io::Error::from(io::ErrorKind::BrokenPipe)));
        };
        let child = Self { supervisor, socket };
        send(&child.socket, launch).map_err(SpawnError::Tell)?;
        Ok((child, stdout, stderr))
    }

    /// The stream of what the supervisor reports.
    ///
    /// # Errors
    /// When the socket cannot be shared.
    pub fn reports(&self) -> io::Result<impl Iterator<Item = Report> + Send + use<>> {
        let mut reader = BufReader::new(self.socket.try_clone()?);
        Ok(std::iter::from_fn(move || receive(&mut reader).ok().flatten()))
    }

    /// Ends the charm, and all processes of its group, with SIGKILL.
    pub fn kill(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Waits for the supervisor, which ends right after the charm.
    pub fn finish(mut self) {
        let _ = self.socket.shutdown(Shutdown::Write);
        let _ = self.supervisor.wait();
    }
}
