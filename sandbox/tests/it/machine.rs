//! What there is of clusters on this machine.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// What a cluster must not leave behind, by the number in its addresses.
#[derive(Debug)]
pub struct Traces {
    number: u8,
    folder: PathBuf,
}

impl Traces {
    /// Of the cluster with this node address and folder.
    pub fn of(address: std::net::IpAddr, folder: &Path) -> Self {
        let std::net::IpAddr::V4(address) = address else { panic!("{address} is no address of a node") };
        Self { number: address.octets()[2], folder: folder.to_owned() }
    }

    /// All that there is, in words.
    pub fn found(&self) -> Vec<String> {
        let mut found: Vec<_> = self.processes().into_values().collect();
        let name = format!("velero-sandbox-{}", self.number);
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let hierarchies =
            mounts.lines().filter(|line| line.contains(" cgroup")).filter_map(|line| line.split(' ').nth(1));
        found.extend(
            hierarchies.map(|root| Path::new(root).join(&name)).filter(|path| path.exists()).map(|path| display(&path)),
        );
        found.extend(Some(self.folder.as_path()).filter(|path| path.exists()).map(display));
        let device = format!("vosb{}", self.number);
        let links = Command::new("ip").args(["-oneline", "link", "show"]).output().unwrap();
        let links = String::from_utf8(links.stdout).unwrap();
        found.extend(links.lines().filter(|line| line.contains(&format!(" {device}@"))).map(str::to_owned));
        let mounted = mounts.lines().filter(|line| line.contains(&display(&self.folder)));
        found.extend(mounted.map(str::to_owned));
        found
    }

    /// Waits until there is nothing more, and panics with what there is when that takes too long.
    pub fn expect_none(&self) {
        expect_none(|| self.found());
    }

    /// Waits until there is no process more, and panics with what there is when that takes too long.
    pub fn expect_no_process(&self) {
        expect_none(|| self.processes().into_values().collect());
    }

    /// The number of the guard's process.
    pub fn guard(&self) -> u32 {
        let processes = self.processes();
        *processes.iter().find(|(_, arguments)| arguments.contains("cluster-guard")).unwrap().0
    }

    /// The processes that have the cluster's folder among their arguments: all but pods and the container runtime's.
    fn processes(&self) -> BTreeMap<u32, String> {
        let folder = display(&self.folder);
        let arguments = |entry: fs::DirEntry| {
            let process = entry.file_name().to_str()?.parse().ok()?;
            let arguments = fs::read(entry.path().join("cmdline")).ok()?;
            let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
            arguments.contains(&folder).then_some((process, arguments))
        };
        fs::read_dir("/proc").unwrap().flatten().filter_map(arguments).collect()
    }
}

fn expect_none(find: impl Fn() -> Vec<String>) {
    // Nobody says when the last trace is gone.
    let deadline = Instant::now() + Duration::from_mins(1);
    while !find().is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(find(), Vec::<String>::new());
}

/// Kills a process without giving it a chance to do anything about it.
pub fn kill_process(process: u32) {
    assert!(Command::new("kill").args(["-KILL", &process.to_string()]).status().unwrap().success());
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

/// The path of this test program.
pub fn this_program() -> PathBuf {
    env::current_exe().unwrap()
}
