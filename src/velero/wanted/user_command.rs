//! A command of the user's: run to its end, with its lines handed over as they come.

use std::{collections::VecDeque, ffi::OsStr, io, mem, process::Stdio, time::Duration};

use futures::future;
use secrecy::ExposeSecret;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Command,
    sync::{
        mpsc::{self, Sender},
        oneshot,
    },
    time::{sleep, timeout},
};

use super::Cli;
use crate::{
    process::{self, ProcessError},
    text,
};

/// Lines that have been read and not yet handed over; a program that prints faster waits.
const LINES_IN_FLIGHT: usize = 256;

/// Of a longer line the beginning and the end are kept.
const LINE_BEGINNING: usize = 12 * 1024;
const LINE_END: usize = 4 * 1024;

/// How long after the end of a program its pipes may stay open: somebody else has them then, or nobody takes the lines.
const DRAIN_LIMIT: Duration = Duration::from_mins(1);

/// How a command of the user ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Finish {
    /// It exited, with this code; `None` when a signal ended it.
    Exited(Option<i32>),
    /// It ran for too long and was stopped.
    TimedOut,
}

/// Takes the lines of a command as they come.
pub(crate) trait LineSink {
    /// Takes the lines of standard output and standard error that have come since the last call.
    fn lines(&mut self, lines: Vec<String>) -> impl Future<Output = ()>;
}

impl Cli {
    /// Returns the program with a command on Velero in `namespace`, as it is to be run in the charm's own pod.
    pub(crate) fn on(&self, namespace: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--namespace", namespace, "--colorized=false"]).args(arguments);
        if let Some(proxies) = &self.proxies {
            // It fetches from the store. Juju has given the charm the same URLs in the same way.
            let (name, exceptions) = proxies.plain_variable();
            command.env(name, exceptions);
            command.envs(proxies.secret_variables().map(|(name, url)| (name, url.expose_secret())));
        }
        command
    }

    /// Runs a command of the user's on Velero in `namespace`, and hands its lines over as they come.
    ///
    /// # Errors
    ///
    /// When the program cannot be run, or not all of its output could be read. What was read has been handed over.
    pub(crate) async fn command(
        &self,
        namespace: &str,
        arguments: &[String],
        time: Duration,
        sink: &mut impl LineSink,
    ) -> Result<Finish, ProcessError> {
        let mut command = self.on(namespace, arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let program = process::program_name(&command);
        let mut child = command.spawn().map_err(|source| ProcessError::Start { program: program.clone(), source })?;
        let conversation = converse(child.stdout.take(), child.stderr.take(), sink);
        let (ended, has_ended) = oneshot::channel();
        let ending = async {
            let finish = match timeout(time, child.wait()).await {
                Ok(status) => status.map(|status| Finish::Exited(status.code())),
                Err(_) => child.kill().await.map(|()| Finish::TimedOut),
            };
            drop(ended);
            finish
        };
        let (finish, read) = future::join(ending, drained(conversation, has_ended, DRAIN_LIMIT)).await;
        let talk = |source| ProcessError::Talk { program, source };
        match finish {
            // That it was stopped says more than what became of its pipes.
            Ok(Finish::TimedOut) => Ok(Finish::TimedOut),
            Ok(finish) => read.map(|()| finish).map_err(talk),
            Err(source) => Err(talk(source)),
        }
    }
}

/// Hands the lines of both streams over until both have ended.
async fn converse(
    stdout: Option<impl AsyncRead + Unpin>,
    stderr: Option<impl AsyncRead + Unpin>,
    sink: &mut impl LineSink,
) -> io::Result<()> {
    let (sender, mut received) = mpsc::channel(LINES_IN_FLIGHT);
    let reading = future::join(forward(stdout, sender.clone()), forward(stderr, sender));
    let writing = async {
        let mut lines = Vec::new();
        while received.recv_many(&mut lines, LINES_IN_FLIGHT).await > 0 {
            sink.lines(mem::take(&mut lines)).await;
        }
    };
    let ((stdout, stderr), ()) = future::join(reading, writing).await;
    stdout.and(stderr)
}

/// Waits for the end of a conversation, but not for longer than `limit` once the program has ended.
async fn drained(
    conversation: impl Future<Output = io::Result<()>>,
    has_ended: oneshot::Receiver<()>,
    limit: Duration,
) -> io::Result<()> {
    let overdue = async {
        // The sender is dropped when the program has ended.
        let _ = has_ended.await;
        sleep(limit).await;
    };
    tokio::select! {
        result = conversation => result,
        () = overdue => Err(io::Error::new(io::ErrorKind::TimedOut, "it stayed open after the program's end")),
    }
}

/// Sends the lines of a stream until it ends or nobody wants them any more.
async fn forward(stream: Option<impl AsyncRead + Unpin>, lines: Sender<String>) -> io::Result<()> {
    let Some(stream) = stream else { return Ok(()) };
    let mut reader = BufReader::new(stream);
    let mut line = Line::default();
    loop {
        let read = reader.fill_buf().await;
        let bytes = match &read {
            Ok(bytes) => *bytes,
            Err(_) => &[],
        };
        let end = bytes.iter().position(|byte| *byte == b'\n');
        line.push(&bytes[..end.unwrap_or(bytes.len())]);
        let consumed = end.map_or(bytes.len(), |end| end + 1);
        // The last line may end without a newline, or with the stream's breaking.
        let is_whole = end.is_some() || (consumed == 0 && !line.is_empty());
        if is_whole && lines.send(mem::take(&mut line).into_text()).await.is_err() {
            return Ok(());
        }
        match read {
            Ok([]) => return Ok(()),
            Ok(_) => reader.consume(consumed),
            Err(error) => return Err(error),
        }
    }
}

/// A line on its way, of which no more is kept than is shown.
#[derive(Default)]
struct Line {
    beginning: Vec<u8>,
    end: VecDeque<u8>,
    left_out: usize,
}

impl Line {
    fn push(&mut self, bytes: &[u8]) {
        let (beginning, rest) = bytes.split_at(bytes.len().min(LINE_BEGINNING - self.beginning.len()));
        self.beginning.extend(beginning);
        self.end.extend(rest);
        let excess = self.end.len().saturating_sub(LINE_END);
        self.end.drain(..excess);
        self.left_out += excess;
    }

