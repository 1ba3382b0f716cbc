//! Watching between the hooks, and asking for one when there is news.

use std::{cell::RefCell, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{
    assignment::Assignment,
    busy::Busy,
    dispatch::ask_for_hook,
    drills::{self, Pace, Performance},
    holdings::Holding,
    knowledge::Knowledge,
    lock::Lock,
    news::{Baseline, is_drilled_anew, is_seen_anew},
    note::Note,
    pauses::Pauses,
    place::Place,
};
use crate::velero::{DrillBook, Expected, LedgerEvent, LedgerOutcome, Observed, Velero};

/// How long something new has to last before a hook is asked for: a rollout has many short stages. As long after a hook, the
/// observer has seen what that hook has changed.
const SETTLING: Duration = Duration::from_secs(1);
/// How often the observer looks at the files that it shares with the hooks; more often while there is something to tell.
const TURN: Duration = Duration::from_secs(1);
const SHORT_TURN: Duration = Duration::from_millis(250);
/// How often the cluster is asked what is remembered of drills, and with that whether it answers.
const PROBE: Duration = Duration::from_secs(30);
/// How long the observer waits before it reads all backups anew: where many are deleted, more follow.
const FORGETTING: Duration = Duration::from_secs(30);

/// An observer at work.
pub(super) struct Watch<'a> {
    assignment: &'a Assignment,
    place: &'a Place,
    lock: &'a Lock,
    velero: &'a Velero,
    knowledge: &'a RefCell<Knowledge>,
    /// What the last hook has seen, and when that was read.
    note: Note,
    read: Instant,
    /// What was known soon after that hook.
    baseline: Option<Baseline>,
    sightings: BoxStream<'static, Observed>,
    events: BoxStream<'static, LedgerEvent>,
    /// When the book of drills was read last; not at all where it has changed since.
    book_read: Option<Instant>,
    /// When all backups are to be read anew.
    anew: Option<Instant>,
    /// Since when there is something that the last hook has not told.
    news_since: Option<Instant>,
    pauses: Pauses,
}

impl<'a> Watch<'a> {
    pub(super) fn new(
        assignment: &'a Assignment,
        place: &'a Place,
        lock: &'a Lock,
        velero: &'a Velero,
        knowledge: &'a RefCell<Knowledge>,
    ) -> Self {
        Self {
            assignment,
            place,
            lock,
            velero,
            knowledge,
            note: Note::default(),
            read: Instant::now(),
            baseline: None,
            sightings: velero.sightings(),
            events: velero.ledger_events(),
            book_read: None,
            anew: None,
            news_since: None,
            pauses: Pauses::default(),
        }
    }

    /// Watches until the charm's directory has gone.
    pub(super) async fn run(mut self) {
        // While a hook that it has asked for waits or runs, the observer asks for no other.
        let mut hook: Option<BoxFuture<'_, ()>> = None;
        let mut probe: Option<BoxFuture<'_, Option<DrillBook>>> = None;
        let mut probed = Instant::now();
        let mut drill: Option<Performance<'_>> = None;
        let mut pace = Pace::new(probed);
        let mut reading: Option<BoxFuture<'_, (String, Option<Holding>)>> = None;
        while !self.lock.is_gone() {
            let turn = if self.news_since.is_some() { SHORT_TURN } else { TURN };
            tokio::select! {
                Some(observed) = self.sightings.next() => self.knowledge.borrow_mut().see(observed, Timestamp::now()),
                Some(event) = self.events.next() => self.note_event(event),
                () = ending(hook.as_mut()) => hook = None,
                book = ending(probe.as_mut()) => {
                    probe = None;
                    self.note_book(book, probed);
                }
                done = ending(drill.as_mut().map(|drill| &mut drill.work)) => {
                    drill = None;
                    pace.note(done, Instant::now());
                    self.book_read = None;
                }
                read = ending(reading.as_mut()) => {
                    reading = None;
                    self.knowledge.borrow_mut().holdings.note(read, Instant::now());
                }
                () = sleep(turn) => {}
            }
            let now = Instant::now();
            let is_probe_due = now >= probed + if self.knows_book() { PROBE } else { TURN };
            if probe.is_none() && is_probe_due {
                probed = now;
                probe = Some(async { self.velero.drill_book().await.ok() }.boxed());
            }
            if reading.is_none()
                && let Some(uid) = self.knowledge.borrow_mut().next_to_read(now)
            {
                reading = Some(Holding::read(self.velero, uid).boxed());
            }
            self.read_note();
            self.read_anew(now);
            if drill.as_ref().is_some_and(|drill| drill.is_called_off(self.note.told.as_ref())) {
                drill = None;
            }
            if drill.is_none() && self.knows_book() && pace.is_over(now) && !Busy::is_marked(self.place) {
                drill = self.task().map(|task| Performance::begin(self.velero, &self.assignment.unit, task));
            }
            if hook.is_none() && self.is_hook_due(now) {
                self.pauses.begin(now);
                self.news_since = None;
                hook = Some(ask_for_hook(&self.assignment.juju_exec, &self.assignment.unit).boxed());
            }
        }
    }

