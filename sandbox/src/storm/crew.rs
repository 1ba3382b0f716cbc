//! Letting many cases take place, several at a time.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    path::Path,
    sync::{
        Barrier, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use sha2::{Digest, Sha256};

use super::{
    Options, Outcome, StormError, Wanted,
    case::{Calm, Case},
    report::Report,
    scenario::Scenario,
    stage::{Beginning, Stage, StageError},
};
use crate::progress::Progress;

/// Those who let cases take place, each on a stage of its own.
pub(super) struct Crew<'a> {
    pub runtime: &'a tokio::runtime::Handle,
    pub charm: &'a Path,
    pub program: &'a Path,
    pub progress: &'a Progress,
}

/// How many cases take longer than to get to know their scenario, which another worker knows.
const WORTH_WHILE: usize = 8;

/// A case that waits for its turn, and the name of its hook.
type Waiting = (Case, String);

impl Crew<'_> {
    /// Lets all cases take place that are asked for.
    pub(super) fn go(&self, options: &Options, wanted: &Wanted, report: &mut Report) -> Result<Outcome, StormError> {
        let scenarios = Mutex::new(wanted.scenarios().into_iter().rev().collect::<Vec<_>>());
        let found: Mutex<Vec<Waiting>> = Mutex::default();
        let workers = options.workers.clamp(1, wanted.scenarios().len().max(1));
        // All wait for each other once, so that the choice is made from all cases.
        let met = Barrier::new(workers);
        let plan: OnceLock<Plan> = OnceLock::new();
        let report = Mutex::new(report);
        let failure: Mutex<Option<StormError>> = Mutex::default();
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    let mut worker = None;
                    let observed = self.observe(&scenarios, wanted, &found, &mut worker);
                    if let Err(error) = observed {
                        locked(&failure).get_or_insert(error);
                    }
                    met.wait();
                    if locked(&failure).is_some() {
                        return;
                    }
                    let plan =
                        plan.get_or_init(|| Plan::new(std::mem::take(&mut locked(&found)), options, &locked(&report)));
                    if options.list {
                        return;
                    }
                    if let Some(worker) = &mut worker
                        && let Err(error) = worker.work(plan, &report, self.progress)
                    {
                        locked(&failure).get_or_insert(error);
                    }
                });
            }
        });
        if let Some(error) = locked(&failure).take() {
            return Err(error);
        }
        let plan = plan.into_inner().ok_or(StormError::Worker)?;
        let report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut text = report.tell(&plan.chosen);
        if options.list {
            text = plan.chosen.iter().fold(String::new(), |text, name| text + name + "\n");
            text = format!("{text}{} cases\n", plan.chosen.len());
        }
        let [cases, unreached] = report.ended(&plan.chosen);
        Ok(Outcome { text, cases, unreached, bad: report.bad(&plan.chosen) })
    }

    /// Lets scenarios take place without any fault until there is none left.
    fn observe(
        &self,
        scenarios: &Mutex<Vec<&'static Scenario>>,
        wanted: &Wanted,
        found: &Mutex<Vec<Waiting>>,
        worker: &mut Option<Worker>,
    ) -> Result<(), StormError> {
        let worker = worker.insert(Worker::start(self)?);
        loop {
            let Some(scenario) = locked(scenarios).pop() else { return Ok(()) };
            let begun = Instant::now();
            let (_, _, calm) = worker.known(scenario)?;
            let cases = wanted.cases(scenario, calm);
            let (name, hooks, took) = (scenario.name, calm.hooks.join(", "), begun.elapsed().as_secs());
            let (operations, longest) = (calm.seen.len(), calm.longest.as_secs_f64());
            self.progress.tell(&format!(
                "{name}: {operations} operations in {hooks}, the longest of {longest:.1} s; looked at within {took} s"
            ));
            let named = cases.into_iter().map(|case| {
                let hook = case.hook(calm).to_owned();
                (case, hook)
            });
            locked(found).extend(named);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The cases that are to take place.
struct Plan {
    /// Their names, also of those that have taken place already.
    chosen: BTreeSet<String>,
    waiting: Mutex<BTreeMap<&'static str, Vec<Waiting>>>,
    left: AtomicUsize,
    begun: Instant,
    total: usize,
    /// Whether what the charm says is told, too.
    tells_all: bool,
}

impl Plan {
    fn new(mut found: Vec<Waiting>, options: &Options, report: &Report) -> Self {
        found.sort_by_cached_key(|(case, _)| case.to_string());
        if let Some(number) = options.sample.or(options.pairs) {
            found = sample(found, number, options.seed);
        }
        let chosen: BTreeSet<_> = found.iter().map(|(case, _)| case.to_string()).collect();
        let done = report.done();
        found.retain(|(case, _)| !done.contains(&case.to_string()));
        let total = found.len();
        let mut waiting: BTreeMap<_, Vec<Waiting>> = BTreeMap::new();
        for (case, hook) in found {
            waiting.entry(case.scenario.name).or_default().push((case, hook));
        }
        Self {
            chosen,
            waiting: Mutex::new(waiting),
            left: AtomicUsize::new(total),
            begun: Instant::now(),
            total,
            tells_all: options.case.is_some(),
        }
    }

    /// Returns the next case, of a scenario that is known if there is one. Each scenario is known to somebody; to get to know another
    /// one is worth while only where there is much left of it.
    fn next(&self, is_known: impl Fn(&str) -> bool) -> Option<Waiting> {
        let mut waiting = locked(&self.waiting);
        let longest = || {
            let (name, cases) = waiting.iter().max_by_key(|(_, cases)| cases.len())?;
            (cases.len() >= WORTH_WHILE).then_some(*name)
        };
        let name = waiting.keys().copied().find(|name| is_known(name)).or_else(longest)?;
        let cases = waiting.get_mut(name)?;
        let next = cases.pop();
        if cases.is_empty() {
            waiting.remove(name);
        }
        next
    }

    /// Returns what to say of what is done and left.
    fn progress(&self, bad: usize) -> String {
        let left = self.left.fetch_sub(1, Ordering::Relaxed).saturating_sub(1);
        let done = self.total - left;
        let each = self.begun.elapsed().as_secs_f64() / f64::from(u32::try_from(done.max(1)).unwrap_or(u32::MAX));
        let minutes = each * f64::from(u32::try_from(left).unwrap_or(u32::MAX)) / 60.0;
        format!("{done} of {} cases, {bad} badly, about {minutes:.0} min left", self.total)
    }
}

/// Chooses cases so that each hook and each fault is among them, and the rest by chance: of each scenario as many as of the others, for
/// as long as it has any.
fn sample(found: Vec<Waiting>, number: usize, seed: u64) -> Vec<Waiting> {
    let mut met = BTreeSet::new();
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    for (case, hook) in by_chance(found, seed, |(case, _)| case) {
        let fault = case.fault().map(|fault| fault.to_string()).unwrap_or_default();
        let is_new = [format!("hook {}/{hook}", case.scenario.name), format!("fault {fault}")]
            .map(|each| met.insert(each))
            .contains(&true);
        if is_new { first.push((case, hook)) } else { rest.push((case, hook)) }
    }
    let mut turns: BTreeMap<_, usize> = BTreeMap::new();
    let in_turn = |waiting: Waiting| {
        let turn = turns.entry(waiting.0.scenario.name).or_default();
        *turn += 1;
        (*turn, waiting)
    };
    let mut rest: Vec<_> = rest.into_iter().map(in_turn).collect();
    rest.sort_by_key(|(turn, _)| *turn);
    first.extend(rest.into_iter().map(|(_, waiting)| waiting));
    first.truncate(number);
    first
}

/// Returns what has a case each in an order that only the seed and the cases' names make.
pub(super) fn by_chance<T>(mut all: Vec<T>, seed: u64, case: impl Fn(&T) -> &Case) -> Vec<T> {
    all.sort_by_cached_key(|each| Sha256::digest(format!("{seed} {}", case(each))));
    all
}

/// Returns for each case one in which, behind what goes wrong in it, something else goes wrong that comes later.
pub(super) fn pairs(cases: &[Case], seed: u64) -> Vec<Case> {
    let second = |(index, case): (usize, &Case)| {
        let chance = Sha256::digest(format!("{seed} {case}"));
        let later = &cases[index + 1..];
        let chosen = u64::from_be_bytes(*chance.first_chunk()?).checked_rem(u64::try_from(later.len()).ok()?)?;
        case.and(later.get(usize::try_from(chosen).ok()?)?)
    };
    cases.iter().enumerate().filter_map(second).collect()
}

/// One who lets cases take place.
pub(super) struct Worker {
    stage: Stage,
    /// Where scenarios begin, by what was done before.
    beginnings: HashMap<String, Beginning>,
    calms: HashMap<&'static str, Calm>,
}

impl Worker {
    pub(super) fn start(crew: &Crew<'_>) -> Result<Self, StageError> {
        let stage = crew.runtime.block_on(Stage::start(crew.charm, crew.program, crew.progress))?;
        Ok(Self { stage, beginnings: HashMap::new(), calms: HashMap::new() })
    }

    /// Returns where a scenario begins, and how it ends without any fault.
    pub(super) fn known(&mut self, scenario: &'static Scenario) -> Result<(&Stage, &mut Beginning, &Calm), StormError> {
        let before = format!("{:?}", scenario.before);
        let beginning = match self.beginnings.entry(before) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(self.stage.prepare(scenario)?),
        };
        let calm = match self.calms.entry(scenario.name) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(Calm::observe(&self.stage, scenario, beginning)?),
        };
        Ok((&self.stage, beginning, calm))
    }

    fn work(&mut self, plan: &Plan, report: &Mutex<&mut Report>, progress: &Progress) -> Result<(), StormError> {
        while let Some((case, hook)) = plan.next(|name| self.calms.contains_key(name)) {
            let (stage, beginning, calm) = self.known(case.scenario)?;
            let begun = Instant::now();
            let failed = |source| StormError::Case { case: case.to_string(), source: Box::new(source) };
            let verdict = case.run(stage, beginning, calm).map_err(failed)?;
            if plan.tells_all {
                for line in beginning.news(stage)? {
                    progress.tell(&line);
                }
            }
            let mut report = locked(report);
            report.note(&case, &hook, verdict, begun.elapsed())?;
            progress.show(&plan.progress(report.bad(&plan.chosen)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_each_hook_and_each_fault_and_as_many_cases_of_one_scenario_as_of_another() {
        let case = |scenario: &str, hook: u32, number: u32, fault: &str| {
            let case = format!("{scenario}/{hook} api GET /api/v1/namespaces #{number} {fault}").parse().unwrap();
            (case, format!("hook-{hook}"))
        };
        let many = (1..=50).map(|number| case("deploy", 0, number, "409"));
        let few = (1..=20).map(|number| case("remove", 0, number, "409"));
        let rare = [case("deploy", 1, 1, "409"), case("deploy", 0, 99, "503")];
        let found: Vec<_> = many.chain(few).chain(rare).collect();
        let names = |number| sample(found.clone(), number, 1).into_iter().map(|(case, _)| case.to_string());
        for rare in ["deploy/1 ", " 503"] {
            assert!(names(4).any(|name| name.contains(rare)), "{rare}");
        }
        let of_removal = |number| names(number).filter(|name| name.starts_with("remove/")).count();
        assert!((14..=16).contains(&of_removal(32)), "{}", of_removal(32));
        assert_eq!((names(60).count(), of_removal(60)), (60, 20));
        assert!(names(32).eq(names(32)));
    }
}
