//! `add-unit`, `remove-unit`, `resolved`.

use clap::Args;
use sandbox::juju::UnitName;

use super::Failure;
use super::globals::Globals;

#[derive(Args)]
pub struct Add {
    /// The application
    application: String,
    /// How many
    #[arg(short = 'n', long, default_value_t = 1, value_name = "COUNT")]
    num_units: u32,
}

impl Add {
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        globals.model()?.add_units(&self.application, self.num_units)?;
        Ok(())
    }
}

#[derive(Args)]
pub struct Remove {
    /// An application, of which the units with the highest numbers go, or one unit
    what: String,
    /// How many units of an application
    #[arg(long, value_name = "COUNT")]
    num_units: Option<u32>,
    /// Accepted as by juju, which asks without it; the sandbox never asks
    #[arg(long)]
    no_prompt: bool,
}

impl Remove {
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        let model = globals.model()?;
        match (self.what.parse::<UnitName>(), self.num_units) {
            (Ok(unit), None) => model.remove_unit(&unit)?,
            (Ok(_), Some(_)) => return Err("--num-units goes with an application, not with a unit".into()),
            (Err(_), Some(count)) => model.remove_units(&self.what, count)?,
            (Err(_), None) => return Err("say how many units of the application: --num-units COUNT".into()),
        };
        Ok(())
    }
}

#[derive(Args)]
pub struct Resolved {
    /// The units
    #[arg(required = true)]
    units: Vec<UnitName>,
    /// Take the failed hook as done instead of running it again
    #[arg(long)]
    no_retry: bool,
}

impl Resolved {
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        let model = globals.model()?;
        for unit in &self.units {
            model.resolved(unit, !self.no_retry)?;
        }
        Ok(())
    }
}
