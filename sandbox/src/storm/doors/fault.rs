//! What can go wrong with an operation.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::operation::{Door, Operation};

/// One way in which the world breaks an operation.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(into = "String", try_from = "String")]
pub(in crate::storm) enum Fault {
    /// The server refuses with this code, and has done nothing.
    Refused(u16),
    /// The server refuses every request of that name with this code until the hook ends.
    RefusedAlways(u16),
    /// The connection is lost before the request arrives.
    LostBefore,
    /// The request is done, and the connection lost before the answer.
    LostAfter,
    /// The answer ends in its middle.
    Cut,
    /// The request arrives, and nobody ever answers.
    Silent,
    /// The watch ends at once.
    WatchEnds,
    /// The watch says that it is too old.
    WatchIsGone,
    /// The answer is that of before the hook.
    Stale,
    /// Somebody else changes the object right before.
    Edited,
    /// Somebody else deletes the object right before.
    Deleted,
    /// Another unit has become leader right before.
    Deposed,
    /// The tool or the CLI ends with 1, in the words of who made it.
    Fails,
    /// It says nothing.
    SaysNothing,
    /// It says something that is no JSON or YAML.
    SaysNonsense,
    /// It says `null`.
    SaysNull,
    /// It says half of what it should.
    SaysHalf,
    /// It says what nobody knows.
    SaysUnknown,
    /// It is killed, or nobody answers it.
    Dies,
    /// It neither says anything nor ends.
    Hangs,
    /// The charm is killed before it.
    KilledBefore,
    /// The charm is killed once it is done.
    KilledAfter,
    /// The charm is told to end before it, as the end of its pod tells it.
    Terminated,
}

/// The codes with which a server refuses.
const CODES: [u16; 8] = [403, 404, 409, 410, 422, 429, 500, 503];

impl Fault {
    /// Whether it takes as long as the charm bears it, so that it only happens where it is asked for.
    pub(in crate::storm) fn is_long(self) -> bool {
        self == Self::Hangs
    }

    /// All that can happen to an operation.
    pub(in crate::storm) fn all_of(operation: &Operation) -> Vec<Self> {
        let whenever = [Self::KilledBefore, Self::Terminated];
        match operation.door {
            Door::Api => of_request(operation).into_iter().chain(whenever).collect(),
            Door::Tool => {
                let mut faults = vec![Self::Fails, Self::Dies, Self::Hangs];
                if operation.is_write() || operation.what == "juju-log" {
                    faults.push(Self::KilledAfter);
                } else {
                    faults.extend([Self::SaysNothing, Self::SaysNonsense, Self::SaysNull]);
                }
                if !operation.what.starts_with("juju-log") {
                    faults.push(Self::Deposed);
                }
                faults.into_iter().chain(whenever).collect()
            }
            Door::Cli => {
                let mut faults = vec![Self::Fails, Self::Dies];
                // A command of a user is believed that says it has done what it was to do, and may take as long as it likes.
                if operation.what.ends_with("--dry-run") || operation.what == "velero version" {
                    faults.extend([Self::Hangs, Self::SaysNothing, Self::SaysHalf, Self::SaysUnknown]);
                }
                faults.into_iter().chain(whenever).collect()
            }
        }
    }
}

fn of_request(operation: &Operation) -> Vec<Fault> {
    if operation.is_watch() {
        let refused = [403, 410, 429, 500].map(Fault::Refused);
        return refused
            .into_iter()
            .chain([Fault::RefusedAlways(403), Fault::LostBefore, Fault::WatchEnds, Fault::WatchIsGone])
            .collect();
    }
    if operation.is_write() {
        let refused = [403, 404, 409, 422, 429, 500, 503].map(Fault::Refused);
        let always = [403, 422, 503].map(Fault::RefusedAlways);
        let others = [
            Fault::LostBefore,
            Fault::LostAfter,
            Fault::Cut,
            Fault::Silent,
            Fault::KilledAfter,
            Fault::Edited,
            Fault::Deleted,
            Fault::Deposed,
        ];
        let mut faults: Vec<_> = refused.into_iter().chain(always).chain(others).collect();
        // With its namespace, the model itself would end.
        faults.retain(|fault| *fault != Fault::Deleted || !is_namespace(&operation.what));
        return faults;
    }
    let refused = [403, 404, 410, 429, 500, 503].map(Fault::Refused);
    let others = [Fault::RefusedAlways(403), Fault::LostBefore, Fault::Cut, Fault::Silent, Fault::Stale];
    refused.into_iter().chain(others).collect()
}

