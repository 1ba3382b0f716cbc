//! `deploy`, `refresh`, `remove-application`, `trust`, `destroy-model`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use sandbox::charm::{self, PackOptions, Profile};
use sandbox::juju::{self, DeployOptions};
use sandbox::preparation::{self, Step};
use sandbox::progress::Progress;
use sandbox::tools;

use super::Failure;
use super::globals::{Globals, block_on};

/// The charm of this checkout, which is packed as it is deployed.
const OWN_CHARM: &str = "velero-operator";

#[derive(Args)]
pub struct Deploy {
    /// `velero-operator` (this checkout, packed now), an integrator that the sandbox plays (`s3-integrator`,
    /// `azure-storage-integrator`, `azure-auth-integrator`), or the directory of an unpacked charm, such as ./charm
    charm: String,
    /// The application's name, if not the charm's
    name: Option<String>,
    /// Give the application rights over the whole cluster
    #[arg(long)]
    trust: bool,
    /// How many units
    #[arg(short = 'n', long, default_value_t = 1, value_name = "COUNT")]
    num_units: u32,
    /// An option as KEY=VALUE (VALUE may be @FILE), or a YAML file of options by application
    #[arg(long, value_name = "KEY=VALUE|FILE")]
    config: Vec<String>,
    /// For s3-integrator: 1/… tells the keys in clear, 2/… in a Juju secret
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
}

impl Deploy {
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        let model = globals.model()?;
        let name = self.name.clone().unwrap_or_else(|| self.charm.clone());
        let options = DeployOptions {
            name: self.name,
            trust: self.trust,
            units: self.num_units,
            config: parse_config(&self.config, &name)?,
            channel: self.channel,
        };
        if model.deploy_built_in(&self.charm, &options)?.is_none() {
            model.deploy(&charm_directory(&self.charm)?, &options)?;
        }
        println!("Deployed {:?} in model {:?}", options.name.as_deref().unwrap_or(&name), model.name());
        Ok(())
    }
}

/// The unpacked charm that the user means: a directory, or the charm of this checkout, packed now.
fn charm_directory(charm: &str) -> Result<PathBuf, Failure> {
    if charm == OWN_CHARM {
        return block_on(async {
            let progress = Progress::to_stderr();
            let steps = [Step::Tool(&tools::VELERO), Step::Charm(Profile::Release)];
            preparation::prepare(steps, &progress).await?;
            let velero = tools::velero(&progress).await?;
            Ok(charm::pack(&PackOptions::new(velero)).await?)
        });
    }
    let path = Path::new(charm);
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    if path.is_file() {
        return Err(format!("{charm} is a file: unpack it first (it is a zip archive) and name the directory").into());
    }
    let played: Vec<_> = juju::built_in_names().collect();
    let played = played.join(", ");
    Err(format!("there is no charm {charm:?}: name {OWN_CHARM}, {played} or a directory such as ./charm").into())
}

/// The options of `--config`, as `juju deploy` reads them.
fn parse_config(given: &[String], application: &str) -> Result<BTreeMap<String, String>, Failure> {
    let mut config = BTreeMap::new();
    for each in given {
        match each.split_once('=') {
            Some((key, value)) => {
                config.insert(key.to_owned(), super::config::value(value)?);
            }
            None => config.extend(super::config::from_file(Path::new(each), application)?),
        }
    }
    Ok(config)
}

#[derive(Args)]
pub struct Refresh {
    /// The application
    application: String,
    /// The directory of the new charm; without it the charm of this checkout is packed
    #[arg(long, value_name = "DIRECTORY", default_value = OWN_CHARM)]
    path: String,
}

impl Refresh {
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        globals.model()?.refresh(&self.application, &charm_directory(&self.path)?)?;
        Ok(())
    }
}

#[derive(Args)]
pub struct Remove {
    /// The application
    application: String,
    /// Take hooks that fail as done
    #[arg(long)]
    force: bool,
    /// Accepted as by juju, which asks without it; the sandbox never asks
    #[arg(long)]
    no_prompt: bool,
}

impl Remove {
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        globals.model()?.remove_application(&self.application, self.force)?;
        Ok(())
    }
}

#[derive(Args)]
pub struct Trust {
    /// The application
    application: String,
    /// Take the rights away
    #[arg(long)]
    remove: bool,
    /// What the rights are over: on Kubernetes always the cluster
    #[arg(long, value_parser = ["cluster"], value_name = "SCOPE")]
    scope: Option<String>,
}

impl Trust {
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        if !self.remove && self.scope.is_none() {
            let hint = format!("cargo sandbox trust {} --scope=cluster", self.application);
            return Err(format!(
                "'{}' is granted trust over the whole cluster: say so with `{hint}`",
                self.application
            )
            .into());
        }
        globals.model()?.trust(&self.application, !self.remove)?;
        Ok(())
    }
}

#[derive(Args)]
pub struct DestroyModel {
    /// The model
    name: String,
    /// Accepted as by juju, which asks without it; the sandbox never asks
    #[arg(long)]
    no_prompt: bool,
}

impl DestroyModel {
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        globals.named_model(&self.name)?.destroy()?;
        Ok(())
    }
}