    fn is_empty(&self) -> bool {
        self.beginning.is_empty()
    }

    fn into_text(self) -> String {
        let Self { beginning, end, left_out } = self;
        let bytes = if left_out == 0 {
            [beginning, end.into()].concat()
        } else {
            [beginning, text::note(left_out).into(), end.into()].concat()
        };
        String::from_utf8_lossy(&bytes).trim_end_matches('\r').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use secrecy::SecretString;
    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt, ReadBuf};

    use super::*;
    use crate::proxies::{Given, Proxies};

    /// A stand-in for the program, for what does not depend on what the real one prints.
    fn scripted(script: &str) -> (TempDir, Cli) {
        let directory = TempDir::new().unwrap();
        let program = directory.path().join("velero");
        process::tests::write_program(&program, script);
        (directory, Cli::at(program))
    }

    #[derive(Default)]
    struct Collected(Vec<String>);

    impl LineSink for Collected {
        async fn lines(&mut self, lines: Vec<String>) {
            self.0.extend(lines);
        }
    }

    async fn collect(script: &str, time: Duration) -> (Finish, Vec<String>) {
        let (_directory, cli) = scripted(script);
        let mut collected = Collected::default();
        let arguments = ["backup".into(), "get".into()];
        let finish = cli.command("backups", &arguments, time, &mut collected).await.unwrap();
        (finish, collected.0)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn lines_of_both_streams_arrive_with_the_exit_code() {
        let (finish, mut lines) = collect("echo \"$@\"; echo oops >&2; echo; printf 'no newline'; exit 3", LONG).await;
        assert_eq!(finish, Finish::Exited(Some(3)));
        lines.sort();
        assert_eq!(lines, ["", "--namespace backups --colorized=false backup get", "no newline", "oops"]);
    }

    #[tokio::test]
    async fn the_store_is_reached_by_the_models_proxies() {
        let url = SecretString::from("proxy.internal:3128");
        let given = Given { http: None, https: Some(&url), exceptions: "stores.internal", api_server: "10.152.183.1" };
        let (_directory, cli) = scripted("echo \"$HTTPS_PROXY\"; echo \"$NO_PROXY\"");
        let mut collected = Collected::default();
        let cli = cli.by_proxies(Proxies::read(given).unwrap());
        cli.command("backups", &["backup".into()], LONG, &mut collected).await.unwrap();
        let exceptions =
            ".cluster.local,.svc,10.152.183.1,127.0.0.1,::1,kubernetes.default.svc,localhost,stores.internal";
        assert_eq!(collected.0, ["http://proxy.internal:3128", exceptions]);
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_stopped_and_what_it_said_is_kept() {
        let (finish, lines) = collect("echo started; printf ...; exec sleep 600", Duration::from_millis(300)).await;
        assert_eq!(finish, Finish::TimedOut);
        assert_eq!(lines, ["started", "..."]);
    }

    #[tokio::test]
    async fn a_line_of_any_length_is_cut_and_what_follows_comes() {
        let script = "echo first; printf begin; head -c 1000000 /dev/zero | tr '\\0' x; echo end; echo last";
        let (finish, lines) = collect(script, LONG).await;
        assert_eq!(finish, Finish::Exited(Some(0)));
        let [first, long, last] = &lines[..] else { panic!("{} lines", lines.len()) };
        assert_eq!((first.as_str(), last.as_str()), ("first", "last"));
        assert!(long.starts_with("beginxx") && long.ends_with("xxend"), "{}", &long[..100]);
        let left_out = 1_000_008 - LINE_BEGINNING - LINE_END;
        assert!(long.contains(&format!("x (… {left_out} bytes are left out here …) x")));
        assert!(long.len() < 17 * 1024, "{}", long.len());
    }

    #[tokio::test]
    async fn a_line_that_just_fits_is_whole() {
        let length = LINE_BEGINNING + LINE_END;
        let (_, lines) = collect(&format!("head -c {length} /dev/zero | tr '\\0' x"), LONG).await;
        assert_eq!(lines, ["x".repeat(length)]);
    }

    /// A pipe that breaks.
    struct Broken;

    impl AsyncRead for Broken {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }
    }

    #[tokio::test]
    async fn a_stream_that_breaks_is_an_error_and_what_came_before_is_kept() {
        let mut collected = Collected::default();
        let stdout = &b"whole\npart"[..];
        let error =
            converse(Some(stdout.chain(Broken)), Some(&b"of the other\n"[..]), &mut collected).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        collected.0.sort();
        assert_eq!(collected.0, ["of the other", "part", "whole"]);
    }

    #[tokio::test]
    async fn a_pipe_that_somebody_keeps_open_is_not_waited_for_without_end() {
        let (ended, has_ended) = oneshot::channel();
        drop(ended);
        let error = drained(future::pending(), has_ended, Duration::from_millis(10)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
