//! Charmcraft's own models and linters accept the charm. Nothing is built: a pack needs a container.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use sandbox::charm::{self, PackOptions};
use sandbox::folders;

use crate::project;

/// Charmcraft and all that it needs, each at one version.
const REQUIREMENTS: &str = include_str!("../../tools/charmcraft/requirements.txt");

/// How long Charmcraft may take to install, in seconds: it is some 80 packages.
const INSTALL_LIMIT: u32 = 900;

/// How long a check may take, in seconds.
const CHECK_LIMIT: u32 = 180;

/// The interpreter of a virtual environment that has Charmcraft.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| environment().join("bin/python"));

/// A command that is ended when it takes longer than `limit` seconds.
fn limited(limit: u32, program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("timeout");
    command.arg("--kill-after=5").arg(limit.to_string()).arg(program.as_ref());
    command
}

/// Runs a command to its end, and returns what it wrote or its own words on why it failed.
fn run(command: &mut Command) -> Result<String, String> {
    let Output { status, stdout, stderr } = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    Err(format!("{command:?} ended with {status}\n{stdout}{stderr}"))
}

/// The folder of the virtual environment, which is made if it is not there: once a machine, Python and set of versions.
fn environment() -> PathBuf {
    let python_version = python_version().unwrap_or_else(|_| {
        let mut apt = limited(INSTALL_LIMIT, "sh");
        apt.args(["-c", "apt-get update -qq && apt-get install -qq --no-install-recommends python3-venv"]);
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        run(&mut apt)
            .and_then(|_| python_version())
            .unwrap_or_else(|error| panic!("this test needs Python with venv: install python3-venv as root\n{error}"))
    });
    let mut hasher = DefaultHasher::new();
    (REQUIREMENTS, python_version).hash(&mut hasher);
    let cache = folders::cache().unwrap();
    let finished = cache.join(format!("charmcraft-{:016x}", hasher.finish()));
    if finished.is_dir() {
        return finished;
    }

    // Made aside and moved into place, so that an interrupted installation is never taken for a whole one.
    let unfinished = tempfile::Builder::new().prefix("unfinished-").tempdir_in(&cache).unwrap();
    let python = unfinished.path().join("bin/python");
    let requirements = project().join("tools/charmcraft/requirements.txt");
    let mut venv = limited(INSTALL_LIMIT, "python3");
    venv.args(["-m", "venv"]).arg(unfinished.path());
    let mut pip = limited(INSTALL_LIMIT, python);
    pip.args(["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-input", "--no-deps"])
        .arg("--requirement")
        .arg(requirements);
    run(&mut venv).and_then(|_| run(&mut pip)).unwrap_or_else(|error| panic!("cannot install Charmcraft: {error}"));
    match fs::rename(unfinished.keep(), &finished) {
        // Another process was faster.
        Err(_) if finished.is_dir() => {}
        moved => moved.unwrap(),
    }
    finished
}

/// What tells one Python from another; an error when there is none that can make virtual environments.
fn python_version() -> Result<String, String> {
    let script = "import ensurepip, sys, venv; print(sys.version, sys.base_prefix)";
    run(limited(CHECK_LIMIT, "python3").args(["-c", script]))
}

/// Holds folders to Charmcraft's rules for a `project` or a `charm`; the error says what is wrong with which folder.
fn check(kind: &str, folders: &[&Path]) -> Result<(), String> {
    let state = tempfile::tempdir().unwrap();
    let mut check = limited(CHECK_LIMIT, &*PYTHON);
    check
        // Charmcraft writes its log there.
        .env("XDG_STATE_HOME", state.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(project().join("tests/it/charmcraft_check.py"))
        .arg(kind)
        .args(folders);
    run(&mut check).map(drop)
}

/// A copy of the files that Charmcraft reads before it builds.
fn project_copy() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in ["charmcraft.yaml", "metadata.yaml", "config.yaml", "actions.yaml"] {
        fs::copy(project().join(name), copy.path().join(name)).unwrap();
    }
    copy
}

/// Packs the charm into a folder of the test's own, with this build's binary and something small in the CLI's place.
fn pack(folder: &Path) -> PathBuf {
    let velero = folder.join("velero");
    fs::copy("/bin/true", &velero).unwrap();
    let options = PackOptions { project: project().to_owned(), velero, destination: folder.join("velero-operator") };
    charm::assemble(&options, Path::new(env!("CARGO_BIN_EXE_velero-operator"))).unwrap();
    options.destination
}

#[test]
fn charmcraft_accepts_the_project() {
    check("project", &[project()]).unwrap();
}

#[test]
fn charmcraft_refuses_what_it_does_not_know() {
    let cases = [
        ("base: ubuntu@24.04", "base: ubuntu@24.04\nplattforms: {}", "plattforms"),
        ("rust-channel:", "rust-chanel:", "rust-chanel"),
        ("base: ubuntu@24.04", "base: ubuntu@4.10", "base"),
        ("type: charm", "type: charm\nname: velero-operator", "name"),
        ("type: charm", "type: charm\nconfig: {options: {}}", "config"),
    ];
    let copies = cases.map(|(from, to, _)| {
        let copy = project_copy();
        let path = copy.path().join("charmcraft.yaml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "charmcraft.yaml holds no {from:?}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        copy
    });

    let problems = check("project", &copies.each_ref().map(tempfile::TempDir::path)).unwrap_err();

    assert!(problems.contains("ended with exit status: 1"), "the check itself broke: {problems}");
    for (copy, (_, to, named)) in copies.iter().zip(cases) {
        let folder = format!("{}: ", copy.path().display());
        let refused = problems.lines().any(|line| line.starts_with(&folder) && line.contains(named));
        assert!(refused, "{to:?} is accepted; refused is only this: {problems}");
    }
}

#[test]
fn charmcrafts_linters_accept_the_packed_charm() {
    let folder = tempfile::tempdir().unwrap();
    check("charm", &[&pack(folder.path())]).unwrap();
}

#[test]
fn charmcrafts_linters_refuse_an_option_without_a_type() {
    let folder = tempfile::tempdir().unwrap();
    let charm = pack(folder.path());
    fs::write(charm.join("config.yaml"), "options: {use-node-agent: {default: false}}").unwrap();

    let problem = check("charm", &[&charm]).unwrap_err();

    assert!(problem.contains("juju-config"), "{problem}");
}

/// What the sandbox deploys has the same files at its top as what Charmcraft would pack.
#[test]
fn the_sandbox_packs_what_charmcraft_would() {
    let text = fs::read_to_string(project().join("charmcraft.yaml")).unwrap();
    let charmcraft: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    let parts = charmcraft["parts"].as_mapping().unwrap();
    let primed = parts.values().flat_map(|part| part["prime"].as_sequence().unwrap());
    let by_itself = ["metadata.yaml", "config.yaml", "actions.yaml", "manifest.yaml"];
    let expected: BTreeSet<_> = primed.map(|name| name.as_str().unwrap()).chain(by_itself).map(str::to_owned).collect();

    let folder = tempfile::tempdir().unwrap();
    let packed: BTreeSet<_> = fs::read_dir(pack(folder.path()))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();

    assert_eq!(packed, expected);
}
