//! What the charm's hooks cost, next to what a user would run instead: on a real cluster, which is the bench's own.

mod audit;
mod by_hand;
mod command;
mod cost;
mod crowd;
mod drill;
mod far;
mod hooks;
mod machine;
mod news;
mod objects;
mod observer;
mod obstacles;
mod recorder;
mod related;
mod report;
mod storage;
mod targets;
mod task;
mod trouble;
mod user;

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc};

use clap::Args;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use self::{
    audit::AuditLog,
    objects::{Objects, Versions},
    task::Part,
    user::User,
};
pub use self::{
    command::CommandError,
    cost::{Cost, Spread, Summary},
    news::{News, Notice, Notices},
    objects::ObjectsError,
    observer::ObserverError,
    report::Report,
    task::Task,
    trouble::{Delay, Delays, Trouble},
    user::UserError,
};
use crate::{
    charm::{self, PackError, PackOptions, Profile},
    cluster::{Cluster, ClusterError, ClusterOptions, NodeError},
    distance::DistanceError,
    images::{self, Plugin},
    juju,
    object_store::{GcsError, GcsServer, S3Error, S3Server},
    pod_additions::AdditionsError,
    preparation::{self, PreparationError, Step},
    program::{self, ProgramError},
    progress::Progress,
    tools::{self, ToolError},
};

/// How to measure.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How often to run each; a run takes about four minutes, and what is run less often about ten more
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// Report only what has these words in its title, such as `trouble`, and leave out what is not needed for it; may be given
    /// several times
    #[arg(long, value_name = "WORDS")]
    pub only: Vec<String>,
}

impl Options {
    /// Whether what has that title is reported.
    fn wants(&self, title: &str) -> bool {
        let title = title.to_lowercase();
        self.only.is_empty() || self.only.iter().any(|words| title.contains(&words.to_lowercase()))
    }

    /// Whether one of its tasks is reported.
    fn wants_part(&self, part: Part) -> bool {
        Task::ALL.iter().any(|task| task.part() == part && self.wants(task.title()))
    }

    /// The troubles that are reported.
    fn troubles(&self) -> Vec<Trouble> {
        Trouble::ALL.into_iter().filter(|trouble| self.wants(&trouble.full_title())).collect()
    }

    /// The news that are reported.
    fn news(&self) -> Vec<News> {
        News::ALL.into_iter().filter(|news| self.wants(&news.full_title())).collect()
    }

    /// Whether there is anything to report.
    fn wants_any(&self) -> bool {
        Part::ALL.into_iter().any(|part| self.wants_part(part))
            || !self.troubles().is_empty()
            || !self.news().is_empty()
    }
}

