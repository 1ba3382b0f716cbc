//! Known faults of the charm: patches that put them back.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::super::{
    case::Case,
    doors::fault::Fault,
    scenario::{self, Scenario},
};

/// The folder of the patches, in the project.
const FOLDER: &str = "sandbox/src/storm/guard/faults";

/// What introduces the lines above a patch.
const WHAT: &str = "What: ";
const SCENARIO: &str = "Scenario: ";
const FAULTS: &str = "Faults: ";
const OPERATION: &str = "Operation: ";

/// Why a patch cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KnownError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It does not say what it should.
    #[error("{} {reason}", path.display())]
    Head {
        /// The file.
        path: PathBuf,
        /// What it does not say, or says wrongly.
        reason: String,
    },
}

/// A fault of the charm that somebody could make, or has made, and where it is to be seen.
#[derive(Debug)]
pub(super) struct Known {
    /// Its name.
    pub name: String,
    /// What is wrong with such a charm.
    pub what: String,
    /// The patch that makes it.
    pub patch: PathBuf,
    /// In which scenarios it shows.
    pub scenarios: Vec<&'static Scenario>,
    /// With which faults of the world. Without any, it shows where nothing goes wrong.
    faults: Vec<Fault>,
    /// A word in the name of the operation that comes to harm.
    operation: Option<String>,
}

impl Known {
    /// Returns all of a project, in the order of their names.
    pub(super) fn all(project: &Path) -> Result<Vec<Self>, KnownError> {
        let folder = project.join(FOLDER);
        let failed = |source| KnownError::File { path: folder.clone(), source };
        let mut paths = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            paths.push(entry.map_err(failed)?.path());
        }
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "patch"));
        paths.sort();
        paths.into_iter().map(Self::read).collect()
    }

    fn read(path: PathBuf) -> Result<Self, KnownError> {
        let text = fs::read_to_string(&path).map_err(|source| KnownError::File { path: path.clone(), source })?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self::parse(name, path.clone(), &text).map_err(|reason| KnownError::Head { path, reason })
    }

    fn parse(name: String, patch: PathBuf, text: &str) -> Result<Self, String> {
        let head: Vec<_> = text.lines().take_while(|line| !line.starts_with("diff --git ")).collect();
        let all = |key: &'static str| head.iter().filter_map(move |line| line.strip_prefix(key));
        let what = all(WHAT).next().ok_or("does not say what is wrong with the charm")?.to_owned();
        let scenarios = all(SCENARIO).map(scenario::named).collect::<Result<Vec<_>, _>>()?;
        if scenarios.is_empty() {
            return Err("names no scenario".to_owned());
        }
        let faults = all(FAULTS).flat_map(|names| names.split(", ")).map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { name, what, patch, scenarios, faults, operation: all(OPERATION).next().map(ToOwned::to_owned) })
    }

    /// Returns the cases in which it is to be seen, of all that a scenario has.
    pub(super) fn cases(&self, scenario: &'static Scenario, all: Vec<Case>) -> Vec<Case> {
        if self.faults.is_empty() {
            return vec![Case { scenario, armed: Vec::new() }];
        }
        let is_meant = |case: &Case| {
            let is_there = self.operation.as_ref().is_none_or(|word| case.to_string().contains(word));
            is_there && case.fault().is_some_and(|fault| self.faults.contains(&fault))
        };
        all.into_iter().filter(is_meant).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const HEAD: &str = "What: it burns\nScenario: deploy\nFaults: 409, cut\n\ndiff --git a/a b/a\nScenario: none\n";

    fn parse(text: &str) -> Result<Known, String> {
        Known::parse("burning".into(), PathBuf::new(), text)
    }

    #[test]
    fn a_patch_says_what_it_breaks_and_where_that_shows() {
        let known = parse(HEAD).unwrap();
        assert_eq!((known.what.as_str(), known.scenarios[0].name), ("it burns", "deploy"));
        let case = |name: &str| name.parse::<Case>().unwrap();
        let all = ["403", "409", "cut"].map(|fault| case(&format!("deploy/0 api PATCH /a #1 {fault}")));
        let names = |cases: Vec<Case>| cases.iter().map(ToString::to_string).collect::<Vec<_>>();
        let meant = names(known.cases(known.scenarios[0], all.to_vec()));
        assert_eq!(meant, ["deploy/0 api PATCH /a #1 409", "deploy/0 api PATCH /a #1 cut"]);
        let calm = parse(&HEAD.replace("Faults: 409, cut\n", "")).unwrap();
        assert_eq!(names(calm.cases(calm.scenarios[0], all.to_vec())), ["deploy"]);
        let elsewhere = parse(&HEAD.replace("Faults:", "Operation: /b\nFaults:")).unwrap();
        assert_eq!(names(elsewhere.cases(elsewhere.scenarios[0], all.to_vec())), [""; 0]);
        for wrong in ["", "What: a\n", "What: a\nScenario: none\n", "What: a\nScenario: deploy\nFaults: 418\n"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_patch_still_fits_the_charm() {
        let project = crate::charm::project();
        let all = Known::all(&project).unwrap();
        assert!(all.len() >= 20, "{}", all.len());
        for known in all {
            let checked =
                Command::new("git").args(["apply", "--check"]).arg(&known.patch).current_dir(&project).output();
            let checked = checked.unwrap();
            assert!(checked.status.success(), "{}: {}", known.name, String::from_utf8_lossy(&checked.stderr));
        }
    }
}
