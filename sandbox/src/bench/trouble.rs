//! Trouble that lasts: how long the hooks take that actions and other hooks wait for.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use super::{
    BenchError, World,
    cost::{self, Spread, micros},
    recorder::{APPLICATION, Recorder, expect, status, unexpected},
    storage::INTEGRATOR,
};
use crate::{
    host::source_address,
    juju::{Model, StatusValue},
};

/// How often each is run at most: it is the charm's own deadlines that are measured, and they do not differ much.
pub(super) const MOST_RUNS: u32 = 2;

/// How long the unit may take to be Active once nothing is in its way.
const SETTLED: Duration = Duration::from_mins(5);

/// A pod of the server, by a label.
const SERVER: (&str, &str) = ("deploy", "velero");

/// A pod of the node agent, by a label.
const NODE_AGENT: (&str, &str) = ("name", "node-agent");

/// A kind of trouble that lasts until a person does something about it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Trouble {
    /// No registry and no node has the server's image.
    Image,
    /// No node takes the server's pod.
    Unschedulable,
    /// A policy of the cluster refuses the server's pods.
    ServerRefused,
    /// A policy of the cluster refuses the node agent's pods.
    NodeAgentRefused,
    /// The store knows of no such keys.
    WrongKeys,
    /// Nothing listens at the store's address.
    RefusedConnection,
    /// There is no address of the store's name.
    UnknownName,
    /// Something takes the connection and says nothing.
    Silence,
}

impl Trouble {
    /// All of them. The server of today does not give up to ask a silent store, so that comes last.
    pub const ALL: [Self; 8] = [
        Self::Image,
        Self::Unschedulable,
        Self::ServerRefused,
        Self::NodeAgentRefused,
        Self::WrongKeys,
        Self::RefusedConnection,
        Self::UnknownName,
        Self::Silence,
    ];

    /// What it is called in the table.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Image => "an image that cannot be pulled",
            Self::Unschedulable => "no node that takes the server's pod",
            Self::ServerRefused => "server's pods that are not admitted",
            Self::NodeAgentRefused => "node agent's pods that are not admitted",
            Self::WrongKeys => "keys that the store does not know",
            Self::RefusedConnection => "a store that refuses connections",
            Self::UnknownName => "a store whose name does not exist",
            Self::Silence => "a store that never answers",
        }
    }

    /// The same, as a choice among all that is measured.
    pub(super) fn full_title(self) -> String {
        format!("trouble: {}", self.title())
    }
}

/// How long hooks took in one kind of trouble.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delay {
    /// The longest of the hooks that bring it.
    pub first: Duration,
    /// The hook `update-status` after it, with nothing changed.
    pub next: Duration,
    /// What the unit says after both.
    pub statuses: [StatusValue; 2],
}

/// The same of several runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delays {
    /// In microseconds, as is the next.
    pub first: Spread,
    /// Of `update-status`.
    pub next: Spread,
    /// All that the unit said.
    pub statuses: BTreeSet<StatusValue>,
}

impl Delays {
    /// Of no run there is none.
    #[must_use]
    pub fn of(delays: &[Delay]) -> Option<Self> {
        Some(Self {
            first: Spread::of(delays.iter().map(|delay| micros(delay.first)))?,
            next: Spread::of(delays.iter().map(|delay| micros(delay.next)))?,
            statuses: delays.iter().flat_map(|delay| delay.statuses).collect(),
        })
    }

    /// The longest hook of all runs, in microseconds.
    #[must_use]
    pub fn longest(&self) -> u64 {
        self.first.most.max(self.next.most)
    }
}

impl World {
    /// One trouble after the other, each gone before the next comes.
    pub(super) fn troubles(
        &self,
        round: u32,
        wanted: &[Trouble],
        tell: impl Fn(&str),
    ) -> Result<Vec<(Trouble, Delay)>, BenchError> {
        let name = format!("in-trouble-{round}");
        let (model, recorder) = self.active_model(&name)?;
        let mut delays = Vec::new();
        for (number, trouble) in wanted.iter().enumerate() {
            tell(&trouble.full_title());
            if number > 0 {
                self.rest(&name)?;
                settle(&model)?;
                recorder.take()?;
            }
            let silent = silent_listener(self.cluster.access().server_address).map_err(BenchError::Listener)?;
            self.bring(*trouble, &model, silent.local_addr().map_err(BenchError::Listener)?)?;
            let (first, said_first) = (longest(&recorder)?, in_trouble(&model)?);
            model.update_status()?;
            let (next, said_next) = (longest(&recorder)?, in_trouble(&model)?);
            delays.push((*trouble, Delay { first, next, statuses: [said_first, said_next] }));
            self.lift(*trouble, &model)?;
            recorder.take()?;
        }
        model.destroy()?;
        recorder.take()?;
        self.remove(&name)?;
        Ok(delays)
    }

