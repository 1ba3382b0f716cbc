//! One case: a scenario in which one thing goes wrong, and what must be so all the same.

use std::{
    collections::BTreeSet,
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    cluster::objects::{self, Objects},
    doors::{
        fault::Fault,
        gate::{Armed, Seen},
        juju_door::Inspect,
        operation::{Door, Operation},
    },
    scenario::{self, Scenario},
    stage::{Beginning, MODEL, NEIGHBOUR, Stage, StageError},
};
use crate::juju::HookRecord;

/// The longest that a hook may take, whatever goes wrong.
const BOUND: Duration = Duration::from_secs(30);

/// How much longer where something hangs: the charm gives a tool or the CLI a minute.
const HANG: Duration = Duration::from_secs(65);

/// How often Juju tries a failed hook again before the end is looked at.
const RETRIES: usize = 2;

/// What the charm logs where it may not remove something and goes all the same.
const LEFT: &str = "left in namespace storm, as the application is not trusted any more";

/// What goes wrong in which scenario.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// The scenario.
    pub scenario: &'static Scenario,
    /// What goes wrong in it, one after the other, if anything.
    pub armed: Vec<Armed>,
}

/// What became of a case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// It ended as it should.
    Well,
    /// The operation never came.
    NotReached,
    /// It did not: what was wrong, a line each.
    Badly(Vec<String>),
}

/// A scenario without any fault: what it does, and where it ends.
pub(super) struct Calm {
    /// The hooks, by name.
    pub hooks: Vec<String>,
    /// All operations of these hooks.
    pub seen: Vec<Seen>,
    /// How long the longest of the hooks took.
    pub longest: Duration,
    objects: Objects,
    status: Option<String>,
    /// The objects as they were when each of the hooks was done.
    after: Vec<Objects>,
}

impl Calm {
    /// Lets a scenario take place, twice: it must come to the same end.
    pub(super) fn observe(
        stage: &Stage,
        scenario: &'static Scenario,
        beginning: &mut Beginning,
    ) -> Result<Self, StageError> {
        let mut first = Self::once(stage, scenario, beginning)?;
        let second = Self::once(stage, scenario, beginning)?;
        let differences = second.objects.differences(&first.objects);
        if !differences.is_empty() {
            return Err(StageError::Calm { scenario: scenario.name, reason: differences.join("\n") });
        }
        // What comes in one run and not in the other cannot be broken by its name.
        let steady: BTreeSet<_> = second.seen.into_iter().collect();
        first.seen.retain(|seen| steady.contains(seen));
        Ok(first)
    }

    fn once(stage: &Stage, scenario: &'static Scenario, beginning: &mut Beginning) -> Result<Self, StageError> {
        stage.go_back(beginning)?;
        stage.gate.arm(&[]);
        let log_before = stage.log_length();
        let ended = Said::at_ends(stage);
        let mut longest = Duration::ZERO;
        for step in scenario.then {
            longest = stage.take(step)?.iter().map(|record| record.outcome.wall).fold(longest, Duration::max);
        }
        let after = ended.take().into_iter().map(|(_, _, objects)| objects).collect();
        stage.juju_door.when_ended(None);
        let hooks: Vec<_> = stage.gate.hooks().into_iter().map(|hook| hook.name).collect();
        let seen = stage.gate.seen();
        let failed = |reason: String| StageError::Calm { scenario: scenario.name, reason };
        if let Some(records) = stage.retry()? {
            return Err(failed(format!("a hook fails: {records:?}")));
        }
        if stage.action_failed() {
            return Err(failed(format!("the action fails: {}", stage.log_since(log_before)?)));
        }
        stage.update_status()?;
        let before = stage.gate.seen().len();
        stage.update_status()?;
        let more: Vec<_> = writes(&stage.gate.seen()[before..]).map(ToString::to_string).collect();
        if !more.is_empty() {
            return Err(failed(format!("a further hook writes: {}", more.join(", "))));
        }
        let (objects, status) = (stage.objects()?, stage.status()?);
        Ok(Self { hooks, seen, longest, objects, status, after })
    }

    /// Returns what is not as it is where that hook has ended, or at the end of all; nothing where one of them is reached.
    /// `as_compared` returns what is held against an end. Of what other applications declare only a unit that leads knows.
    fn early(
        &self,
        hook: usize,
        then: &Objects,
        as_compared: impl Fn(&Objects, &Objects) -> Objects,
        leads: bool,
    ) -> Option<String> {
        let end = self.after.get(hook);
        let is_told = |line: &String| leads || !line.starts_with("Schedule ");
        let mut early: Vec<_> = end
            .into_iter()
            .chain([&self.objects])
            .map(|end| as_compared(then, end).without_going().differences(&end.without_going()))
            .map(|lines| lines.into_iter().filter(is_told).collect::<Vec<_>>())
            .collect();
        early.sort_by_key(Vec::len);
        let nearest = early.into_iter().next()?;
        (!nearest.is_empty()).then(|| nearest.join(" | "))
    }

