//! What a dashboard is drawn of: a cluster with applications, which the charm's Velero backs up while a Prometheus
//! scrapes both.

use std::{
    collections::BTreeMap,
    fs,
    ops::Range,
    path::PathBuf,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::{
    process::Command,
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};

use super::{
    DashboardError, STEP,
    application::{ALL, Application, DIRECTORY, ENDPOINT, FILL_WIKI, WIKI},
    definition::Target,
    series::Series,
};
use crate::{
    charm::{self, PackOptions, Profile},
    cluster::{Cluster, ClusterOptions},
    images::Plugin,
    juju::{ActionStatus, DeployOptions, HookRecord, Model, Scripted, UnitName, Whose},
    object_store::{S3Error, S3Server},
    preparation::{self, Step},
    process, program,
    progress::Progress,
    prometheus::{self, Prometheus},
    tools,
};

const APPLICATION: &str = "velero-operator";

/// What gives the charm its storage, and what scrapes it.
const INTEGRATOR: &str = "s3-integrator";
const SCRAPER: &str = "prometheus";

/// The bucket of all backups.
const BUCKET: &str = "backups";

/// Where the charm and its Velero are.
const MODEL: &str = "backups";

/// When restore drills are conducted.
const DRILLS: &str = "@every 5m";

/// How long the pods of an application may take to run.
const START_LIMIT: Duration = Duration::from_mins(3);

/// How long any other command may take.
const LIMIT: Duration = Duration::from_mins(1);

/// After which part of the time the wiki cannot be dumped any more.
const WIKI_FAILS: f64 = 0.45;

/// After which part of the time something is restored: there is a backup of it by then.
const RESTORE: f64 = 0.6;

/// How often it is told how far it is.
const TOLD: Duration = Duration::from_secs(30);

/// A cluster with all that is on it.
pub(super) struct Scene {
    runtime: Runtime,
    interrupt: Signal,
    cluster: Cluster,
    store: S3Server,
    kubectl: PathBuf,
    charm: PathBuf,
    model: Model,
    /// The files of the model.
    _state: TempDir,
}

impl Scene {
    /// Starts a cluster with nothing on it.
    pub(super) fn start(progress: &Progress) -> Result<Self, DashboardError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(DashboardError::Runtime)?;
        let state = TempDir::new().map_err(DashboardError::File)?;
        let (interrupt, cluster, store, kubectl, charm, program) = runtime.block_on(async {
            let interrupt = signal(SignalKind::interrupt()).map_err(DashboardError::Runtime)?;
            let steps = [Step::Tool(&tools::VERSITYGW), Step::Tool(&tools::PROMETHEUS), Step::Charm(Profile::Dev)];
            preparation::prepare(preparation::of_cluster([Plugin::Aws]).into_iter().chain(steps), progress).await?;
            let pack = PackOptions::of(Profile::Dev, tools::velero(progress).await?);
            let (charm, kubectl) = (charm::pack_as(Profile::Dev, &pack).await?, tools::kubectl(progress).await?);
            let options = ClusterOptions { plugins: [Plugin::Aws].into(), ..ClusterOptions::default() };
            let cluster = Box::pin(Cluster::start_with(&options, progress)).await?;
            let store = S3Server::start(cluster.access(), &cluster.folder().join("s3"), progress).await?;
            Ok::<_, DashboardError>((interrupt, cluster, store, kubectl, charm, program::path().await?))
        })?;
        // Without a `juju-exec` the hooks would leave no observer, which tells the metrics.
        let model = Model::new(cluster.access().clone(), MODEL, state.path(), &program)?.with_juju_exec();
        Ok(Self { runtime, interrupt, cluster, store, kubectl, charm, model, _state: state })
    }

    /// Takes all of it down, the charm's observer too.
    pub(super) fn stop(self) -> Result<(), DashboardError> {
        let destroyed = self.model.destroy();
        drop(self.store);
        self.runtime.block_on(self.cluster.stop())?;
        destroyed?;
        Ok(())
    }

    /// Deploys the charm with its storage, and whatever it backs up.
    pub(super) fn deploy(&self, progress: &Progress) -> Result<(), DashboardError> {
        progress.tell("deploying the charm with its storage");
        let s3 = self.store.access();
        s3.bucket(BUCKET).map_err(S3Error::from)?;
        let trusted = DeployOptions { trust: true, ..DeployOptions::default() };
        well(self.model.deploy(&self.charm, &trusted)?)?;
        let options = settings(&[("bucket", BUCKET), ("endpoint", &s3.endpoint), ("s3-uri-style", "path")]);
        self.model.deploy_built_in(INTEGRATOR, &DeployOptions { config: options, ..DeployOptions::default() })?;
        self.model.sync_s3_credentials(INTEGRATOR, &s3.access_key, &s3.secret_key)?;
        well(self.model.integrate(APPLICATION, INTEGRATOR)?.1)?;
        let options = settings(&[
            ("use-node-agent", "true"),
            ("default-volumes-to-fs-backup", "true"),
            ("drill-schedule", DRILLS),
        ]);
        well(self.model.reconfigure(APPLICATION, &options, &[])?)?;
        progress.tell("deploying applications");
        self.runtime.block_on(self.run_applications())?;
        for application in ALL {
            self.relate(&application)?;
        }
        Ok(())
    }

    async fn run_applications(&self) -> Result<(), DashboardError> {
        let objects: Vec<_> = ALL.iter().flat_map(Application::objects).collect();
        let file = self.cluster.folder().join("applications.json");
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        fs::write(&file, list.to_string()).map_err(DashboardError::File)?;
        self.kubectl(&["apply", "--filename", &file.to_string_lossy()], LIMIT).await?;
        for Application { name, model, .. } in ALL {
            let deployment = format!("deployment/{name}");
            self.kubectl(&["rollout", "status", &deployment, "--namespace", model], START_LIMIT).await?;
        }
        Ok(())
    }

    /// Relates an application, and lets it declare what of it is to be backed up.
    fn relate(&self, application: &Application) -> Result<(), DashboardError> {
        let Application { name, model, .. } = *application;
        self.model.deploy_scripted(&Scripted::provider(name, ENDPOINT, "velero_backup_config"))?;
        let (relation, records) = self.model.integrate(&format!("{APPLICATION}:velero-backups"), name)?;
        well(records)?;
        let spec = application.spec().to_string();
        let bag = settings(&[("app", name), ("relation_name", ENDPOINT), ("model", model), ("spec", &spec)]);
        well(self.model.write_databag(relation, &Whose::Application(name.to_owned()), &bag)?)
    }

    /// Starts a Prometheus that does what the charm tells it by its relation.
    pub(super) fn scrape(&self, progress: &Progress) -> Result<Prometheus, DashboardError> {
        progress.tell("starting a Prometheus");
        let (endpoint, interface) = ("metrics-endpoint", "prometheus_scrape");
        self.model.deploy_scripted(&Scripted::requirer(SCRAPER, endpoint, interface))?;
        let (relation, records) = self.model.integrate(&format!("{APPLICATION}:{endpoint}"), SCRAPER)?;
        well(records)?;
        let bag = self.model.databag(relation, &Whose::Application(APPLICATION.to_owned()))?;
        let value = |key| serde_json::from_str::<Value>(bag.get(key).map_or("null", String::as_str));
        let read = |key| value(key).map_err(DashboardError::Databag);
        let (jobs, rules) = (read("scrape_jobs")?, read("alert_rules")?);
        self.runtime.block_on(async {
            let address = "jsonpath={.spec.clusterIP}";
            let service = ["get", "service", "velero-metrics", "--namespace", MODEL, "--output", address];
            let service = self.kubectl(&service, LIMIT).await?;
            let access = self.cluster.access();
            let places =
                [(format!("velero-metrics.{MODEL}.svc"), service), ("*".to_owned(), access.server_address.to_string())];
            let jobs = prometheus::within_reach(&jobs, &places.into());
            Ok(Prometheus::start(access, &self.cluster.folder().join(SCRAPER), &jobs, &rules, progress).await?)
        })
    }

    /// Lets the schedules back up for that time; on the way, an application gets into trouble, and one is restored.
    pub(super) fn pass(&mut self, time: Duration, progress: &Progress) -> Result<(), DashboardError> {
        let begun = Instant::now();
        let (mut wiki_fails, mut restores) = (Some(time.mul_f64(WIKI_FAILS)), Some(time.mul_f64(RESTORE)));
        while let Some(rest) = time.checked_sub(begun.elapsed()) {
            let names = ["get", "backups.velero.io", "--namespace", MODEL, "--output", "name"];
            let backups = self.runtime.block_on(self.kubectl(&names, LIMIT))?.lines().count();
            progress.tell(&format!("{} s to go; {backups} backups so far", rest.as_secs()));
            if wiki_fails.take_if(|at| begun.elapsed() >= *at).is_some() {
                progress.tell("from now on, the backups of the wiki fail");
                let Application { name, model, .. } = WIKI;
                let deployment = format!("deployment/{name}");
                let fill = ["exec", "--namespace", model, &deployment, "--", "sh", "-ec", FILL_WIKI];
                self.runtime.block_on(self.kubectl(&fill, LIMIT))?;
            }
            if restores.take_if(|at| begun.elapsed() >= *at).is_some() {
                progress.tell("restoring the directory");
                self.restore()?;
            }
            let interrupt = &mut self.interrupt;
            let interrupted =
                self.runtime.block_on(async { tokio::time::timeout(TOLD.min(rest), interrupt.recv()).await.is_ok() });
            if interrupted {
                return Err(DashboardError::Interrupted);
            }
        }
        Ok(())
    }

    /// Restores the oldest backup of an application into another namespace.
    fn restore(&self) -> Result<(), DashboardError> {
        let Application { name, model, .. } = DIRECTORY;
        let (selector, first) = (format!("app={name}"), "jsonpath={.items[0].metadata.name}");
        let get = ["get", "backups.velero.io", "--namespace", MODEL, "--selector", &selector, "--output", first];
        let backup = self.runtime.block_on(self.kubectl(&get, LIMIT))?;
        let parameters = [("backup", backup), ("namespace-mapping", format!("{model}:{model}-again"))];
        let parameters: Map<_, _> = parameters.map(|(key, value)| (key.to_owned(), value.into())).into_iter().collect();
        let result = self.model.run_action(&UnitName::new(APPLICATION, 0), "restore", &parameters)?;
        if result.status == ActionStatus::Completed { Ok(()) } else { Err(DashboardError::Action(result.message)) }
    }

    /// What a Prometheus answers to an expression: the value now, or those in the time up to now.
    pub(super) fn answer(
        &self,
        prometheus: &Prometheus,
        target: &Target,
        time: &Range<Timestamp>,
    ) -> Result<Vec<Series>, DashboardError> {
        let answer = self.runtime.block_on(async {
            if target.instant {
                prometheus.query(&target.expression).await
            } else {
                prometheus.query_range(&target.expression, time.clone(), STEP).await
            }
        })?;
        let expression = || target.expression.clone();
        Series::of_answer(answer).map_err(|source| DashboardError::Answer { expression: expression(), source })
    }

    async fn kubectl(&self, arguments: &[&str], limit: Duration) -> Result<String, DashboardError> {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(&self.cluster.access().kubeconfig);
        command.arg("--cache-dir").arg(self.cluster.folder().join("kubectl")).args(arguments);
        Ok(process::run(command, limit).await?.trim().to_owned())
    }
}

fn settings(settings: &[(&str, &str)]) -> BTreeMap<String, String> {
    settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Goes on only when every hook has succeeded.
fn well(records: Vec<HookRecord>) -> Result<(), DashboardError> {
    let failed = records.into_iter().find_map(|record| Some((record.name, record.failure?)));
    failed.map_or(Ok(()), |(hook, failure)| Err(DashboardError::Hook { hook, failure }))
}
