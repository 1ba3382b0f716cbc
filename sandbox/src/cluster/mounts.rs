//! What a cluster's mount namespace shows in place of this machine's files.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
};

use super::blueprint::{Blueprint, NodeBlueprint};

/// How many processors the node says that it has. Velero's pods ask for half of one each, and use next to nothing of it: on
/// a machine with two, the third model's pods would wait for ever.
const PROCESSORS: u16 = 64;

/// Why the mount namespace is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// A file or folder cannot be read or made.
    #[error("cannot prepare {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A mount failed.
    #[error("cannot mount {}", target.display())]
    Mount {
        /// What should be mounted on.
        target: PathBuf,
        /// What the system said.
        #[source]
        source: Errno,
    },
}

/// Mounts all of it, in the mount namespace of this process, which must be one of its own.
///
/// # Errors
/// When the system does not allow it.
pub(super) fn set_up(node: &NodeBlueprint) -> Result<(), MountError> {
    // A further node has begun with a copy of the first one's mounts, and containerd, when it looks a folder up, finds the first
    // mount on it.
    for kubelet_root in [&node.cluster.options.node.kubelet_root, &node.options.kubelet_root] {
        while umount2(kubelet_root, MntFlags::MNT_DETACH).is_ok() {}
    }
    hide_written_files(&node.cluster)?;
    let kubelet_root = node.options.kubelet_root.as_path();
    for (name, target) in
        [("kubelet", kubelet_root), ("pod-logs", Path::new("/var/log/pods")), ("cni-cache", Path::new("/var/lib/cni"))]
    {
        let from = node.file(name);
        folder(&from)?;
        folder(target)?;
        bind(&from, target)?;
    }
    // Volumes that the kubelet mounts later must appear in pods that have the folder already: the node agent of Velero.
    mount(None::<&str>, kubelet_root, None::<&str>, MsFlags::MS_SHARED | MsFlags::MS_REC, None::<&str>)
        .map_err(|source| MountError::Mount { target: kubelet_root.to_owned(), source })?;
    if let Ok(resolver) = fs::canonicalize("/etc/resolv.conf") {
        bind(&node.cluster.file("resolv.conf"), &resolver)?;
    }
    show_processors()
}

/// What the services write outside of the cluster's folder must not reach this machine's own files: `/run` is a new one, and
/// what is written to `/var` stays in a layer over it. (What is large is then kept in the cluster's folder.)
fn hide_written_files(blueprint: &Blueprint) -> Result<(), MountError> {
    mount_at("/run", Some("tmpfs"), MsFlags::empty(), Some("mode=755"))?;
    let state = Path::new("/run/cluster");
    folder(state)?;
    bind(&blueprint.folder, state)?;
    folder(Path::new("/run/var/upper"))?;
    folder(Path::new("/run/var/work"))?;
    let layers = "lowerdir=/var,upperdir=/run/var/upper,workdir=/run/var/work";
    mount_at("/var", Some("overlay"), MsFlags::empty(), Some(layers))?;
    // As on a node that systemd has started: pods may ask that what is mounted there later appears in them too.
    mount_at("/var", None, MsFlags::MS_SHARED, None)?;
    // Should the cluster's folder be below /var, the layer has hidden it.
    bind(state, &blueprint.folder)?;
    let run = Path::new("/var/run");
    if run.exists() { Ok(()) } else { symlink("/run", run).map_err(failed(run)) }
}

/// The kubelet counts the folders of processors. With neither memory nodes nor a layout of sockets to be seen, it asks no more.
fn show_processors() -> Result<(), MountError> {
    let nodes = Path::new("/sys/devices/system/node");
    if nodes.exists() {
        mount_at("/sys/devices/system/node", Some("tmpfs"), MsFlags::empty(), None)?;
    }
    let processors = Path::new("/sys/devices/system/cpu");
    // Whoever wants to know how many threads are of use reads these.
    let lists =
        ["online", "possible", "present"].map(|list| (list, fs::read(processors.join(list)).unwrap_or_default()));
    mount_at("/sys/devices/system/cpu", Some("tmpfs"), MsFlags::empty(), None)?;
    for (list, text) in lists {
        let path = processors.join(list);
        fs::write(&path, text).map_err(failed(&path))?;
    }
    (0..PROCESSORS).try_for_each(|number| folder(&processors.join(format!("cpu{number}"))))
}

fn failed(path: &Path) -> impl Fn(io::Error) -> MountError + '_ {
    move |source| MountError::File { path: path.to_owned(), source }
}

fn folder(path: &Path) -> Result<(), MountError> {
    fs::create_dir_all(path).map_err(failed(path))
}

fn bind(from: &Path, to: &Path) -> Result<(), MountError> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .map_err(|source| MountError::Mount { target: to.to_owned(), source })
}

fn mount_at(target: &str, kind: Option<&str>, flags: MsFlags, options: Option<&str>) -> Result<(), MountError> {
    mount(kind, target, kind, flags, options).map_err(|source| MountError::Mount { target: target.into(), source })
}
