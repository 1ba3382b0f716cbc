//! `up`, `down`, and the parts of a cluster that are processes of their own.

use clap::Args;
use sandbox::bench;
use sandbox::cluster::{self, HiddenCommand};
use sandbox::object_store::S3Server;
use sandbox::progress::Progress;

use super::Failure;
use super::globals::block_on;

/// The bucket that a new S3 server has.
const BUCKET: &str = "backups";

/// How to start a cluster.
#[derive(Args)]
pub struct Up {
    /// How many nodes it has; each has a kubelet, containerd and volumes of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=i64::from(cluster::MOST_NODES)))]
    nodes: u8,
}

pub fn up(up: &Up) -> Result<(), Failure> {
    block_on(async {
        let progress = Progress::to_stderr();
        let access = cluster::up(up.nodes, &progress).await?;
        let folder = access.kubeconfig.with_file_name("s3");
        let store = S3Server::start_detached(&access, &folder, &progress).await?;
        store.bucket(BUCKET)?;
        println!("export KUBECONFIG={}", access.kubeconfig.display());
        println!("# S3: {} or {}, bucket {BUCKET}", store.endpoint, store.tls_endpoint);
        println!("# keys: access-key={} secret-key={}", store.access_key, store.secret_key);
        Ok(())
    })
}

pub fn down() -> Result<(), Failure> {
    block_on(async {
        if !cluster::down().await? {
            println!("there is no cluster");
        }
        Ok(())
    })
}

pub fn bench(options: bench::Options) -> Result<(), Failure> {
    print!("{}", bench::run(options, &Progress::to_stderr())?);
    Ok(())
}

pub fn hidden(command: HiddenCommand) -> Result<(), Failure> {
    block_on(async { Ok(command.run().await?) })
}
