//! The programs that are built from Go modules or installed from npm packages: built once a machine, and kept in a cache folder of the user's.

mod pins;

use std::{
    env,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;
use tokio::process::Command;

use pins::Recipe;
pub use pins::{
    AZURITE, ETCD, FAKE_GCS_SERVER, KUBERNETES, PROMETHEUS, READERS, Tool, VELERO, VELERO_PLUGIN_FOR_AWS,
    VELERO_PLUGIN_FOR_GCP, VELERO_PLUGIN_FOR_MICROSOFT_AZURE, VERSITYGW,
};

use crate::{
    folders::{self, FolderError},
    process::{self, ProcessError},
    progress::{Progress, about},
};

/// Long enough for the slowest build on the slowest machine, short enough that a download that hangs is noticed.
const BUILD_LIMIT: Duration = Duration::from_hours(1);

/// Long enough for the sources of the largest tool over a slow line.
const FETCH_LIMIT: Duration = Duration::from_mins(30);

/// Why a program is not there.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// There is no cache folder.
    #[error("cannot keep what is built")]
    Folder(#[from] FolderError),
    /// The sources could not be had.
    #[error("cannot download the Go modules of {tool}")]
    Fetch {
        /// The tool's folder under `tools/`.
        tool: &'static str,
        /// What Go said.
        #[source]
        source: ProcessError,
    },
    /// The build itself failed.
    #[error("cannot build {tool}")]
    Build {
        /// The tool's folder under `tools/`.
        tool: &'static str,
        /// What Go or npm said.
        #[source]
        source: ProcessError,
    },
    /// What builds Go modules is not installed.
    #[error("{tool} needs Go, which is not installed: https://go.dev/dl has it")]
    NoGo {
        /// The tool's folder under `tools/`.
        tool: &'static str,
    },
    /// What npm packages need is not installed.
    #[error("{tool} needs {program}, which is not installed: it comes with Node.js 20 or newer")]
    NoNode {
        /// The tool's folder under `tools/`.
        tool: &'static str,
        /// The program that is missing.
        program: &'static str,
    },
    /// The builder said that all was well, and a program is missing.
    #[error("a build of {tool} made no {program}")]
    Missing {
        /// The tool's folder under `tools/`.
        tool: &'static str,
        /// The program that should be there.
        program: &'static str,
    },
    /// The cache folder cannot be used.
    #[error("cannot use the cache folder of {tool}")]
    Cache {
        /// The tool's folder under `tools/`.
        tool: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The folder with the programs of `tool`, which are built if they have not been yet.
///
/// # Errors
/// When there is no cache folder, or it cannot be built.
pub async fn folder(tool: &'static Tool, progress: &Progress) -> Result<PathBuf, ToolError> {
    if !is_built(tool)? {
        check(tool)?;
        progress.tell(&format!("building {} (first run only, {})", tool.title, about(tool.takes)));
    }
    build(tool, progress).await
}

/// Builds the programs of `tool` if they have not been yet, and returns their folder.
///
/// Two processes that want the same program at once build it once: the second waits for the first.
///
/// # Errors
/// As [`folder`].
pub async fn build(tool: &'static Tool, progress: &Progress) -> Result<PathBuf, ToolError> {
    build_in(&folders::cache()?.join("tools"), tool, progress).await
}

/// Builds the programs of `tool` in that cache folder.
async fn build_in(cache: &Path, tool: &'static Tool, progress: &Progress) -> Result<PathBuf, ToolError> {
    let failed = |source| ToolError::Cache { tool: tool.name, source };
    let built = cache.join(folder_name(tool));
    if built.is_dir() {
        return Ok(built);
    }
    fs::create_dir_all(cache).map_err(failed)?;
    let lock = lock(cache, tool, progress).await?;
    if !built.is_dir() {
        remove_unfinished(tool, cache).map_err(failed)?;
        make(tool, cache, &built).await?;
    }
    drop(lock);
    Ok(built)
}

/// The folder of a tool's programs, inside of the cache folder.
fn folder_name(tool: &Tool) -> String {
    format!("{}-{}", tool.name, tool.key())
}

/// Whether what builds `tool` is installed.
///
/// # Errors
/// When a program is not.
pub fn check(tool: &'static Tool) -> Result<(), ToolError> {
    let path = env::var_os("PATH").unwrap_or_default();
    let missing = |program: &&str| !env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let needs: &'static [&'static str] = match tool.recipe {
        Recipe::Go { .. } => &["go"],
        Recipe::Npm => &["node", "npm"],
    };
    match needs.iter().copied().find(missing) {
        None => Ok(()),
        Some("go") => Err(ToolError::NoGo { tool: tool.name }),
        Some(program) => Err(ToolError::NoNode { tool: tool.name, program }),
    }
}

/// Whether the programs of `tool` have been built.
///
/// # Errors
/// When there is no cache folder.
pub fn is_built(tool: &Tool) -> Result<bool, ToolError> {
    Ok(folders::cache()?.join("tools").join(folder_name(tool)).is_dir())
}

/// Downloads the Go modules of `tool` that its build reads, so that it needs the network no more. What has come stays, and is not
/// asked for again.
///
/// # Errors
/// When one cannot be had.
pub async fn fetch(tool: &'static Tool) -> Result<(), ToolError> {
    let Recipe::Go { package, .. } = tool.recipe else { return Ok(()) };
    let module = sources(tool)?;
    let mut go = go(module.path(), "list", tool);
    // It names each package that the build reads, and so has to look into it; what it would print is of no use.
    go.args(["-deps", "-f", "{{if .Error}}{{.Error}}{{end}}", package]);
    process::run(go, FETCH_LIMIT).await.map(drop).map_err(|source| ToolError::Fetch { tool: tool.name, source })
}

/// The path of `program`, one of the programs of `tool`, which is built if it has not been yet.
///
/// # Errors
/// As [`folder`].
pub async fn program(tool: &'static Tool, program: &'static str, progress: &Progress) -> Result<PathBuf, ToolError> {
    let path = folder(tool, progress).await?.join(program);
    if path.is_file() { Ok(path) } else { Err(ToolError::Missing { tool: tool.name, program }) }
}

/// The `velero` program: the CLI that the charm bundles and the server, one and the same.
///
/// # Errors
/// As [`folder`].
pub async fn velero(progress: &Progress) -> Result<PathBuf, ToolError> {
    program(&VELERO, "velero", progress).await
}

/// The `kubectl` program.
///
/// # Errors
/// As [`folder`].
pub async fn kubectl(progress: &Progress) -> Result<PathBuf, ToolError> {
    program(&KUBERNETES, "kubectl", progress).await
}

/// The tool's lock, which the system lets go of when its holder ends, however it ends.
async fn lock(cache: &Path, tool: &'static Tool, progress: &Progress) -> Result<File, ToolError> {
    let failed = |source| ToolError::Cache { tool: tool.name, source };
    let file = File::create(cache.join(format!("{}.lock", tool.name))).map_err(failed)?;
    if file.try_lock().is_ok() {
        return Ok(file);
    }
    progress.tell(&format!("another process builds {}: waiting for it", tool.programs.join(", ")));
    tokio::task::spawn_blocking(move || file.lock().map(|()| file))
        .await
        .map_err(|panic| failed(io::Error::other(panic)))?
        .map_err(failed)
}

fn unfinished_prefix(tool: &Tool) -> String {
    format!("unfinished-{}-", tool.name)
}

/// Removes what builds that were killed have left. The caller has the tool's lock, so none of them still runs.
fn remove_unfinished(tool: &Tool, cache: &Path) -> io::Result<()> {
    let prefix = unfinished_prefix(tool);
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        // The name of one tool may begin with that of another: what follows the prefix is random and has no hyphen.
        let name = entry.file_name();
        if name.to_str().and_then(|name| name.strip_prefix(&prefix)).is_some_and(|rest| !rest.contains('-')) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

async fn make(tool: &'static Tool, cache: &Path, built: &Path) -> Result<(), ToolError> {
    let failed = |source| ToolError::Cache { tool: tool.name, source };
    let module = sources(tool)?;
    // In the cache folder, so that what is finished can take its place in one step.
    let unfinished = tempfile::Builder::new().prefix(&unfinished_prefix(tool)).tempdir_in(cache).map_err(failed)?;
    let command = match tool.recipe {
        Recipe::Go { package, link_flags } => {
            let mut go = go(module.path(), "build", tool);
            // The linker leaves out what debuggers read; to make it takes the compiler a sixth of its time.
            go.args(["-trimpath", "-gcflags=all=-dwarf=false", "-ldflags", link_flags.trim(), "-o"])
                .arg(format!("{}/", unfinished.path().display()))
                .arg(package);
            go
        }
        Recipe::Npm => {
            for (file, text) in tool.files {
                fs::write(unfinished.path().join(file), text).map_err(failed)?;
            }
            npm(unfinished.path())
        }
    };
    process::run(command, BUILD_LIMIT).await.map_err(|source| ToolError::Build { tool: tool.name, source })?;
    for program in tool.programs {
        if !unfinished.path().join(program).is_file() {
            return Err(ToolError::Missing { tool: tool.name, program });
        }
    }
    // A temporary folder is its owner's alone; the programs may be anybody's.
    fs::set_permissions(unfinished.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).map_err(failed)?;
    fs::rename(unfinished.keep(), built).map_err(failed)
}

/// A folder with the files of `tool`.
fn sources(tool: &Tool) -> Result<TempDir, ToolError> {
    let failed = |source| ToolError::Cache { tool: tool.name, source };
    let module = tempfile::tempdir().map_err(failed)?;
    for (file, text) in tool.files {
        fs::write(module.path().join(file), text).map_err(failed)?;
    }
    Ok(module)
}

/// A command of Go's on the module of `tool` in that folder.
fn go(module: &Path, command: &str, tool: &Tool) -> Command {
    let mut go = Command::new("go");
    go.current_dir(module)
        // What a user has set for their own modules must not change ours.
        .env_remove("GOFLAGS")
        .env("GOWORK", "off")
        .env("CGO_ENABLED", "0")
        .args([command, "-mod=readonly", "-tags", tool.tags()]);
    go
}

fn npm(folder: &Path) -> Command {
    let mut npm = Command::new("npm");
    npm.current_dir(folder)
        // A package's own scripts could do anything to this machine, and none of those that are pinned needs them.
        .args(["ci", "--ignore-scripts", "--omit=dev", "--omit=optional", "--no-audit", "--no-fund"]);
    npm
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error;

    /// A tool that needs a module which is in `folder`, if it is anywhere.
    fn tool_that_needs(folder: &Path) -> &'static Tool {
        let needs = "require example.org/greeting v0.0.0\nreplace example.org/greeting => ";
        let go_mod = format!("module example.org/hello\n\ngo 1.24\n\n{needs}{}\n", folder.display());
        let main = "package main\n\nimport _ \"example.org/greeting\"\n\nfunc main() {}\n";
        Box::leak(Box::new(Tool {
            name: "hello",
            title: "a greeting",
            takes: Duration::from_secs(1),
            programs: &["hello"],
            recipe: Recipe::Go { package: ".", link_flags: "-s -w" },
            files: Box::leak(Box::new([("go.mod", &*go_mod.leak()), ("main.go", main)])),
        }))
    }

    #[tokio::test]
    async fn what_cannot_be_had_is_named_and_is_built_once_it_can() {
        let machine = tempfile::tempdir().unwrap();
        let (cache, module) = (machine.path().join("tools"), machine.path().join("greeting"));
        let tool = tool_that_needs(&module);
        let fetched = error::chain(&fetch(tool).await.unwrap_err());
        assert!(fetched.starts_with("cannot download the Go modules of hello: go ended with"), "{fetched}");
        assert!(fetched.contains("example.org/greeting"), "{fetched}");
        let built = error::chain(&build_in(&cache, tool, &Progress::silent()).await.unwrap_err());
        assert!(built.starts_with("cannot build hello: go ended with"), "{built}");

        fs::create_dir(&module).unwrap();
        fs::write(module.join("go.mod"), "module example.org/greeting\n\ngo 1.24\n").unwrap();
        fs::write(module.join("greeting.go"), "package greeting\n").unwrap();
        fetch(tool).await.unwrap();
        let built = build_in(&cache, tool, &Progress::silent()).await.unwrap();
        assert!(built.join("hello").is_file());
        let names: Vec<_> = fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "more than the build and its lock is there: {names:?}");

        // What is built needs nothing any more.
        fs::remove_dir_all(&module).unwrap();
        assert_eq!(build_in(&cache, tool, &Progress::silent()).await.unwrap(), built);
    }

    #[test]
    fn what_a_killed_build_left_is_removed_and_no_other_tools() {
        let cache = tempfile::tempdir().unwrap();
        let names = ["unfinished-velero-aB3", "unfinished-velero-plugin-for-aws-aB3", "velero-0123"];
        for name in names {
            fs::create_dir(cache.path().join(name)).unwrap();
        }
        remove_unfinished(&VELERO, cache.path()).unwrap();
        assert_eq!(names.map(|name| cache.path().join(name).exists()), [false, true, true]);
    }
}
