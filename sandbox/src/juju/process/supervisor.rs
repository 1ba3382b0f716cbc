//! The process between the verb and the charm: it enters the namespaces, starts the charm, passes on how it ended.
//!
//! It exists because only a process with one thread can get a mount namespace of its own, and because the peak memory of a child
//! includes that of the process it was forked from: this one is small, the verb's is not.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, killpg};
use nix::sys::time::TimeValLike;
use nix::unistd::{Pid, geteuid, sethostname};

use super::super::wire::{receive, send};
use super::surroundings::arrange;
use super::{Launch, Outcome, Report};

/// The hidden subcommand that makes the program a supervisor.
pub const SUPERVISOR_ARGUMENT: &str = "charm-supervisor";

/// How long the charm's program may be open for writing elsewhere before its start fails for that.
const BUSY_LIMIT: Duration = Duration::from_secs(5);

/// How often the charm's own memory is looked at. The system counts the most that it was, so only what it grows by between the
/// last look and its end is not seen.
const LOOK: Duration = Duration::from_millis(10);

/// Runs a charm as told over standard input, which is a socket to the verb.
#[must_use]
pub fn supervise() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("ERROR {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let verb = verb_socket().map_err(|error| format!("standard input is not the verb's socket: {error}"))?;
    let mut orders = BufReader::new(verb.try_clone().map_err(|error| error.to_string())?);
    let launch: Launch = receive(&mut orders).map_err(|error| error.to_string())?.ok_or("the verb said nothing")?;
    let started = Instant::now();
    let child = match start(&launch) {
        Ok(child) => child,
        Err(reason) => return send(&verb, &Report::Failed(reason)).map_err(|error| error.to_string()),
    };
    let group = Pid::from_raw(i32::try_from(child.id()).map_err(|error| error.to_string())?);
    // The verb sends nothing more: the end of its side means that it died or wants the charm dead.
    thread::spawn(move || {
        let _: Result<Option<()>, _> = receive(&mut orders);
        let _ = killpg(group, Signal::SIGKILL);
    });
    // When the verb is gone already, the thread above ends the charm.
    let _ = send(&verb, &Report::Started(group.as_raw()));
    let outcome = wait(child, started).map_err(|error| format!("cannot wait for the charm: {error}"))?;
    // What the charm left running would keep its output open and call tools that nobody answers.
    let _ = killpg(group, Signal::SIGKILL);
    send(&verb, &Report::Ended(outcome)).map_err(|error| error.to_string())
}

fn verb_socket() -> std::io::Result<UnixStream> {
    Ok(UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?))
}

fn start(launch: &Launch) -> Result<std::process::Child, String> {
    if let Some(process) = launch.namespaces_of {
        join(process).map_err(|error| format!("cannot join the cluster's network (process {process}): {error}"))?;
    }
    let (user, group) = (geteuid(), nix::unistd::getegid());
    let private = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS;
    let private = if user.is_root() { private } else { private | CloneFlags::CLONE_NEWUSER };
    unshare(private).map_err(|error| format!("cannot make private namespaces: {error}"))?;
    if !user.is_root() {
        become_root_of_namespace(user.as_raw(), group.as_raw())
            .map_err(|error| format!("cannot map the user into the namespace: {error}"))?;
    }
    sethostname(&launch.surroundings.pod).map_err(|error| format!("cannot take the pod's name: {error}"))?;
    let directory = arrange(&launch.surroundings)?;
    let mut command = Command::new(&launch.program);
    command
        .args(&launch.arguments)
        .env_clear()
        .envs(&launch.environment)
        .current_dir(directory)
        .stdin(Stdio::null())
        .process_group(0);
    let deadline = Instant::now() + BUSY_LIMIT;
    loop {
        match command.spawn() {
            // Whoever unpacked the charm may have started another program meanwhile, which has the file open for writing until
            // it is on its own.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Err(format!("fork/exec {}: permission denied", launch.program.display()));
            }
            started => return started.map_err(|error| format!("fork/exec {}: {error}", launch.program.display())),
        }
    }
}

/// Enters the network of a process. The file system stays this machine's: what a pod has of its own is mounted anyway,
/// and the cluster's `/proc` would not know the charm.
fn join(process: u32) -> std::io::Result<()> {
    let network = File::open(format!("/proc/{process}/ns/net"))?;
    Ok(setns(network, CloneFlags::CLONE_NEWNET)?)
}

fn become_root_of_namespace(user: u32, group: u32) -> std::io::Result<()> {
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

fn wait(mut child: std::process::Child, started: Instant) -> std::io::Result<Outcome> {
    // Of a process that has ended the open file tells nothing, also where another one has its number.
    let account = File::open(format!("/proc/{}/status", child.id()))?;
    let (ended, end) = mpsc::channel::<()>();
    let (status, wall, own_peak_memory) = thread::scope(|scope| {
        let looks = scope.spawn(move || {
            let mut most = 0;
            loop {
                most = most.max(resident_at_most(&account));
                if end.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                    return most;
                }
            }
        });
        let status = child.wait();
        let wall = started.elapsed();
        drop(ended);
        (status, wall, looks.join().unwrap_or_default())
    });
    let status = status?;
    // The charm is this process's only child, so its children's usage is the charm's with its own descendants.
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Outcome {
        code: status.code(),
        signal: status.signal(),
        wall,
        cpu: Duration::from_micros(u64::try_from(micros).unwrap_or_default()),
        peak_memory: u64::try_from(usage.max_rss()).unwrap_or_default() * 1024,
        own_peak_memory,
    })
}

/// Returns the most memory that a process held resident so far, in bytes, by its open `/proc/…/status`; of one that has ended, 0.
fn resident_at_most(account: &File) -> u64 {
    let mut text = [0; 4096];
    let length = account.read_at(&mut text, 0).unwrap_or_default();
    high_water(&String::from_utf8_lossy(&text[..length])).unwrap_or_default()
}

fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_charm_starts_is_not_its_own_memory() {
        let mut command = Command::new("sh");
        command.args(["-c", "head -c 50m /dev/zero | tail -c 50m > /dev/null; sleep 0.1"]);
        let outcome = wait(command.spawn().unwrap(), Instant::now()).unwrap();
        assert!(outcome.peak_memory > 50_000_000, "{outcome:?}");
        assert!((100_000..20_000_000).contains(&outcome.own_peak_memory), "{outcome:?}");
    }

    #[test]
    fn a_process_that_has_ended_holds_nothing() {
        assert_eq!(high_water("Name:\tvelero-operator\nVmPeak:\t  9000 kB\nVmHWM:\t    5 kB\n"), Some(5 * 1024));
        assert_eq!(high_water("Name:\tvelero-operator\nState:\tZ (zombie)\n"), None);
    }
}
