//! The charm's whole story on a real cluster, told as it happens: deploy, integrate, back up by hand and by schedule, lose,
//! restore, remove.

mod inventory;
mod kubectl;
mod narrator;
mod scheduled;
mod stage;
mod storage;
mod story;
mod workload;

use std::{io, path::PathBuf};

use tokio::signal::unix::{SignalKind, signal};

pub use self::{narrator::Narrator, storage::StorageKind};
use self::{stage::Stage, story::Story};
use crate::{
    charm::PackError,
    cluster::{AccessError, ClusterError},
    juju,
    object_store::{AzureError, AzureRequestError, BucketError, GcsError, S3Error},
    pod_additions::AdditionsError,
    preparation::PreparationError,
    process::ProcessError,
    program::ProgramError,
    tools::ToolError,
};

/// On what the story is played.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// The kubeconfig of the user's own cluster; without it, a cluster is started that ends with the story.
    pub kubeconfig: Option<PathBuf>,
    /// The model, which is also the name of its namespace. The workload's namespace is named after it.
    pub model: String,
    /// The kind of object store that backups go to.
    pub storage: StorageKind,
    /// The storage class of the workload's volume, if not the cluster's default one.
    pub storage_class: Option<String>,
}

/// Why the story did not come to its good end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// There is no cluster.
    #[error("there is no cluster for the demo")]
    Cluster(#[from] ClusterError),
    /// The user's cluster is not known well enough.
    #[error("the cluster of the kubeconfig cannot be used")]
    Access(#[from] AccessError),
    /// The model's namespace, or the workload's, is somebody's.
    #[error(
        "the cluster has a namespace {0} already, which may hold somebody's work: name another model with --model NAME"
    )]
    NamespaceTaken(String),
    /// The user's cluster makes no volumes unasked.
    #[error("the cluster has no default storage class: name one with --storage-class NAME")]
    NoStorageClass,
    /// There is no S3 server.
    #[error("there is no S3 server for the demo")]
    ObjectStore(#[from] S3Error),
    /// There is no Azure Blob server.
    #[error("there is no Azure Blob server for the demo")]
    Azure(#[from] AzureError),
    /// The Azure Blob server does not do it.
    #[error("cannot look into the container")]
    Container(#[from] AzureRequestError),
    /// There is no GCS server.
    #[error("there is no GCS server for the demo")]
    Gcs(#[from] GcsError),
    /// Velero cannot be led to the object store.
    #[error("Velero cannot be led to the object store of the demo")]
    Additions(#[from] AdditionsError),
    /// The bucket cannot be looked into.
    #[error("cannot look into the bucket")]
    Bucket(#[from] BucketError),
    /// Something that the story needs could not be installed or built.
    #[error("something that the demo needs is not there")]
    Preparation(#[from] PreparationError),
    /// A program could not be built.
    #[error("a program is missing")]
    Tool(#[from] ToolError),
    /// The sandbox's own program is missing.
    #[error("the program that plays Juju is missing")]
    Program(#[from] ProgramError),
    /// The charm could not be packed.
    #[error("the charm could not be packed")]
    Pack(#[from] PackError),
    /// A verb was refused.
    #[error("the local Juju did not do it")]
    Juju(#[from] juju::Error),
    /// The cluster was asked, and did not answer as it should.
    #[error("kubectl {command}")]
    Kubectl {
        /// What kubectl was told.
        command: String,
        /// What it said.
        #[source]
        source: ProcessError,
    },
    /// What kubectl wrote is not what it should be.
    #[error("kubectl {command} wrote something else than expected")]
    Answer {
        /// What kubectl was told.
        command: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A file of the demo's own.
    #[error("cannot use a file of the demo")]
    File(#[from] io::Error),
    /// Something is not as the story has it.
    #[error("{what}: expected {expected}; found {found}")]
    NotSo {
        /// What was looked at.
        what: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// It went wrong in a step.
    #[error("step {number}, {title:?}, failed")]
    Step {
        /// The step's number, from 1.
        number: usize,
        /// Its title.
        title: String,
        /// What went wrong.
        #[source]
        source: Box<DemoError>,
    },
    /// The user wanted no more of it.
    #[error("interrupted")]
    Interrupted,
}

/// Tells the whole story, each step as it happens, and leaves nothing behind, however it ends.
///
/// # Errors
/// When anything is not as the story has it, or something is left behind.
pub async fn run(options: &DemoOptions, narrator: &Narrator) -> Result<(), DemoError> {
    narrator.begin();
    // What the user types reaches the programs of the demo too: that one of them has ended is then no news.
    let stage = tokio::select! {
        biased;
        interruption = interrupted() => return Err(interruption),
        stage = Box::pin(Stage::set(options, narrator)) => stage.map_err(|error| narrator.in_step(error))?,
    };
    let story = Story::new(&stage, narrator, options);
    let told = tokio::select! {
        biased;
        interruption = interrupted() => {
            narrator.so("interrupted");
            stage.interrupt().await?;
            Err(interruption)
        }
        told = Box::pin(story.tell()) => told,
    };
    let told = told.map_err(|error| match error {
        DemoError::Interrupted => error,
        error => {
            stage.show_log(narrator);
            narrator.in_step(error)
        }
    });
    let struck = tokio::select! {
        biased;
        interruption = interrupted() => Err(interruption),
        struck = Box::pin(stage.strike(narrator)) => struck,
    };
    told.and(struck)?;
    narrator.end();
    Ok(())
}

/// Waits until the user, or the system on its way down, wants this to end.
async fn interrupted() -> DemoError {
    let listening =
        signal(SignalKind::interrupt()).and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
    match listening {
        Err(error) => error.into(),
        Ok((mut interrupt, mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            DemoError::Interrupted
        }
    }
}
