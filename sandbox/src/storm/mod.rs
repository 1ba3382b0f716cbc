//! The storm: each operation of each hook is broken in each way in which the world can break it, one at a time, and what becomes of
//! it is compared with what becomes of it without.
//!
//! The charm is the one that users get, and knows nothing of this. Its requests go through a proxy, its hook tools and its CLI ask
//! what is to become of each call. etcd and the API server are real. What kubelets, controllers and Velero would write is written
//! by a small player, so that a case takes a second.

mod case;
mod cluster;
mod crew;
mod doors;
mod guard;
mod interference;
mod report;
mod scenario;
mod stage;

use std::{
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use clap::Args;

pub use doors::cli_door::{is_cli, run_cli};
pub use guard::{KnownError, WorkshopError};
pub use interference::Interference;
pub use stage::StageError;

use self::{
    case::{Calm, Case},
    crew::Crew,
    doors::fault::Fault,
    report::{Report, ReportError},
    scenario::{SCENARIOS, Scenario},
};
use crate::{
    charm::{self, PackError, PackOptions, Profile},
    preparation::{self, PreparationError, Step},
    program::{self, ProgramError},
    progress::Progress,
    tools::{self, ToolError},
};

/// What to go through.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// Only that case, as a report names it
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// Only cases of these scenarios
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    scenarios: Vec<String>,
    /// Only cases of the hooks with that word in their scenario's or their own name
    #[arg(long, value_name = "WORD")]
    hook: Option<String>,
    /// Only cases of that fault
    #[arg(long, value_name = "NAME")]
    fault: Option<String>,
    /// Only so many cases, chosen so that each hook and each fault is among them
    #[arg(long, value_name = "NUMBER")]
    sample: Option<usize>,
    /// So many cases in which two things go wrong, chosen by chance
    #[arg(long, value_name = "NUMBER", conflicts_with = "sample")]
    pairs: Option<usize>,
    /// What the choice begins with: the same number chooses the same cases
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// How many cases take place at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 2)]
    workers: usize,
    /// Also the cases again that have ended before
    #[arg(long)]
    afresh: bool,
    /// Only tell which cases there are
    #[arg(long)]
    list: bool,
    /// Put known faults back into the charm, one at a time, and tell which case catches each: those with that word in their name, or all
    #[arg(long, value_name = "WORD", num_args = 0..=1, default_missing_value = "")]
    guard: Option<String>,
    /// The file in which what has become of cases is kept, if not one beside the packed charm
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl Options {
    /// So many cases of these scenarios, chosen so that each of their hooks and each fault is among them, with a report in that file.
    #[must_use]
    pub fn sample(number: usize, scenarios: &[&str], report: PathBuf) -> Self {
        let scenarios = scenarios.iter().map(|name| (*name).to_owned()).collect();
        Self { sample: Some(number), scenarios, seed: 1, workers: 4, report: Some(report), ..Self::default() }
    }
}

/// Why a storm ended early.
#[derive(Debug, thiserror::Error)]
pub enum StormError {
    /// Something that it needs is not there.
    #[error("a storm needs programs that are not there")]
    Preparation(#[from] PreparationError),
    /// The CLI is not there.
    #[error("a storm needs the Velero CLI")]
    Tool(#[from] ToolError),
    /// There is no charm.
    #[error("a storm needs a charm")]
    Pack(#[from] PackError),
    /// The sandbox's own program is missing.
    #[error("a storm needs the sandbox's own program")]
    Program(#[from] ProgramError),
    /// No case could take place.
    #[error("the storm has no stage")]
    Stage(#[from] StageError),
    /// A case could not take place.
    #[error("{case:?} could not take place")]
    Case {
        /// Its name.
        case: String,
        /// Why not.
        #[source]
        source: Box<StageError>,
    },
    /// The report cannot be written.
    #[error("the storm cannot be told of")]
    Report(#[from] ReportError),
    /// A known fault is not one.
    #[error("the guard of the storm has no known faults")]
    Known(#[from] KnownError),
    /// No charm with a known fault could be made.
    #[error("the guard of the storm has no charm with a known fault")]
    Workshop(#[from] WorkshopError),
    /// What was asked for is not there.
    #[error("{0}")]
    Unknown(String),
    /// A thread of the storm itself failed.
    #[error("a worker of the storm failed")]
    Worker,
}

/// What a storm has shown.
#[derive(Debug)]
pub struct Outcome {
    /// As a table, with what went wrong.
    pub text: String,
    /// How many cases have ended.
    pub cases: usize,
    /// How many of them never came to what was to go wrong.
    pub unreached: usize,
    /// How many ended badly.
    pub bad: usize,
}

/// Goes through all that is asked for.
///
/// # Errors
/// When a case could not take place. One that ends badly is no error.
pub fn run(options: &Options, progress: &Progress) -> Result<Outcome, StormError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(StageError::from)?;
    let (charm, program) = runtime.block_on(async {
        let tools = [&tools::ETCD, &tools::KUBERNETES, &tools::VERSITYGW, &tools::VELERO].map(Step::Tool);
        preparation::prepare(tools.into_iter().chain([Step::Charm(Profile::Release)]), progress).await?;
        let charm = charm::pack(&PackOptions::new(tools::velero(progress).await?)).await?;
        Ok::<_, StormError>((charm, program::path().await?))
    })?;
    let crew = Crew { runtime: runtime.handle(), charm: &charm, program: &program, progress };
    if let Some(word) = &options.guard {
        let outcome = guard::go(&crew, &charm::project(), word)?;
        runtime.shutdown_background();
        return Ok(outcome);
    }
    let wanted = Wanted::parse(options)?;
    let path = match &options.report {
        Some(path) => path.clone(),
        None => charm.with_file_name("storm").join(format!("{}.jsonl", fingerprint(&charm)?)),
    };
    let mut report = Report::open(&path, options.afresh || options.case.is_some())?;
    let outcome = crew.go(options, &wanted, &mut report)?;
    runtime.shutdown_background();
    Ok(outcome)
}

/// What tells one charm from another: the size and time of its program.
fn fingerprint(charm: &Path) -> Result<String, StormError> {
    let metadata = std::fs::metadata(charm.join("dispatch")).map_err(StageError::from)?;
    let changed = metadata.modified().map_err(StageError::from)?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{:x}-{:x}", metadata.len(), changed.as_micros()))
}

/// What of all cases is wanted.
struct Wanted {
    case: Option<Case>,
    scenarios: Vec<&'static Scenario>,
    hook: Option<String>,
    fault: Option<Fault>,
    /// What chooses the second of two faults, if there are to be two.
    second: Option<u64>,
}

impl Wanted {
    fn parse(options: &Options) -> Result<Self, StormError> {
        let case = options.case.as_deref().map(str::parse).transpose().map_err(StormError::Unknown)?;
        let fault = options.fault.as_deref().map(str::parse).transpose().map_err(StormError::Unknown)?;
        let named = |name: &String| scenario::named(name).map_err(StormError::Unknown);
        let scenarios = options.scenarios.iter().map(named).collect::<Result<_, _>>()?;
        let second = options.pairs.map(|_| options.seed);
        Ok(Self { case, scenarios, hook: options.hook.clone(), fault, second })
    }

    fn scenarios(&self) -> Vec<&'static Scenario> {
        if let Some(case) = &self.case {
            return vec![case.scenario];
        }
        if !self.scenarios.is_empty() {
            return self.scenarios.clone();
        }
        let named = |scenario: &&Scenario| self.hook.as_ref().is_some_and(|word| scenario.name.contains(word));
        let some: Vec<_> = SCENARIOS.iter().filter(named).collect();
        // The word may be that of a hook, which any scenario may have.
        if some.is_empty() { SCENARIOS.iter().collect() } else { some }
    }

    fn cases(&self, scenario: &'static Scenario, calm: &Calm) -> Vec<Case> {
        if let Some(case) = &self.case {
            return vec![case.clone()];
        }
        let mut cases = calm.cases(scenario);
        if let Some(word) = &self.hook {
            cases.retain(|case| scenario.name.contains(word) || case.hook(calm).contains(word));
        }
        cases.retain(|case| match self.fault {
            Some(fault) => case.fault() == Some(fault),
            None => !case.fault().is_some_and(Fault::is_long),
        });
        match self.second {
            Some(seed) => crew::pairs(&cases, seed),
            None => cases,
        }
    }
}
