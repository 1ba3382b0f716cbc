//! The folders of the user's that the sandbox keeps things in, where the XDG base directory specification has them.

use std::{
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// The sandbox's folder inside each of the user's folders.
const NAME: &str = "velero-operator-sandbox";

/// Why a folder of the user's is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Neither variable that could name the folder is set to an absolute path.
    #[error("neither {variable} nor HOME is set to an absolute path, so there is no folder to keep things in")]
    Homeless {
        /// The XDG variable that names the folder.
        variable: &'static str,
    },
    /// The folder could not be made.
    #[error("cannot make the folder {}", path.display())]
    Make {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The folder of what is dear to make but can be made again: built programs and images.
///
/// # Errors
/// When the environment names no place for it, or it cannot be made.
pub fn cache() -> Result<PathBuf, FolderError> {
    made(&place("XDG_CACHE_HOME", ".cache", |variable| env::var_os(variable))?)
}

/// The folder of what runs now: one folder for each cluster.
///
/// It is there only while something is in it.
///
/// # Errors
/// When the environment names no place for it.
pub fn state() -> Result<PathBuf, FolderError> {
    place("XDG_STATE_HOME", ".local/state", |variable| env::var_os(variable))
}

fn place(
    variable: &'static str,
    below_home: &str,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, FolderError> {
    let absolute = |name: &str| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable)
        .or_else(|| absolute("HOME").map(|home| home.join(below_home)))
        .map(|folder| folder.join(NAME))
        .ok_or(FolderError::Homeless { variable })
}

fn made(path: &Path) -> Result<PathBuf, FolderError> {
    fs::create_dir_all(path).map_err(|source| FolderError::Make { path: path.to_owned(), source })?;
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache_with(variables: &[(&str, &str)]) -> Option<PathBuf> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        place("XDG_CACHE_HOME", ".cache", find).ok()
    }

    #[test]
    fn the_xdg_variable_comes_before_home() {
        let found = cache_with(&[("XDG_CACHE_HOME", "/caches"), ("HOME", "/home/user")]);
        assert_eq!(found, Some("/caches/velero-operator-sandbox".into()));
    }

    #[test]
    fn a_relative_xdg_variable_is_no_place_as_the_specification_says() {
        let found = cache_with(&[("XDG_CACHE_HOME", "caches"), ("HOME", "/home/user")]);
        assert_eq!(found, Some("/home/user/.cache/velero-operator-sandbox".into()));
    }

    #[test]
    fn without_a_home_there_is_no_place() {
        assert_eq!(cache_with(&[]), None);
    }
}
