//! What every verb may be told: which model, on which cluster.

use std::cell::OnceCell;
use std::future::Future;
use std::path::{Path, PathBuf};

use clap::Args;
use sandbox::cluster::{self, ClusterAccess};
use sandbox::folders;
use sandbox::juju::{Model, Progress, Status};
use sandbox::pod_additions::{KeptAdditions, PodAdditions};
use sha2::{Digest, Sha256};

use super::Failure;

#[derive(Args)]
pub struct Globals {
    /// The model, which is also the name of its namespace
    #[arg(short, long, global = true, default_value = "demo", env = "JUJU_MODEL", value_name = "NAME")]
    model: String,
    /// Work on the cluster of this kubeconfig instead of the one that `up` started
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// What is added to Velero's pods while a verb works.
    #[arg(skip)]
    additions: OnceCell<KeptAdditions>,
}

impl Globals {
    /// The name of the model.
    pub fn model_name(&self) -> &str {
        &self.model
    }

    /// The kubeconfig of the user's own cluster.
    pub fn kubeconfig(&self) -> Option<&Path> {
        self.kubeconfig.as_deref()
    }

    /// The model, which tells of its hooks as they run.
    pub fn model(&self) -> Result<Model, Failure> {
        self.named_model(&self.model)
    }

    /// The model of that name.
    pub fn named_model(&self, name: &str) -> Result<Model, Failure> {
        let access = self.access()?;
        let state = state_folder(&access)?;
        let model = Model::new(access.clone(), name, &state, &std::env::current_exe()?)?.with_progress(tell);
        match own_folder(&access).map(PodAdditions::recorded).transpose()?.flatten() {
            Some(additions) => self.with_additions(additions, model, &access),
            None => Ok(model),
        }
    }

    /// The model, to whose Velero is added what the object stores of `up` ask for.
    fn with_additions(&self, additions: PodAdditions, model: Model, access: &ClusterAccess) -> Result<Model, Failure> {
        let trusting = match additions.authority() {
            Some(authority) => model.trusting(authority),
            None => model,
        };
        if self.additions.get().is_none() {
            let kept = block_on(async { Ok(additions.keep(access, trusting.name()).await?) })?;
            // It was empty, and this is the only thread.
            let _ = self.additions.set(kept);
        }
        Ok(trusting)
    }

    /// The cluster that the verb works on.
    pub fn access(&self) -> Result<ClusterAccess, Failure> {
        if let Some(kubeconfig) = &self.kubeconfig {
            return Ok(ClusterAccess::from_kubeconfig(kubeconfig)?);
        }
        cluster::current()?.ok_or_else(|| {
            "there is no cluster: start one with `cargo sandbox up`, or name your own with --kubeconfig FILE".into()
        })
    }
}

/// The models of the sandbox's own cluster are kept with it and go with it; those of a user's cluster are known by its
/// certificate authority.
fn state_folder(access: &ClusterAccess) -> Result<PathBuf, Failure> {
    if let Some(folder) = own_folder(access) {
        return Ok(folder.join("juju"));
    }
    let digest = Sha256::digest(&access.certificate_authority);
    let name: Vec<String> = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Ok(folders::state()?.join("juju").join(name.concat()))
}

/// The folder of the sandbox's own cluster.
fn own_folder(access: &ClusterAccess) -> Option<&Path> {
    access.namespaces_of.and_then(|_| access.kubeconfig.parent())
}

/// Runs what is asynchronous to its end.
pub fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// Tells on standard error what happens, so that standard output holds the verb's answer only.
fn tell(progress: &Progress<'_>) {
    match progress {
        Progress::Waiting => eprintln!("waiting for another verb on this model"),
        Progress::Started { .. } => {}
        Progress::ActionLog { message } => eprintln!("{} {message}", now()),
        Progress::Ended { record, status } => {
            let how = match &record.failure {
                None => String::new(),
                Some(reason) => format!("  FAILED: {reason}"),
            };
            let seconds = record.outcome.wall.as_secs_f64();
            let name = format!("{} {}", record.unit, record.name);
            eprintln!("{} {name:<55} {seconds:>6.2} s  {}{how}", now(), one_line(status));
        }
    }
}

fn one_line(status: &Status) -> String {
    if status.message.is_empty() { status.value.to_string() } else { format!("{}: {}", status.value, status.message) }
}

fn now() -> String {
    jiff::Zoned::now().strftime("%H:%M:%S").to_string()
}
