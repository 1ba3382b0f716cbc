//! Running other programs: always with a time limit, and with their own words in the error.

use std::{
    fs, io,
    process::{ExitStatus, Output, Stdio},
    time::Duration,
};

use tokio::process::Command;

/// How much of a program's standard error an error carries, in bytes; the end says the most.
const STDERR_KEPT: usize = 2000;

/// Why a program did not do what it was run for.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The program could not be started.
    #[error("cannot run {program}")]
    Start {
        /// The program's name or path.
        program: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The program ended, and not well.
    #[error("{program} ended with {status}: {stderr}")]
    Failed {
        /// The program's name or path.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote to its standard error.
        stderr: String,
    },
    /// The program did not end in time and was killed.
    #[error("{program} did not end within {limit:?}")]
    TimedOut {
        /// The program's name or path.
        program: String,
        /// The time that it was given.
        limit: Duration,
    },
}

/// Runs `command` to its end, without input, and returns what it wrote to its standard output.
///
/// # Errors
/// When it cannot be started, ends with a failure, or takes longer than `limit`.
pub async fn run(mut command: Command, limit: Duration) -> Result<String, ProcessError> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let child = command.spawn().map_err(|source| ProcessError::Start { program: program.clone(), source })?;
    let output = match tokio::time::timeout(limit, child.wait_with_output()).await {
        Err(_) => return Err(ProcessError::TimedOut { program, limit }),
        Ok(Err(source)) => return Err(ProcessError::Start { program, source }),
        Ok(Ok(output)) => output,
    };
    checked(program, &output)
}

fn checked(program: String, output: &Output) -> Result<String, ProcessError> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let kept = output.stderr.len().saturating_sub(STDERR_KEPT);
    let stderr = String::from_utf8_lossy(&output.stderr[kept..]).trim().to_owned();
    Err(ProcessError::Failed { program, status: output.status, stderr })
}

/// The process that another one has started, of which it starts one only.
///
/// # Errors
/// When it has none, or has ended.
pub fn only_child(parent: u32) -> io::Result<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
    let child = children.split_whitespace().next().and_then(|child| child.parse().ok());
    child.ok_or_else(|| io::Error::other(format!("process {parent} has no child")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn returns_the_standard_output() {
        assert_eq!(run(shell("echo good; echo noise >&2"), Duration::from_secs(5)).await.unwrap(), "good\n");
    }

    #[tokio::test]
    async fn a_failure_carries_the_programs_own_words() {
        let error = run(shell("echo why it failed >&2; exit 3"), Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.to_string(), "sh ended with exit status: 3: why it failed");
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_killed() {
        let error = run(shell("exec sleep 60"), Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(error, ProcessError::TimedOut { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_is_missing_is_named() {
        let error = run(Command::new("no-such-program"), Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot run no-such-program");
    }
}
