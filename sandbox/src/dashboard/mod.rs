//! The charm's Grafana dashboard as a picture: its own queries, answered by a real Prometheus that scrapes the charm and
//! its Velero while they back up a few applications.

mod application;
mod canvas;
mod chart;
mod colour;
mod definition;
mod field;
mod panel;
mod picture;
mod scene;
mod series;
mod stat;
mod table;
mod unit;

use std::{fs, io, path::PathBuf, time::Duration};

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use self::{definition::Dashboard, scene::Scene, series::Series};
use crate::{
    charm::PackError, cluster::ClusterError, juju, object_store::S3Error, preparation::PreparationError,
    process::ProcessError, program::ProgramError, progress::Progress, prometheus::PrometheusError, tools::ToolError,
};

/// The dashboard that the charm of this checkout brings along.
const DEFINITION: &str = include_str!("../../../src/observability/velero_backups.json");

/// The time from one value of a series to the next.
const STEP: Duration = Duration::from_secs(5);

/// What to draw.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The file to write the picture to, as SVG
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How long to let the schedules make backups, which is also the time that the picture shows
    #[arg(long, value_name = "MINUTES", default_value_t = 20, value_parser = clap::value_parser!(u16).range(12..=120))]
    minutes: u16,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum DashboardError {
    /// There is no runtime.
    #[error("cannot start")]
    Runtime(#[source] io::Error),
    /// There is no cluster.
    #[error("there is no cluster for the dashboard")]
    Cluster(#[from] ClusterError),
    /// There is no object store.
    #[error("there is no object store for the dashboard")]
    S3(#[from] S3Error),
    /// Something could not be installed or built.
    #[error("something that the dashboard needs is not there")]
    Preparation(#[from] PreparationError),
    /// A program could not be built.
    #[error("a program is missing")]
    Tool(#[from] ToolError),
    /// The sandbox's own program is missing.
    #[error("the program that plays Juju is missing")]
    Program(#[from] ProgramError),
    /// The charm could not be packed.
    #[error("the charm could not be packed")]
    Pack(#[from] PackError),
    /// A verb was refused.
    #[error("the local Juju did not do it")]
    Juju(#[from] juju::Error),
    /// A hook failed.
    #[error("the hook {hook} failed: {failure}")]
    Hook {
        /// The hook.
        hook: String,
        /// Why.
        failure: String,
    },
    /// The action failed.
    #[error("the action failed: {0}")]
    Action(String),
    /// The cluster was asked, and did not answer.
    #[error("cannot ask the cluster")]
    Kubectl(#[from] ProcessError),
    /// The charm tells no Prometheus what to do.
    #[error("the charm tells a Prometheus something that is no JSON")]
    Databag(#[source] serde_json::Error),
    /// There is no Prometheus, or it does not answer.
    #[error("a Prometheus does not tell what the dashboard asks for")]
    Prometheus(#[from] PrometheusError),
    /// It answers with something else than series.
    #[error("the Prometheus answers {expression} with something else than series")]
    Answer {
        /// What it was asked.
        expression: String,
        /// What is wrong with the answer.
        #[source]
        source: serde_json::Error,
    },
    /// The dashboard has something that is not drawn.
    #[error("the dashboard has what is not drawn here")]
    Definition(#[source] serde_json::Error),
    /// A file could not be read or written.
    #[error("cannot use a file of the dashboard")]
    File(#[source] io::Error),
    /// The user wanted no more of it.
    #[error("interrupted")]
    Interrupted,
}

/// Draws the dashboard of this checkout as it is after some minutes of backups.
///
/// # Errors
/// When something that it is drawn of does not come to be, or the file cannot be written.
pub fn draw(options: &Options, progress: &Progress) -> Result<(), DashboardError> {
    let dashboard = definition_of_charm()?;
    let mut scene = Scene::start(progress)?;
    let drawn = play(&mut scene, &dashboard, options, progress);
    let stopped = scene.stop();
    fs::write(&options.out, drawn?).map_err(DashboardError::File)?;
    stopped
}

fn play(
    scene: &mut Scene,
    dashboard: &Dashboard,
    options: &Options,
    progress: &Progress,
) -> Result<String, DashboardError> {
    scene.deploy(progress)?;
    let prometheus = scene.scrape(progress)?;
    let minutes = u64::from(options.minutes);
    scene.pass(Duration::from_mins(minutes), progress)?;
    progress.tell("drawing the dashboard");
    let now = Timestamp::now();
    let time = now - SignedDuration::from_mins(i64::from(options.minutes))..now;
    let mut answers: Vec<Vec<Vec<Series>>> = Vec::new();
    for panel in &dashboard.panels {
        let answered = panel.targets.iter().map(|target| scene.answer(&prometheus, target, &time));
        answers.push(answered.collect::<Result<_, _>>()?);
    }
    picture::draw(dashboard, &answers, &time).map_err(DashboardError::Definition)
}

/// The charm's dashboard.
fn definition_of_charm() -> Result<Dashboard, DashboardError> {
    serde_json::from_str(DEFINITION).map_err(DashboardError::Definition)
}
