//! `up`, `down`, and the parts of a cluster that are processes of their own.

use std::path::Path;

use clap::{Args, ValueEnum};
use sandbox::bench;
use sandbox::certificates::Authority;
use sandbox::cluster::{self, ClusterAccess, HiddenCommand};
use sandbox::entra_id::EntraId;
use sandbox::images::Plugin;
use sandbox::object_store::{AzureServer, S3Server};
use sandbox::pod_additions::PodAdditions;
use sandbox::preparation::{self, Step};
use sandbox::progress::Progress;
use sandbox::tools::{self, Tool};

use super::Failure;
use super::globals::block_on;

/// The bucket, or what the store has in place of one, that a new server has.
const BUCKET: &str = "backups";

/// How to start a cluster.
#[derive(Args)]
pub struct Up {
    /// The object stores to run beside it
    #[arg(long, value_enum, value_delimiter = ',', default_value = "s3", value_name = "KIND,…")]
    storage: Vec<Store>,
    /// How many nodes it has; each has a kubelet, containerd and volumes of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=i64::from(cluster::MOST_NODES)))]
    nodes: u8,
}

/// An object store that runs until `down`.
#[derive(Clone, Copy, Eq, PartialEq, ValueEnum)]
enum Store {
    /// S3
    S3,
    /// Azure Blob, and a stand-in for Entra ID
    Azure,
}

impl Store {
    /// What Velero reaches it with, and what it is.
    fn tools(self) -> (Plugin, &'static Tool) {
        match self {
            Self::S3 => (Plugin::Aws, &tools::VERSITYGW),
            Self::Azure => (Plugin::Azure, &tools::AZURITE),
        }
    }
}

impl Up {
    pub fn run(&self) -> Result<(), Failure> {
        block_on(async {
            let progress = Progress::to_stderr();
            let (plugins, servers): (Vec<_>, Vec<_>) = self.storage.iter().map(|store| store.tools()).unzip();
            cluster::may_start()?;
            let steps = preparation::of_cluster(plugins.iter().copied());
            preparation::prepare(steps.into_iter().chain(servers.into_iter().map(Step::Tool)), &progress).await?;
            let access = cluster::up(self.nodes, plugins, &progress).await?;
            let folder = access.kubeconfig.parent().unwrap_or(Path::new("/"));
            println!("export KUBECONFIG={}", access.kubeconfig.display());
            if self.storage.contains(&Store::S3) {
                start_s3(&access, folder, &progress).await?;
            }
            if self.storage.contains(&Store::Azure) {
                start_azure(&access, folder, &progress).await?;
            }
            Ok(())
        })
    }
}

async fn start_s3(access: &ClusterAccess, folder: &Path, progress: &Progress) -> Result<(), Failure> {
    let store = S3Server::start_detached(access, &folder.join("s3"), progress).await?;
    store.bucket(BUCKET)?;
    println!("# S3: {} or {}, bucket {BUCKET}", store.endpoint, store.tls_endpoint);
    println!("# keys: access-key={} secret-key={}", store.access_key, store.secret_key);
    Ok(())
}

async fn start_azure(access: &ClusterAccess, folder: &Path, progress: &Progress) -> Result<(), Failure> {
    let authority = Authority::new("velero-operator sandbox Azure")?;
    // Of the pods of Velero it asks that they trust its certificates, as they trust those of Azure's own.
    PodAdditions::default().trusting(authority.certificate()).record(folder)?;
    let store = AzureServer::start_detached(access, &authority, &folder.join("azure"), progress).await?;
    store.create_container(BUCKET).await?;
    let principal = EntraId::start_detached(access, &authority, &folder.join("entra-id")).await?;
    println!("# Azure Blob: {}/{BUCKET}, that is storage-account={} container={BUCKET}", store.endpoint, store.account);
    println!("# key: secret-key={}", store.key);
    println!("# service principal: subscription-id={} tenant-id={}", principal.subscription_id, principal.tenant_id);
    println!("# its secret: client-id={} client-secret={}", principal.client_id, principal.client_secret);
    Ok(())
}

pub fn down() -> Result<(), Failure> {
    block_on(async {
        if !cluster::down().await? {
            println!("there is no cluster");
        }
        Ok(())
    })
}

pub fn bench(options: &bench::Options) -> Result<(), Failure> {
    print!("{}", bench::run(options, &Progress::to_stderr())?);
    Ok(())
}

pub fn hidden(command: HiddenCommand) -> Result<(), Failure> {
    block_on(async { Ok(command.run().await?) })
}
