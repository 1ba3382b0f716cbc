//! How far the steps are, and how long they will take: without I/O.

use std::time::Duration;

use crate::progress::{about, span};

/// How many cores the estimates are for.
const USUAL_CORES: u32 = 2;

/// More cores than this make nothing faster.
const MOST_CORES: u32 = 8;

/// What a step does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Waits,
    Fetches,
    Builds,
    Ended,
}

#[derive(Debug)]
struct Entry {
    what: &'static str,
    takes: Duration,
    state: State,
}

/// All steps.
#[derive(Debug)]
pub(super) struct Board {
    entries: Vec<Entry>,
    /// How many have begun to build.
    begun: usize,
}

impl Board {
    /// Steps of which none has begun: what each makes, and what it takes on two cores. This machine has `cores`.
    pub(super) fn new(steps: impl IntoIterator<Item = (&'static str, Duration)>, cores: usize) -> Self {
        let cores = u32::try_from(cores).unwrap_or(MOST_CORES).clamp(1, MOST_CORES);
        let entry = |(what, takes)| Entry { what, takes: takes * USUAL_CORES / cores, state: State::Waits };
        Self { entries: steps.into_iter().map(entry).collect(), begun: 0 }
    }

    pub(super) fn fetches(&mut self, index: usize) {
        self.enter(index, State::Fetches);
    }

    /// It has what it needs, and waits for its turn to build.
    pub(super) fn waits(&mut self, index: usize) {
        self.enter(index, State::Waits);
    }

    pub(super) fn builds(&mut self, index: usize) {
        self.begun += 1;
        self.enter(index, State::Builds);
    }

    pub(super) fn ends(&mut self, index: usize) {
        self.enter(index, State::Ended);
    }

    fn enter(&mut self, index: usize, state: State) {
        if let Some(entry) = self.entries.get_mut(index) {
            entry.state = state;
        }
    }

    /// What is said before all: how long it will take, and what for.
    pub(super) fn announcement(&self) -> String {
        let whats: Vec<_> = self.entries.iter().map(|entry| entry.what).collect();
        let (count, takes) = (whats.len(), about(self.left(Duration::ZERO)));
        format!(
            "first, what is missing, in {count} step{}, {takes}: {}",
            if count == 1 { "" } else { "s" },
            whats.join(", ")
        )
    }

    /// What is said when a step begins to build, where lines stay.
    pub(super) fn beginning(&self, index: usize, now: Duration) -> String {
        let what = self.entries.get(index).map_or("", |entry| entry.what);
        format!("step {} of {}: {what}; {}", self.begun, self.entries.len(), self.ending(now))
    }

    /// What is said of all steps while they are worked on, in one line.
    pub(super) fn line(&self, now: Duration) -> String {
        let of = |state| {
            let whats = self.entries.iter().filter(|entry| entry.state == state).map(|entry| entry.what);
            whats.collect::<Vec<_>>().join(" and ")
        };
        let (builds, fetches) = (of(State::Builds), of(State::Fetches));
        let mut doing = Vec::new();
        if !builds.is_empty() {
            doing.push(format!("building {builds}"));
        }
        if !fetches.is_empty() {
            doing.push(format!("downloading {fetches}"));
        }
        let (number, count) = (self.begun.max(1), self.entries.len());
        format!("step {number} of {count}, {}: {}; {}", span(now), doing.join(", "), self.ending(now))
    }

    fn ending(&self, now: Duration) -> String {
        match self.left(now) {
            Duration::ZERO => "longer than usual".to_owned(),
            left => format!("{} left", about(left)),
        }
    }

    /// What was estimated less what went by; but no less than the steps take that have not begun, and no more than those take that
    /// have not ended.
    pub(super) fn left(&self, now: Duration) -> Duration {
        let sum = |counts: fn(State) -> bool| -> Duration {
            self.entries.iter().filter(|entry| counts(entry.state)).map(|entry| entry.takes).sum()
        };
        let least = sum(|state| matches!(state, State::Waits | State::Fetches));
        let most = sum(|state| state != State::Ended);
        sum(|_| true).saturating_sub(now).clamp(least, most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn board(cores: usize) -> Board {
        Board::new([("Kubernetes", 300 * SECOND), ("Velero", 180 * SECOND), ("etcd", 60 * SECOND)], cores)
    }

    #[test]
    fn it_is_announced_how_long_it_takes_and_what_for() {
        assert_eq!(
            board(2).announcement(),
            "first, what is missing, in 3 steps, about 9 min: Kubernetes, Velero, etcd"
        );
        assert_eq!(
            board(4).announcement(),
            "first, what is missing, in 3 steps, about 5 min: Kubernetes, Velero, etcd"
        );
    }

    #[test]
    fn one_line_tells_the_step_what_it_does_and_what_is_left() {
        let mut board = board(2);
        board.fetches(0);
        assert_eq!(board.line(Duration::ZERO), "step 1 of 3, 0 s: downloading Kubernetes; about 9 min left");
        board.waits(0);
        board.builds(0);
        board.builds(1);
        board.fetches(2);
        assert_eq!(
            board.line(100 * SECOND),
            "step 2 of 3, 1 min 40 s: building Kubernetes and Velero, downloading etcd; about 8 min left"
        );
        board.ends(1);
        board.builds(2);
        assert_eq!(board.beginning(2, 200 * SECOND), "step 3 of 3: etcd; about 6 min left");
    }

    #[test]
    fn what_is_left_is_never_less_than_what_has_not_begun_nor_more_than_what_has_not_ended() {
        let mut board = board(2);
        board.builds(0);
        assert_eq!(board.left(100 * SECOND), 440 * SECOND);
        // It takes longer than it should.
        assert_eq!(board.left(1000 * SECOND), 240 * SECOND);
        // It was there sooner than it should.
        board.ends(0);
        assert_eq!(board.left(10 * SECOND), 240 * SECOND);
        board.builds(1);
        board.builds(2);
        assert_eq!(board.line(1000 * SECOND), "step 3 of 3, 16 min 40 s: building Velero and etcd; longer than usual");
    }
}