    fn bring(&self, trouble: Trouble, model: &Model, silent: SocketAddr) -> Result<(), BenchError> {
        let server = self.cluster.access().server_address;
        let endpoint = |address: &str| model.configure(INTEGRATOR, "endpoint", address);
        match trouble {
            Trouble::Image => model.configure(APPLICATION, "velero-image", Self::NO_IMAGE),
            Trouble::Unschedulable => {
                self.runtime.block_on(self.objects.cordon(true))?;
                model.configure(APPLICATION, "velero-image", Self::OTHER_IMAGE)
            }
            Trouble::ServerRefused => {
                self.runtime.block_on(self.objects.refuse_pods(model.name(), SERVER))?;
                model.configure(APPLICATION, "velero-image", Self::OTHER_IMAGE)
            }
            Trouble::NodeAgentRefused => {
                self.runtime.block_on(self.objects.refuse_pods(model.name(), NODE_AGENT))?;
                model.configure(APPLICATION, "use-node-agent", "true")
            }
            Trouble::WrongKeys => model.sync_s3_credentials(INTEGRATOR, "nobody", "secret-of-nobody"),
            // Of the ports that only the system's own programs listen at, nobody's.
            Trouble::RefusedConnection => endpoint(&format!("http://{}", SocketAddr::new(server, 1))),
            Trouble::UnknownName => endpoint("http://store.invalid:9000"),
            Trouble::Silence => endpoint(&format!("http://{silent}")),
        }?;
        Ok(())
    }

    fn lift(&self, trouble: Trouble, model: &Model) -> Result<(), BenchError> {
        let s3 = self.store.access();
        match trouble {
            Trouble::Image => model.reset(APPLICATION, &["velero-image"]),
            Trouble::Unschedulable => {
                self.runtime.block_on(self.objects.cordon(false))?;
                model.reset(APPLICATION, &["velero-image"])
            }
            Trouble::ServerRefused => {
                self.runtime.block_on(self.objects.admit_pods(model.name(), SERVER))?;
                model.reset(APPLICATION, &["velero-image"])
            }
            Trouble::NodeAgentRefused => {
                self.runtime.block_on(self.objects.admit_pods(model.name(), NODE_AGENT))?;
                model.reset(APPLICATION, &["use-node-agent"])
            }
            Trouble::WrongKeys => model.sync_s3_credentials(INTEGRATOR, &s3.access_key, &s3.secret_key),
            Trouble::RefusedConnection | Trouble::UnknownName | Trouble::Silence => {
                model.configure(INTEGRATOR, "endpoint", &s3.endpoint)
            }
        }?;
        Ok(())
    }
}

/// The longest hook since the last time.
fn longest(recorder: &Recorder) -> Result<Duration, BenchError> {
    let longest = cost::longest(recorder.take()?).ok_or(BenchError::NoHook("that brings the trouble"))?;
    Ok(longest.wall)
}

/// What the unit says, which must be that something is wrong.
fn in_trouble(model: &Model) -> Result<StatusValue, BenchError> {
    match status(model)? {
        Some(status) if [StatusValue::Blocked, StatusValue::Waiting].contains(&status.value) => Ok(status.value),
        status => Err(unexpected(status.as_ref())),
    }
}

/// Runs `update-status` until the unit is Active: the server asks the store in its own time.
fn settle(model: &Model) -> Result<(), BenchError> {
    let deadline = Instant::now() + SETTLED;
    loop {
        model.update_status()?;
        match expect(model, StatusValue::Active) {
            Err(BenchError::Status(_)) if Instant::now() < deadline => {}
            settled => return settled,
        }
    }
}

/// What takes connections on this machine, where pods reach it, as long as it lives: the system answers for a program that never
/// looks at them.
fn silent_listener(beside: IpAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind((source_address(SocketAddr::new(beside, 9))?, 0))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{ErrorKind, Read, Write},
        net::TcpStream,
    };

    use super::*;

    #[test]
    fn each_trouble_is_listed_once() {
        let mut troubles = Trouble::ALL.to_vec();
        troubles.sort_unstable();
        troubles.dedup();
        assert_eq!(troubles, Trouble::ALL);
    }

    #[test]
    fn the_longest_hook_may_be_any_of_any_run() {
        let delay = |first, next, said_next| Delay {
            first: Duration::from_secs(first),
            next: Duration::from_secs(next),
            statuses: [StatusValue::Waiting, said_next],
        };
        assert_eq!(Delays::of(&[]), None);
        let delays = Delays::of(&[delay(20, 3, StatusValue::Waiting), delay(10, 41, StatusValue::Blocked)]).unwrap();
        assert_eq!((delays.longest(), delays.first.median, delays.next.least), (41_000_000, 15_000_000, 3_000_000));
        assert_eq!(delays.statuses, [StatusValue::Blocked, StatusValue::Waiting].into());
        assert_eq!(Delays::of(&[delay(20, 3, StatusValue::Waiting)]).unwrap().longest(), 20_000_000);
    }

    #[test]
    fn what_is_silent_takes_a_connection_and_a_request() {
        let silent = silent_listener([127, 0, 0, 1].into()).unwrap();
        let mut connection = TcpStream::connect(silent.local_addr().unwrap()).unwrap();
        connection.write_all(b"HEAD / HTTP/1.1\r\n\r\n").unwrap();
        connection.set_nonblocking(true).unwrap();
        assert_eq!(connection.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}
