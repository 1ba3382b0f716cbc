//! The unit's agent: runs the charm once, answers its tools, listens to what it prints.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::sys::socket::{Shutdown, shutdown};
use serde::{Deserialize, Serialize};

use super::boundary::{Boundary, Passage};
use super::cloud::{Cloud, CloudError, UnitAccess};
use super::context::Context;
use super::environment::{Execution, agent_directory, environment};
use super::interruption::Interruption;
use super::log::{Level, Log};
use super::names::UnitName;
use super::process::{Child, Launch, Outcome, Report, SpawnError, Surroundings};
use super::store::Store;
use super::tools;
use super::wire::{EXEC_SOCKET, FileContent, Request, Response, receive, send};

/// Where Juju cuts what a charm prints, in bytes.
const LOG_RECORD_LIMIT: usize = 4096;
/// Most of what an action prints that is kept, in bytes.
const OUTPUT_LIMIT: usize = 16 * 1024 * 1024;
/// How long after the charm's end its pipes may stay open.
const PIPES_LIMIT: Duration = Duration::from_secs(1);
/// How long a tool may take to say what it wants.
const TOOL_LIMIT: Duration = Duration::from_secs(30);

/// Something that goes wrong in the next run, for tests of what happens then.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Disturbance {
    /// The charm gets SIGKILL so long after its start.
    KillAfter(Duration),
    /// The charm gets SIGKILL as it first calls this tool; that call is not answered.
    KillAtTool(&'static str),
    /// The unit's lease of leadership ends while the charm runs.
    LoseLeadership,
}

/// One call of a hook tool.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ToolCall {
    /// The tool.
    pub tool: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its exit code.
    pub code: u8,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// One run of a hook or action.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct HookRecord {
    /// The unit.
    pub unit: UnitName,
    /// The hook's or action's name.
    pub name: String,
    /// When it began.
    pub started: Timestamp,
    /// How the process ended and what it cost.
    pub outcome: Outcome,
    /// Why the run counts as failed, also after exit code 0.
    pub failure: Option<String>,
    /// The calls of hook tools, in order.
    pub tools: Vec<ToolCall>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl HookRecord {
    /// Whether it ended well and its writes were accepted.
    #[must_use]
    pub fn success(&self) -> bool {
        self.failure.is_none()
    }
}