    /// Returns all that can go wrong.
    pub(super) fn cases(&self, scenario: &'static Scenario) -> Vec<Case> {
        let mut cases = Vec::new();
        let mut written = BTreeSet::new();
        for Seen { hook, operation } in &self.seen {
            if operation.door == Door::Api && operation.is_write() {
                written.insert(*hook);
            }
            for fault in Fault::all_of(operation) {
                // An answer of before the hook is another one only behind a write.
                if fault == Fault::Stale && !written.contains(hook) {
                    continue;
                }
                let armed = Armed { hook: *hook, operation: operation.clone(), fault };
                cases.push(Case { scenario, armed: vec![armed] });
            }
        }
        cases
    }
}

/// What was there each time that something happened, and in which hook.
struct Said(Arc<Mutex<Vec<(usize, String, Objects)>>>);

impl Said {
    /// When the charm says that all is well.
    fn when_active(stage: &Stage) -> Self {
        let said = Self(Arc::default());
        stage.juju_door.when_active(Some(said.look(stage)));
        said
    }

    /// When a hook has ended.
    fn at_ends(stage: &Stage) -> Self {
        let said = Self(Arc::default());
        stage.juju_door.when_ended(Some(said.look(stage)));
        said
    }

    fn look(&self, stage: &Stage) -> Inspect {
        let (noted, reader, runtime) = (Arc::clone(&self.0), Arc::clone(&stage.reader), stage.handle());
        Box::new(move |hook: usize, name: &str| {
            if let Ok(objects) = runtime.block_on(reader.read()) {
                noted.lock().unwrap_or_else(PoisonError::into_inner).push((hook, name.to_owned(), objects));
            }
        })
    }

    fn take(&self) -> Vec<(usize, String, Objects)> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn writes(seen: &[Seen]) -> impl Iterator<Item = &Operation> {
    let is_change = |operation: &&Operation| {
        operation.is_write() && !(operation.door == Door::Tool && operation.what == "juju-log")
    };
    seen.iter().map(|seen| &seen.operation).filter(is_change)
}

impl Case {
    /// How something goes wrong first, if anything does.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.armed.first().map(|armed| armed.fault)
    }

