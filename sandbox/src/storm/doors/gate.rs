//! Where every operation of a charm passes: it is counted, noted, and comes to harm if it is the one that is to.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use super::{
    fault::Fault,
    operation::{Door, Operation},
};

/// How long a charm's process may take until its number is known.
const START_LIMIT: Duration = Duration::from_secs(5);

/// An operation that was seen.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::storm) struct Seen {
    /// In which of the hooks, from 0.
    pub hook: usize,
    /// What it was.
    pub operation: Operation,
}

/// A run of a hook that was seen.
#[derive(Clone, Debug)]
pub(in crate::storm) struct Hook {
    /// Its name.
    pub name: String,
    /// Whether the unit led when it began.
    pub leads: bool,
    /// Whether the unit was deposed in it.
    pub deposed: bool,
}

/// What is to go wrong.
#[derive(Clone, Debug)]
pub(in crate::storm) struct Armed {
    /// In which of the hooks, from 0.
    pub hook: usize,
    /// With which operation.
    pub operation: Operation,
    /// How.
    pub fault: Fault,
}

impl Armed {
    /// Whether what goes wrong goes by itself within a moment, so that whoever tries again is not harmed.
    pub(in crate::storm) fn is_passing(&self) -> bool {
        self.operation.door == Door::Api
            && matches!(
                self.fault,
                Fault::Refused(409 | 429 | 500 | 503)
                    | Fault::LostBefore
                    | Fault::LostAfter
                    | Fault::Cut
                    | Fault::Silent
                    | Fault::WatchEnds
                    | Fault::WatchIsGone
            )
    }
}

#[derive(Default)]
struct State {
    hooks: Vec<Hook>,
    seen: Vec<Seen>,
    counts: HashMap<(Door, String), u32>,
    /// What is still to go wrong, one after the other.
    armed: VecDeque<Armed>,
    /// Whether something has gone wrong already.
    reached: bool,
    /// The hook and the name of the requests that are refused until its end, and the code.
    refused: Option<(usize, String, u16)>,
    group: Option<i32>,
}

/// The gate of one unit.
#[derive(Default)]
pub(in crate::storm) struct Gate {
    state: Mutex<State>,
    runs: Condvar,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets all that was seen, and lets this go wrong from now on, one after the other. The first goes wrong in its hook; what
    /// comes behind it also in a later one, as the first may have ended the hook that both are of.
    pub(in crate::storm) fn arm(&self, armed: &[Armed]) {
        *self.state() = State { armed: armed.iter().cloned().collect(), ..State::default() };
    }

    /// Whether all that is to go wrong has gone wrong.
    pub(in crate::storm) fn was_reached(&self) -> bool {
        self.state().armed.is_empty()
    }

    /// Returns the hooks that have run.
    pub(in crate::storm) fn hooks(&self) -> Vec<Hook> {
        self.state().hooks.clone()
    }

    /// Returns what units that do not lead have asked the cluster to change, a line each.
    pub(in crate::storm) fn trespasses(&self) -> Vec<String> {
        let state = self.state();
        let is_trespass = |seen: &&Seen| {
            seen.operation.door == Door::Api && seen.operation.is_write() && !state.hooks[seen.hook].leads
        };
        let line = |seen: &Seen| format!("a unit that does not lead asks the cluster to {}", seen.operation.what);
        state.seen.iter().filter(is_trespass).map(line).collect()
    }

    /// Returns what was seen.
    pub(in crate::storm) fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// A hook begins.
    pub(in crate::storm) fn begins(&self, name: &str, leads: bool) {
        let mut state = self.state();
        state.hooks.push(Hook { name: name.to_owned(), leads, deposed: false });
        state.counts.clear();
        state.group = None;
    }

    /// The process of the hook runs in that group.
    pub(in crate::storm) fn runs(&self, group: i32) {
        self.state().group = Some(group);
        self.runs.notify_all();
    }

    /// The process of the hook has ended.
    pub(in crate::storm) fn ends(&self) {
        self.state().group = None;
    }

