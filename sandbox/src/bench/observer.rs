//! The process that the charm leaves between its hooks to observe, as the system sees it.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    net::{IpAddr, TcpStream},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{BenchError, World, cost::Cost, recorder::APPLICATION, task::Task, user::service_account};
use crate::juju::{Model, UnitName};

/// The file that it holds locked as long as it lives, and that has the id of its process in it.
const LOCK: &str = "charm/.velero-observer/lock";

/// The port on which it serves its metrics.
const PORT: u16 = 8086;

/// How long it may take to end, and to have read everything.
const LIMIT: Duration = Duration::from_mins(2);

/// How often it is looked at.
const ASKED: Duration = Duration::from_millis(50);

/// For how long it is watched while nothing happens.
const AT_REST: Duration = Duration::from_mins(1);

/// In which parts of a second `/proc` counts the time of processes.
const TICKS: u64 = 100;

/// Why an observer could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum ObserverError {
    /// A hook has left none.
    #[error("no observer runs")]
    None,
    /// What it tells of itself, or the system of it, cannot be read.
    #[error("cannot look at the observer")]
    Look(#[source] io::Error),
    /// It did not do in time what it should.
    #[error("the observer has not {0} within {LIMIT:?}")]
    TimedOut(&'static str),
}

/// The observer of a model's only unit.
pub(super) struct Observer {
    lock: PathBuf,
    process: i32,
    /// Where it serves its metrics.
    address: IpAddr,
}

/// What a process has used so far.
struct Usage {
    cpu: Duration,
    peak_memory: u64,
}

impl World {
    /// Measures the observer among many backups, of which the newest began at that second.
    pub(super) fn observe_many(&self, name: &str, newest: i64) -> Result<Vec<(Task, Cost)>, BenchError> {
        let watched = self.watched_model(name)?;
        watched.update_status()?;
        let (begun, log) = (Instant::now(), self.audit.length().map_err(BenchError::Audit)?);
        let observer = self.observer(&watched)?;
        observer.until_it_tells("velero_operator_backup_last_timestamp_seconds", newest)?;
        let wall = begun.elapsed();
        let user = service_account(name, APPLICATION);
        let requests = |log| self.audit.requests_since(log, &user).map_err(BenchError::Audit);
        let (reading, read) = (observer.usage()?, requests(log)?);

        observer.forget_peak()?;
        let log = self.audit.length().map_err(BenchError::Audit)?;
        thread::sleep(AT_REST);
        let (resting, rested) = (observer.usage()?, requests(log)?);
        let rest = Usage { cpu: resting.cpu.saturating_sub(reading.cpu), ..resting };
        observer.end()?;
        Ok(vec![(Task::ObserverReads, reading.cost(wall, read)), (Task::ObserverRests, rest.cost(AT_REST, rested))])
    }

    /// A model that is there already, with a Juju that can be asked for hooks, so that hooks leave an observer. What they cost is
    /// not counted.
    pub(super) fn watched_model(&self, name: &str) -> Result<Model, BenchError> {
        let model = Model::new(self.cluster.access().clone(), name, self.state.path(), &self.program)?;
        Ok(model.with_juju_exec())
    }

    /// The observer that the last hook of a model has left.
    pub(super) fn observer(&self, model: &Model) -> Result<Observer, ObserverError> {
        let unit = UnitName::new(APPLICATION, 0).tag();
        let lock = model.directory().join("agents").join(unit).join(LOCK);
        // What is in it has been written by one that has ended, unless it is locked.
        match File::open(&lock).map_err(ObserverError::Look)?.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(ObserverError::Look(error)),
            Ok(()) => return Err(ObserverError::None),
        }
        let text = fs::read_to_string(&lock).map_err(ObserverError::Look)?;
        let process = text.split(' ').next().and_then(|id| id.parse().ok()).ok_or(ObserverError::None)?;
        // The units of a cluster share its network.
        Ok(Observer { lock, process, address: self.cluster.access().server_address })
    }
}

impl Observer {
    fn usage(&self) -> Result<Usage, ObserverError> {
        let read = |name: &str| fs::read_to_string(self.file(name)).map_err(ObserverError::Look);
        let none = || ObserverError::Look(io::ErrorKind::InvalidData.into());
        let cpu = cpu_time(&read("stat")?).ok_or_else(none)?;
        let peak_memory = peak_memory(&read("status")?).ok_or_else(none)?;
        Ok(Usage { cpu, peak_memory })
    }

    fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.process))
    }

    /// From now on its peak is that of the time from now on.
    fn forget_peak(&self) -> Result<(), ObserverError> {
        fs::write(self.file("clear_refs"), "5").map_err(ObserverError::Look)
    }

    /// Waits until a metric has that value.
    fn until_it_tells(&self, metric: &str, value: i64) -> Result<(), ObserverError> {
        // Before it listens, nobody answers.
        until("read all backups", || has_sample(&self.page().unwrap_or_default(), metric, value))
    }

    fn page(&self) -> io::Result<String> {
        let mut stream = TcpStream::connect((self.address, PORT))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: unit\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        Ok(page)
    }

    /// Ends it, and waits until it has.
    pub(super) fn end(self) -> Result<(), ObserverError> {
        kill(Pid::from_raw(self.process), Signal::SIGTERM).map_err(|error| ObserverError::Look(error.into()))?;
        until("ended", || File::open(&self.lock).is_ok_and(|lock| lock.try_lock_shared().is_ok()))
    }
}

impl Usage {
    fn cost(&self, wall: Duration, api_calls: u64) -> Cost {
        let Self { cpu, peak_memory } = *self;
        Cost { wall, cpu, peak_memory, own_peak_memory: Some(peak_memory), api_calls, ..Cost::default() }
    }
}

fn until(what: &'static str, is_so: impl Fn() -> bool) -> Result<(), ObserverError> {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        if Instant::now() > deadline {
            return Err(ObserverError::TimedOut(what));
        }
        thread::sleep(ASKED);
    }
    Ok(())
}

/// Whether a page of metrics has a sample of that value, whatever its labels.
fn has_sample(page: &str, metric: &str, value: i64) -> bool {
    let value = format!(" {value}");
    page.lines()
        .any(|line| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with('{')) && line.ends_with(&value))
}

/// The time in programs and in the system for them, of `/proc/PID/stat`.
fn cpu_time(stat: &str) -> Option<Duration> {
    // The name of the program may have anything in it.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks()? + ticks()?) * 1000 / TICKS))
}

/// The most memory that was resident, in bytes, of `/proc/PID/status`.
fn peak_memory(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_of_a_process_is_read() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 900 0 0 0 123 45 0 0 20 0 1 0 99 1000 2000\n";
        assert_eq!(cpu_time(stat), Some(Duration::from_millis(1_680)));
        assert_eq!(cpu_time("7 (a) S 1"), None);
        assert_eq!(peak_memory("Name:\tdispatch\nVmHWM:\t   12288 kB\nVmRSS:\t 9000 kB\n"), Some(12_582_912));
        assert_eq!(peak_memory("Name:\tdispatch\n"), None);
        let own = fs::read_to_string("/proc/self/status").unwrap();
        assert!(peak_memory(&own).unwrap() > 100_000);
    }

    #[test]
    fn a_sample_is_of_one_metric_and_has_one_value() {
        let page = "# HELP last When.\nlast{app=\"a\"} 70\nlast_good{app=\"a\"} 8\n";
        assert!(has_sample(page, "last", 70));
        assert!(!has_sample(page, "last", 7) && !has_sample(page, "last", 8) && !has_sample("", "last", 70));
    }
}
