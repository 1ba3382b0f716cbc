//! What all tests share: a real cluster, a real S3 server and the packed charm, which live as long as the test program.

use std::{
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use sandbox::{
    certificates::Authority,
    charm::{self, PackOptions, Profile},
    cluster::{Cluster, ClusterOptions, NodeOptions, PodSecurityLevel},
    entra_id::EntraId,
    images::Plugin,
    object_store::{AzureAccess, AzureServer, GcsAccess, GcsServer, S3Access, S3Server},
    preparation::{self, Step},
    program,
    progress::Progress,
    tools,
};
use tokio::runtime::{Builder, Runtime};

/// A cluster with what runs beside it.
pub struct World {
    pub runtime: Runtime,
    pub cluster: Cluster,
    pub client: Client,
    pub charm: PathBuf,
    pub program: PathBuf,
    pub state: PathBuf,
    store: S3Server,
    /// Started for the first test that wants it.
    gcs: OnceLock<GcsServer>,
    /// As the one before.
    azure: OnceLock<Azure>,
    buckets: AtomicU32,
}

/// The blob service and the directory of an Azure of our own.
pub struct Azure {
    pub authority: Authority,
    pub directory: EntraId,
    blobs: AzureServer,
}

impl Azure {
    /// How to reach the blob service.
    pub fn blobs(&self) -> &AzureAccess {
        self.blobs.access()
    }
}

impl World {
    fn start(options: &ClusterOptions) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (cluster, store, client, charm, program) = runtime.block_on(async {
            let progress = Progress::to_stderr();
            let steps = preparation::of_cluster([Plugin::Aws]).into_iter();
            let more = [Step::Tool(&tools::VERSITYGW), Step::Charm(Profile::Release)];
            preparation::prepare(steps.chain(more), &progress).await.unwrap();
            let options = ClusterOptions { plugins: [Plugin::Aws].into(), ..options.clone() };
            let cluster = Cluster::start_with(&options, &progress).await.unwrap();
            let store = S3Server::start(cluster.access(), &cluster.folder().join("s3"), &progress).await.unwrap();
            let kubeconfig = Kubeconfig::read_from(&cluster.access().kubeconfig).unwrap();
            let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
            let client = Client::try_from(config).unwrap();
            let options = PackOptions::new(tools::velero(&progress).await.unwrap());
            let charm = charm::pack(&options).await.unwrap();
            (cluster, store, client, charm, program::path().await.unwrap())
        });
        // In the cluster's folder, which goes with it however this program ends.
        let state = cluster.folder().join("models");
        Self {
            runtime,
            cluster,
            client,
            charm,
            program,
            state,
            store,
            gcs: OnceLock::new(),
            azure: OnceLock::new(),
            buckets: AtomicU32::new(0),
        }
    }

    /// How to reach the S3 server.
    pub fn s3(&self) -> &S3Access {
        self.store.access()
    }

    /// An S3 server for one test, which may pause it and change its users.
    pub fn own_store(&self, name: &str) -> S3Server {
        let folder = self.cluster.folder().join(format!("s3-{name}"));
        self.runtime.block_on(S3Server::start(self.cluster.access(), &folder, &Progress::to_stderr())).unwrap()
    }

    /// How to reach the GCS server.
    pub fn gcs(&self) -> &GcsAccess {
        let start = || {
            let folder = self.cluster.folder().join("gcs");
            let progress = Progress::to_stderr();
            self.runtime.block_on(self.cluster.provide(Plugin::Gcp, &progress)).unwrap();
            self.runtime.block_on(GcsServer::start(self.cluster.access(), &folder, &progress)).unwrap()
        };
        self.gcs.get_or_init(start).access()
    }

    /// A new bucket of the GCS server, by its name.
    pub fn gcs_bucket(&self) -> String {
        let name = format!("backups-{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        self.gcs().bucket(&name).unwrap();
        name
    }

    /// The Azure of the cluster.
    pub fn azure(&self) -> &Azure {
        self.azure.get_or_init(|| {
            let (cluster, folder) = (self.cluster.access(), self.cluster.folder());
            let authority = Authority::new("velero-operator sandbox Azure").unwrap();
            let (directory, blobs) = self.runtime.block_on(async {
                self.cluster.provide(Plugin::Azure, &Progress::to_stderr()).await.unwrap();
                let directory = EntraId::start(cluster, &authority, &folder.join("entra-id")).await.unwrap();
                (directory, self.azure_server(&authority, "azure").await)
            });
            Azure { authority, directory, blobs }
        })
    }

    /// A blob service of a test's own.
    pub async fn azure_server(&self, authority: &Authority, name: &str) -> AzureServer {
        let folder = self.cluster.folder().join(name);
        AzureServer::start(self.cluster.access(), authority, &folder, &Progress::to_stderr()).await.unwrap()
    }

    /// A new container of a blob service, by its name.
    pub fn container(&self, blobs: &AzureAccess) -> String {
        let name = format!("backups-{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        self.runtime.block_on(blobs.create_container(&name)).unwrap();
        name
    }

    /// A new bucket of the S3 server, by its name.
    pub fn bucket(&self) -> String {
        let name = format!("backups-{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        self.s3().bucket(&name).unwrap();
        name
    }
}

/// The world of all tests that can live beside others.
pub fn shared() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let world = World::start(&ClusterOptions::default());
        // With another Velero in the cluster no test's removal takes the definitions away from the others.
        crate::deployed::other_velero(&world, "keeper");
        world
    })
}

/// The world of tests on what Veleros of one cluster share, or on who writes to the cluster: they run one at a time.
pub fn alone() -> (MutexGuard<'static, ()>, &'static World) {
    static ALONE: InTurn = InTurn::new();
    ALONE.take(&ClusterOptions { audit: true, ..ClusterOptions::default() })
}

/// The world of tests on the first node of which everything is as MicroK8s has it, and whose API server enforces the pod
/// security standards as hardened clusters do. They run one at a time.
pub fn hardened() -> (MutexGuard<'static, ()>, &'static World) {
    static HARDENED: InTurn = InTurn::new();
    let node = NodeOptions {
        kubelet_root: "/var/snap/microk8s/common/var/lib/kubelet".into(),
        labels: vec!["microk8s.io/cluster=true".into()],
        // As the kubelets of all versions of Kubernetes before 1.36: it does not tell its flags.
        feature_gates: [("ComponentFlagz".into(), false)].into(),
    };
    HARDENED.take(&ClusterOptions { pod_security: Some(PodSecurityLevel::Baseline), node, ..ClusterOptions::default() })
}

/// The world of tests for which no trace of another Velero may be in the cluster, not even one that is on its way out: what
/// other tests delete takes its time. They run one at a time, and leave nothing.
pub fn untouched() -> (MutexGuard<'static, ()>, &'static World) {
    static UNTOUCHED: InTurn = InTurn::new();
    UNTOUCHED.take(&ClusterOptions::default())
}

/// The world of tests that add nodes and take them away: they run one at a time.
pub fn growing() -> (MutexGuard<'static, ()>, &'static World) {
    static GROWING: InTurn = InTurn::new();
    GROWING.take(&ClusterOptions::default())
}

/// A world that tests have one at a time.
struct InTurn {
    world: OnceLock<World>,
    turn: Mutex<()>,
}

impl InTurn {
    const fn new() -> Self {
        Self { world: OnceLock::new(), turn: Mutex::new(()) }
    }

    fn take(&'static self, options: &ClusterOptions) -> (MutexGuard<'static, ()>, &'static World) {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        (turn, self.world.get_or_init(|| World::start(options)))
    }
}
