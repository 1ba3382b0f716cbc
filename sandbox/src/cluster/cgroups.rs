//! The control groups of a cluster's pods: a folder of its own in every hierarchy of this machine.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long the system may take to let go of the processes of a group that has been killed.
const REMOVAL_LIMIT: Duration = Duration::from_secs(30);

/// Why the groups could not be made or removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} the control group {}", path.display())]
pub struct CgroupError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// A hierarchy of control groups: where it is mounted, and whether it is of the second version.
#[derive(Debug, Eq, PartialEq)]
struct Hierarchy {
    root: PathBuf,
    unified: bool,
}

/// Makes the group `name` in every hierarchy, so that pods may be put below it.
///
/// # Errors
/// When the system does not allow it.
pub fn create(name: &str) -> Result<(), CgroupError> {
    for hierarchy in hierarchies() {
        let path = hierarchy.root.join(name);
        let failed = |source| CgroupError { action: "make", path: path.clone(), source };
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        if hierarchy.unified {
            delegate(&hierarchy.root);
            delegate(&path);
        } else {
            // A new group of the first version has no processor and no memory to use, until somebody says which.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let (from, to) = (hierarchy.root.join(file), path.join(file));
                if from.exists() {
                    fs::read(&from).and_then(|value| fs::write(&to, value)).map_err(failed)?;
                }
            }
        }
    }
    Ok(())
}

/// Removes the group `name`, and all below it, from every hierarchy. Its processes must have ended.
///
/// # Errors
/// When a process still lives in it.
pub fn remove(name: &str) -> Result<(), CgroupError> {
    let deadline = Instant::now() + REMOVAL_LIMIT;
    for hierarchy in hierarchies() {
        let path = hierarchy.root.join(name);
        loop {
            match remove_tree(&path) {
                Ok(()) => break,
                // A process that has just ended is counted for a moment longer; there is nothing to watch that says when.
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(source) => return Err(CgroupError { action: "remove", path, source }),
            }
        }
    }
    Ok(())
}

/// Lets groups below `group` use all controllers that it may use itself, as far as the system lets us.
fn delegate(group: &Path) {
    let controllers = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
    for controller in controllers.split_whitespace() {
        // One that cannot be had, such as those of real-time processes, must not keep us from the others. Where one that
        // the kubelet needs is missing, the kubelet says so, and better than could be said here.
        drop(fs::write(group.join("cgroup.subtree_control"), format!("+{controller}")));
    }
}

fn remove_tree(group: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    // The files of a group are not files: they go with their folder.
    match fs::remove_dir(group) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn hierarchies() -> Vec<Hierarchy> {
    parse(&fs::read_to_string("/proc/self/mounts").unwrap_or_default())
}

fn parse(mounts: &str) -> Vec<Hierarchy> {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (root, kind) = (fields.next()?, fields.next()?);
            matches!(kind, "cgroup" | "cgroup2").then(|| Hierarchy { root: root.into(), unified: kind == "cgroup2" })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_both_versions_are_found() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
                      cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let expected = [
            Hierarchy { root: "/sys/fs/cgroup/cpu".into(), unified: false },
            Hierarchy { root: "/sys/fs/cgroup/unified".into(), unified: true },
        ];
        assert_eq!(parse(mounts), expected);
    }

    #[test]
    fn removing_what_is_not_there_is_no_failure() {
        remove_tree(Path::new("/no/such/group")).unwrap();
    }
}
