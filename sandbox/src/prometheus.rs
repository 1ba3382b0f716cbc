//! A Prometheus in a cluster, which scrapes what it is told to and plays alert rules.

use std::{
    collections::BTreeMap,
    fs, io,
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    cluster::ClusterAccess,
    host::daemon::{self, Daemon, DaemonError, Lifetime},
    process::{self, ProcessError},
    progress::Progress,
    tools::{self, ToolError},
};

/// The first port that is tried.
const FIRST_PORT: u16 = 9090;

/// How long it may take to answer.
const QUERY_LIMIT: Duration = Duration::from_secs(30);

/// Why there is no Prometheus, or no answer of it.
#[derive(Debug, thiserror::Error)]
pub enum PrometheusError {
    /// The program could not be built.
    #[error("there is no Prometheus to start")]
    Tool(#[from] ToolError),
    /// It did not start.
    #[error("the Prometheus does not run")]
    Daemon(#[from] DaemonError),
    /// Its folder cannot be used.
    #[error("cannot use the folder {} of the Prometheus", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It refused a query.
    #[error("the Prometheus does not answer {expression}")]
    Query {
        /// What it was asked.
        expression: String,
        /// What it said.
        #[source]
        source: ProcessError,
    },
    /// Its answer is no list.
    #[error("the Prometheus answers {expression} with something else than samples")]
    Answer {
        /// What it was asked.
        expression: String,
        /// What is wrong with the answer.
        #[source]
        source: serde_json::Error,
    },
}

/// A server that runs as long as this value lives, and no longer than this process.
#[derive(Debug)]
pub struct Prometheus {
    url: String,
    promtool: PathBuf,
    _daemon: Daemon,
}

impl Prometheus {
    /// Starts a server that carries out those scrape jobs once a second, and evaluates those alert rules as often. It keeps all
    /// that it has in `folder`; for an embedded cluster that should be a folder inside of the cluster's.
    ///
    /// # Errors
    /// When it cannot be built, or does not start, as with rules that it cannot read.
    pub async fn start(
        cluster: &ClusterAccess,
        folder: &Path,
        jobs: &Value,
        rules: &Value,
        progress: &Progress,
    ) -> Result<Self, PrometheusError> {
        let programs = tools::folder(&tools::PROMETHEUS, progress).await?;
        let failed = |source| PrometheusError::Folder { folder: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let [configuration, rule_file] = ["prometheus.yaml", "rules.yaml"].map(|name| folder.join(name));
        let settings = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "scrape_configs": jobs,
            "rule_files": [rule_file],
        });
        // JSON is YAML too.
        for (path, content) in [(&rule_file, rules), (&configuration, &settings)] {
            fs::write(path, content.to_string()).map_err(failed)?;
        }
        let [listener]: [SocketAddr; 1] = daemon::free_ports(cluster.server_address, FIRST_PORT)?;
        let program = programs.join("prometheus");
        let mut daemon = Daemon::new(cluster, Lifetime::Owned, &program, listener, folder.join("prometheus.log"))
            .argument(format!("--config.file={}", configuration.display()))
            .argument(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .argument(format!("--web.listen-address={listener}"));
        daemon.start().await?;
        Ok(Self { url: format!("http://{listener}"), promtool: programs.join("promtool"), _daemon: daemon })
    }

    /// The samples of an expression, as they are now.
    ///
    /// # Errors
    /// When the Prometheus does not answer.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>, PrometheusError> {
        self.ask(&["instant", &self.url, expression], expression).await
    }

    /// The samples of an expression in that time, one each `step`.
    ///
    /// # Errors
    /// When the Prometheus does not answer.
    pub async fn query_range(
        &self,
        expression: &str,
        time: Range<Timestamp>,
        step: Duration,
    ) -> Result<Vec<Value>, PrometheusError> {
        let time = [("start", time.start.as_second()), ("end", time.end.as_second())];
        let [start, end] = time.map(|(name, second)| format!("--{name}={second}"));
        let step = format!("--step={}s", step.as_secs());
        self.ask(&["range", &start, &end, &step, &self.url, expression], expression).await
    }

    async fn ask(&self, arguments: &[&str], expression: &str) -> Result<Vec<Value>, PrometheusError> {
        let mut promtool = Command::new(&self.promtool);
        promtool.args(["query", "--format=json"]).args(arguments);
        let expression = || expression.to_owned();
        let answer = process::run(promtool, QUERY_LIMIT)
            .await
            .map_err(|source| PrometheusError::Query { expression: expression(), source })?;
        serde_json::from_str(&answer).map_err(|source| PrometheusError::Answer { expression: expression(), source })
    }
}

/// Returns scrape jobs with their targets by the addresses of `places`: on this machine the names of services do not
/// resolve, and `*` is every unit.
#[must_use]
pub fn within_reach(jobs: &Value, places: &BTreeMap<String, String>) -> Value {
    let mut jobs = jobs.clone();
    let jobs_of = jobs.as_array_mut().into_iter().flatten();
    let groups = jobs_of.filter_map(|job| job["static_configs"].as_array_mut()).flatten();
    for target in groups.filter_map(|group| group["targets"].as_array_mut()).flatten() {
        let reached = target.as_str().and_then(|target| {
            let (host, port) = target.rsplit_once(':')?;
            Some(format!("{}:{port}", places.get(host)?))
        });
        if let Some(reached) = reached {
            *target = reached.into();
        }
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_reached_by_the_addresses_of_their_hosts() {
        let jobs = |first: &str, second: &str, third: &str| {
            let job = |targets: &[&str]| json!({"job_name": "a", "static_configs": [{"targets": targets}]});
            json!([job(&[first]), job(&[second, third])])
        };
        let places = [("metrics.prod.svc", "10.0.0.7"), ("*", "10.0.0.1")];
        let places = places.map(|(host, address)| (host.to_owned(), address.to_owned())).into();
        let reached = within_reach(&jobs("metrics.prod.svc:8085", "*:8086", "other:1"), &places);
        assert_eq!(reached, jobs("10.0.0.7:8085", "10.0.0.1:8086", "other:1"));
    }
}
