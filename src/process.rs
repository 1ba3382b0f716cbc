//! Child processes with a time limit and a cap on what is read from them.

use std::{
    io::{self, PipeReader},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::Command,
    time::timeout,
};

/// What a child process may use of the unit before it is stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long it may run.
    pub time: Duration,
    /// How many bytes it may print. The beginning of standard error, which is for people, is kept; more of it is not an error.
    pub output: u64,
}

/// How much of standard error is kept; the rest is read and dropped, so that it never blocks.
const STDERR_KEPT: u64 = 64 * 1024;

/// What a child process left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output, all of it.
    pub stdout: Vec<u8>,
    /// The beginning of its standard error.
    stderr: Vec<u8>,
    /// How many bytes of standard error came behind that.
    stderr_dropped: u64,
}

impl Finished {
    /// Standard error as one trimmed text, fit for an error message.
    pub(crate) fn stderr_text(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        match self.stderr_dropped {
            0 => text.trim().to_owned(),
            dropped => format!("{} (… {dropped} more bytes are left out …)", text.trim()),
        }
    }
}

/// Why a child process gave no result.
#[derive(Debug, Error)]
pub(crate) enum ProcessError {
    #[error("cannot start {program}")]
    Start {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot read the output of {program}")]
    Talk {
        program: String,
        #[source]
        source: io::Error,
    },
    /// It printed more than it may, and was killed. Its output is dropped, as a part of it could be taken for the whole.
    #[error("{program} was stopped after {limit} bytes of output")]
    TooMuchOutput { program: String, limit: u64 },
    #[error("{program} was stopped after {} s", limit.as_secs())]
    TimedOut { program: String, limit: Duration },
}

/// Returns the program's name as messages should show it.
pub(crate) fn program_name(command: &Command) -> String {
    command.as_std().get_program().to_string_lossy().into_owned()
}

/// Runs a command to its end, with `input` as its standard input (none: the null device).
///
/// # Errors
///
/// When it cannot be started, its streams break, or it goes beyond `limits`; it is killed then. An exit code other than 0 is
/// no error here.
pub(crate) async fn run(mut command: Command, input: Option<&[u8]>, limits: Limits) -> Result<Finished, ProcessError> {
    let program = program_name(&command);
    let mut child = command
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| ProcessError::Start { program: program.clone(), source })?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let talk = |source| ProcessError::Talk { program: program.clone(), source };
    let conversation = async {
        let write = async {
            if let (Some(mut stdin), Some(input)) = (stdin, input) {
                match stdin.write_all(input).await {
                    // A program that does not want all of its input has its reason, and says so by its exit code.
                    Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(talk(error)),
                    _ => {}
                }
            }
            Ok(())
        };
        let read = async {
            let (stdout, more) = read_capped(stdout, limits.output).await.map_err(talk)?;
            // The other futures are dropped with this error, and the program is killed.
            if more {
                Err(ProcessError::TooMuchOutput { program: program.clone(), limit: limits.output })
            } else {
                Ok(stdout)
            }
        };
        let read_errors = async { read_and_drop(stderr, STDERR_KEPT).await.map_err(talk) };
        let wait = async { child.wait().await.map_err(talk) };
        let ((), stdout, (stderr, stderr_dropped), status) = tokio::try_join!(write, read, read_errors, wait)?;
        Ok(Finished { status, stdout, stderr, stderr_dropped })
    };
    match timeout(limits.time, conversation).await {
        Ok(finished) => finished,
        Err(_) => Err(ProcessError::TimedOut { program, limit: limits.time }),
    }
}

/// Runs a command to its end, and gives `read` its standard output as it comes, on a thread that may block.
///
/// # Errors
///
/// When it cannot be started, its streams break, or it takes longer than `time`; it is killed then. An exit code other than 0 is
/// no error here.
pub(crate) async fn pipe<T: Send + 'static>(
    mut command: Command,
    time: Duration,
    read: impl FnOnce(PipeReader) -> T + Send + 'static,
) -> Result<(T, Finished), ProcessError> {
    let program = program_name(&command);
    let talk = |source| ProcessError::Talk { program: program.clone(), source };
    let (reader, writer) = io::pipe().map_err(talk)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| ProcessError::Start { program: program.clone(), source })?;
    // It has this end of the pipe, too, which would never end.
    drop(command);
    let stderr = child.stderr.take();
    let conversation = async {
        let read =
            async { tokio::task::spawn_blocking(move || read(reader)).await.map_err(|error| talk(error.into())) };
        let read_errors = async { read_and_drop(stderr, STDERR_KEPT).await.map_err(talk) };
        let wait = async { child.wait().await.map_err(talk) };
        let (read, (stderr, stderr_dropped), status) = tokio::try_join!(read, read_errors, wait)?;
        Ok((read, Finished { status, stdout: Vec::new(), stderr, stderr_dropped }))
    };
    match timeout(time, conversation).await {
        Ok(finished) => finished,
        Err(_) => Err(ProcessError::TimedOut { program, limit: time }),
    }
}

