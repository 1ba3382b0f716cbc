//! What a model needs of the cluster: a narrow seam, so that the rules of Juju are tested without one.

mod kubernetes;
mod objects;

pub use kubernetes::KubernetesCloud;

use std::net::IpAddr;

/// How a unit's charm process reaches the cluster: its service account, and what a pod is told of the API server.
#[derive(Clone, Debug)]
pub struct UnitAccess {
    /// The token of the application's service account.
    pub token: String,
    /// The certificate authority of the API server, as PEM.
    pub certificate_authority: String,
    /// The value of `KUBERNETES_SERVICE_HOST`.
    pub service_host: String,
    /// The value of `KUBERNETES_SERVICE_PORT`.
    pub service_port: u16,
    /// The server's version, such as `1.33.1`.
    pub api_version: String,
    /// The process whose network the charm process joins.
    pub namespaces_of: Option<u32>,
    /// Whom the charm process asks for names, where its pod would ask the cluster.
    pub nameserver: Option<IpAddr>,
}

/// An application as the cluster is told of it.
#[derive(Clone, Copy, Debug)]
pub struct Workload<'a> {
    /// The model.
    pub model: &'a str,
    /// The model's UUID.
    pub model_uuid: &'a str,
    /// The application.
    pub application: &'a str,
    /// The version of its Juju.
    pub version: &'a str,
    /// Whether it gets rights over the whole cluster.
    pub trust: bool,
}

/// Why something could not be done in the cluster.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} in namespace {namespace:?}")]
pub struct CloudError {
    /// What was tried.
    pub operation: String,
    /// Where.
    pub namespace: String,
    /// Why not.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The cluster under a model.
pub trait Cloud: Send + Sync {
    /// Makes the model's namespace, unless it has one.
    ///
    /// # Errors
    /// When the cluster does not answer, or the namespace is somebody else's.
    fn create_model(&self, model: &str) -> Result<(), CloudError>;

    /// Removes the model's namespace with all that is in it, and waits until it has gone.
    ///
    /// # Errors
    /// When the cluster does not answer, or the namespace stays.
    fn destroy_model(&self, model: &str) -> Result<(), CloudError>;

    /// Makes the application's objects, its service account among them, with the rights that Juju gives: over the whole
    /// cluster if trusted, hardly any otherwise. Also changes the rights of an application that exists.
    ///
    /// # Errors
    /// When the cluster does not answer or refuses.
    fn ensure_application(&self, workload: &Workload<'_>) -> Result<(), CloudError>;

    /// Says how many units the application has.
    ///
    /// # Errors
    /// When the cluster does not answer or refuses.
    fn scale(&self, model: &str, application: &str, units: u32) -> Result<(), CloudError>;

    /// Removes the application's objects.
    ///
    /// # Errors
    /// When the cluster does not answer or refuses.
    fn remove_application(&self, model: &str, application: &str) -> Result<(), CloudError>;

    /// A fresh token of the application's service account, and the way to the API server.
    ///
    /// # Errors
    /// When the cluster does not answer or refuses.
    fn unit_access(&self, model: &str, application: &str) -> Result<UnitAccess, CloudError>;
}
