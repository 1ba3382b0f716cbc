//! Running commands that `juju-exec` was called with in a unit's pod: behind whatever the unit is at.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::sys::socket::{Shutdown, shutdown};

use super::super::agent::{AgentError, HookRecord, listen};
use super::super::environment::Execution;
use super::super::error::Error;
use super::super::names::UnitName;
use super::super::wire::{EXEC_SOCKET, ExecAnswer, ExecRequest, receive, send};
use super::Model;
use super::session::Session;

/// The sockets on which the agents of a model listen for `juju-exec`. They listen as long as somebody has the model.
#[derive(Default)]
pub(super) struct ExecSockets {
    sockets: Mutex<BTreeMap<UnitName, (UnixListener, PathBuf)>>,
    closed: Arc<AtomicBool>,
}

impl fmt::Debug for ExecSockets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ExecSockets").finish_non_exhaustive()
    }
}

impl Drop for ExecSockets {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        for (listener, path) in self.sockets.get_mut().unwrap_or_else(PoisonError::into_inner).values() {
            // Ends the thread that accepts.
            let _ = shutdown(listener.as_raw_fd(), Shutdown::Both);
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Model {
    /// The same model, whose units have `juju-exec`: their agents take commands from whoever is in their pods, as long as this model
    /// or a clone of it is there.
    #[must_use]
    pub fn with_juju_exec(mut self) -> Self {
        self.exec = Some(Arc::default());
        self
    }

    /// Runs commands in a unit's turn, as `juju-exec` has them run. That they fail is no error of the unit.
    ///
    /// # Errors
    /// When there is no such unit, or they cannot be run.
    pub fn exec(&self, unit: &UnitName, commands: &str) -> Result<HookRecord, Error> {
        self.begin()?.exec(unit, commands)
    }

    /// Lets a unit's agent listen, unless it does.
    pub(super) fn take_commands(&self, unit: &UnitName) -> Result<(), AgentError> {
        let Some(exec) = &self.exec else { return Ok(()) };
        let mut sockets = exec.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = self.store.agent_directory(unit);
        let path = directory.join(EXEC_SOCKET);
        if sockets.contains_key(unit) && path.exists() {
            return Ok(());
        }
        let open = || -> io::Result<()> {
            let listener = listen(&directory, EXEC_SOCKET)?;
            let accepting = listener.try_clone()?;
            // Its own clone does not keep the sockets open.
            let (model, unit, closed) = (Self { exec: None, ..self.clone() }, unit.clone(), Arc::clone(&exec.closed));
            sockets.insert(unit.clone(), (listener, path));
            thread::spawn(move || {
                while let Ok((stream, _)) = accepting.accept() {
                    let (model, unit, closed) = (model.clone(), unit.clone(), Arc::clone(&closed));
                    thread::spawn(move || model.answer(&unit, &stream, &closed));
                }
            });
            Ok(())
        };
        open().map_err(|source| AgentError::Listen { directory: directory.clone(), source })
    }

    fn answer(&self, unit: &UnitName, stream: &UnixStream, closed: &AtomicBool) {
        let Ok(Some(ExecRequest { commands })) = receive(BufReader::new(stream)) else { return };
        // A model that has been destroyed must not be made again.
        if !self.store.directory().exists() {
            return;
        }
        let Ok(session) = self.begin() else { return };
        // The agent has ended while the commands waited.
        if closed.load(Ordering::Relaxed) {
            return;
        }
        let answer = match session.exec(unit, &commands) {
            Ok(HookRecord { outcome, stdout, stderr, .. }) => {
                let code = outcome.code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
                ExecAnswer { code, stdout, stderr }
            }
            Err(error) => ExecAnswer { code: 1, stdout: String::new(), stderr: format!("ERROR {error}\n") },
        };
        let _ = send(stream, &answer);
    }
}

impl Session<'_> {
    fn exec(mut self, unit: &UnitName, commands: &str) -> Result<HookRecord, Error> {
        let seen = &self.unit(unit)?.seen;
        if !seen.installed || seen.stopped {
            return Err(Error::NotRunning(unit.clone()));
        }
        let (record, _) = self.run(unit, &Execution::Commands(commands.to_owned()), None, None)?;
        self.told(record.clone())?;
        self.finish()?;
        Ok(record)
    }
}