/// Reads a stream to its end, but no more than `cap` bytes of it. Returns also whether there are more.
async fn read_capped(stream: Option<impl AsyncRead + Unpin>, cap: u64) -> io::Result<(Vec<u8>, bool)> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else { return Ok((kept, false)) };
    (&mut stream).take(cap).read_to_end(&mut kept).await?;
    let more = stream.read(&mut [0]).await? > 0;
    Ok((kept, more))
}

/// Reads a stream to its end and keeps the first `cap` bytes of it. Returns also how many came behind them.
async fn read_and_drop(stream: Option<impl AsyncRead + Unpin>, cap: u64) -> io::Result<(Vec<u8>, u64)> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else { return Ok((kept, 0)) };
    (&mut stream).take(cap).read_to_end(&mut kept).await?;
    let dropped = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok((kept, dropped))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{io::Write, path::Path};

    use super::*;

    /// Makes a program of a shell script. Another process writes the file: while this one has it open for writing, a child that
    /// another test forks at that moment has it too, and nobody can run it.
    pub(crate) fn write_program(path: &Path, script: &str) {
        let mut writer = std::process::Command::new("sh")
            .args(["-c", "cat >\"$0\" && chmod 755 \"$0\""])
            .arg(path)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = writer.stdin.take().unwrap();
        stdin.write_all(format!("#!/bin/sh\n{script}\n").as_bytes()).unwrap();
        drop(stdin);
        assert!(writer.wait().unwrap().success());
    }

    const LIMITS: Limits = Limits { time: Duration::from_secs(20), output: 1024 };

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn both_streams_and_the_exit_code_come_back() {
        let finished = run(shell("echo out; echo err >&2; exit 3"), None, LIMITS).await.unwrap();
        assert_eq!(finished.stdout, b"out\n");
        assert_eq!(finished.stderr_text(), "err");
        assert_eq!(finished.status.code(), Some(3));
    }

    #[tokio::test]
    async fn input_reaches_the_program_and_no_input_is_the_null_device() {
        let finished = run(shell("cat"), Some(b"through stdin"), LIMITS).await.unwrap();
        assert_eq!(finished.stdout, b"through stdin");
        let finished = run(shell("cat"), None, LIMITS).await.unwrap();
        assert!(finished.stdout.is_empty());
    }

    #[tokio::test]
    async fn an_output_that_is_cut_is_never_taken_for_a_whole_one() {
        let finished = run(shell("head -c 1024 /dev/zero"), None, LIMITS).await.unwrap();
        assert_eq!(finished.stdout.len(), 1024);
        let error = run(shell("head -c 1025 /dev/zero"), None, LIMITS).await.unwrap_err();
        assert_eq!(error.to_string(), "sh was stopped after 1024 bytes of output");
        // It would print for ever.
        let error = run(shell("exec yes"), None, LIMITS).await.unwrap_err();
        assert!(matches!(error, ProcessError::TooMuchOutput { .. }), "{error}");
    }

    #[tokio::test]
    async fn of_many_errors_the_first_are_told_without_blocking_the_program() {
        let finished =
            run(shell("echo first >&2; head -c 1000000 /dev/zero >&2; echo done"), None, LIMITS).await.unwrap();
        assert_eq!(finished.stdout, b"done\n");
        let text = finished.stderr_text();
        assert!(
            text.starts_with("first\n") && text.ends_with("(… 934470 more bytes are left out …)"),
            "{}",
            &text[60_000..]
        );
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_stopped() {
        let limits = Limits { time: Duration::from_millis(50), output: 10 };
        let error = run(shell("exec sleep 600"), None, limits).await.unwrap_err();
        assert!(matches!(error, ProcessError::TimedOut { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let error = run(Command::new("no-such-hook-tool"), None, LIMITS).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot start no-such-hook-tool");
    }
}