/// Why a charm could not be run at all; that it ran and failed is in its [`HookRecord`].
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The cluster gave no access.
    #[error("no access to the cluster for the unit")]
    Access(#[source] CloudError),
    /// The agent's own socket.
    #[error("cannot listen for hook tools in {}", directory.display())]
    Listen {
        /// The agent's folder.
        directory: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The process.
    #[error("cannot run the charm")]
    Spawn(#[source] SpawnError),
    /// The sandbox program ended without a word.
    #[error("the charm's supervisor ended without saying how the charm did: {0}")]
    Supervisor(String),
}

/// What all runs in a model share.
pub(super) struct Agent<'a> {
    pub program: &'a Path,
    pub store: &'a Store,
    pub log: &'a Log,
    pub cloud: &'a dyn Cloud,
    pub authority: Option<&'a str>,
    pub limit: Duration,
    pub interruption: &'a Interruption,
    pub boundary: Option<&'a dyn Boundary>,
}

enum Event {
    Interrupted,
    Tool(UnixStream),
    Report(Report),
    ReportsEnded,
    Printed(Pipe, Vec<u8>),
    PipeClosed,
}

#[derive(Clone, Copy)]
enum Pipe {
    Stdout,
    Stderr,
}

impl Agent<'_> {
    /// Runs the charm for `context` to its end and commits what it wrote if all went well.
    pub fn run(&self, context: &mut Context<'_>, disturbance: Option<Disturbance>) -> Result<HookRecord, AgentError> {
        let execution = context.execution();
        let mut record = HookRecord {
            unit: context.unit.clone(),
            name: execution.name(),
            started: Timestamp::now(),
            outcome: Outcome::default(),
            failure: None,
            tools: Vec::new(),
            stdout: String::new(),
            stderr: String::new(),
        };
        if let Some(boundary) = self.boundary {
            boundary.begins(&context.unit, &record.name);
        }
        match self.executable(&context.unit, execution) {
            Some(executable) => {
                let ran = self.run_program(context, executable, disturbance, &mut record);
                if let Some(boundary) = self.boundary {
                    boundary.ends();
                }
                ran?;
            }
            // Juju skips hooks that a charm does not have, but not actions.
            None if execution.hook().is_some() => record.outcome.code = Some(0),
            None => record.failure = Some("action not implemented on unit".to_owned()),
        }
        if disturbance == Some(Disturbance::LoseLeadership) {
            context.lose_lease();
        }
        if record.failure.is_none() && !record.outcome.success() {
            record.failure = Some(record.outcome.describe());
        }
        if record.failure.is_none()
            && let Err(reason) = context.commit()
        {
            record.failure = Some(match execution.hook() {
                Some(_) => format!("cannot apply changes: {reason}"),
                None => "committing requested changes failed".to_owned(),
            });
        }
        self.log_end(&record, execution);
        Ok(record)
    }

    /// What Juju runs, with its arguments.
    fn executable(&self, unit: &UnitName, execution: &Execution) -> Option<(PathBuf, Vec<String>)> {
        if let Execution::Commands(commands) = execution {
            return Some(("/bin/bash".into(), vec!["-c".to_owned(), commands.clone()]));
        }
        let charm = self.store.agent_directory(unit).join("charm");
        let path = [Some("dispatch".to_owned()), execution.dispatch_path()].into_iter().flatten();
        let path = path.into_iter().find(|path| charm.join(path).exists())?;
        Some((Path::new(&agent_directory(unit)).join("charm").join(path), Vec::new()))
    }

    fn run_program(
        &self,
        context: &mut Context<'_>,
        executable: (PathBuf, Vec<String>),
        disturbance: Option<Disturbance>,
        record: &mut HookRecord,
    ) -> Result<(), AgentError> {
        let unit = context.unit.clone();
        let access = self.cloud.unit_access(&context.model.name, &unit.application).map_err(AgentError::Access)?;
        let directory = self.store.agent_directory(&unit);
        let not_listening = |source| AgentError::Listen { directory: directory.clone(), source };
        let listener = listen(&directory, "agent.socket").map_err(not_listening)?;
        let context_id = format!("{unit}-{}-{}", record.name, uuid::Uuid::new_v4().as_u128() % 10_u128.pow(19));
        let launch = self.launch(context, executable, &context_id, access);
        let (child, stdout, stderr) = Child::spawn(self.program, &launch).map_err(AgentError::Spawn)?;

        let (events, inbox) = mpsc::channel();
        let reports = child.reports().map_err(|source| AgentError::Spawn(SpawnError::Tell(source)))?;
        let accepting = listener.try_clone().map_err(not_listening)?;
        listen_to_pipe(stdout, Pipe::Stdout, events.clone());
        listen_to_pipe(stderr, Pipe::Stderr, events.clone());
        let interrupted = events.clone();
        let kill = move || drop(interrupted.send(Event::Interrupted));
        self.interruption.on_ask(Some(Box::new(kill)));
        let report_events = events.clone();
        thread::spawn(move || {
            for report in reports {
                let _ = report_events.send(Event::Report(report));
            }
            let _ = report_events.send(Event::ReportsEnded);
        });
        thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                if events.send(Event::Tool(stream)).is_err() {
                    break;
                }
            }
        });

        let mut run = Running {
            agent: self,
            context,
            context_id: &context_id,
            record,
            open_pipes: 2,
            ended: None,
            held: Vec::new(),
        };
        let result = run.until_end(&inbox, &child, disturbance);
        self.interruption.on_ask(None);
        // Ends the thread that accepts; a tool that is called now finds nobody.
        let _ = shutdown(listener.as_raw_fd(), Shutdown::Both);
        let _ = std::fs::remove_file(directory.join("agent.socket"));
        child.finish();
        result
    }

    fn launch(
        &self,
        context: &Context<'_>,
        (program, arguments): (PathBuf, Vec<String>),
        context_id: &str,
        access: UnitAccess,
    ) -> Launch {
        let unit = &context.unit;
        let directory = self.store.agent_directory(unit);
        let exec_socket = directory.join(EXEC_SOCKET);
        Launch {
            program,
            arguments,
            environment: environment(context.model, unit, context.execution(), context_id, &access),
            namespaces_of: access.namespaces_of,
            surroundings: Surroundings {
                unit_tag: unit.tag(),
                pod: unit.pod(),
                charm_directory: directory.join("charm"),
                socket: directory.join("agent.socket"),
                exec_socket: exec_socket.exists().then_some(exec_socket),
                tools_program: self.program.to_owned(),
                authority: self.authority.map(str::to_owned),
                nameserver: access.nameserver,
                service_account: BTreeMap::from([
                    ("token".to_owned(), access.token),
                    ("ca.crt".to_owned(), access.certificate_authority),
                    ("namespace".to_owned(), context.model.name.clone()),
                ]),
            },
        }
    }

    fn log_end(&self, record: &HookRecord, execution: &Execution) {
        let (entity, module) = (record.unit.tag(), "juju.worker.uniter.operation");
        let kind = match execution {
            Execution::Hook(_) => "hook",
            Execution::Action { .. } => "action",
            // Juju says nothing of commands.
            Execution::Commands(_) => return,
        };
        let how = "(via hook dispatching script: dispatch)";
        match &record.failure {
            None => self.log.write(&entity, Level::Info, module, &format!("ran {:?} {kind} {how}", record.name)),
            Some(reason) => {
                let text = format!("{kind} {:?} {how} failed: {reason}", record.name);
                self.log.write(&entity, Level::Error, module, &text);
            }
        }
    }
}

