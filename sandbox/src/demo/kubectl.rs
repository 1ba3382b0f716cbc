//! Kubernetes' own command line, for what a user would do with it.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use tokio::process::Command;

use super::DemoError;
use crate::{process, progress::Progress, tools};

/// How long kubectl may take for what does not wait.
const LIMIT: Duration = Duration::from_mins(1);

/// How much longer kubectl may take than it was told to wait, so that it is kubectl that says what it waited for.
const GRACE: Duration = Duration::from_secs(15);

/// A kubectl for one cluster.
#[derive(Clone, Debug)]
pub(super) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
}

impl Kubectl {
    /// One for the cluster of `kubeconfig`, which keeps what it keeps in `folder`.
    pub(super) async fn new(kubeconfig: &Path, folder: &Path, progress: &Progress) -> Result<Self, DemoError> {
        let program = match installed() {
            Some(program) => program,
            None => tools::kubectl(progress).await?,
        };
        Ok(Self { program, kubeconfig: kubeconfig.to_owned(), cache: folder.join("kubectl") })
    }

    /// What it answers to `arguments`, separated by spaces.
    pub(super) async fn run(&self, arguments: &str) -> Result<String, DemoError> {
        let arguments: Vec<_> = arguments.split(' ').collect();
        self.run_within(&arguments, LIMIT).await
    }

    /// As [`Kubectl::run`], with `--timeout`: for what waits.
    pub(super) async fn wait(&self, arguments: &str, limit: Duration) -> Result<String, DemoError> {
        let timeout = format!("--timeout={}s", limit.as_secs());
        let arguments: Vec<_> = arguments.split(' ').chain([timeout.as_str()]).collect();
        self.run_within(&arguments, limit + GRACE).await
    }

    /// Runs a shell's script in a container of the Deployment.
    pub(super) async fn shell(&self, namespace: &str, deployment: &str, script: &str) -> Result<String, DemoError> {
        let pod = format!("deployment/{deployment}");
        self.run_within(&["exec", "--namespace", namespace, &pod, "--", "sh", "-ec", script], LIMIT).await
    }

    /// An object, or a list of them, as JSON.
    pub(super) async fn json(&self, arguments: &str) -> Result<Value, DemoError> {
        let text = self.run(&format!("{arguments} --output json")).await?;
        serde_json::from_str(&text).map_err(|source| DemoError::Answer { command: arguments.to_owned(), source })
    }

    async fn run_within(&self, arguments: &[&str], limit: Duration) -> Result<String, DemoError> {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).arg("--cache-dir").arg(&self.cache).args(arguments);
        let failed = |source| DemoError::Kubectl { command: arguments.join(" "), source };
        Ok(process::run(command, limit).await.map_err(failed)?.trim().to_owned())
    }
}

/// The user's own.
pub(super) fn installed() -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join("kubectl")).find(|program| program.is_file())
}
