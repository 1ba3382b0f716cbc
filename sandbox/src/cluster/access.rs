//! How the other parts of the sandbox reach a cluster, whoever made it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a user of a cluster has to know of it: the embedded one's or the one of `--kubeconfig`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ClusterAccess {
    /// A kubeconfig with administrator's rights that works where the sandbox program itself runs.
    pub kubeconfig: PathBuf,
    /// The process whose mount and network namespaces the cluster lives in (as `nsenter --target` takes it);
    /// `None` when the cluster is the user's own and shares nothing but the network with this machine.
    pub namespaces_of: Option<u32>,
    /// Host of the API server as a pod sees it: the value of `KUBERNETES_SERVICE_HOST`.
    pub service_host: String,
    /// Port of the API server as a pod sees it: the value of `KUBERNETES_SERVICE_PORT`.
    pub service_port: u16,
    /// The certificate authority of the API server, as PEM: the `ca.crt` of a service account.
    pub certificate_authority: String,
}
