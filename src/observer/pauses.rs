//! How often the observer asks for a hook: soon for what happens once, seldom for what comes and goes.

use std::time::Duration;

use tokio::time::Instant;

/// The time from one hook to the next, at first.
const FIRST: Duration = Duration::from_secs(1);
/// The same when there is no end of it: Juju's own `update-status` comes as often.
const LONGEST: Duration = Duration::from_mins(5);
/// After this time without a hook, all is forgiven.
const QUIET: Duration = Duration::from_mins(10);

/// The pauses between hooks, each twice as long as the one before, until nothing happens for a while.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    last: Option<(Instant, Duration)>,
}

impl Pauses {
    /// Whether a hook may be asked for.
    pub(super) fn are_over(&self, now: Instant) -> bool {
        self.last.is_none_or(|(asked, pause)| now >= asked + pause)
    }

    /// Notes that a hook was asked for.
    pub(super) fn begin(&mut self, now: Instant) {
        let pause = match self.last {
            Some((asked, pause)) if now < asked + QUIET => (pause * 2).min(LONGEST),
            _ => FIRST,
        };
        self.last = Some((now, pause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_once_is_told_at_once_and_what_comes_and_goes_is_told_seldom() {
        let (mut pauses, begun) = (Pauses::default(), Instant::now());
        assert!(pauses.are_over(begun));
        let mut asked = Vec::new();
        for second in 0..=1800 {
            let now = begun + Duration::from_secs(second);
            if pauses.are_over(now) {
                pauses.begin(now);
                asked.push(second);
            }
        }
        assert_eq!(asked, [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 811, 1111, 1411, 1711]);
        let later = begun + Duration::from_secs(1711) + QUIET;
        pauses.begin(later);
        assert!(pauses.are_over(later + FIRST));
    }
}
