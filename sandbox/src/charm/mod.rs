//! Packs the charm as Charmcraft would, for the architecture of this machine and without a build container.

mod build;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::Deserialize;

pub(crate) use build::build;
pub use build::{BuildError, Profile};

/// What a charm takes from its project folder as it is. A folder stands for the files in it.
const PROJECT_FILES: [&str; 8] =
    ["metadata.yaml", "config.yaml", "actions.yaml", "hooks", "actions", "LICENSE", "README.md", "icon.svg"];

/// What a packed charm is made from, and where it goes.
#[derive(Clone, Debug)]
pub struct PackOptions {
    /// The folder of the charm's project, with its `Cargo.toml` and `charmcraft.yaml`.
    pub project: PathBuf,
    /// The Velero CLI that the charm brings along.
    pub velero: PathBuf,
    /// The folder that becomes the unpacked charm. A file beside it remembers what it was made from.
    pub destination: PathBuf,
}

impl PackOptions {
    /// The charm of this workspace, packed into its target folder.
    #[must_use]
    pub fn new(velero: impl Into<PathBuf>) -> Self {
        Self::of(Profile::Release, velero)
    }

    /// The charm of this workspace with a binary of that profile, packed into its target folder.
    #[must_use]
    pub fn of(profile: Profile, velero: impl Into<PathBuf>) -> Self {
        let project = project();
        let destination = match profile {
            Profile::Release => "charm",
            Profile::Dev => "charm-dev",
        };
        Self { destination: project.join("target").join(destination), velero: velero.into(), project }
    }
}

