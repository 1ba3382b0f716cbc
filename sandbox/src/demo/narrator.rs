//! Telling the story to a person: every line with the time since the start.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use super::DemoError;
use crate::{
    juju::{self, HookRecord, Status},
    progress::{Console, Progress},
};

/// Tells the story, line by line. Clones tell the same story.
#[derive(Clone)]
pub struct Narrator {
    started: Instant,
    console: Arc<Console>,
    step: Arc<Mutex<(usize, String)>>,
    status: Arc<Mutex<String>>,
}

impl fmt::Debug for Narrator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Narrator").field("step", &self.step).finish_non_exhaustive()
    }
}

impl Narrator {
    /// Writes every line to a console; the time begins now.
    #[must_use]
    pub fn on(console: Console) -> Self {
        Self { started: Instant::now(), console: Arc::new(console), step: Arc::default(), status: Arc::default() }
    }

    /// Says what this is going to be.
    pub(super) fn begin(&self) {
        self.console.tell(
            "The story of the charm velero-operator on a real Kubernetes cluster; at the left, the seconds so far.",
        );
    }

    /// Begins a step.
    pub(super) fn step(&self, title: &str) {
        let number = {
            let mut step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
            *step = (step.0 + 1, title.to_owned());
            step.0
        };
        self.console.tell("");
        self.line(&format!("{number}. {title}"));
    }

    /// Says what a user would type.
    pub(super) fn command(&self, command: &str) {
        self.line(&format!("   $ {command}"));
    }

    /// Says what has come to be.
    pub(super) fn so(&self, text: &str) {
        self.line(&format!("   {text}"));
    }

    /// Says what a program printed.
    pub(super) fn output(&self, text: &str) {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            self.line(&format!("   | {line}"));
        }
    }

    /// Says how a hook or an action ended, and how the unit is now if that is news.
    pub(super) fn ran(&self, record: &HookRecord, status: &Status) {
        let failure = record.failure.as_ref().map_or(String::new(), |reason| format!("  FAILED: {reason}"));
        let name = format!("{} {}", record.unit, record.name);
        self.line(&format!("   {name:<50} {:>5.2} s{failure}", record.outcome.wall.as_secs_f64()));
        let status = one_line(status);
        let mut told = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != status {
            self.line(&format!("   {} is {status}", record.unit));
            *told = status;
        }
    }

    /// What tells of the local Juju's work.
    pub(super) fn of_juju(&self) -> impl Fn(&juju::Progress<'_>) + Send + Sync + use<> {
        let narrator = self.clone();
        move |progress| match progress {
            juju::Progress::Waiting => narrator.so("waiting for a verb that still works on the model"),
            juju::Progress::Started { .. } => {}
            juju::Progress::ActionLog { message } => narrator.output(message),
            juju::Progress::Ended { record, status } => narrator.ran(record, status),
        }
    }

    /// What tells of long work, such as builds.
    pub(super) fn progress(&self) -> Progress {
        let narrator = self.clone();
        let tell = move |line: &str| narrator.so(line);
        if !self.console.rewrites() {
            return Progress::new(tell);
        }
        let narrator = self.clone();
        Progress::rewriting(tell, move |line| {
            narrator.console.show(&if line.is_empty() { String::new() } else { narrator.timed(&format!("   {line}")) });
        })
    }

    /// The error with the step that it came in.
    pub(super) fn in_step(&self, error: DemoError) -> DemoError {
        let (number, title) = self.step.lock().unwrap_or_else(PoisonError::into_inner).clone();
        DemoError::Step { number, title, source: Box::new(error) }
    }

    /// Says that all is well.
    pub(super) fn end(&self) {
        self.console.tell("");
        self.line("All of it was as it should be.");
    }

    fn line(&self, text: &str) {
        self.console.tell(&self.timed(text));
    }

    /// The text, after the time since the start.
    fn timed(&self, text: &str) -> String {
        format!("{:>6.1} s  {text}", self.started.elapsed().as_secs_f64())
    }
}

/// A status as `word: message`.
pub(super) fn one_line(status: &Status) -> String {
    if status.message.is_empty() { status.value.to_string() } else { format!("{}: {}", status.value, status.message) }
}
