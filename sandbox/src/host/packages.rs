//! The Debian packages that the embedded cluster needs.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::process::Command;

use crate::{
    folders::{self, FolderError},
    process::{self, ProcessError},
    progress::Progress,
};

/// `apt-get` may fetch 40 MB over a slow line.
const APT_LIMIT: Duration = Duration::from_mins(15);

/// Where a Debian system has programs, whatever the `PATH` of the user leaves out of it.
const FOLDERS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A file that the cluster needs, and the package that has it.
struct Need {
    package: &'static str,
    file: File,
}

enum File {
    Program(&'static str),
    At(&'static str),
}

const NEEDS: [Need; 11] = [
    Need { package: "containerd", file: File::Program("containerd") },
    Need { package: "containerd", file: File::Program("ctr") },
    Need { package: "runc", file: File::Program("runc") },
    Need { package: "containernetworking-plugins", file: File::At("/usr/lib/cni/ptp") },
    Need { package: "iptables", file: File::Program("iptables") },
    Need { package: "iproute2", file: File::Program("ip") },
    Need { package: "busybox-static", file: File::Program("busybox") },
    Need { package: "util-linux", file: File::Program("unshare") },
    Need { package: "util-linux", file: File::Program("nsenter") },
    Need { package: "openssl", file: File::Program("openssl") },
    Need { package: "ca-certificates", file: File::At("/etc/ssl/certs/ca-certificates.crt") },
];

/// Why the packages are not there.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The user may not install packages.
    #[error("these Debian packages are missing, and only root may install them: {}", packages.join(" "))]
    NotRoot {
        /// The packages' names.
        packages: Vec<&'static str>,
    },
    /// Debian's package manager failed.
    #[error("cannot install the Debian packages {}", packages.join(" "))]
    Install {
        /// The packages' names.
        packages: Vec<&'static str>,
        /// What it said.
        #[source]
        source: ProcessError,
    },
    /// There is no cache folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// It cannot be waited for others that install packages too.
    #[error("cannot lock the installation of Debian packages")]
    Lock(#[source] io::Error),
    /// The package manager was content, and still a file is missing.
    #[error("these Debian packages are installed, but lack the files that are needed of them: {}", packages.join(" "))]
    Incomplete {
        /// The packages' names.
        packages: Vec<&'static str>,
    },
}

/// Installs what is missing of the packages that the cluster needs.
///
/// # Errors
/// When something is missing and the user is not root, or `apt-get` fails.
pub async fn ensure(progress: &Progress) -> Result<(), PackageError> {
    let packages = missing(Path::exists);
    if packages.is_empty() {
        return Ok(());
    }
    if !nix::unistd::geteuid().is_root() {
        return Err(PackageError::NotRoot { packages });
    }
    let lock = lock(progress).await?;
    // Another cluster that was started at the same time may have brought them meanwhile.
    let packages = missing(Path::exists);
    if packages.is_empty() {
        return Ok(());
    }
    progress.tell(&format!("installing the Debian packages {}", packages.join(" ")));
    install(&packages).await.map_err(|source| PackageError::Install { packages, source })?;
    drop(lock);
    let packages = missing(Path::exists);
    if packages.is_empty() { Ok(()) } else { Err(PackageError::Incomplete { packages }) }
}

/// The lock on installing, as `apt-get update` does not wait for another one.
async fn lock(progress: &Progress) -> Result<fs::File, PackageError> {
    let cache = folders::cache()?;
    let file = fs::create_dir_all(&cache)
        .and_then(|()| fs::File::create(cache.join("packages.lock")))
        .map_err(PackageError::Lock)?;
    if file.try_lock().is_ok() {
        return Ok(file);
    }
    progress.tell("waiting until another cluster has installed its Debian packages");
    tokio::task::spawn_blocking(move || file.lock().map(|()| file))
        .await
        .map_err(|panic| PackageError::Lock(io::Error::other(panic)))?
        .map_err(PackageError::Lock)
}

/// Whether all packages are there.
#[must_use]
pub fn are_there() -> bool {
    missing(Path::exists).is_empty()
}

/// The path of a program of one of the packages.
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists())
}

/// The `PATH` that leads to all programs of the packages.
#[must_use]
pub fn path() -> String {
    FOLDERS.join(":")
}

fn missing(exists: impl Fn(&Path) -> bool) -> Vec<&'static str> {
    let mut packages: Vec<_> = NEEDS
        .iter()
        .filter(|need| match need.file {
            File::Program(name) => !FOLDERS.iter().any(|folder| exists(&Path::new(folder).join(name))),
            File::At(path) => !exists(Path::new(path)),
        })
        .map(|need| need.package)
        .collect();
    packages.dedup();
    packages
}

async fn install(packages: &[&str]) -> Result<(), ProcessError> {
    let mut update = Command::new("apt-get");
    update.args(["update", "--quiet"]);
    process::run(update, APT_LIMIT).await?;
    let mut install = Command::new("unshare");
    install
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["--mount", "--", "sh", "-ec", WITHOUT_SERVICES, "sh"])
        .args(["apt-get", "install", "--yes", "--quiet", "--no-install-recommends"])
        .args(packages);
    process::run(install, APT_LIMIT).await.map(drop)
}

/// Debian starts the service of a package that it installs. The cluster runs a containerd of its own, so what would start
/// the one of the package does nothing, in a mount namespace that only this installation sees.
const WITHOUT_SERVICES: &str = r#"
for starter in /usr/bin/deb-systemd-invoke /usr/sbin/invoke-rc.d; do
    if [ -e "$starter" ]; then mount --bind /bin/true "$starter"; fi
done
exec "$@"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_machine_lacks_every_package_once() {
        let packages = missing(|_| false);
        assert_eq!(packages.len(), 9);
        assert!(packages.contains(&"containerd"));
    }

    #[test]
    fn a_machine_with_all_files_lacks_nothing() {
        assert_eq!(missing(|_| true), Vec::<&str>::new());
    }

    #[test]
    fn a_package_that_is_partly_there_is_missing() {
        assert_eq!(missing(|path| !path.ends_with("ctr")), ["containerd"]);
    }
}
