//! `integrate` and `remove-relation`.

use clap::Args;

use super::Failure;
use super::globals::Globals;

#[derive(Args)]
pub struct Integrate {
    /// One application, or APPLICATION:ENDPOINT
    first: String,
    /// The other one
    second: String,
}

impl Integrate {
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        globals.model()?.integrate(&self.first, &self.second)?;
        Ok(())
    }
}

#[derive(Args)]
pub struct Remove {
    /// One application, or APPLICATION:ENDPOINT
    first: String,
    /// The other one
    second: String,
}

impl Remove {
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        globals.model()?.remove_relation(&self.first, &self.second)?;
        Ok(())
    }
}
