//! Runs a program and measures it as a charm's hooks are measured.

use std::{
    io::{self, Read, Seek},
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use wait4::Wait4;

use super::cost::Cost;

/// How long a command may take: `velero install --wait` gives up after five minutes itself.
const LIMIT: Duration = Duration::from_mins(6);

/// Why a command was not measured.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be run or waited for.
    #[error("cannot run {program}")]
    Run {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It did not end well.
    #[error("{program} ended with {status}: {said}")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it wrote.
        said: String,
    },
    /// It did not end in time and was killed.
    #[error("{program} did not end within {LIMIT:?}")]
    TimedOut {
        /// The program.
        program: String,
    },
}

/// Runs a command to its end: how long it took, and what it and all that it started and waited for used of CPU and memory.
///
/// The system counts the memory of this process as the command's too, until the command's program is loaded; it is less than
/// the programs that are measured here take.
///
/// # Errors
/// When it cannot be run, fails or takes too long.
pub fn measure(command: &mut Command) -> Result<Cost, CommandError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |source| CommandError::Run { program: program.clone(), source };
    let mut said = tempfile::tempfile().map_err(failed)?;
    let (stdout, stderr) = (said.try_clone().map_err(failed)?, said.try_clone().map_err(failed)?);
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn().map_err(failed)?;
    let process = Pid::from_raw(child.id().cast_signed());
    let (ended, end) = mpsc::channel::<()>();
    let (used, wall) = thread::scope(|scope| {
        scope.spawn(move || {
            if end.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                let _ = kill(process, Signal::SIGKILL);
            }
        });
        let used = child.wait4();
        let wall = started.elapsed();
        drop(ended);
        (used, wall)
    });
    let used = used.map_err(failed)?;
    if used.status.signal() == Some(Signal::SIGKILL as i32) && wall >= LIMIT {
        return Err(CommandError::TimedOut { program });
    }
    if !used.status.success() {
        let mut text = String::new();
        said.rewind().and_then(|()| said.read_to_string(&mut text)).map_err(failed)?;
        return Err(CommandError::Failed { program, status: used.status, said: text.trim().to_owned() });
    }
    let (cpu, peak_memory) = (used.rusage.utime + used.rusage.stime, used.rusage.maxrss);
    Ok(Cost { wall, cpu, peak_memory, ..Cost::default() })
}

/// What a command prints, without the white space around it.
///
/// # Errors
/// When it cannot be run or fails.
pub fn output(command: &mut Command) -> Result<String, CommandError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|source| CommandError::Run { program: program.clone(), source })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(CommandError::Failed { program, status: output.status, said: text(&output.stderr) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_a_command_starts_counts_too() {
        let cost = measure(&mut shell("sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done'; true")).unwrap();
        assert!(cost.cpu > Duration::ZERO && cost.wall > Duration::ZERO, "{cost:?}");
        assert!(cost.peak_memory > 100_000, "{cost:?}");
        assert_eq!(cost.tool_calls, None);
    }

    #[test]
    fn a_failure_carries_the_commands_own_words() {
        let error = measure(&mut shell("echo this; echo that >&2; exit 3")).unwrap_err();
        assert_eq!(error.to_string(), "sh ended with exit status: 3: this\nthat");
    }
}
