//! The object stores that the story can be told with. A new one is a line in [`StorageKind`], and a type that implements
//! [`Storage`].

mod azure;
mod gcs;
mod s3;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, OnceLock},
};

use clap::ValueEnum;
use futures::future::BoxFuture;

use super::DemoError;
use crate::{
    cluster::ClusterAccess,
    images::Plugin,
    juju::{Error, HookRecord, Model},
    progress::Progress,
    tools::{self, Tool},
};

/// The bucket, or what the store has in place of one, that backups go to.
pub(super) const BUCKET: &str = "backups";

/// A kind of object store.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum StorageKind {
    /// S3.
    #[default]
    S3,
    /// Azure Blob.
    Azure,
    /// Google Cloud Storage.
    Gcs,
}

impl StorageKind {
    /// Its server, as the story speaks of it, with the article that goes before it.
    pub(super) fn server(self) -> (&'static str, &'static str) {
        match self {
            Self::S3 => ("an", "S3 server"),
            Self::Azure => ("an", "Azure Blob server"),
            Self::Gcs => ("a", "GCS server"),
        }
    }

    /// What it calls the place of a user's objects.
    pub(super) fn container(self) -> &'static str {
        match self {
            Self::S3 | Self::Gcs => "bucket",
            Self::Azure => "container",
        }
    }

    /// The charm that tells of it.
    pub(super) fn integrator(self) -> &'static str {
        match self {
            Self::S3 => "s3-integrator",
            Self::Azure => "azure-storage-integrator",
            Self::Gcs => "gcs-integrator",
        }
    }

    /// What Velero reaches it with, and what its server is.
    pub(super) fn tools(self) -> (Plugin, &'static Tool) {
        match self {
            Self::S3 => (Plugin::Aws, &tools::VERSITYGW),
            Self::Azure => (Plugin::Azure, &tools::AZURITE),
            Self::Gcs => (Plugin::Gcp, &tools::FAKE_GCS_SERVER),
        }
    }

    /// Starts a server with an empty bucket for the Velero of a model. It keeps what it keeps in `folder`.
    pub(super) async fn start(
        self,
        access: &ClusterAccess,
        folder: &Path,
        model: &str,
        progress: &Progress,
    ) -> Result<Box<dyn Storage>, DemoError> {
        Ok(match self {
            Self::S3 => Box::new(s3::S3::start(access, folder, progress).await?),
            Self::Azure => Box::new(azure::Azure::start(access, folder, model, progress).await?),
            Self::Gcs => Box::new(gcs::Gcs::start(access, folder, model, progress).await?),
        })
    }
}

/// An object store that runs, with an empty bucket. It ends when it is dropped.
pub(super) trait Storage: std::fmt::Debug + Send + Sync {
    /// Where it is reached.
    fn address(&self) -> &str;

    /// Who signs its certificate, as PEM, where systems know that by themselves.
    fn authority(&self) -> Option<&str> {
        None
    }

    /// What a user does so that the integrator is there and knows of the bucket.
    fn offer(&self) -> Vec<Verb>;

    /// The keys of all objects in the bucket, sorted.
    fn keys(&self) -> BoxFuture<'_, Result<Vec<String>, DemoError>>;
}

/// What a verb of Juju's does to a model.
type Deed = Box<dyn FnOnce(&Model) -> Result<Vec<HookRecord>, Error> + Send>;

/// What a user does with Juju.
pub(super) struct Verb {
    /// What they type.
    pub(super) command: String,
    /// What that does.
    pub(super) run: Deed,
}

impl Verb {
    pub(super) fn new(
        command: String,
        run: impl FnOnce(&Model) -> Result<Vec<HookRecord>, Error> + Send + 'static,
    ) -> Self {
        Self { command, run: Box::new(run) }
    }

    /// Deploys an integrator with options.
    pub(super) fn deploy(integrator: &'static str, config: &[(&str, &str)]) -> Self {
        let told: Vec<_> = config.iter().map(|(key, value)| format!(" --config {key}={value}")).collect();
        let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let options = crate::juju::DeployOptions { config, ..Default::default() };
        Self::new(format!("juju deploy {integrator}{}", told.concat()), move |model| {
            Ok(model.deploy_built_in(integrator, &options)?.unwrap_or_default())
        })
    }

    /// Hands an integrator a secret of the user's, by its option `credentials`. What the user types of the content is `told`.
    pub(super) fn entrust(
        integrator: &'static str,
        secret: &'static str,
        told: &str,
        content: BTreeMap<String, String>,
    ) -> [Self; 3] {
        let added = Arc::new(OnceLock::new());
        let uri = Arc::clone(&added);
        [
            Self::new(format!("juju add-secret {secret} {told}"), move |model| {
                // Nobody else has it.
                let _ = added.set(model.add_user_secret(secret, &content)?.to_string());
                Ok(Vec::new())
            }),
            Self::new(format!("juju grant-secret {secret} {integrator}"), move |model| {
                model.grant_user_secret(secret, integrator)
            }),
            Self::new(format!("juju config {integrator} credentials=secret:…"), move |model| {
                let uri = uri.get().cloned().unwrap_or_default();
                model.configure(integrator, "credentials", &uri)
            }),
        ]
    }
}
