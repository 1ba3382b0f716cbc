//! The charm's process: how it is put into its surroundings, watched and measured.

mod child;
mod supervisor;
mod surroundings;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use child::{Child, SpawnError};
pub use supervisor::{SUPERVISOR_ARGUMENT, supervise};

/// All that the supervisor needs to run a charm; it goes over a socket, as it holds a token.
#[derive(Debug, Deserialize, Serialize)]
pub struct Launch {
    /// The executable, as the charm process sees it.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The whole environment.
    pub environment: BTreeMap<String, String>,
    /// The process whose network to join first.
    pub namespaces_of: Option<u32>,
    /// What the charm process finds in its file system.
    pub surroundings: Surroundings,
}

/// What the charm process finds in its file system.
#[derive(Debug, Deserialize, Serialize)]
pub struct Surroundings {
    /// `unit-velero-operator-0`.
    pub unit_tag: String,
    /// The name of the unit's pod, which is its host name: `velero-operator-0`.
    pub pod: String,
    /// The unit's copy of the charm.
    pub charm_directory: PathBuf,
    /// The agent's socket.
    pub socket: PathBuf,
    /// The socket by which the agent is asked to run commands, if it listens.
    pub exec_socket: Option<PathBuf>,
    /// The program that the tools are links to.
    pub tools_program: PathBuf,
    /// The certificate of an authority that the system trusts beside its own, as PEM.
    pub authority: Option<String>,
    /// Whom it asks for names, where that is not whom this machine asks.
    pub nameserver: Option<IpAddr>,
    /// The files of the service account, by name.
    pub service_account: BTreeMap<String, String>,
}

/// What the supervisor tells while the charm runs.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// The charm could not be started.
    Failed(String),
    /// It runs, under this process id and a process group of the same number.
    Started(i32),
    /// It has ended.
    Ended(Outcome),
}

/// How a charm process ended, and what it cost.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Outcome {
    /// The exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// From start to end.
    pub wall: Duration,
    /// User and system time of the process and of all descendants that were waited for, the hook tools among them.
    pub cpu: Duration,
    /// The most memory that any one of those processes held resident, in bytes (`ru_maxrss` of wait4): the largest
    /// single process, not a sum.
    pub peak_memory: u64,
    /// The most memory that the process itself held resident, in bytes, by looks at it from its start to its end.
    pub own_peak_memory: u64,
}

impl Outcome {
    /// Whether it ended well.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// How it ended, in Go's words, which Juju passes on.
    #[must_use]
    pub fn describe(&self) -> String {
        match (self.code, self.signal) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(9)) => "signal: killed".to_owned(),
            (None, Some(15)) => "signal: terminated".to_owned(),
            (None, Some(signal)) => format!("signal: {signal}"),
            (None, None) => "ended unseen".to_owned(),
        }
    }
}
