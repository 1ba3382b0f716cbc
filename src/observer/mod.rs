//! The observer: a small process of the charm's own that lives between the hooks. It watches what runs, and has Juju run a hook
//! when the unit's status should say something else.
//!
//! Hooks start it and leave it a note of what they have seen. It holds no credentials but the pod's own token, keeps nothing that
//! matters, and ends whenever somebody likes: the next hook starts another one.

mod assignment;
mod busy;
mod dispatch;
mod drills;
mod exposition;
mod holdings;
mod knowledge;
mod launch;
mod lock;
mod metrics;
mod news;
mod note;
mod pauses;
mod place;
mod program;
mod server;
mod watch;

use std::{io, path::PathBuf};

use thiserror::Error;

pub(crate) use assignment::Assignment;
pub(crate) use busy::Busy;
#[cfg(test)]
pub(crate) use launch::COMMAND;
pub(crate) use launch::{end, leave};
pub(crate) use note::Told;
pub(crate) use place::Place;
pub(crate) use program::observe;

use crate::cluster::ClusterError;

/// Why there is no observer, or it does not know what it should.
#[derive(Debug, Error)]
pub(crate) enum ObserverError {
    #[error("cannot use the observer's file {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot find out which program this is")]
    Program(#[source] io::Error),
    #[error("cannot start the observer")]
    Start(#[source] io::Error),
    #[error("cannot end the observer with the process id {process}")]
    End {
        process: i32,
        #[source]
        source: io::Error,
    },
    #[error("the observer with the process id {process} does not end")]
    Stuck { process: i32 },
    #[error("the observer ended as soon as it was started")]
    EndedAtOnce,
    #[error("cannot leave the hook's session")]
    Detach(#[source] io::Error),
    #[error("cannot reach the cluster")]
    Connect(#[source] ClusterError),
}
