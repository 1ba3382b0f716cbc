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
    charm::{self, PackOptions},
    cluster::Cluster,
    object_store::{GcsAccess, GcsServer, S3Access, S3Server},
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
    buckets: AtomicU32,
}

impl World {
    /// With `audited`, the cluster keeps a log of the requests of service accounts.
    fn start(audited: bool) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (cluster, store, client, charm, program) = runtime.block_on(async {
            let progress = Progress::to_stderr();
            let cluster = if audited {
                Cluster::start_audited(&progress).await.unwrap()
            } else {
                Cluster::start(&progress).await.unwrap()
            };
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
            buckets: AtomicU32::new(0),
        }
    }

    /// How to reach the S3 server.
    pub fn s3(&self) -> &S3Access {
        self.store.access()
    }

    /// An S3 server for one test, which may pause it and change its users.
    pub fn own_store(&self, name: &str) -> S3Server {
        let _turn = turn_to_listen();
        let folder = self.cluster.folder().join(format!("s3-{name}"));
        self.runtime.block_on(S3Server::start(self.cluster.access(), &folder, &Progress::to_stderr())).unwrap()
    }

    /// How to reach the GCS server.
    pub fn gcs(&self) -> &GcsAccess {
        let start = || {
            let _turn = turn_to_listen();
            let folder = self.cluster.folder().join("gcs");
            let progress = Progress::to_stderr();
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

    /// A new bucket of the S3 server, by its name.
    pub fn bucket(&self) -> String {
        let name = format!("backups-{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        self.s3().bucket(&name).unwrap();
        name
    }
}

/// Servers that start at the same time would find the same ports free.
fn turn_to_listen() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The world of all tests that can live beside others.
pub fn shared() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let world = World::start(false);
        // With another Velero in the cluster no test's removal takes the definitions away from the others.
        crate::deployed::other_velero(&world, "keeper");
        world
    })
}

/// The world of tests on what Veleros of one cluster share, or on who writes to the cluster: they run one at a time.
pub fn alone() -> (MutexGuard<'static, ()>, &'static World) {
    static WORLD: OnceLock<World> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    (turn, WORLD.get_or_init(|| World::start(true)))
}
