//! The restarts of a server that has said nothing of the storage location.
//!
//! A server makes one validation after the other, and none has a time limit. With a store that takes connections and never answers,
//! or that went away without a word, it hangs in one for ever: also when the location is changed, or the store is back. Only
//! another server asks anew. What was done is noted on the Deployment.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use serde_json::{Value, json};

/// The annotation of the server's Deployment with the last restart.
const RESTART_ANNOTATION: &str = "velero-operator/restart";
/// How long a server is left alone that cannot hang in what the location was before.
const FIRST_PAUSE: Duration = Duration::from_mins(5);
/// A store that is back after days is found within this time.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// A restart of the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Restart {
    /// When something was heard of the location last, or it was changed after that: it tells one silence from another.
    since: Timestamp,
    /// How many there were since then, this one included.
    number: u32,
}

impl Restart {
    /// Returns the last restart that was made for the silence that began at that time.
    pub(crate) fn last(server: Option<&Deployment>, since: Timestamp) -> Option<Self> {
        let (number, noted) = server?.annotations().get(RESTART_ANNOTATION)?.split_once(" since ")?;
        let last = Self { since: noted.parse().ok()?, number: number.parse().ok()? };
        (last.since == since).then_some(last)
    }

    /// Returns the restart that is due of a server that runs since `start` and is silent.
    pub(crate) fn due(last: Option<Self>, since: Timestamp, start: Timestamp, now: Timestamp) -> Option<Self> {
        let made = last.map_or(0, |last| last.number);
        let may_hang_in_the_former = made == 0 && start < since;
        let is_due = may_hang_in_the_former || now >= start + pause(made);
        is_due.then(|| Self { since, number: made.saturating_add(1) })
    }

    /// Returns the change of the Deployment that notes it.
    pub(crate) fn note(self) -> Value {
        let note = format!("{} since {}", self.number, self.since);
        json!({"metadata": {"annotations": {RESTART_ANNOTATION: note}}})
    }
}

/// Returns how long a server has to be silent after so many restarts until the next one.
fn pause(made: u32) -> Duration {
    let doubled = 2_u32.checked_pow(made.saturating_sub(1)).and_then(|times| FIRST_PAUSE.checked_mul(times));
    doubled.unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGE: &str = "2026-01-31T10:20:00Z";

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn due(made: u32, start: &str, now: &str) -> Option<u32> {
        let since = time(CHANGE);
        let last = (made > 0).then_some(Restart { since, number: made });
        Restart::due(last, since, time(start), time(now)).map(|restart| restart.number)
    }

    #[test]
    fn a_server_that_was_there_before_a_change_is_restarted_once_for_it() {
        assert_eq!(due(0, "2026-01-31T10:19:59Z", "2026-01-31T10:20:30Z"), Some(1));
        // One that started in that very moment has known nothing else.
        assert_eq!(due(0, CHANGE, "2026-01-31T10:20:30Z"), None);
        // By the clock of another node the new server is an old one.
        assert_eq!(due(1, "2026-01-31T10:19:59Z", "2026-01-31T10:20:30Z"), None);
    }

    #[test]
    fn further_restarts_come_after_growing_pauses() {
        let start = "2026-01-31T10:21:00Z";
        for (made, due_at) in [
            (0, "2026-01-31T10:26:00Z"),
            (1, "2026-01-31T10:26:00Z"),
            (2, "2026-01-31T10:31:00Z"),
            (3, "2026-01-31T10:41:00Z"),
            (4, "2026-01-31T11:01:00Z"),
            (5, "2026-01-31T11:21:00Z"),
            (1000, "2026-01-31T11:21:00Z"),
        ] {
            let before = (time(due_at) - Duration::from_secs(1)).to_string();
            assert_eq!((due(made, start, &before), due(made, start, due_at)), (None, Some(made + 1)), "{made}");
        }
    }

    #[test]
    fn a_restart_is_remembered_until_something_is_heard_or_changed() {
        let restart = Restart { since: time(CHANGE), number: 3 };
        let read = |deployment: Value| serde_json::from_value::<Deployment>(deployment).unwrap();
        let another = read(json!({"metadata": {"annotations": {"another": "one"}}}));
        assert_eq!(Restart::last(Some(&another), time(CHANGE)), None);
        let server = read(restart.note());
        assert_eq!(Restart::last(Some(&server), time(CHANGE)), Some(restart));
        assert_eq!(Restart::last(Some(&server), time("2026-01-31T10:30:00Z")), None);
        assert_eq!(Restart::last(None, time(CHANGE)), None);
    }
}
