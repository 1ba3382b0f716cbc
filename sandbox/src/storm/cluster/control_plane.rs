//! A Kubernetes without nodes and controllers: a real etcd and a real API server on this machine, whose whole state can be kept and
//! put back within a moment.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tempfile::TempDir;

use super::etcd::{Etcd, EtcdError};
use crate::{
    certificates::{Authority, CertificateError, SigningKeys},
    host::{
        ClusterAccess,
        daemon::{Daemon, DaemonError, Lifetime, free_ports},
    },
    progress::Progress,
    tools::{self, ToolError},
};

/// The first port that is tried.
const FIRST_PORT: u16 = 21_300;

/// How long the API server may take to be ready.
const READY_LIMIT: Duration = Duration::from_mins(2);

/// Where all of it listens.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Where nobody answers for names: no name leads a charm out of this machine.
const NO_NAMESERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 83, 83, 83));

/// Why there is no control plane.
#[derive(Debug, thiserror::Error)]
pub enum ControlPlaneError {
    /// A program is missing.
    #[error("a control plane needs programs that are built")]
    Tool(#[from] ToolError),
    /// A certificate could not be made.
    #[error("a control plane needs certificates")]
    Certificate(#[from] CertificateError),
    /// Its folder cannot be used.
    #[error("a control plane needs a folder")]
    Folder(#[source] io::Error),
    /// A program does not run.
    #[error("a control plane does not run")]
    Daemon(#[from] DaemonError),
    /// The API server does not become ready.
    #[error("the API server is not ready after {} s", READY_LIMIT.as_secs())]
    NotReady(#[source] Box<kube::Error>),
    /// There is no client for it.
    #[error("there is no client for the API server")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What it stores cannot be read.
    #[error("a control plane needs its etcd")]
    Etcd(#[from] EtcdError),
}

/// A control plane that runs for as long as this value lives.
pub(in crate::storm) struct ControlPlane {
    folder: TempDir,
    address: SocketAddr,
    authority: String,
    client: Client,
    etcd: Etcd,
    // The API server is ended first.
    _api_server: Daemon,
    _etcd_server: Daemon,
}

impl ControlPlane {
    /// Starts one, which is there in some seconds.
    pub(in crate::storm) async fn start(progress: &Progress) -> Result<Self, ControlPlaneError> {
        let etcd_program = tools::program(&tools::ETCD, "etcd", progress).await?;
        let api_program = tools::program(&tools::KUBERNETES, "kube-apiserver", progress).await?;
        let folder = tempfile::Builder::new().prefix("storm-").tempdir().map_err(ControlPlaneError::Folder)?;
        let [clients, peers, address]: [SocketAddr; 3] = free_ports(HERE, FIRST_PORT)?;
        let authority = write_credentials(folder.path(), address)?;
        let access = access(folder.path(), address, &authority);

        let daemon = |program: &Path, listens: SocketAddr, log: &str| {
            Daemon::new(&access, Lifetime::Owned, program, listens, folder.path().join(log)).variable("GOGC", "400")
        };
        let mut etcd_server =
            daemon(&etcd_program, clients, "etcd.log").arguments(etcd_arguments(folder.path(), clients, peers));
        etcd_server.start().await?;
        let mut api_server = daemon(&api_program, address, "kube-apiserver.log").arguments(api_server_arguments(
            folder.path(),
            clients,
            address,
        ));
        api_server.start().await?;

        let unreadable = |error: kube::config::KubeconfigError| ControlPlaneError::Client(Box::new(error));
        let kubeconfig = Kubeconfig::read_from(&access.kubeconfig).map_err(unreadable)?;
        let mut config =
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(unreadable)?;
        // It would wait a second where a kind that was defined a moment ago is served within milliseconds.
        config.default_retry = false;
        let client = Client::try_from(config).map_err(|error| ControlPlaneError::Client(Box::new(error)))?;
        ready(&client).await?;
        let etcd = Etcd::at(clients);
        Ok(Self { folder, address, authority, client, etcd, _api_server: api_server, _etcd_server: etcd_server })
    }

    /// The folder of all that it writes, which goes with it.
    pub(in crate::storm) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the API server listens.
    pub(in crate::storm) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The authority that signed the API server's certificate, as PEM.
    pub(in crate::storm) fn authority(&self) -> &str {
        &self.authority
    }

    /// A client with an administrator's rights.
    pub(in crate::storm) fn client(&self) -> &Client {
        &self.client
    }

    /// Where it stores everything.
    pub(in crate::storm) fn etcd(&self) -> &Etcd {
        &self.etcd
    }

    /// How to reach it with an administrator's rights.
    pub(in crate::storm) fn access(&self) -> ClusterAccess {
        access(self.folder.path(), self.address, &self.authority)
    }
}

fn access(folder: &Path, address: SocketAddr, authority: &str) -> ClusterAccess {
    ClusterAccess {
        kubeconfig: folder.join("kubeconfig"),
        namespaces_of: None,
        service_host: address.ip().to_string(),
        service_port: address.port(),
        certificate_authority: authority.to_owned(),
        server_address: HERE,
        nameserver: Some(NO_NAMESERVER),
    }
}

/// Waits until requests are answered, and what the server makes for itself at its start is there.
async fn ready(client: &Client) -> Result<(), ControlPlaneError> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let deadline = Instant::now() + READY_LIMIT;
    loop {
        let request = http::Request::get("/readyz").body(Vec::new()).map_err(kube::Error::HttpError);
        let answered = match request {
            Ok(request) => match client.request_text(request).await {
                Ok(_) => namespaces.get("kube-system").await.map(drop),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        match answered {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(ControlPlaneError::NotReady(Box::new(error))),
            // There is nothing to watch before it answers.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Writes what the API server and its administrator need, and returns the authority that they trust.
fn write_credentials(folder: &Path, address: SocketAddr) -> Result<String, ControlPlaneError> {
    let authority = Authority::new("velero-operator storm")?;
    let server = authority.server("kube-apiserver", &["localhost", "kubernetes"], &[HERE])?;
    // Of a certificate the server would verify the signature at each request.
    let token = uuid::Uuid::new_v4().simple().to_string();
    let keys = SigningKeys::new("service accounts")?;
    let encode = |text: &str| k8s_openapi::ByteString(text.as_bytes().to_vec());
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "storm", "cluster": {
            "server": format!("https://{address}"),
            "certificate-authority-data": encode(authority.certificate()),
        }}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "storm", "context": {"cluster": "storm", "user": "admin"}}],
        "current-context": "storm",
    });
    for (name, text) in [
        ("server.crt", &server.certificate),
        ("server.key", &server.key),
        ("accounts.key", &keys.private),
        ("accounts.pub", &keys.public),
        ("tokens.csv", &format!("{token},storm-admin,storm-admin,system:masters\n")),
        ("kubeconfig", &kubeconfig.to_string()),
    ] {
        fs::write(folder.join(name), text).map_err(ControlPlaneError::Folder)?;
    }
    Ok(authority.certificate().to_owned())
}

fn etcd_arguments(folder: &Path, clients: SocketAddr, peers: SocketAddr) -> Vec<String> {
    vec![
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls=http://{clients}"),
        format!("--advertise-client-urls=http://{clients}"),
        format!("--listen-peer-urls=http://{peers}"),
        format!("--initial-advertise-peer-urls=http://{peers}"),
        format!("--initial-cluster=default=http://{peers}"),
        "--log-level=warn".into(),
        "--max-txn-ops=10000".into(),
        "--max-request-bytes=33554432".into(),
        // What is stored is worth nothing once this has ended.
        "--unsafe-no-fsync".into(),
    ]
}

fn api_server_arguments(folder: &Path, etcd: SocketAddr, address: SocketAddr) -> Vec<String> {
    let file = |flag: &str, name: &str| format!("--{flag}={}", PathBuf::from(folder).join(name).display());
    vec![
        format!("--etcd-servers=http://{etcd}"),
        format!("--bind-address={}", address.ip()),
        format!("--secure-port={}", address.port()),
        "--service-cluster-ip-range=10.96.0.0/16".into(),
        file("tls-cert-file", "server.crt"),
        file("tls-private-key-file", "server.key"),
        file("token-auth-file", "tokens.csv"),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
        file("service-account-key-file", "accounts.pub"),
        file("service-account-signing-key-file", "accounts.key"),
        "--authorization-mode=RBAC".into(),
        // Nobody makes endpoints, and pods need no tokens: nothing runs in them.
        "--endpoint-reconciler-type=none".into(),
        "--disable-admission-plugins=ServiceAccount".into(),
        "--allow-privileged=true".into(),
        "--profiling=false".into(),
    ]
}
