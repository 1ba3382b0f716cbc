//! The `velero` program that comes with the charm.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use kube::api::DynamicObject;
use serde::{Serialize, de::DeserializeOwned};
use tempfile::NamedTempFile;
use thiserror::Error;
use tokio::process::Command;

use super::{
    cache::{DryRunCache, Key},
    dry_run::{self, DryRunError},
    installation::{CsiSnapshots, Installation},
    settings,
    version::Version,
};
use crate::{
    process::{self, Limits, ProcessError},
    proxies::Proxies,
    velero::names::CSI_FEATURE,
};

/// A dry run takes a fraction of a second and prints some 200 KB; nothing that the charm asks for itself takes more.
const OWN_LIMITS: Limits = Limits { time: Duration::from_mins(1), output: 16 * 1024 * 1024 };

/// `velero install` makes a Kubernetes client before a dry run and never uses it: this one leads nowhere.
const NO_CLUSTER: &str = "
apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: \"https://127.0.0.1:1\"}}]
users: [{name: none, user: {}}]
contexts: [{name: none, context: {cluster: none, user: none}}]
current-context: none
";

/// The `velero` program.
#[derive(Clone, Debug)]
pub(crate) struct Cli {
    pub(super) program: PathBuf,
    /// Where its answers are kept that are a pure function of the program and its arguments.
    cache: Option<DryRunCache>,
    /// By which proxies the user's commands reach the store.
    pub(super) proxies: Option<Proxies>,
}

