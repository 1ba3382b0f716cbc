//! The cluster under a model, by way of the Kubernetes API.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, Secret, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{conditions, wait::await_condition};
use kube::{Api, Client, Config, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use super::{Cloud, CloudError, UnitAccess, Workload, objects};
use crate::host::ClusterAccess;

/// How long one verb's requests may take, the removal of a namespace aside.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// How long a namespace may take to go.
const REMOVAL_LIMIT: Duration = Duration::from_secs(100);
/// How long a unit's token is valid, in seconds.
const TOKEN_LIFETIME: i64 = 3600;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A cluster reached through its API.
#[derive(Clone, Debug)]
pub struct KubernetesCloud {
    access: ClusterAccess,
    /// Made at the first request: each hook has some.
    connection: Arc<OnceLock<Connection>>,
}

/// A way to an API server that is kept, and what runs it.
struct Connection {
    client: Client,
    /// The server's version, such as `1.33.1`.
    version: String,
    /// Nothing only while this is dropped.
    runtime: Option<Runtime>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    fn open(access: &ClusterAccess) -> Result<Self, Failure> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let connect = async {
            let kubeconfig = Kubeconfig::read_from(&access.kubeconfig)?;
            let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
            let client = Client::try_from(config)?;
            let version = client.apiserver_version().await?.git_version;
            Ok::<_, Failure>((client, version.trim_start_matches('v').to_owned()))
        };
        let (client, version) = runtime.block_on(async { tokio::time::timeout(REQUEST_LIMIT, connect).await? })?;
        Ok(Self { client, version, runtime: Some(runtime) })
    }

    fn wait<T>(&self, future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        self.runtime.as_ref().ok_or("the connection is closed")?.block_on(future)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // It may be dropped where nothing may be waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl KubernetesCloud {
    /// The cluster that `access` describes.
    #[must_use]
    pub fn new(access: ClusterAccess) -> Self {
        Self { access, connection: Arc::default() }
    }

    fn connection(&self) -> Result<&Connection, Failure> {
        if let Some(connection) = self.connection.get() {
            return Ok(connection);
        }
        let opened = Connection::open(&self.access)?;
        Ok(self.connection.get_or_init(|| opened))
    }

    /// Runs requests to their end. They get a thread of their own, so that verbs may be called from anywhere, also from
    /// within an asynchronous test.
    fn run<T: Send, F: Future<Output = Result<T, Failure>>>(
        &self,
        operation: &str,
        namespace: &str,
        limit: Duration,
        requests: impl FnOnce(Client) -> F + Send,
    ) -> Result<T, CloudError> {
        let work = || -> Result<T, Failure> {
            let connection = self.connection()?;
            connection.wait(async { tokio::time::timeout(limit, requests(connection.client.clone())).await? })
        };
        std::thread::scope(|scope| scope.spawn(work).join())
            .unwrap_or_else(|_| Err("the request's thread ended early".into()))
            .map_err(|source| CloudError { operation: operation.to_owned(), namespace: namespace.to_owned(), source })
    }
}

impl Cloud for KubernetesCloud {
    fn create_model(&self, model: &str) -> Result<(), CloudError> {
        self.run("create the model", model, REQUEST_LIMIT, |client| async move {
            let namespaces: Api<Namespace> = Api::all(client);
            if let Some(existing) = namespaces.get_opt(model).await? {
                let managed = existing.metadata.labels.unwrap_or_default();
                if managed.get("model.juju.is/name").map(String::as_str) != Some(model) {
                    return Err("the namespace exists and is not a model's".into());
                }
                return Ok(());
            }
            let labels = objects::model_labels(model);
            let metadata = ObjectMeta { name: Some(model.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
            let namespace = Namespace { metadata, ..Namespace::default() };
            namespaces.create(&PostParams::default(), &namespace).await?;
            Ok(())
        })
    }

    fn destroy_model(&self, model: &str) -> Result<(), CloudError> {
        self.run("destroy the model", model, REMOVAL_LIMIT, |client| async move {
            let namespaces: Api<Namespace> = Api::all(client);
            let uid = namespaces.get_opt(model).await?.and_then(|namespace| namespace.metadata.uid);
            delete(&namespaces, model).await?;
            let Some(uid) = uid else { return Ok(()) };
            await_condition(namespaces, model, conditions::is_deleted(&uid)).await?;
            Ok(())
        })
    }

    fn ensure_application(&self, workload: &Workload<'_>) -> Result<(), CloudError> {
        let model = workload.model;
        self.run("make the application's objects", model, REQUEST_LIMIT, |client| async move {
            apply(&Api::<Secret>::namespaced(client.clone(), model), &objects::secret(workload)).await?;
            apply(&Api::<ServiceAccount>::namespaced(client.clone(), model), &objects::service_account(workload))
                .await?;
            apply(&Api::<Role>::namespaced(client.clone(), model), &objects::role(workload)).await?;
            apply(&Api::<RoleBinding>::namespaced(client.clone(), model), &objects::role_binding(workload)).await?;
            apply(&Api::<ClusterRole>::all(client.clone()), &objects::cluster_role(workload)).await?;
            apply(&Api::<ClusterRoleBinding>::all(client.clone()), &objects::cluster_role_binding(workload)).await?;
            let services: Api<Service> = Api::namespaced(client.clone(), model);
            apply(&services, &objects::service(workload)).await?;
            apply(&services, &objects::headless_service(workload)).await?;
            let sets: Api<StatefulSet> = Api::namespaced(client, model);
            if sets.get_metadata_opt(workload.application).await?.is_none() {
                sets.create(&PostParams::default(), &objects::stateful_set(workload)).await?;
            }
            Ok(())
        })
    }

    fn scale(&self, model: &str, application: &str, units: u32) -> Result<(), CloudError> {
        self.run("scale the application", model, REQUEST_LIMIT, |client| async move {
            let sets: Api<StatefulSet> = Api::namespaced(client, model);
            let (parameters, replicas) = (PatchParams::default(), json!({"spec": {"replicas": units}}));
            let set = match sets.patch(application, &parameters, &Patch::Merge(replicas)).await {
                // Somebody has deleted it. Juju lets the units of an application go without it.
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
                set => set?,
            };
            let settled = objects::settled(set.metadata.generation, units);
            sets.patch_status(application, &parameters, &Patch::Merge(settled)).await?;
            Ok(())
        })
    }

    fn remove_application(&self, model: &str, application: &str) -> Result<(), CloudError> {
        self.run("remove the application's objects", model, REQUEST_LIMIT, |client| async move {
            let cluster_name = objects::cluster_name(model, application);
            delete(&Api::<StatefulSet>::namespaced(client.clone(), model), application).await?;
            let services: Api<Service> = Api::namespaced(client.clone(), model);
            delete(&services, &objects::headless_name(application)).await?;
            delete(&services, application).await?;
            delete(&Api::<Secret>::namespaced(client.clone(), model), &objects::secret_name(application)).await?;
            delete(&Api::<ClusterRoleBinding>::all(client.clone()), &cluster_name).await?;
            delete(&Api::<ClusterRole>::all(client.clone()), &cluster_name).await?;
            delete(&Api::<RoleBinding>::namespaced(client.clone(), model), application).await?;
            delete(&Api::<Role>::namespaced(client.clone(), model), application).await?;
            delete(&Api::<ServiceAccount>::namespaced(client, model), application).await
        })
    }

    fn unit_access(&self, model: &str, application: &str) -> Result<UnitAccess, CloudError> {
        let token = self.run("request a token", model, REQUEST_LIMIT, |client| async move {
            let accounts: Api<ServiceAccount> = Api::namespaced(client, model);
            let request = TokenRequest {
                spec: TokenRequestSpec { expiration_seconds: Some(TOKEN_LIFETIME), ..TokenRequestSpec::default() },
                ..TokenRequest::default()
            };
            let answer = accounts.create_token_request(application, &PostParams::default(), &request).await?;
            answer.status.map(|status| status.token).ok_or_else(|| "the answer holds no token".into())
        })?;
        let api_version = self.connection.get().map(|connection| connection.version.clone()).unwrap_or_default();
        Ok(UnitAccess {
            token,
            certificate_authority: self.access.certificate_authority.clone(),
            service_host: self.access.service_host.clone(),
            service_port: self.access.service_port,
            api_version,
            namespaces_of: self.access.namespaces_of,
            nameserver: self.access.nameserver,
        })
    }
}

async fn apply<K>(api: &Api<K>, object: &K) -> Result<(), Failure>
where
    K: Resource + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let name = object.meta().name.as_deref().unwrap_or_default();
    api.patch(name, &PatchParams::apply(objects::MANAGER).force(), &Patch::Apply(object)).await?;
    Ok(())
}

/// Deletes the object; that there is none is as good.
async fn delete<K>(api: &Api<K>, name: &str) -> Result<(), Failure>
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned,
{
    match api.delete(name, &DeleteParams::background()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error.into()),
    }
}