    /// Returns the case in which first this goes wrong and then what does in another one of the scenario; nothing where both are the
    /// same operation, or an answer of before the hook would have to be kept for a second time.
    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        let [first, second] = [self.armed.first()?, other.armed.first()?];
        let is_stale = [first, second].iter().any(|armed| armed.fault == Fault::Stale);
        if is_stale || (first.hook, &first.operation) == (second.hook, &second.operation) {
            return None;
        }
        Some(Self { scenario: self.scenario, armed: vec![first.clone(), second.clone()] })
    }

    /// The name of the hook in which something goes wrong first.
    pub(super) fn hook<'c>(&self, calm: &'c Calm) -> &'c str {
        let hook = self.armed.first().and_then(|armed| calm.hooks.get(armed.hook));
        hook.map_or("", String::as_str)
    }

    /// Lets it take place.
    pub(super) fn run(&self, stage: &Stage, beginning: &mut Beginning, calm: &Calm) -> Result<Verdict, StageError> {
        stage.go_back(beginning)?;
        stage.gate.arm(&[]);
        if let Some(Armed { operation, fault: Fault::Stale, .. }) = self.armed.first() {
            stage.wait(stage.proxy.remember(&operation.what))?;
        }
        let log_before = stage.log_length();
        drop(stage.cli_door.take_said());
        stage.gate.arm(&self.armed);
        let said = Said::when_active(stage);
        let mut wrong = Vec::new();
        let mut records = Vec::new();
        for step in self.scenario.then {
            records.extend(stage.take(step)?);
        }
        stage.juju_door.when_active(None);
        if self.armed.len() < 2 && !stage.gate.was_reached() {
            return Ok(Verdict::NotReached);
        }
        // Whatever has become of the hook: a server that is there validates a location as soon as there is one.
        if !(self.is_of_secrets() || self.lacks_rights_to_remove(calm)) {
            let now = stage.objects()?;
            wrong.extend(
                now.without_their_secret(MODEL).into_iter().map(|key| format!("{key} was there without its Secret")),
            );
        }
        if let Some(fault) = self.fault().filter(|_| self.armed.iter().all(Armed::is_passing))
            && !stage.action_failed()
            && let Some(failed) = records.iter().find(|record| !record.success())
        {
            let why = failed.failure.clone().unwrap_or_default();
            wrong.push(format!("the hook {} failed for {fault}, which passes: {why}", failed.name));
        }
        // Who is Active must be where it is to be, whether or not it fails afterwards.
        let leads = !self.armed.iter().any(|armed| armed.fault == Fault::Deposed);
        for (hook, name, then) in said.take() {
            wrong.extend(
                calm.early(hook, &then, |then, end| self.as_compared(then, end), leads)
                    .map(|early| format!("Active in {name} while something was not so: {early}")),
            );
        }

        let mut retried = 0;
        while retried < RETRIES
            && let Some(more) = stage.retry()?
        {
            records.extend(more);
            retried += 1;
        }
        if !stage.gate.was_reached() {
            return Ok(Verdict::NotReached);
        }
        if retried == 0 {
            records.extend(stage.update_status()?);
        }
        if self.scenario.is_drill() && stage.action_failed() {
            // The user verifies again, once it is known that nobody is at it any more.
            stage.abandon_drills()?;
            for step in self.scenario.then {
                records.extend(stage.take(step)?);
            }
        }
        let mut objects = stage.objects()?;
        // Where Juju itself tries again, one more hook may be needed.
        if objects != calm.objects || stage.status()? != calm.status {
            records.extend(stage.update_status()?);
            objects = stage.objects()?;
        }
        objects = self.as_compared(&objects, &calm.objects);
        // Juju does not repeat an action. One that was not done, and says so, is the user's to repeat.
        let is_left_undone = stage.action_failed() && objects == *beginning.objects();
        // Nor does it keep a unit that is removed without rights. What it leaves is the user's to remove.
        let is_told = self.lacks_rights_to_remove(calm) && stage.log_since(log_before)?.contains(LEFT);
        if !(is_left_undone || is_told) {
            wrong.extend(objects.differences(&calm.objects));
        }
        let status = stage.status()?;
        if status != calm.status {
            wrong.push(format!("the status is {status:?} and not {:?}", calm.status));
        }

        let before = stage.gate.seen().len();
        records.extend(stage.update_status()?);
        let more: Vec<_> = writes(&stage.gate.seen()[before..]).map(ToString::to_string).collect();
        if !more.is_empty() {
            wrong.push(format!("a further hook writes: {}", more.join(", ")));
        }
        self.check_others(&objects, beginning, calm, &mut wrong);
        wrong.extend(stage.gate.trespasses());
        check_secrets(stage, &objects, &records, log_before, &mut wrong)?;
        let hangs = self.armed.iter().any(|armed| armed.fault.is_long());
        let bound = if hangs { BOUND + HANG } else { BOUND };
        for record in records.iter().filter(|record| record.outcome.wall > bound) {
            wrong.push(format!("the hook {} took {} s", record.name, record.outcome.wall.as_secs()));
        }
        Ok(if wrong.is_empty() { Verdict::Well } else { Verdict::Badly(wrong) })
    }

    /// Whether the last hook of the application may not do something until it ends.
    fn lacks_rights_to_remove(&self, calm: &Calm) -> bool {
        let is_last = |armed: &Armed| calm.hooks.get(armed.hook).is_some_and(|hook| hook == "remove");
        self.armed.iter().any(|armed| armed.fault == Fault::RefusedAlways(403) && is_last(armed))
    }

    /// Returns the objects as they are held against an end: where somebody else deletes the location, its records go, and one that is
    /// only read cannot be tried again.
    fn as_compared(&self, objects: &Objects, end: &Objects) -> Objects {
        if self.is_of_location() {
            objects.clone().with_backups_of(MODEL, end).with_use_of(MODEL, end)
        } else {
            objects.clone()
        }
    }

    /// Whether somebody else deletes the location. Of what is recorded of its content nobody knows of which place it is, and it goes
    /// too, as with `velero backup-location delete`: the server makes it again from the store.
    fn is_of_location(&self) -> bool {
        let deletes =
            |armed: &Armed| armed.fault == Fault::Deleted && armed.operation.what.contains("/backupstoragelocations/");
        self.armed.iter().any(deletes)
    }

    /// Whether somebody else deletes what may be the Secret of a location.
    fn is_of_secrets(&self) -> bool {
        self.armed.iter().any(|armed| armed.fault == Fault::Deleted && armed.operation.what.contains("/secrets/"))
    }

    /// Looks for what was there before and was deleted, or is not the charm's and was changed. An object that was made anew has
    /// another identity. What the calm scenario deletes, and what somebody else has deleted here, may go.
    fn check_others(&self, now: &Objects, beginning: &Beginning, calm: &Calm, wrong: &mut Vec<String>) {
        let neighbours = format!(" {NEIGHBOUR}/");
        let gone = calm.objects.lost(beginning.objects(), |_| true);
        let others_doing = self.armed.iter().filter(|armed| armed.fault == Fault::Deleted);
        let others_doing: Vec<_> =
            others_doing.filter_map(|armed| objects::key_at(armed.operation.what.split(' ').nth(1)?)).collect();
        let of_location = |key: &String| self.is_of_location() && key.starts_with(&format!("Backup {MODEL}/"));
        let may_go = |key: &String| gone.contains(key) || others_doing.contains(key) || of_location(key);
        for key in now.lost(beginning.objects(), |_| true).into_iter().filter(|key| !may_go(key)) {
            wrong.push(format!("{key} was deleted"));
        }
        for key in now.changed(beginning.objects(), |key| key.contains(&neighbours)) {
            wrong.push(format!("{key} was changed"));
        }
    }
}

