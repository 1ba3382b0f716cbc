//! `storm`.

use std::process::ExitCode;

use sandbox::{
    progress::Progress,
    storm::{self, Options},
};

use super::Failure;

pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let outcome = storm::run(options, &Progress::to_stderr())?;
    print!("{}", outcome.text);
    Ok(if outcome.bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
