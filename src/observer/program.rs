//! The observer's own process.

use std::{fs::File, path::PathBuf, time::Duration};

use futures::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{BoxStream, pending},
};
use rustix::{process::setsid, stdio::dup2_stdout};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep},
};

use super::{
    ObserverError,
    busy::Busy,
    dispatch::ask_for_hook,
    lock::{Lock, own_build},
    note::Note,
    pauses::Pauses,
    place::Place,
};
use crate::velero::{Expected, Look, Velero};

/// How long something new has to last before a hook is asked for: a rollout has many short stages.
const SETTLING: Duration = Duration::from_secs(1);
/// How often the observer looks at the files that it shares with the hooks; more often while there is something to tell.
const TURN: Duration = Duration::from_secs(1);
const SHORT_TURN: Duration = Duration::from_millis(250);

/// Whom an observer serves.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    /// The unit's name.
    pub unit: String,
    /// The charm's directory.
    pub charm_directory: PathBuf,
    /// The program by which Juju is asked to run a hook.
    pub juju_exec: PathBuf,
}

/// Watches until the charm's directory has gone, or somebody ends the process. Where an observer runs already, it returns at once.
///
/// # Errors
///
/// When it cannot begin.
pub(crate) async fn observe(assignment: &Assignment) -> Result<(), ObserverError> {
    // What ends a hook's process group does not end this process.
    setsid().map_err(|error| ObserverError::Detach(error.into()))?;
    let place = Place::in_charm(&assignment.charm_directory);
    let Some(lock) = Lock::take(&place, &own_build()?)? else { return Ok(()) };
    let velero = Velero::in_cluster(&assignment.charm_directory).map_err(ObserverError::Connect)?;
    let mut end = signal(SignalKind::terminate()).map_err(ObserverError::Detach)?;
    // The hook that started it waits for that.
    let null = File::options().write(true).open("/dev/null").map_err(ObserverError::Detach)?;
    dup2_stdout(&null).map_err(|error| ObserverError::Detach(error.into()))?;
    let observer = Observer {
        assignment,
        place,
        lock,
        velero,
        note: Note::default(),
        looks: pending().boxed(),
        seen: None,
        news_since: None,
        pauses: Pauses::default(),
    };
    tokio::select! {
        () = observer.watch() => {}
        _ = end.recv() => {}
    }
    Ok(())
}

/// What the observer knows.
struct Observer<'a> {
    assignment: &'a Assignment,
    place: Place,
    lock: Lock,
    velero: Velero,
    /// What the last hook has seen.
    note: Note,
    looks: BoxStream<'static, Look>,
    /// What is to be seen now.
    seen: Option<Look>,
    /// Since when that is something else than the last hook has seen.
    news_since: Option<Instant>,
    pauses: Pauses,
}

impl Observer<'_> {
    async fn watch(mut self) {
        // While a hook that it has asked for waits or runs, the observer asks for no other.
        let mut hook: Option<BoxFuture<'_, ()>> = None;
        while !self.lock.is_gone() {
            let turn = if self.news_since.is_some() { SHORT_TURN } else { TURN };
            let hooks_end = async {
                match &mut hook {
                    Some(hook) => hook.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(look) = self.looks.next() => self.seen = Some(look),
                () = hooks_end => hook = None,
                () = sleep(turn) => {}
            }
            self.read_note();
            if hook.is_none() && self.is_hook_due(Instant::now()) {
                self.pauses.begin(Instant::now());
                self.news_since = None;
                hook = Some(ask_for_hook(&self.assignment.juju_exec, &self.assignment.unit).boxed());
            }
        }
    }

    fn read_note(&mut self) {
        let Some(note) = self.note.next(&self.place) else { return };
        let (before, now) = (expected(&self.note), expected(&note));
        if before != now {
            self.looks = now.map_or_else(|| pending().boxed(), |expected| self.velero.looks(expected).boxed());
            self.seen = None;
        }
        self.note = note;
        self.news_since = None;
    }

    /// Whether a hook would see something else than the last one, has the turn to, and could run now.
    fn is_hook_due(&mut self, now: Instant) -> bool {
        if !self.has_news() {
            self.news_since = None;
            return false;
        }
        let since = *self.news_since.get_or_insert(now);
        if now < since + SETTLING || !self.pauses.are_over(now) || Busy::is_marked(&self.place) {
            return false;
        }
        // A hook may just have ended, which has seen the same.
        self.read_note();
        self.has_news()
    }

    fn has_news(&self) -> bool {
        self.note.look.as_ref().zip(self.seen.as_ref()).is_some_and(|(told, seen)| told != seen)
    }
}

fn expected(note: &Note) -> Option<&Expected> {
    note.look.as_ref().map(|look| &look.expected)
}