/// Looks for credentials everywhere but where they belong.
fn check_secrets(
    stage: &Stage,
    objects: &Objects,
    records: &[HookRecord],
    log_before: u64,
    wrong: &mut Vec<String>,
) -> Result<(), StageError> {
    let log = stage.log_since(log_before)?;
    let requests: String = stage.gate.seen().iter().map(|seen| seen.operation.what.as_str()).collect();
    let cli = stage.cli_door.take_said();
    let hook =
        |record: &HookRecord| format!("{} {} {:?} {:?}", record.stdout, record.stderr, record.tools, record.failure);
    let hooks = records.iter().map(hook).collect::<Vec<_>>().join("\n");
    let status = stage.status()?.unwrap_or_default();
    let places =
        [("the log", &log), ("a request", &requests), ("the CLI", &cli), ("a hook", &hooks), ("the status", &status)];
    for (its_own, secrets) in stage.secrets() {
        let secrets: Vec<_> = secrets.into_iter().flat_map(|secret| [STANDARD.encode(&secret), secret]).collect();
        for (place, text) in places {
            if secrets.iter().any(|secret| text.contains(secret)) {
                wrong.push(format!("{place} has a credential"));
            }
        }
        for key in objects.holding(&secrets, |key| key == its_own) {
            wrong.push(format!("{key} has a credential"));
        }
    }
    Ok(())
}

/// What stands between two things that go wrong, in the name of a case.
const AND: &str = " + ";

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.scenario.name)?;
        for (number, Armed { hook, operation, fault }) in self.armed.iter().enumerate() {
            let before = if number == 0 { "" } else { AND };
            write!(formatter, "{before}/{hook} {operation} {fault}")?;
        }
        Ok(())
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, armed) = text.split_at(text.find('/').unwrap_or(text.len()));
        let scenario = scenario::named(name)?;
        let armed = armed.split(AND).filter(|part| !part.is_empty()).map(read_armed).collect::<Result<_, _>>();
        let armed = armed.map_err(|reason| {
            format!(
                "{text:?} is no case, which is SCENARIO/HOOK DOOR OPERATION #NUMBER FAULT, as a report has it: {reason}"
            )
        })?;
        Ok(Self { scenario, armed })
    }
}

/// Reads what goes wrong, as `/HOOK DOOR OPERATION #NUMBER FAULT`.
pub(super) fn read_armed(text: &str) -> Result<Armed, String> {
    let parts = || {
        let (hook, rest) = text.strip_prefix('/')?.split_once(' ')?;
        let (operation, fault) = rest.rsplit_once(' ')?;
        Some((hook.parse().ok()?, operation, fault))
    };
    let (hook, operation, fault) = parts().ok_or("it names no hook")?;
    Ok(Armed { hook, operation: operation.parse()?, fault: fault.parse()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_read_back_from_its_name() {
        let name = "relate-s3/2 api PATCH /api/v1/namespaces/storm/secrets/cloud-credentials #1 409";
        let both = format!("{name} + /3 tool config-get #1 fails");
        for name in [name, "relate-s3", &both] {
            assert_eq!(name.parse::<Case>().unwrap().to_string(), name);
        }
        for wrong in [
            "",
            "relate-s3 api GET / #1 409",
            "nothing/1 api GET / #1 409",
            "relate-s3/1 api GET / #1 418",
            "relate-s3/1",
        ] {
            assert!(wrong.parse::<Case>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn two_things_go_wrong_that_are_two() {
        let case = |text: &str| text.parse::<Case>().unwrap();
        let (one, other) = (case("deploy/0 api GET /a #1 409"), case("deploy/1 api GET /a #1 cut"));
        let both = one.and(&other).unwrap().to_string();
        assert_eq!(both, "deploy/0 api GET /a #1 409 + /1 api GET /a #1 cut");
        assert!(one.and(&case("deploy/0 api GET /a #1 cut")).is_none());
        assert!(one.and(&case("deploy/1 api GET /a #1 stale")).is_none());
    }
}
