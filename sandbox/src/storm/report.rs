//! What has become of all cases: kept in a file as they end, so that a storm goes on where it was stopped, and told as a table.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::case::{Case, Verdict};

/// Why a report cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep the report in {}", path.display())]
pub struct ReportError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// What has become of one case.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Line {
    /// The case's name.
    pub case: String,
    /// The hook's name.
    pub hook: String,
    /// Whether the operation came.
    pub reached: bool,
    /// What was wrong.
    pub wrong: Vec<String>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// A report that grows.
pub(super) struct Report {
    path: PathBuf,
    file: File,
    lines: Vec<Line>,
}

impl Report {
    /// Opens the report of a charm, with all that is known of it already; `afresh` forgets that.
    pub(super) fn open(path: &Path, afresh: bool) -> Result<Self, ReportError> {
        let failed = |source| ReportError { path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).read(true).append(true);
        let file = options.open(path).map_err(failed)?;
        if afresh {
            file.set_len(0).map_err(failed)?;
        }
        // A line that was not finished is one of a case that has to be repeated.
        let lines = BufReader::new(&file).lines().map_while(Result::ok);
        let lines = lines.filter_map(|line| serde_json::from_str(&line).ok()).collect();
        Ok(Self { path: path.to_owned(), file, lines })
    }

    /// The cases that have ended.
    pub(super) fn done(&self) -> BTreeSet<String> {
        self.lines.iter().map(|line| line.case.clone()).collect()
    }

    /// Notes what has become of a case.
    pub(super) fn note(
        &mut self,
        case: &Case,
        hook: &str,
        verdict: Verdict,
        took: Duration,
    ) -> Result<(), ReportError> {
        let (reached, wrong) = match verdict {
            Verdict::Well => (true, Vec::new()),
            Verdict::NotReached => (false, Vec::new()),
            Verdict::Badly(wrong) => (true, wrong),
        };
        let line = Line { case: case.to_string(), hook: hook.to_owned(), reached, wrong, seconds: took.as_secs_f64() };
        let write = || {
            let mut text = serde_json::to_vec(&line)?;
            text.push(b'\n');
            (&self.file).write_all(&text)
        };
        write().map_err(|source| ReportError { path: self.path.clone(), source })?;
        self.lines.push(line);
        Ok(())
    }

    /// How many of these cases have ended, and how many of those never came to what was to go wrong.
    pub(super) fn ended(&self, of: &BTreeSet<String>) -> [usize; 2] {
        let ended = || self.lines.iter().filter(|line| of.contains(&line.case));
        [ended().count(), ended().filter(|line| !line.reached).count()]
    }

    /// How many of these cases ended badly.
    pub(super) fn bad(&self, of: &BTreeSet<String>) -> usize {
        self.lines.iter().filter(|line| of.contains(&line.case) && !line.wrong.is_empty()).count()
    }

    /// Returns the table of hooks against faults, and what went wrong with the command that repeats it, of the cases of these names.
    pub(super) fn tell(&self, of: &BTreeSet<String>) -> String {
        let lines: Vec<_> = self.lines.iter().filter(|line| of.contains(&line.case)).collect();
        let mut counts: BTreeMap<(&str, &str), [usize; 3]> = BTreeMap::new();
        for line in &lines {
            let fault = line.case.rsplit(' ').next().unwrap_or_default();
            let [well, badly, unreached] = counts.entry((&line.hook, fault)).or_default();
            *match (line.reached, line.wrong.is_empty()) {
                (false, _) => unreached,
                (true, true) => well,
                (true, false) => badly,
            } += 1;
        }
        let mut text = String::new();
        let hooks: BTreeSet<_> = counts.keys().map(|(hook, _)| *hook).collect();
        let faults: BTreeSet<_> = counts.keys().map(|(_, fault)| *fault).collect();
        let _ = writeln!(text, "| fault | {} |", hooks.iter().copied().collect::<Vec<_>>().join(" | "));
        let _ = writeln!(text, "|---|{}", "---:|".repeat(hooks.len()));
        for fault in faults {
            let cells = hooks.iter().map(|hook| cell(counts.get(&(*hook, fault)).copied().unwrap_or_default()));
            let _ = writeln!(text, "| {fault} | {} |", cells.collect::<Vec<_>>().join(" | "));
        }
        let reached = lines.iter().filter(|line| line.reached).count();
        let bad: Vec<_> = lines.iter().filter(|line| !line.wrong.is_empty()).collect();
        let unreached = lines.len() - reached;
        let _ = writeln!(
            text,
            "\n{} cases: {} ended well, {} did not, {unreached} never came to their operation.",
            lines.len(),
            reached - bad.len(),
            bad.len(),
        );
        for line in bad {
            let _ = writeln!(text, "\ncargo sandbox storm --case '{}'", line.case);
            for wrong in &line.wrong {
                let _ = writeln!(text, "    {wrong}");
            }
        }
        text
    }
}

fn cell([well, badly, unreached]: [usize; 3]) -> String {
    let mut words = Vec::new();
    if well > 0 || badly + unreached == 0 {
        words.push(if well == 0 { String::new() } else { well.to_string() });
    }
    if badly > 0 {
        words.push(format!("**{badly} badly**"));
    }
    if unreached > 0 {
        words.push(format!("({unreached} not reached)"));
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str) -> Case {
        name.parse().unwrap()
    }

    #[test]
    fn a_report_goes_on_where_it_was_stopped_and_tells_what_went_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("storm/report.jsonl");
        let names = ["deploy/0 api GET /a #1 403", "deploy/0 api GET /a #1 cut", "deploy/1 api GET /a #1 403"];
        let mut report = Report::open(&path, false).unwrap();
        let took = Duration::from_secs(1);
        report.note(&case(names[0]), "install", Verdict::Well, took).unwrap();
        report.note(&case(names[1]), "install", Verdict::Badly(vec!["it burns".into()]), took).unwrap();
        drop(report);
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"case\": \"half").unwrap();

        let report = Report::open(&path, false).unwrap();
        assert_eq!(report.done(), names[..2].iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(report.bad(&report.done()), 1);
        let told = report.tell(&report.done());
        assert!(told.contains("| 403 | 1 |") && told.contains("| cut | **1 badly** |"), "{told}");
        assert!(told.contains("2 cases: 1 ended well, 1 did not, 0 never came"), "{told}");
        assert!(told.contains(&format!("cargo sandbox storm --case '{}'\n    it burns", names[1])), "{told}");
        assert_eq!(Report::open(&path, true).unwrap().done().len(), 0);
    }
}
