//! The verbs: one file for each, or for a few that belong together.

mod actions;
mod applications;
mod cluster;
mod config;
mod dashboard;
mod debug_log;
mod demo;
mod globals;
mod relations;
mod secrets;
mod status;
mod storm;
mod table;
mod units;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sandbox::bench;
use sandbox::cluster::HiddenCommand;
use sandbox::error;

use globals::Globals;

/// Why a verb failed.
type Failure = Box<dyn Error>;

/// Kubernetes, object stores and Juju on one machine.
///
/// `up` starts a cluster; the verbs of `juju` then work on it as they do on a real one: deploy, integrate, config, run,
/// status, debug-log, …. Nothing of it is left after `down`.
#[derive(Parser)]
#[command(name = "cargo sandbox", bin_name = "cargo sandbox", version)]
struct Arguments {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Tell the charm's whole story on a cluster of its own: deploy, back up, lose, restore, remove
    Demo(demo::Demo),
    /// Start a cluster with an object store, which runs until `down`
    Up(cluster::Up),
    /// End the cluster, and remove every trace of it
    Down,
    /// Deploy a charm
    Deploy(applications::Deploy),
    /// Move an application to a new version of its charm
    Refresh(applications::Refresh),
    /// Remove an application
    RemoveApplication(applications::Remove),
    /// Give an application rights over the whole cluster
    Trust(applications::Trust),
    /// Relate two applications
    #[command(visible_alias = "relate")]
    Integrate(relations::Integrate),
    /// End the relation of two applications
    RemoveRelation(relations::Remove),
    /// Show, set or reset an application's options
    Config(config::Config),
    /// Add a secret of the user's, which prints its URI for the options of integrators
    AddSecret(secrets::Add),
    /// Let applications read a secret of the user's
    GrantSecret(secrets::Grant),
    /// Give a secret of the user's another content
    UpdateSecret(secrets::Update),
    /// Run an action on a unit
    Run(actions::Run),
    /// List an application's actions
    Actions(actions::List),
    /// Show how the model is
    Status(status::Status),
    /// Show what charms and their agents said
    DebugLog(debug_log::DebugLog),
    /// Add units to an application
    AddUnit(units::Add),
    /// Remove units of an application
    RemoveUnit(units::Remove),
    /// Run a unit's failed hook again, or take it as done
    #[command(visible_alias = "resolve")]
    Resolved(units::Resolved),
    /// Run the hook `update-status` on every unit, as Juju does every five minutes
    UpdateStatus,
    /// Measure what the charm's hooks cost, next to what a user would run instead, on a cluster of its own
    Bench(bench::Options),
    /// Draw the charm's Grafana dashboard: its own queries, answered by a Prometheus on a cluster of its own
    Dashboard(sandbox::dashboard::Options),
    /// Break each operation of each hook in each way, and tell what becomes of it
    Storm(sandbox::storm::Options),
    /// Remove a model with everything in it
    DestroyModel(applications::DestroyModel),
    #[command(flatten)]
    Hidden(HiddenCommand),
}

/// Reads the arguments and does as they say.
pub fn main() -> ExitCode {
    let Arguments { globals, command } = Arguments::parse();
    match run(&globals, command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ERROR {}", error::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(globals: &Globals, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Demo(demo) => demo.run(globals),
        Command::Up(up) => up.run(),
        Command::Down => cluster::down(),
        Command::Deploy(deploy) => deploy.run(globals),
        Command::Refresh(refresh) => refresh.run(globals),
        Command::RemoveApplication(remove) => remove.run(globals),
        Command::Trust(trust) => trust.run(globals),
        Command::Integrate(integrate) => integrate.run(globals),
        Command::RemoveRelation(remove) => remove.run(globals),
        Command::Config(config) => config.run(globals),
        Command::AddSecret(add) => add.run(globals),
        Command::GrantSecret(grant) => grant.run(globals),
        Command::UpdateSecret(update) => update.run(globals),
        Command::Run(run) => return run.run(globals),
        Command::Actions(list) => list.run(globals),
        Command::Status(status) => status.run(globals),
        Command::DebugLog(debug_log) => debug_log.run(globals),
        Command::AddUnit(add) => add.run(globals),
        Command::RemoveUnit(remove) => remove.run(globals),
        Command::Resolved(resolved) => resolved.run(globals),
        Command::UpdateStatus => Ok(globals.model()?.update_status().map(drop)?),
        Command::Bench(options) => cluster::bench(&options),
        Command::Dashboard(options) => dashboard::draw(&options),
        Command::Storm(options) => return storm::run(&options),
        Command::DestroyModel(destroy) => destroy.run(globals),
        Command::Hidden(command) => cluster::hidden(command),
    }?;
    Ok(ExitCode::SUCCESS)
}
