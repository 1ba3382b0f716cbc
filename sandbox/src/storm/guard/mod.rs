//! Whether the storm would find what it is there to find: known faults are put back into the charm, one at a time, and each has to
//! end a case badly that ends well with the charm as it is.

mod known;
mod workshop;

use std::{fmt::Write as _, path::Path};

pub use known::KnownError;
pub use workshop::WorkshopError;

use self::{known::Known, workshop::Workshop};
use super::{
    Outcome, StormError,
    case::{Case, Verdict},
    crew::{Crew, Worker, by_chance},
};

/// How many cases of a scenario are tried at most.
const MOST_CASES: usize = 12;

/// What has become of one known fault.
enum Found {
    /// A case shows it, by this.
    By(Case, String),
    /// So many cases were tried, and none did.
    Missed(usize),
}

/// Puts the known faults back that have the word in their name, and tells which case catches each.
pub(super) fn go(crew: &Crew<'_>, project: &Path, word: &str) -> Result<Outcome, StormError> {
    let (all, others): (Vec<_>, Vec<_>) = Known::all(project)?.into_iter().partition(|known| known.name.contains(word));
    if all.is_empty() {
        let names: Vec<_> = others.iter().map(|known| known.name.as_str()).collect();
        return Err(StormError::Unknown(format!("no known fault has {word:?} in its name: {}", names.join(", "))));
    }
    let workshop = Workshop::open(project)?;
    let mut worker = Worker::start(crew)?;
    let mut text = "| Fault that was put back | Caught by | As |\n|---|---|---|\n".to_owned();
    let mut missed = 0;
    for known in &all {
        let program = crew.runtime.block_on(workshop.make(&known.patch))?;
        let found = find(&mut worker, known, &program)?;
        let _ = match &found {
            Found::By(case, why) => writeln!(text, "| {} | `{case}` | {} |", known.what, in_a_cell(why)),
            Found::Missed(tried) => {
                missed += 1;
                writeln!(text, "| {} | **nothing**, in {tried} cases | |", known.what)
            }
        };
        let told = match found {
            Found::By(case, why) => format!("caught by {case}: {why}"),
            Found::Missed(tried) => format!("NOT caught, in {tried} cases"),
        };
        crew.progress.tell(&format!("{}: {told}", known.name));
    }
    let _ = writeln!(text, "\n{} of {} known faults are caught.", all.len() - missed, all.len());
    Ok(Outcome { text, cases: all.len(), unreached: 0, bad: missed })
}

/// Looks for a case that a charm with a known fault ends badly and the charm as it is does not.
fn find(worker: &mut Worker, known: &Known, program: &Path) -> Result<Found, StormError> {
    let mut tried = 0;
    for scenario in &known.scenarios {
        let (stage, beginning, calm) = worker.known(scenario)?;
        let cases = known.cases(scenario, calm.cases(scenario));
        for case in by_chance(cases, 1, |case| case).into_iter().take(MOST_CASES) {
            tried += 1;
            stage.put_in(Some(program.to_owned()))?;
            let verdict = case.run(stage, beginning, calm);
            stage.put_in(None)?;
            let Verdict::Badly(wrong) = verdict? else { continue };
            if matches!(case.run(stage, beginning, calm)?, Verdict::Badly(_)) {
                continue;
            }
            return Ok(Found::By(case, wrong.into_iter().next().unwrap_or_default()));
        }
    }
    Ok(Found::Missed(tried))
}

/// Returns a text as it can stand in a table.
fn in_a_cell(text: &str) -> String {
    let short: String = text.chars().take(160).collect();
    short.replace('|', "/").replace('\n', " ")
}
