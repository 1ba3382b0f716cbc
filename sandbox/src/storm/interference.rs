//! Faults between a charm and a whole cluster, with real controllers, kubelets and a real Velero.

use std::{net::SocketAddr, sync::Arc};

use kube::Client;

use super::{
    api_proxy::{ApiProxy, ApiServer},
    case,
    gate::Gate,
    juju_door::JujuDoor,
    stage::StageError,
};
use crate::{host::ClusterAccess, juju::Boundary};

/// What stands between one charm and its cluster, and between it and Juju, for as long as this value lives.
pub struct Interference {
    gate: Arc<Gate>,
    door: Arc<JujuDoor>,
    access: ClusterAccess,
    _proxy: ApiProxy,
}

impl Interference {
    /// Stands in the way of charms of a cluster, and lets everything pass. `administrator` is who changes objects as somebody else.
    ///
    /// # Errors
    /// When it cannot listen, or the cluster is reached by a name.
    pub async fn start(cluster: &ClusterAccess, administrator: Client) -> Result<Self, StageError> {
        let gate = Arc::new(Gate::default());
        let address = format!("{}:{}", cluster.service_host, cluster.service_port);
        let address: SocketAddr = address.parse().map_err(std::io::Error::other)?;
        let server = ApiServer { address, authority: &cluster.certificate_authority, administrator };
        let proxy = ApiProxy::start(cluster.server_address, server, Arc::clone(&gate), None).await?;
        let access = ClusterAccess {
            service_host: proxy.address().ip().to_string(),
            service_port: proxy.address().port(),
            certificate_authority: proxy.authority().to_owned(),
            ..cluster.clone()
        };
        Ok(Self { door: Arc::new(JujuDoor::new(Arc::clone(&gate))), gate, access, _proxy: proxy })
    }

    /// The cluster for charms that are to come to harm.
    #[must_use]
    pub fn access(&self) -> &ClusterAccess {
        &self.access
    }

    /// What stands between their units and Juju.
    #[must_use]
    pub fn boundary(&self) -> Arc<dyn Boundary> {
        Arc::clone(&self.door) as _
    }

    /// Lets one thing go wrong from now on, as the name of a case has it behind its scenario: `/HOOK DOOR OPERATION #NUMBER FAULT`.
    ///
    /// # Errors
    /// When the name is none.
    pub fn arm(&self, what: &str) -> Result<(), String> {
        self.gate.arm(&[case::read_armed(what)?]);
        Ok(())
    }

    /// Whether it has gone wrong.
    #[must_use]
    pub fn was_reached(&self) -> bool {
        self.gate.was_reached()
    }

    /// What has passed in the hooks since, a line each, as a name of a case begins.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        self.gate.seen().iter().map(|seen| format!("/{} {}", seen.hook, seen.operation)).collect()
    }
}
