//! Waiting for a new cluster.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::{Node, Service, ServiceAccount};
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
    runtime::wait::{self, Condition, await_condition},
};

use super::{ClusterAccess, blueprint::NODE};

/// How long a cluster may take until pods can be made.
const LIMIT: Duration = Duration::from_mins(2);

/// How much of each log is shown when a cluster did not become ready, in lines.
const LOG_LINES: usize = 5;

/// Why a cluster is not ready, or cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ReadinessError {
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig {}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<KubeconfigError>,
    },
    /// A client cannot be made.
    #[error("cannot make a client of the API server")]
    Client(#[source] Box<kube::Error>),
    /// The API server does not answer.
    #[error("the API server did not answer within {LIMIT:?}")]
    Silent(#[source] Box<kube::Error>),
    /// An object cannot be watched.
    #[error("cannot watch {object}")]
    Watch {
        /// The object.
        object: &'static str,
        /// What the watch said.
        #[source]
        source: Box<wait::Error>,
    },
    /// An object did not come to be.
    #[error("{object} was not there within {LIMIT:?}")]
    TimedOut {
        /// The object.
        object: &'static str,
    },
}

/// A client with administrator's rights.
///
/// # Errors
/// When the kubeconfig cannot be used.
pub async fn client(access: &ClusterAccess) -> Result<Client, ReadinessError> {
    let failed = |source| ReadinessError::Kubeconfig { path: access.kubeconfig.clone(), source: Box::new(source) };
    let kubeconfig = Kubeconfig::read_from(&access.kubeconfig).map_err(failed)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(failed)?;
    Client::try_from(config).map_err(|source| ReadinessError::Client(Box::new(source)))
}

/// Waits until pods can be made: the node is ready, and what every pod refers to is there.
///
/// # Errors
/// When it takes too long.
pub(super) async fn settle(client: &Client) -> Result<(), ReadinessError> {
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), "default");
    let services = Api::<Service>::namespaced(client.clone(), "default");
    let exists = |object: Option<&ServiceAccount>| object.is_some();
    let service_exists = |object: Option<&Service>| object.is_some();
    tokio::try_join!(
        node_ready(client, NODE),
        appear(accounts, "default", exists, "the default service account"),
        appear(services, "kubernetes", service_exists, "the service kubernetes"),
    )?;
    Ok(())
}

/// Waits until a node is ready for pods.
///
/// # Errors
/// When it takes too long.
pub(super) async fn node_ready(client: &Client, name: &str) -> Result<(), ReadinessError> {
    appear(Api::all(client.clone()), name, node_is_ready, "the ready node").await
}

/// Waits until the API server answers. There is nothing to watch before, so it is asked until it does.
///
/// # Errors
/// When it takes too long.
pub(super) async fn answer(client: &Client) -> Result<(), ReadinessError> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let nodes = Api::<Node>::all(client.clone());
        match nodes.get_metadata_opt(NODE).await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(ReadinessError::Silent(Box::new(error))),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn appear<K>(
    api: Api<K>,
    name: &str,
    condition: impl Condition<K>,
    object: &'static str,
) -> Result<(), ReadinessError>
where
    K: kube::Resource + Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + 'static,
{
    match tokio::time::timeout(LIMIT, await_condition(api, name, condition)).await {
        Err(_) => Err(ReadinessError::TimedOut { object }),
        Ok(Err(source)) => Err(ReadinessError::Watch { object, source: Box::new(source) }),
        Ok(Ok(_)) => Ok(()),
    }
}

fn node_is_ready(node: Option<&Node>) -> bool {
    let conditions = node.and_then(|node| node.status.as_ref()).and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The last lines of every log.
pub(super) fn last_words(logs: &Path) -> String {
    let read = |entry: io::Result<fs::DirEntry>| {
        let path = entry.ok()?.path();
        let text = fs::read(&path).ok()?;
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n  ");
        Some(format!("{}:\n  {last}", path.file_name()?.display()))
    };
    fs::read_dir(logs).into_iter().flatten().filter_map(read).collect::<Vec<_>>().join("\n")
}