/// Why the charm was not packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// There is no binary of it.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A file could not be read or written.
    #[error("could not {operation} {}", path.display())]
    File {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// `charmcraft.yaml` is not what the manifest can be made from.
    #[error("could not take the base from {}", path.display())]
    CharmcraftYaml {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_yaml::Error,
    },
    /// The base in `charmcraft.yaml` is not of the form `name@channel`.
    #[error("the base {0:?} in charmcraft.yaml is not of the form name@channel")]
    Base(String),
    /// Juju has no name for the architecture of this machine, or the charm is not made for it.
    #[error("the charm cannot be packed for the architecture {0}")]
    Architecture(&'static str),
}

/// Adds to an I/O error what was tried on which path.
fn on(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PackError {
    let path = path.to_owned();
    move |source| PackError::File { operation, path, source }
}

/// Builds the charm's release binary and packs it, and returns the folder of the unpacked charm.
///
/// With nothing changed since the last time it takes as long as Cargo needs to see that.
///
/// # Errors
///
/// When the build fails or takes too long, or as [`assemble`] says.
pub async fn pack(options: &PackOptions) -> Result<PathBuf, PackError> {
    pack_as(Profile::Release, options).await
}

/// Packs the charm as [`pack`] does, with a binary of that profile.
///
/// # Errors
///
/// As [`pack`].
pub async fn pack_as(profile: Profile, options: &PackOptions) -> Result<PathBuf, PackError> {
    let binary = build::build(&options.project, profile).await?;
    assemble(options, &binary)?;
    Ok(options.destination.clone())
}

/// Builds the charm of this workspace, so that it needs no more than to be packed.
///
/// # Errors
///
/// When the build fails or takes too long.
pub async fn compile(profile: Profile) -> Result<(), BuildError> {
    build::build(&project(), profile).await.map(drop)
}

/// Whether a build of that profile has been made before: another one then compiles no more than what has changed.
#[must_use]
pub fn was_compiled(profile: Profile) -> bool {
    project().join("target").join(profile.folder()).join("velero-operator").is_file()
}

/// The folder of this workspace.
pub(crate) fn project() -> PathBuf {
    let mut project = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    project.pop();
    project
}

/// Puts an unpacked charm together from the project's files, a binary of the charm and the Velero CLI.
///
/// It is made aside and moved into its place as a whole, so nobody sees half a charm; with nothing changed since the last
/// time, what is there stays. Several processes may do it at once.
///
/// # Errors
///
/// When a file is missing or cannot be written, or when `charmcraft.yaml` names no base or not this architecture.
pub fn assemble(options: &PackOptions, binary: &Path) -> Result<(), PackError> {
    let destination = &options.destination;
    let parent = destination.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(on("create", parent))?;
    let lock_path = destination.with_extension("lock");
    let lock = File::create(&lock_path).map_err(on("create", &lock_path))?;
    lock.lock().map_err(on("lock", &lock_path))?;

    let contents = contents(options, binary)?;
    let inputs = describe(&contents)?;
    let inputs_path = destination.with_extension("inputs");
    if destination.is_dir() && fs::read_to_string(&inputs_path).is_ok_and(|old| old == inputs) {
        return Ok(());
    }

    let manifest = manifest(&options.project)?;
    let aside =
        tempfile::Builder::new().prefix(".charm-").tempdir_in(parent).map_err(on("create a folder in", parent))?;
    let new = aside.path().join("new");
    for file in &contents {
        let target = new.join(&file.name);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(on("create", folder))?;
        }
        fs::copy(&file.source, &target).map_err(on("copy", &file.source))?;
    }
    let manifest_path = new.join("manifest.yaml");
    fs::write(&manifest_path, manifest).map_err(on("write", &manifest_path))?;

    if destination.exists() {
        let old = aside.path().join("old");
        fs::rename(destination, &old).map_err(on("move away", destination))?;
    }
    fs::rename(&new, destination).map_err(on("move into place", destination))?;
    fs::write(&inputs_path, inputs).map_err(on("write", &inputs_path))
}

/// A file of the charm.
struct CharmFile {
    /// Its path in the charm.
    name: PathBuf,
    /// What it is copied from.
    source: PathBuf,
}

/// Lists what the charm holds, but for the manifest that is generated.
fn contents(options: &PackOptions, binary: &Path) -> Result<Vec<CharmFile>, PackError> {
    let mut files = vec![
        CharmFile { name: "dispatch".into(), source: binary.to_owned() },
        CharmFile { name: "velero".into(), source: options.velero.clone() },
    ];
    for name in PROJECT_FILES {
        let source = options.project.join(name);
        if source.is_dir() {
            for entry in fs::read_dir(&source).map_err(on("read", &source))? {
                let entry = entry.map_err(on("read", &source))?;
                files.push(CharmFile { name: Path::new(name).join(entry.file_name()), source: entry.path() });
            }
        } else {
            files.push(CharmFile { name: name.into(), source });
        }
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

/// Describes the files by what changes when they do, a line each. Their sizes and times are enough, as for Cargo, and spare
/// reading the hundred megabytes of the CLI.
fn describe(files: &[CharmFile]) -> Result<String, PackError> {
    use std::os::unix::fs::PermissionsExt as _;

    let mut lines = String::new();
    for file in files {
        let metadata = fs::metadata(&file.source).map_err(on("read", &file.source))?;
        let modified = metadata.modified().map_err(on("read", &file.source))?;
        let age = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mode = metadata.permissions().mode();
        let (name, source) = (file.name.display(), file.source.display());
        let size = metadata.len();
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{name} {source} {mode:o} {size} {}", age.as_nanos());
    }
    Ok(lines)
}

/// Makes the manifest, of which Juju reads the bases. Without it, Juju would take the charm for one of the old format.
fn manifest(project: &Path) -> Result<String, PackError> {
    #[derive(Deserialize)]
    struct Charmcraft {
        base: String,
        platforms: serde_yaml::Mapping,
    }

    let path = project.join("charmcraft.yaml");
    let text = fs::read_to_string(&path).map_err(on("read", &path))?;
    let charmcraft: Charmcraft =
        serde_yaml::from_str(&text).map_err(|source| PackError::CharmcraftYaml { path, source })?;
    let Some((name, channel)) = charmcraft.base.split_once('@') else {
        return Err(PackError::Base(charmcraft.base));
    };
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => return Err(PackError::Architecture(other)),
    };
    if !charmcraft.platforms.contains_key(architecture) {
        return Err(PackError::Architecture(architecture));
    }
    Ok(format!("bases:\n- name: {name}\n  channel: '{channel}'\n  architectures: [{architecture}]\n"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A project with little in it, and a binary.
    struct Fixture {
        folder: tempfile::TempDir,
        options: PackOptions,
        binary: PathBuf,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let project = folder.path().join("project");
            for name in ["hooks", "actions"] {
                fs::create_dir_all(project.join(name)).unwrap();
            }
            for name in ["metadata.yaml", "config.yaml", "actions.yaml", "LICENSE", "icon.svg"] {
                fs::write(project.join(name), name).unwrap();
            }
            fs::write(project.join("README.md"), "read me").unwrap();
            fs::write(project.join("charmcraft.yaml"), "base: ubuntu@24.04\nplatforms:\n  amd64:\n  arm64:\n").unwrap();
            let executables = [
                project.join("hooks/install"),
                project.join("actions/run"),
                folder.path().join("binary"),
                folder.path().join("velero"),
            ];
            for executable in &executables {
                fs::write(executable, "#!/bin/sh\n").unwrap();
                fs::set_permissions(executable, fs::Permissions::from_mode(0o755)).unwrap();
            }
            Self {
                options: PackOptions {
                    project,
                    velero: folder.path().join("velero"),
                    destination: folder.path().join("target/charm"),
                },
                binary: folder.path().join("binary"),
                folder,
            }
        }

        fn assemble(&self) -> Result<(), PackError> {
            assemble(&self.options, &self.binary)
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.options.destination.join(name)).unwrap()
        }
    }

    #[test]
    fn the_charm_holds_what_juju_needs() {
        let fixture = Fixture::new();
        fixture.assemble().unwrap();

        for name in ["dispatch", "velero", "hooks/install", "actions/run"] {
            let file = fixture.options.destination.join(name);
            let mode = fs::metadata(file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o755, "{name} must be executable");
        }
        let text_files = ["metadata.yaml", "config.yaml", "actions.yaml", "LICENSE"];
        for name in text_files {
            assert_eq!(fixture.read(name), name);
        }
        let manifest: serde_yaml::Value = serde_yaml::from_str(&fixture.read("manifest.yaml")).unwrap();
        assert_eq!(manifest["bases"][0]["name"], "ubuntu");
        assert_eq!(manifest["bases"][0]["channel"], "24.04");
        assert!(manifest["bases"][0]["architectures"][0].is_string());
        assert!(!fixture.options.destination.join("charmcraft.yaml").exists());
    }

    #[test]
    fn an_unchanged_charm_is_left_alone() {
        let fixture = Fixture::new();
        fixture.assemble().unwrap();
        let mark = fixture.options.destination.join("mark");
        fs::write(&mark, "").unwrap();

        fixture.assemble().unwrap();

        assert!(mark.exists(), "the folder was made anew");
    }

    #[test]
    fn a_change_replaces_the_charm_and_leaves_nothing_behind() {
        let fixture = Fixture::new();
        fixture.assemble().unwrap();
        fs::write(fixture.options.destination.join("stale"), "").unwrap();
        fs::write(&fixture.binary, "another binary").unwrap();

        fixture.assemble().unwrap();

        assert_eq!(fixture.read("dispatch"), "another binary");
        assert!(!fixture.options.destination.join("stale").exists());
        let target = fixture.folder.path().join("target");
        let mut names: Vec<_> = fs::read_dir(target).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["charm", "charm.inputs", "charm.lock"]);
    }

    #[test]
    fn a_lost_executable_bit_is_a_change() {
        let fixture = Fixture::new();
        fixture.assemble().unwrap();
        let hook = fixture.options.project.join("hooks/install");
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o644)).unwrap();

        fixture.assemble().unwrap();

        let packed = fixture.options.destination.join("hooks/install");
        assert_eq!(fs::metadata(packed).unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn a_missing_file_is_named_and_the_old_charm_stays() {
        let fixture = Fixture::new();
        fixture.assemble().unwrap();
        fs::remove_file(fixture.options.project.join("LICENSE")).unwrap();

        let error = fixture.assemble().unwrap_err();

        assert!(error.to_string().contains("LICENSE"), "{error}");
        assert_eq!(fixture.read("LICENSE"), "LICENSE");
    }

    #[test]
    fn an_architecture_that_is_not_built_for_is_refused() {
        let fixture = Fixture::new();
        fs::write(fixture.options.project.join("charmcraft.yaml"), "base: ubuntu@24.04\nplatforms:\n  s390x:\n")
            .unwrap();

        let error = fixture.assemble().unwrap_err();

        assert!(matches!(error, PackError::Architecture(_)), "{error}");
    }
}