/// Why there is nothing to report.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// No title has the words.
    #[error("nothing that is measured is called so: {0}")]
    Nothing(String),
    /// Nothing can listen and be silent.
    #[error("the bench needs a port of this machine")]
    Listener(#[source] io::Error),
    /// There is no runtime.
    #[error("cannot start")]
    Runtime(#[source] io::Error),
    /// There is no cluster.
    #[error("the bench needs a cluster")]
    Cluster(#[from] ClusterError),
    /// The node does not take a second name of an image.
    #[error("the bench needs a second image")]
    Node(#[from] NodeError),
    /// There is no object store.
    #[error("the bench needs an object store")]
    S3(#[from] S3Error),
    /// There is no other object store to go to.
    #[error("the bench needs a second object store")]
    Gcs(#[from] GcsError),
    /// The API server is not far away.
    #[error("the bench needs an API server that is far away")]
    Distance(#[from] DistanceError),
    /// A hook makes its calls on more than one connection.
    #[error("a hook has made {0} connections to the API server in place of one")]
    Connections(usize),
    /// Velero cannot be led to it.
    #[error("the bench needs to lead Velero to its second object store")]
    Additions(#[from] AdditionsError),
    /// There is no program to compare with.
    #[error("the bench needs programs to compare with")]
    Tool(#[from] ToolError),
    /// There is no charm.
    #[error("the bench needs the charm")]
    Pack(#[from] PackError),
    /// Something that is measured, or that it runs on, could not be built.
    #[error("something that the bench needs is not there")]
    Preparation(#[from] PreparationError),
    /// There are no hook tools.
    #[error("the bench needs hook tools")]
    Program(#[from] ProgramError),
    /// There is no client.
    #[error("cannot make a client of the cluster")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is no user of the cluster.
    #[error("the bench needs a user to compare with")]
    User(#[from] UserError),
    /// The objects could not be counted or removed.
    #[error("cannot follow what changes")]
    Objects(#[from] ObjectsError),
    /// The observer could not be measured.
    #[error("cannot measure the charm's observer")]
    Observer(#[from] ObserverError),
    /// The audit log cannot be read.
    #[error("cannot read the audit log of the cluster")]
    Audit(#[source] io::Error),
    /// A file could not be written.
    #[error("cannot write a file for the bench")]
    File(#[source] io::Error),
    /// Juju refused.
    #[error("cannot drive the charm")]
    Juju(#[from] juju::Error),
    /// A hook failed.
    #[error("the hook {hook} failed: {failure}")]
    Hook {
        /// The hook.
        hook: String,
        /// Why.
        failure: String,
    },
    /// A hook did not run.
    #[error("the hook {0} did not run")]
    NoHook(&'static str),
    /// The storage is gone, and backups that are in it are not.
    #[error("the charm has not forgotten the backups of a storage that is gone")]
    NotForgotten,
    /// The action failed.
    #[error("the action failed: {0}")]
    Action(String),
    /// The unit is not as it should be by then.
    #[error("the unit is {0}")]
    Status(String),
    /// What a user would run failed.
    #[error("cannot measure a command")]
    Command(#[from] CommandError),
}

/// Measures everything as often as wanted, one after the other and all over again, so that a machine that gets slower or faster
/// on the way does so for all alike.
///
/// # Errors
/// When something that is measured does not do what it should, or what it needs is not there.
pub fn run(options: &Options, progress: &Progress) -> Result<Report, BenchError> {
    if !options.wants_any() {
        return Err(BenchError::Nothing(options.only.join(", ")));
    }
    let world = World::start(progress)?;
    let outcome = world.measure_all(options, progress);
    let stopped = world.stop();
    let report = outcome?;
    stopped?;
    Ok(report)
}

/// A cluster with all that is measured on it.
struct World {
    runtime: Arc<Runtime>,
    cluster: Cluster,
    store: S3Server,
    second_store: GcsServer,
    objects: Objects,
    audit: AuditLog,
    user: User,
    velero: PathBuf,
    kubectl: PathBuf,
    charm: PathBuf,
    program: PathBuf,
    state: TempDir,
}

impl World {
    /// The same image under another name.
    const OTHER_IMAGE: &str = "docker.io/velero/velero:bench";
    /// An image that is on no node and in no registry.
    const NO_IMAGE: &str = "docker.io/velero/velero:none-such";

    /// The bucket of all.
    const BUCKET: &str = "bench";

    fn start(progress: &Progress) -> Result<Self, BenchError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(BenchError::Runtime)?;
        let runtime = Arc::new(runtime);
        let state = TempDir::new().map_err(BenchError::File)?;
        let (velero, kubectl, charm, program) = runtime.block_on(async {
            let servers = [&tools::VERSITYGW, &tools::FAKE_GCS_SERVER].map(Step::Tool);
            let steps = preparation::of_cluster([Plugin::Aws, Plugin::Gcp]).into_iter().chain(servers);
            preparation::prepare(steps.chain([Step::Charm(Profile::Release)]), progress).await?;
            let velero = tools::velero(progress).await?;
            let kubectl = tools::kubectl(progress).await?;
            progress.tell("packing the charm");
            let charm = charm::pack(&PackOptions::new(&velero)).await?;
            // As the charm is, so that what a hook costs is not what a debug build of its tools costs.
            let program = program::release().await?;
            Ok::<_, BenchError>((velero, kubectl, charm, program))
        })?;
        let (cluster, store, second_store, client, user) = runtime.block_on(async {
            let plugins = [Plugin::Aws, Plugin::Gcp].into();
            let options = ClusterOptions { audit: true, plugins, ..ClusterOptions::default() };
            let cluster = Box::pin(Cluster::start_with(&options, progress)).await?;
            let store = S3Server::start(cluster.access(), &cluster.folder().join("s3"), progress).await?;
            let second_store = GcsServer::start(cluster.access(), &cluster.folder().join("gcs"), progress).await?;
            cluster.node().tag_image(&images::velero_name(), Self::OTHER_IMAGE).await?;
            let administrators = &cluster.access().kubeconfig;
            let client = client(administrators).await.map_err(BenchError::Client)?;
            let user = User::create(&client, administrators, cluster.folder()).await?;
            Ok::<_, BenchError>((cluster, store, second_store, client, user))
        })?;
        let (objects, audit) = (Objects::new(client), AuditLog::new(cluster.audit_log()));
        Ok(Self { runtime, cluster, store, second_store, objects, audit, user, velero, kubectl, charm, program, state })
    }

    fn stop(self) -> Result<(), BenchError> {
        drop((self.store, self.second_store));
        Ok(self.runtime.block_on(self.cluster.stop())?)
    }

    fn measure_all(&self, options: &Options, progress: &Progress) -> Result<Report, BenchError> {
        let mut costs: BTreeMap<Task, Vec<Cost>> = BTreeMap::new();
        let mut delays: BTreeMap<Trouble, Vec<Delay>> = BTreeMap::new();
        let mut notices: BTreeMap<News, Vec<Notice>> = BTreeMap::new();
        let (troubles, news) = (options.troubles(), options.news());
        for round in 1..=options.runs {
            let tell = |what: &str| progress.tell(&format!("run {round} of {}: {what}", options.runs));
            for part in Part::ALL.into_iter().filter(|part| options.wants_part(*part) && round <= part.most_runs()) {
                tell(part.title());
                let measured = match part {
                    Part::Charm => self.hooks(round),
                    Part::VeleroInstall => self.velero_install(round),
                    Part::Kubectl => self.kubectl(round),
                    Part::Crowd => self.crowd(round),
                    Part::Far => self.far(round),
                    Part::Related => self.related(round),
                }?;
                for (task, cost) in measured.into_iter().filter(|(task, _)| options.wants(task.title())) {
                    costs.entry(task).or_default().push(cost);
                }
            }
            if !troubles.is_empty() && round <= trouble::MOST_RUNS {
                for (trouble, delay) in self.troubles(round, &troubles, tell)? {
                    delays.entry(trouble).or_default().push(delay);
                }
            }
            if !news.is_empty() {
                for (news, notice) in self.news(round, &news, tell)? {
                    notices.entry(news).or_default().push(notice);
                }
            }
        }
        let tasks = costs.iter().filter_map(|(task, costs)| Some((*task, Summary::of(costs)?))).collect();
        let troubles = delays.iter().filter_map(|(trouble, delays)| Some((*trouble, Delays::of(delays)?))).collect();
        let news = notices.iter().filter_map(|(news, notices)| Some((*news, Notices::of(notices)?))).collect();
        Ok(Report { machine: machine::describe(), runs: options.runs, tasks, troubles, news })
    }

    fn versions(&self, namespace: &str) -> Result<Versions, BenchError> {
        Ok(self.runtime.block_on(self.objects.versions(namespace))?)
    }

    fn rest(&self, namespace: &str) -> Result<(), BenchError> {
        Ok(self.runtime.block_on(self.objects.rest(namespace))?)
    }

    fn remove(&self, namespace: &str) -> Result<(), BenchError> {
        Ok(self.runtime.block_on(self.objects.remove(namespace))?)
    }
}

async fn client(kubeconfig: &std::path::Path) -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(words: &[&str]) -> Options {
        Options { runs: 1, only: words.iter().map(|words| (*words).to_owned()).collect() }
    }

    #[test]
    fn what_is_not_wanted_is_not_measured() {
        let parts =
            |options: &Options| Part::ALL.into_iter().filter(|part| options.wants_part(*part)).collect::<Vec<_>>();
        let all = only(&[]);
        assert_eq!((parts(&all), all.troubles()), (Part::ALL.to_vec(), Trouble::ALL.to_vec()));
        let full = only(&["Full namespace"]);
        assert_eq!((parts(&full), full.troubles()), (vec![Part::Crowd], vec![]));
        let trouble = only(&["trouble: "]);
        assert_eq!((parts(&trouble), trouble.troubles()), (vec![], Trouble::ALL.to_vec()));
        assert_eq!((all.news(), trouble.news()), (News::ALL.to_vec(), vec![]));
        let news = only(&["trouble to status"]);
        assert_eq!((parts(&news), news.troubles(), news.news()), (vec![], vec![], News::ALL.to_vec()));
        assert!(news.wants_any() && !only(&["none such"]).wants_any());
        assert_eq!(only(&["trouble: keys"]).troubles(), [Trouble::WrongKeys]);
        let either = only(&["that never answers", "kubectl set image, rollout"]);
        assert_eq!((parts(&either), either.troubles()), (vec![Part::Kubectl], vec![Trouble::Silence]));
    }

    #[test]
    fn words_that_no_title_has_are_told_before_anything_starts() {
        let error = run(&only(&["none such", "nor this"]), &Progress::silent()).unwrap_err();
        assert_eq!(error.to_string(), "nothing that is measured is called so: none such, nor this");
    }
}
