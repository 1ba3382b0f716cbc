//! Where charms with known faults are made: a copy of the project, to which one patch at a time is applied.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::charm::{self, BuildError, Profile};

/// The folder of the copy, and of what is made there, in that of what Cargo makes.
const FOLDER: &str = "target/storm-guard";

/// Why a charm with a known fault cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum WorkshopError {
    /// The project cannot be copied.
    #[error("cannot copy {}", path.display())]
    Copy {
        /// What of it.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Git cannot be run.
    #[error("cannot run git")]
    Git(#[source] io::Error),
    /// Git refuses.
    #[error("git cannot {operation}:\n{words}")]
    Refused {
        /// What it was to do.
        operation: String,
        /// What it said.
        words: String,
    },
    /// The charm cannot be compiled.
    #[error("the charm cannot be compiled with {}", patch.display())]
    Build {
        /// The patch.
        patch: PathBuf,
        /// Why not.
        #[source]
        source: BuildError,
    },
}

/// A copy of the project.
pub(super) struct Workshop {
    folder: PathBuf,
    copy: PathBuf,
}

impl Workshop {
    /// Makes the copy, or brings the one that there is up to date. A file that is the same stays as it is, so that Cargo knows it again.
    pub(super) fn open(project: &Path) -> Result<Self, WorkshopError> {
        let folder = project.join(FOLDER);
        let copy = folder.join("project");
        let listed = run(
            project,
            "list the project's files",
            &["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        )?;
        for name in String::from_utf8_lossy(&listed.stdout).split_terminator('\0') {
            let (from, to) = (project.join(name), copy.join(name));
            let failed = |source| WorkshopError::Copy { path: from.clone(), source };
            // Git still lists what was deleted a moment ago.
            let content = match fs::read(&from) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                content => content.map_err(failed)?,
            };
            if fs::read(&to).is_ok_and(|there| there == content) {
                continue;
            }
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent).map_err(failed)?;
            }
            fs::write(&to, content).map_err(failed)?;
        }
        Ok(Self { folder, copy })
    }

    /// Compiles the charm with a patch. Returns the program.
    pub(super) async fn make(&self, patch: &Path) -> Result<PathBuf, WorkshopError> {
        let name = patch.file_stem().unwrap_or_default();
        self.apply(patch, &["apply"])?;
        let built = charm::build(&self.copy, Profile::Dev).await;
        self.apply(patch, &["apply", "--reverse"])?;
        let built = built.map_err(|source| WorkshopError::Build { patch: patch.to_owned(), source })?;
        let program = self.folder.join(name);
        fs::copy(&built, &program).map_err(|source| WorkshopError::Copy { path: built, source })?;
        Ok(program)
    }

    fn apply(&self, patch: &Path, arguments: &[&str]) -> Result<(), WorkshopError> {
        let patch_file = patch.to_string_lossy();
        let operation = format!("{} {patch_file}", arguments.join(" "));
        run(&self.copy, &operation, &[arguments, &[patch_file.as_ref()]].concat()).map(drop)
    }
}

/// Runs Git in a folder. The copy is within the project's repository, and is not to be taken for a part of it.
fn run(folder: &Path, operation: &str, arguments: &[&str]) -> Result<Output, WorkshopError> {
    let mut git = Command::new("git");
    git.args(arguments).current_dir(folder).env("LC_ALL", "C");
    if let Some(above) = folder.parent().filter(|_| !folder.join(".git").exists()) {
        git.env("GIT_CEILING_DIRECTORIES", above);
    }
    let output = git.output().map_err(WorkshopError::Git)?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        return Err(WorkshopError::Refused { operation: operation.to_owned(), words });
    }
    Ok(output)
}
