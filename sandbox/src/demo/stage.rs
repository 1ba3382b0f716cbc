//! What the story is played on: a cluster, an object store, a model; and how it is taken down again.

use std::path::PathBuf;

use tempfile::TempDir;

use super::{
    DemoError, DemoOptions, Narrator, StorageKind,
    kubectl::{self, Kubectl},
    narrator::one_line,
    storage::{BUCKET, Storage},
    workload,
    workload::Workload,
};
use crate::{
    charm::{self, PackOptions, Profile},
    cluster::{self, Cluster, ClusterAccess, ClusterOptions},
    juju::{Level, Model, UnitName},
    preparation::{self, Step},
    program, tools,
};

/// The application of the charm.
pub(super) const APPLICATION: &str = "velero-operator";

/// How much of the unit's log is shown when something went wrong, in lines.
const LOG_LINES: usize = 15;

/// The story is told of what the charm does, not of how fast: that is what the bench is for.
const PROFILE: Profile = Profile::Dev;

/// A cluster with what runs beside it.
#[derive(Debug)]
pub(super) struct Stage {
    /// `None` when the cluster is the user's.
    cluster: Option<Cluster>,
    /// The folder of the unpacked charm.
    pub(super) charm: PathBuf,
    pub(super) folder: PathBuf,
    pub(super) kubectl: Kubectl,
    pub(super) model: Model,
    pub(super) kind: StorageKind,
    pub(super) storage: Box<dyn Storage>,
    /// What is kept outside of the cluster's own folder; it goes last.
    _temporary: Option<TempDir>,
}

impl Stage {
    pub(super) async fn set(options: &DemoOptions, narrator: &Narrator) -> Result<Self, DemoError> {
        let progress = narrator.progress();
        let (article, server) = options.storage.server();
        let own_cluster = options.kubeconfig.is_none();
        if own_cluster {
            cluster::may_start()?;
        }
        narrator.step("Pack the charm");
        preparation::prepare(needs(options.storage, own_cluster, kubectl::installed().is_some()), &progress).await?;
        let pack = PackOptions::of(PROFILE, tools::velero(&progress).await?);
        let charm = charm::pack_as(PROFILE, &pack).await?;
        narrator.so("the charm of this checkout is packed");
        let (cluster, access, folder, temporary) = match &options.kubeconfig {
            None => {
                narrator.step(&format!("Start a Kubernetes cluster and {article} {server}"));
                let plugins = [options.storage.tools().0].into();
                let options = ClusterOptions { plugins, ..ClusterOptions::default() };
                let cluster = Box::pin(Cluster::start_with(&options, &progress)).await?;
                let (access, folder) = (cluster.access().clone(), cluster.folder().to_owned());
                (Some(cluster), access, folder, None)
            }
            Some(kubeconfig) => {
                narrator.step(&format!("Look at your cluster and start {article} {server}"));
                let temporary = TempDir::new()?;
                let folder = temporary.path().to_owned();
                (None, ClusterAccess::from_kubeconfig(kubeconfig)?, folder, Some(temporary))
            }
        };
        let kubectl = Kubectl::new(&access.kubeconfig, &folder, &progress).await?;
        look_around(&kubectl, options, narrator).await?;
        let kind = options.storage;
        let storage = kind.start(&access, &folder, &options.model, &progress).await?;
        let (address, container) = (storage.address(), kind.container());
        narrator.so(&format!("{article} {server} listens at {address}, with an empty {container} {BUCKET}"));
        let model = Model::new(access, &options.model, &folder.join("juju"), &program::path().await?)?;
        let model = match storage.authority() {
            Some(authority) => model.trusting(authority),
            None => model,
        };
        let model = model.with_progress(narrator.of_juju());
        Ok(Self { cluster, charm, _temporary: temporary, folder, kubectl, model, kind, storage })
    }

    /// Whether the cluster has other people's work in it.
    pub(super) fn is_users(&self) -> bool {
        self.cluster.is_none()
    }

    pub(super) fn workload(&self) -> Workload {
        Workload::new(&self.kubectl, self.model.name())
    }

    /// The charm's only unit.
    pub(super) fn unit() -> UnitName {
        UnitName::new(APPLICATION, 0)
    }

    /// What the unit says, as `word: message`; `None` when there is no such unit.
    pub(super) fn status(&self) -> Result<Option<String>, DemoError> {
        let view = self.model.status()?;
        let unit = view.applications.get(APPLICATION).and_then(|found| found.units.get(&Self::unit().to_string()));
        Ok(unit.map(|unit| one_line(&unit.workload_status)))
    }