    fn note_book(&mut self, book: Option<DrillBook>, asked: Instant) {
        let Some(book) = book else { return };
        let mut knowledge = self.knowledge.borrow_mut();
        knowledge.drills = book;
        knowledge.answered = Some(Timestamp::now());
        self.book_read = Some(asked);
    }

    /// Whether what is remembered of drills is known as it was after the last hook.
    fn knows_book(&self) -> bool {
        self.book_read.is_some_and(|read| read > self.read)
    }

    /// Returns what there is to be done about drills.
    fn task(&self) -> Option<drills::Task> {
        let knowledge = self.knowledge.borrow();
        let Knowledge { summary, ledger, drills, .. } = &*knowledge;
        drills::task(self.note.told.as_ref(), summary, ledger, drills, Timestamp::now())
    }

    fn note_event(&mut self, event: LedgerEvent) {
        let mut knowledge = self.knowledge.borrow_mut();
        knowledge.answered = Some(Timestamp::now());
        if knowledge.ledger.note(event) == LedgerOutcome::ReadBackupsAnew {
            self.anew.get_or_insert_with(|| Instant::now() + FORGETTING);
        }
    }

    fn read_anew(&mut self, now: Instant) {
        if self.anew.is_some_and(|at| now >= at) {
            self.anew = None;
            self.events = self.velero.ledger_events();
        }
    }

    fn read_note(&mut self) {
        let Some(note) = self.note.next(self.place) else { return };
        // What was not there before may have its kind only now, and its watch would begin late.
        if expected(&self.note) != expected(&note) {
            self.sightings = self.velero.sightings();
            self.events = self.velero.ledger_events();
            self.knowledge.borrow_mut().look_away();
        }
        {
            let mut knowledge = self.knowledge.borrow_mut();
            knowledge.volumes = note.told.as_ref().map(|told| told.volumes.clone()).unwrap_or_default();
            knowledge.public_password = note.told.as_ref().and_then(|told| told.public_password);
        }
        self.note = note;
        self.read = Instant::now();
        self.baseline = None;
        self.news_since = None;
    }

    /// Whether a hook would see something else than the last one, has the turn to, and could run now.
    fn is_hook_due(&mut self, now: Instant) -> bool {
        if self.baseline.is_none() && now >= self.read + SETTLING {
            self.baseline = Baseline::of(&self.knowledge.borrow().ledger);
        }
        if !self.has_news() {
            self.news_since = None;
            return false;
        }
        let since = *self.news_since.get_or_insert(now);
        if now < since + SETTLING || !self.pauses.are_over(now) || Busy::is_marked(self.place) {
            return false;
        }
        // A hook may just have ended, which has seen the same.
        self.read_note();
        self.has_news()
    }

    fn has_news(&self) -> bool {
        let Some(told) = &self.note.told else { return false };
        let mut knowledge = self.knowledge.borrow_mut();
        let is_outdated = |baseline: &Baseline| baseline.is_outdated(told, &knowledge.ledger);
        self.baseline.as_ref().is_some_and(is_outdated)
            || self.knows_book() && is_drilled_anew(told, &knowledge.drills)
            || knowledge.observed_at(Timestamp::now()).is_some_and(|observed| is_seen_anew(told, observed))
    }
}

fn expected(note: &Note) -> Option<&Expected> {
    note.told.as_ref().map(|told| &told.look.expected)
}

/// Waits for the end of something that may be under way.
async fn ending<F: Future + Unpin>(future: Option<&mut F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
