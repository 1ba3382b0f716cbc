//! The observer's process of a model, as the system sees it.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use sandbox::juju::UnitName;

use crate::deployed::{APPLICATION, Deployed};

/// A process that observes for a unit.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ObserverProcess(pub u32);

/// The folder that hooks and observer of a unit share.
fn folder(deployed: &Deployed, unit: u32) -> PathBuf {
    let unit = UnitName::new(APPLICATION, unit).tag();
    deployed.model.directory().join("agents").join(unit).join("charm/.velero-observer")
}

fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

impl ObserverProcess {
    /// The observers of a model's first unit.
    pub fn all(deployed: &Deployed) -> Vec<Self> {
        Self::all_of(deployed, 0)
    }

    /// The observers of a unit: the processes of that name that have its lock open. There should be one at most.
    pub fn all_of(deployed: &Deployed, unit: u32) -> Vec<Self> {
        let Ok(lock) = fs::metadata(folder(deployed, unit).join("lock")) else { return Vec::new() };
        let is_lock =
            |path: PathBuf| fs::metadata(path).is_ok_and(|file| (file.dev(), file.ino()) == (lock.dev(), lock.ino()));
        let processes =
            fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        processes
            .map(Self)
            .filter(|process| {
                process.file("cmdline").contains("observe")
                    && fs::read_dir(format!("/proc/{}/fd", process.0))
                        .is_ok_and(|mut files| files.any(|file| file.is_ok_and(|file| is_lock(file.path()))))
            })
            .collect()
    }

    /// The observer of a model's first unit.
    pub fn of(deployed: &Deployed) -> Self {
        Self::of_unit(deployed, 0)
    }

    /// The observer of a unit.
    pub fn of_unit(deployed: &Deployed, unit: u32) -> Self {
        let all = Self::all_of(deployed, unit);
        assert_eq!(all.len(), 1, "{all:?}");
        all[0]
    }

    pub fn signal(self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.0.to_string()]).status().unwrap().success());
    }

    /// What `/proc` says of it.
    pub fn file(self, name: &str) -> String {
        read(&PathBuf::from(format!("/proc/{}/{name}", self.0)))
    }

    /// The most memory that it has held of its own, in bytes: without the pages of its program, which are as many as the compiler makes
    /// of it, and which all processes of the unit share.
    pub fn peak_memory(self) -> u64 {
        let status = self.file("status");
        let kilobytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
        };
        (kilobytes("VmHWM:") - kilobytes("RssFile:")) * 1024
    }

    /// The programs that it has started.
    pub fn children(self) -> Vec<String> {
        let text = self.file(&format!("task/{}/children", self.0));
        text.split_whitespace().map(|child| read(&PathBuf::from(format!("/proc/{child}/cmdline")))).collect()
    }

    /// Whether the text is anywhere in what the process can write.
    pub fn holds(self, text: &str) -> bool {
        let mut memory = File::open(format!("/proc/{}/mem", self.0)).unwrap();
        let maps = self.file("maps");
        let ranges =
            maps.lines().filter(|line| line.split_whitespace().nth(1).is_some_and(|rights| rights.starts_with("rw")));
        ranges.into_iter().any(|line| {
            let (start, end) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
            let address = |text: &str| u64::from_str_radix(text, 16).unwrap();
            let (start, end) = (address(start), address(end));
            let mut content = vec![0; usize::try_from(end - start).unwrap()];
            memory.seek(SeekFrom::Start(start)).unwrap();
            memory.read_exact(&mut content).is_ok()
                && content.windows(text.len()).any(|window| window == text.as_bytes())
        })
    }
}

/// Makes the observer's program another file, as another build of the charm would be.
pub fn rebuild(deployed: &Deployed) {
    let charm = folder(deployed, 0).parent().unwrap().to_owned();
    fs::copy(charm.join("dispatch"), charm.join("dispatch.new")).unwrap();
    fs::rename(charm.join("dispatch.new"), charm.join("dispatch")).unwrap();
}

/// Whether a hook or action of the unit runs.
pub fn is_busy(deployed: &Deployed) -> bool {
    File::open(folder(deployed, 0).join("busy")).unwrap().try_lock().is_err()
}

/// Ends the observers of a model, with what they share with the hooks. A hook that one of them has asked for may still run, and would
/// start another at its end.
pub fn end_all(model: &Path) {
    let folders: Vec<_> = fs::read_dir(model.join("agents"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|unit| unit.path().join("charm/.velero-observer"))
        .filter(|folder| folder.exists())
        .collect();
    let begun = Instant::now();
    while !folders.is_empty() && begun.elapsed() < Duration::from_secs(20) {
        let is_idle = |folder: &PathBuf| File::open(folder.join("busy")).is_ok_and(|file| file.try_lock().is_ok());
        folders.iter().filter(|folder| is_idle(folder)).for_each(|folder| drop(fs::remove_dir_all(folder)));
        if !is_observed(model) && !folders.iter().any(|folder| folder.exists()) {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Whether an observer of a model runs, whatever has become of its files.
fn is_observed(model: &Path) -> bool {
    let model = model.to_str().unwrap();
    fs::read_dir("/proc").unwrap().flatten().any(|process| {
        read(&process.path().join("cmdline")).contains("observe")
            && read(&process.path().join("mountinfo")).contains(model)
    })
}