/// Why the CLI gave no result.
#[derive(Debug, Error)]
pub(crate) enum CliError {
    #[error("the velero CLI did not run")]
    Process(#[from] ProcessError),
    #[error("cannot write a kubeconfig for the velero CLI")]
    NoCluster(#[source] io::Error),
    #[error("the velero CLI failed: {0}")]
    Failed(String),
    #[error("the velero CLI does not tell its version")]
    NoVersion,
    #[error("cannot read the dry run of the velero CLI")]
    DryRun(#[from] DryRunError),
}

impl Cli {
    /// Returns the program in the charm's directory, which keeps its dry runs there too.
    pub(crate) fn in_charm(charm_directory: &Path) -> Self {
        let cache = DryRunCache::new(charm_directory.join(".velero-dry-runs"));
        Self { program: charm_directory.join("velero"), cache: Some(cache), proxies: None }
    }

    /// Returns a program anywhere.
    pub(crate) fn at(program: PathBuf) -> Self {
        Self { program, cache: None, proxies: None }
    }

    /// Returns the same program, whose user's commands reach the store by these proxies.
    pub(crate) fn by_proxies(self, proxies: Option<Proxies>) -> Self {
        Self { proxies, ..self }
    }

    /// Returns the objects that `velero install` would make in `namespace`.
    ///
    /// # Errors
    ///
    /// When the program cannot be run, refuses the installation or prints something else than objects.
    pub(crate) async fn dry_run(
        &self,
        namespace: &str,
        installation: &Installation,
    ) -> Result<Vec<DynamicObject>, CliError> {
        let arguments = install_arguments(namespace, installation);
        self.answer("install", &arguments, |output| Ok(dry_run::read(output)?)).await
    }

    /// Returns the release that the program is of; `None` for a build from a branch.
    pub(crate) async fn version(&self) -> Result<Option<Version>, CliError> {
        let arguments = ["version", "--client-only"].map(str::to_owned);
        let read = |output: &[u8]| told_version(&String::from_utf8_lossy(output)).ok_or(CliError::NoVersion);
        Ok(Version::parse(&self.answer("version", &arguments, read).await?))
    }

    /// Returns what `read` makes of the output of the program, which runs only if the answer is not cached.
    async fn answer<T: Serialize + DeserializeOwned>(
        &self,
        name: &'static str,
        arguments: &[String],
        read: impl FnOnce(&[u8]) -> Result<T, CliError>,
    ) -> Result<T, CliError> {
        let cached = self.cache.as_ref().zip(Key::new(name, &self.program, arguments));
        if let Some(answer) = cached.as_ref().and_then(|(cache, key)| cache.get(key)) {
            return Ok(answer);
        }
        let no_cluster = no_cluster().map_err(CliError::NoCluster)?;
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(no_cluster.path()).args(arguments).env_clear();
        let finished = process::run(command, None, OWN_LIMITS).await?;
        if !finished.status.success() {
            return Err(CliError::Failed(finished.stderr_text()));
        }
        let answer = read(&finished.stdout)?;
        if let Some((cache, key)) = cached {
            cache.put(&key, &answer);
        }
        Ok(answer)
    }
}

fn no_cluster() -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    file.write_all(NO_CLUSTER.as_bytes())?;
    Ok(file)
}

/// Returns the version among the lines of `velero version`: `Version: v1.18.3`. Another line comes behind it, without which that one may
/// have been cut off.
fn told_version(output: &str) -> Option<String> {
    let mut lines = output.lines().map(str::trim);
    let version = lines.find_map(|line| line.strip_prefix("Version:"))?;
    lines.next()?.starts_with("Git commit:").then(|| version.trim().to_owned())
}

/// Returns the flags of `velero install` for an installation. None of them is a credential: those the charm adds by itself.
pub(crate) fn install_arguments(namespace: &str, installation: &Installation) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "--namespace",
        namespace,
        "install",
        "--dry-run",
        "--output",
        "yaml",
        "--no-secret",
        "--image",
        &installation.image,
    ]
    .map(str::to_owned)
    .to_vec();
    if installation.node_agent {
        arguments.push("--use-node-agent".to_owned());
        if let Some(root) = &installation.kubelet_root {
            arguments.push(format!("--kubelet-root-dir={root}"));
        }
    }
    // The CLI refuses it without the node agent.
    if installation.default_volumes_to_fs_backup && installation.node_agent {
        arguments.push("--default-volumes-to-fs-backup".to_owned());
    }
    if installation.csi_snapshots != CsiSnapshots::None {
        arguments.push(CSI_FEATURE.to_owned());
    }
    // The node agent moves it.
    if installation.csi_snapshots == CsiSnapshots::Moved && installation.node_agent {
        arguments.push("--default-snapshot-move-data".to_owned());
    }
    arguments.extend(settings::install_arguments(installation));
    if let Some(image) = &installation.plugin_image {
        arguments.push(format!("--plugins={image}"));
    }
    let location = installation.backup_location();
    let snapshots = location.and_then(|location| location.storage.snapshot_location_config.as_ref());
    match location {
        Some(location) => {
            arguments.push(format!("--provider={}", location.provider));
            arguments.push(format!("--bucket={}", location.storage.bucket));
            if let Some(prefix) = &location.storage.prefix {
                arguments.push(format!("--prefix={prefix}"));
            }
            if !location.storage.backup_location_config.is_empty() {
                arguments
                    .push(format!("--backup-location-config={}", map_flag(&location.storage.backup_location_config)));
            }
        }
        None => arguments.push("--no-default-backup-location".to_owned()),
    }
    match snapshots {
        Some(config) if !config.is_empty() => {
            arguments.push(format!("--snapshot-location-config={}", map_flag(config)));
        }
        Some(_) => {}
        None => arguments.push("--use-volume-snapshots=false".to_owned()),
    }
    arguments
}

/// Returns a map as the CLI reads it: one record of CSV whose fields are `key=value`.
fn map_flag(map: &BTreeMap<String, String>) -> String {
    let fields: Vec<_> = map
        .iter()
        .map(|(key, value)| {
            let field = format!("{key}={value}");
            if field.contains([',', '"', '\n', '\r']) || field.starts_with(char::is_whitespace) {
                format!("\"{}\"", field.replace('"', "\"\""))
            } else {
                field
            }
        })
        .collect();
    fields.join(",")
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;