    /// Shows the unit's status and the last that it said. When even that fails, the error that led here says more.
    pub(super) fn show_log(&self, narrator: &Narrator) {
        if let Ok(Some(status)) = self.status() {
            narrator.so(&format!("{} is {status}", Self::unit()));
        }
        let log = self.model.unit_log(&Self::unit()).unwrap_or_default();
        let shown: Vec<_> = log.iter().filter(|line| line.level > Level::Debug).collect();
        if shown.is_empty() {
            return;
        }
        narrator.so(&format!("the last lines of its log (juju debug-log --include {}):", Self::unit()));
        for line in &shown[shown.len().saturating_sub(LOG_LINES)..] {
            let time = line.time.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string();
            narrator.output(&format!("{time} {} {}", line.level.name(), line.message));
        }
    }

    /// Ends the verb that works, if one does.
    pub(super) async fn interrupt(&self) -> Result<(), DemoError> {
        let model = self.model.clone();
        Ok(tokio::task::spawn_blocking(move || model.interrupt()).await.map_err(std::io::Error::other)??)
    }

    /// Takes everything down. Of the user's cluster, only what the story has brought into it.
    pub(super) async fn strike(self, narrator: &Narrator) -> Result<(), DemoError> {
        narrator.step("Clean up");
        let (server, container) = (self.kind.server().1, self.kind.container());
        if let Some(cluster) = self.cluster {
            drop(self.storage);
            cluster.stop().await?;
            narrator.so(&format!("the cluster and the {server} have ended, and nothing is left of them"));
            return Ok(());
        }
        self.workload().delete().await?;
        let model = self.model.clone();
        let destroyed = tokio::task::spawn_blocking(move || model.destroy());
        destroyed.await.map_err(std::io::Error::other)??;
        narrator.so(&format!("the namespaces, the {server} and its {container} are gone"));
        Ok(())
    }
}

/// What must be there for a story on that storage. A cluster of the user's brings its own Kubernetes and images.
fn needs(storage: StorageKind, own_cluster: bool, has_kubectl: bool) -> Vec<Step> {
    let (plugin, server) = storage.tools();
    let mut steps = if own_cluster { preparation::of_cluster([plugin]) } else { vec![Step::Tool(&tools::VELERO)] };
    if !own_cluster && !has_kubectl {
        steps.push(Step::Tool(&tools::KUBERNETES));
    }
    steps.extend([Step::Tool(server), Step::Charm(PROFILE)]);
    steps
}

/// Says which cluster this is, and refuses one on which the story would touch what is not its own, or cannot go on.
async fn look_around(kubectl: &Kubectl, options: &DemoOptions, narrator: &Narrator) -> Result<(), DemoError> {
    let version = kubectl.json("version").await?;
    let nodes = kubectl.run("get nodes --output name").await?.lines().count();
    let version = version["serverVersion"]["gitVersion"].as_str().unwrap_or_default();
    narrator.so(&format!("Kubernetes {version} answers; it has {nodes} node{}", if nodes == 1 { "" } else { "s" }));
    for namespace in [options.model.clone(), workload::namespace(&options.model)] {
        if !kubectl.run(&format!("get namespace {namespace} --ignore-not-found --output name")).await?.is_empty() {
            return Err(DemoError::NamespaceTaken(namespace));
        }
    }
    let classes = kubectl.json("get storageclass").await?;
    let is_default = |class: &serde_json::Value| {
        class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true"
    };
    let has_default = classes["items"].as_array().is_some_and(|classes| classes.iter().any(is_default));
    if options.storage_class.is_none() && !has_default {
        return Err(DemoError::NoStorageClass);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools_of(steps: &[Step]) -> Vec<&'static str> {
        steps.iter().filter_map(|step| if let Step::Tool(tool) = step { Some(tool.name) } else { None }).collect()
    }

    #[test]
    fn a_story_needs_the_plugin_and_server_of_its_own_storage_and_no_others() {
        assert_eq!(
            tools_of(&needs(StorageKind::S3, true, false)),
            ["kubernetes", "etcd", "velero", "velero-plugin-for-aws", "versitygw"]
        );
        assert_eq!(
            tools_of(&needs(StorageKind::Gcs, true, false)),
            ["kubernetes", "etcd", "velero", "velero-plugin-for-gcp", "fake-gcs-server"]
        );
    }

    #[test]
    fn on_a_users_cluster_it_needs_no_kubernetes_but_a_kubectl() {
        assert_eq!(tools_of(&needs(StorageKind::Azure, false, true)), ["velero", "azurite"]);
        assert_eq!(tools_of(&needs(StorageKind::Azure, false, false)), ["velero", "kubernetes", "azurite"]);
    }
}