    /// Notes an operation. Returns what is to happen to it.
    pub(in crate::storm) fn passes(&self, door: Door, what: &str) -> Option<Fault> {
        let mut state = self.state();
        // Between hooks nobody asks but a process that is about to end.
        let hook = state.hooks.len().checked_sub(1)?;
        let count = state.counts.entry((door, what.to_owned())).or_default();
        *count += 1;
        let operation = Operation { door, what: what.to_owned(), ordinal: *count };
        let is_in_hook = |armed: &Armed| if state.reached { armed.hook <= hook } else { armed.hook == hook };
        let is_armed = state.armed.front().is_some_and(|armed| is_in_hook(armed) && armed.operation == operation);
        let fault = if is_armed { state.armed.pop_front().map(|armed| armed.fault) } else { None };
        state.reached |= is_armed;
        state.seen.push(Seen { hook, operation });
        match fault {
            Some(Fault::RefusedAlways(code)) => {
                state.refused = Some((hook, what.to_owned(), code));
                Some(Fault::Refused(code))
            }
            Some(Fault::Deposed) => {
                state.hooks[hook].deposed = true;
                fault
            }
            Some(_) => fault,
            None => match &state.refused {
                Some((of, refused, code)) if *of == hook && refused == what && door == Door::Api => {
                    Some(Fault::Refused(*code))
                }
                _ => None,
            },
        }
    }

    /// Whether an operation of that name has passed more than once in the hook that runs.
    pub(in crate::storm) fn has_passed_before(&self, door: Door, what: &str) -> bool {
        self.state().counts.get(&(door, what.to_owned())).is_some_and(|count| *count > 1)
    }

    /// Whether the unit has been deposed in the hook that runs.
    pub(in crate::storm) fn is_deposed(&self) -> bool {
        self.state().hooks.last().is_some_and(|hook| hook.deposed)
    }

    /// Kills the hook that runs, with all that it has started.
    pub(in crate::storm) fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    /// Tells the hook that runs to end.
    pub(in crate::storm) fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    fn signal(&self, signal: Signal) {
        let waited = self.runs.wait_timeout_while(self.state(), START_LIMIT, |state| state.group.is_none());
        let group = waited.unwrap_or_else(PoisonError::into_inner).0.group;
        if let Some(group) = group {
            // What has ended already cannot be ended, and need not be.
            let _ = killpg(Pid::from_raw(group), signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(ordinal: u32) -> Operation {
        Operation { door: Door::Api, what: "GET /a".into(), ordinal }
    }

    #[test]
    fn only_the_operation_that_is_meant_comes_to_harm_and_only_once() {
        let gate = Gate::default();
        gate.arm(&[Armed { hook: 1, operation: request(2), fault: Fault::Cut }]);
        for (hook, expected) in [("a", [None, None, None]), ("b", [None, Some(Fault::Cut), None]), ("b", [None; 3])] {
            gate.begins(hook, true);
            assert_eq!([(); 3].map(|()| gate.passes(Door::Api, "GET /a")), expected);
        }
        assert!(gate.was_reached());
        assert_eq!(gate.seen().len(), 9);
    }

    #[test]
    fn what_is_refused_always_is_refused_until_the_hook_ends() {
        let gate = Gate::default();
        gate.arm(&[Armed { hook: 0, operation: request(1), fault: Fault::RefusedAlways(503) }]);
        gate.begins("a", true);
        assert_eq!([(); 2].map(|()| gate.passes(Door::Api, "GET /a")), [Some(Fault::Refused(503)); 2]);
        assert_eq!(gate.passes(Door::Api, "GET /b"), None);
        gate.begins("a", true);
        assert_eq!(gate.passes(Door::Api, "GET /a"), None);
    }

    #[test]
    fn the_second_of_two_comes_to_harm_after_the_first_and_also_in_a_later_hook() {
        let gate = Gate::default();
        let armed = |ordinal, fault| Armed { hook: 0, operation: request(ordinal), fault };
        gate.arm(&[armed(1, Fault::KilledBefore), armed(2, Fault::Cut)]);
        gate.begins("a", true);
        assert_eq!(gate.passes(Door::Api, "GET /a"), Some(Fault::KilledBefore));
        assert!(!gate.was_reached());
        gate.begins("a", true);
        assert_eq!([(); 3].map(|()| gate.passes(Door::Api, "GET /a")), [None, Some(Fault::Cut), None]);
        assert!(gate.was_reached());
    }

    #[test]
    fn what_is_never_done_is_not_reached() {
        let gate = Gate::default();
        gate.arm(&[Armed { hook: 0, operation: request(2), fault: Fault::Cut }]);
        gate.begins("a", true);
        assert_eq!(gate.passes(Door::Api, "GET /a"), None);
        assert!(!gate.was_reached());
    }
}