/// A socket of the agent's. Its path may be longer than an address can be, so it is reached by way of the open folder.
pub(super) fn listen(directory: &Path, name: &str) -> io::Result<UnixListener> {
    let folder = File::open(directory)?;
    let _ = std::fs::remove_file(directory.join(name));
    UnixListener::bind(format!("/proc/self/fd/{}/{name}", folder.as_fd().as_raw_fd()))
}

fn listen_to_pipe(pipe: impl Read + Send + 'static, which: Pipe, events: Sender<Event>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        loop {
            let mut line = Vec::new();
            match reader.by_ref().take(OUTPUT_LIMIT as u64).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) => {
                    if events.send(Event::Printed(which, line)).is_err() {
                        break;
                    }
                }
            }
        }
        let _ = events.send(Event::PipeClosed);
    });
}

/// A charm that runs.
struct Running<'r, 'c, 'm> {
    agent: &'r Agent<'r>,
    context: &'c mut Context<'m>,
    context_id: &'r str,
    record: &'r mut HookRecord,
    open_pipes: u8,
    ended: Option<Instant>,
    /// Tools that are never answered.
    held: Vec<UnixStream>,
}

impl Running<'_, '_, '_> {
    fn until_end(
        &mut self,
        inbox: &mpsc::Receiver<Event>,
        child: &Child,
        disturbance: Option<Disturbance>,
    ) -> Result<(), AgentError> {
        let started = Instant::now();
        let kill_at = match disturbance {
            Some(Disturbance::KillAfter(delay)) => started + delay,
            _ => started + self.agent.limit,
        };
        let mut killed = false;
        let mut reports_ended = false;
        while !(self.ended.is_some() && self.open_pipes == 0) {
            let deadline = match self.ended {
                Some(ended) => ended + PIPES_LIMIT,
                None if killed => kill_at + TOOL_LIMIT,
                None => kill_at,
            };
            match inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::Interrupted) => child.kill(),
                Ok(Event::Tool(stream)) => {
                    if let Err(error) = self.answer(&stream, child, disturbance) {
                        let text = format!("a hook tool went away: {error}");
                        self.agent.log.write(&self.context.unit.tag(), Level::Debug, "juju.worker.uniter", &text);
                    }
                }
                Ok(Event::Report(Report::Started(group))) => {
                    if let Some(boundary) = self.agent.boundary {
                        boundary.runs(group);
                    }
                }
                Ok(Event::Report(Report::Failed(reason))) => {
                    self.record.failure = Some(reason);
                    self.ended = Some(Instant::now());
                }
                Ok(Event::Report(Report::Ended(outcome))) => {
                    self.record.outcome = outcome;
                    self.ended = Some(Instant::now());
                }
                Ok(Event::ReportsEnded) => reports_ended = true,
                Ok(Event::Printed(pipe, line)) => self.printed(pipe, &line),
                Ok(Event::PipeClosed) => self.open_pipes = self.open_pipes.saturating_sub(1),
                Err(RecvTimeoutError::Timeout) if self.ended.is_some() => break,
                Err(RecvTimeoutError::Timeout) if killed => break,
                Err(RecvTimeoutError::Timeout) => {
                    child.kill();
                    killed = true;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if reports_ended && self.ended.is_none() && self.open_pipes == 0 {
                break;
            }
        }
        if self.ended.is_none() {
            return Err(AgentError::Supervisor(self.record.stderr.trim().to_owned()));
        }
        Ok(())
    }

    fn answer(&mut self, stream: &UnixStream, child: &Child, disturbance: Option<Disturbance>) -> io::Result<()> {
        stream.set_read_timeout(Some(TOOL_LIMIT))?;
        stream.set_write_timeout(Some(TOOL_LIMIT))?;
        let mut reader = BufReader::new(stream);
        let Some(request) = receive::<Request>(&mut reader)? else { return Ok(()) };
        if request.context != self.context_id {
            let stderr =
                format!("ERROR bad request: expected context id {:?}, got {:?}\n", self.context_id, request.context);
            return send(stream, &Response::Done { code: 1, stdout: String::new(), stderr, output: None });
        }
        if matches!(disturbance, Some(Disturbance::KillAtTool(tool)) if tool == request.tool) {
            child.kill();
            return Ok(());
        }
        match self.agent.boundary.map_or(Passage::Through, |at| at.calls(&request.tool, &request.arguments)) {
            Passage::Through => {}
            Passage::WithoutLease => self.context.lose_lease(),
            Passage::Answered { code, stdout, stderr } => {
                let (tool, arguments) = (request.tool, request.arguments);
                self.record.tools.push(ToolCall { tool, arguments, code, stderr: stderr.clone() });
                return send(stream, &Response::Done { code, stdout, stderr, output: None });
            }
            Passage::Lost => return Ok(()),
            Passage::Held => {
                self.held.push(stream.try_clone()?);
                return Ok(());
            }
        }
        self.context.go_on(self.record.tools.len() + 1);
        let mut files: BTreeMap<PathBuf, FileContent> = BTreeMap::new();
        loop {
            let response = tools::answer(self.context, &request.tool, &request.arguments, &files);
            if let Response::Done { code, stderr, .. } = &response {
                let (code, stderr) = (*code, stderr.clone());
                self.record.tools.push(ToolCall { tool: request.tool, arguments: request.arguments, code, stderr });
                if self.agent.boundary.is_some_and(|at| !at.answers()) {
                    return Ok(());
                }
                return send(stream, &response);
            }
            send(stream, &response)?;
            let Response::Read(path) = response else { return Ok(()) };
            let Some(content) = receive(&mut reader)? else { return Ok(()) };
            files.insert(path, content);
        }
    }

    fn printed(&mut self, pipe: Pipe, line: &[u8]) {
        let (level, kept) = match pipe {
            Pipe::Stdout => (Level::Debug, &mut self.record.stdout),
            Pipe::Stderr => (Level::Warning, &mut self.record.stderr),
        };
        if kept.len() < OUTPUT_LIMIT {
            kept.push_str(&String::from_utf8_lossy(line));
        }
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let module = format!("unit.{}.{}", self.context.unit, self.record.name);
        for part in line.chunks(LOG_RECORD_LIMIT) {
            self.agent.log.write(&self.context.unit.tag(), level, &module, &String::from_utf8_lossy(part));
        }
    }
}
