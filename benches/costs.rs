//! `cargo bench`: what the charm's hooks cost, next to what a user would run instead.

use std::process::ExitCode;

use clap::Parser;
use sandbox::{
    bench::{self, Options},
    error,
    progress::Progress,
};

#[derive(Parser)]
#[command(about, bin_name = "cargo bench --")]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Cargo says so to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match bench::run(&Arguments::parse().options, &Progress::to_stderr()) {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ERROR {}", error::chain(&error));
            ExitCode::FAILURE
        }
    }
}