/// Whether a request is about a namespace, and not about what is in one.
fn is_namespace(what: &str) -> bool {
    what.split_once("/api/v1/namespaces/").is_some_and(|(_, rest)| !rest.contains('/'))
}

/// Faults with a name of their own.
const NAMED: [(Fault, &str); 21] = [
    (Fault::LostBefore, "lost-before"),
    (Fault::LostAfter, "lost-after"),
    (Fault::Cut, "cut"),
    (Fault::Silent, "silent"),
    (Fault::WatchEnds, "watch-ends"),
    (Fault::WatchIsGone, "watch-is-gone"),
    (Fault::Stale, "stale"),
    (Fault::Edited, "edited"),
    (Fault::Deleted, "deleted"),
    (Fault::Deposed, "deposed"),
    (Fault::Fails, "fails"),
    (Fault::SaysNothing, "says-nothing"),
    (Fault::SaysNonsense, "says-nonsense"),
    (Fault::SaysNull, "says-null"),
    (Fault::SaysHalf, "says-half"),
    (Fault::SaysUnknown, "says-unknown"),
    (Fault::Dies, "dies"),
    (Fault::Hangs, "hangs"),
    (Fault::KilledBefore, "killed-before"),
    (Fault::KilledAfter, "killed-after"),
    (Fault::Terminated, "terminated"),
];

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(code) => write!(formatter, "{code}"),
            Self::RefusedAlways(code) => write!(formatter, "{code}-always"),
            named => {
                let name = NAMED.iter().find(|(fault, _)| fault == named).map_or("?", |(_, name)| name);
                formatter.pad(name)
            }
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((fault, _)) = NAMED.iter().find(|(_, name)| *name == text) {
            return Ok(*fault);
        }
        let known = |code: &str| code.parse().ok().filter(|code| CODES.contains(code));
        let fault = match text.strip_suffix("-always") {
            Some(code) => known(code).map(Self::RefusedAlways),
            None => known(text).map(Self::Refused),
        };
        fault.ok_or_else(|| {
            let names: Vec<_> = NAMED.iter().map(|(_, name)| *name).collect();
            format!("no fault is called {text:?}: there are {CODES:?}, each also with -always, {}", names.join(", "))
        })
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.to_string()
    }
}

impl TryFrom<String> for Fault {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(door: Door, what: &str) -> Operation {
        Operation { door, what: what.to_owned(), ordinal: 1 }
    }

    #[test]
    fn every_fault_has_a_name_that_is_read_back() {
        let operations = [
            operation(Door::Api, "GET /api/v1/nodes"),
            operation(Door::Api, "GET /api/v1/nodes?watch=true"),
            operation(Door::Api, "PATCH /api/v1/nodes/a"),
            operation(Door::Tool, "config-get"),
            operation(Door::Tool, "status-set active"),
            operation(Door::Cli, "velero install --dry-run"),
        ];
        let faults: std::collections::BTreeSet<_> = operations.iter().flat_map(Fault::all_of).collect();
        for (fault, name) in NAMED {
            assert!(faults.contains(&fault), "{name} happens to nothing");
        }
        for fault in faults {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
        assert!("418".parse::<Fault>().is_err());
    }

    #[test]
    fn nobody_deletes_the_namespace_of_the_model() {
        let may_go = |path: &str| Fault::all_of(&operation(Door::Api, path)).contains(&Fault::Deleted);
        assert!(!may_go("PATCH /api/v1/namespaces/storm"));
        assert!(
            may_go("PATCH /api/v1/namespaces/storm/secrets/a")
                && may_go("PATCH /apis/apps/v1/namespaces/storm/deployments/a")
        );
    }

    #[test]
    fn only_writes_are_lost_after_they_were_done() {
        let faults = Fault::all_of(&operation(Door::Api, "GET /api/v1/nodes"));
        assert!(!faults.contains(&Fault::LostAfter) && !faults.contains(&Fault::Edited));
        assert!(faults.contains(&Fault::Stale));
    }
}
