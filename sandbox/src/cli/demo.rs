//! `demo`.

use clap::Args;
use sandbox::demo::{self, DemoOptions, Narrator, StorageKind};
use sandbox::progress::Console;

use super::Failure;
use super::globals::Globals;

#[derive(Args)]
pub struct Demo {
    /// The kind of object store that backups go to
    #[arg(long, value_enum, default_value_t)]
    storage: StorageKind,
    /// The storage class of the workload's volume, if not the cluster's default one
    #[arg(long, value_name = "NAME")]
    storage_class: Option<String>,
}

impl Demo {
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        let options = DemoOptions {
            kubeconfig: globals.kubeconfig().map(ToOwned::to_owned),
            model: globals.model_name().to_owned(),
            storage: self.storage,
            storage_class: self.storage_class,
        };
        let narrator = Narrator::on(Console::stdout());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let told = runtime.block_on(demo::run(&options, &narrator));
        // A verb that was interrupted is not waited for: its charm ends with this process.
        runtime.shutdown_background();
        Ok(told?)
    }
}
