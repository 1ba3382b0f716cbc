//! Faults between a charm and a whole cluster, with real controllers, kubelets and a real Velero.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    path::Path,
    sync::Arc,
};

use kube::{Client, config::Kubeconfig};
use url::Url;

use super::{
    case,
    doors::{
        api_proxy::{ApiProxy, ApiServer},
        gate::Gate,
        juju_door::JujuDoor,
    },
    stage::StageError,
};
use crate::{
    host::{ClusterAccess, source_address},
    juju::Boundary,
};

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
    /// When it cannot listen, or the kubeconfig names no API server.
    pub async fn start(cluster: &ClusterAccess, administrator: Client) -> Result<Self, StageError> {
        let gate = Arc::new(Gate::default());
        let address =
            address_of(&cluster.kubeconfig).ok_or_else(|| io::Error::other("the API server has no address"))?;
        let server = ApiServer { address, authority: &cluster.certificate_authority, administrator };
        // Pods and units reach this machine by it.
        let here = source_address(SocketAddr::new(cluster.server_address, address.port()))?;
        let proxy = ApiProxy::start(here, server, Arc::clone(&gate), None).await?;
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

/// Returns where the API server of the first cluster in a kubeconfig is reached from this machine.
fn address_of(kubeconfig: &Path) -> Option<SocketAddr> {
    let cluster = Kubeconfig::read_from(kubeconfig).ok()?.clusters.into_iter().next()?.cluster?;
    let url = Url::parse(&cluster.server?).ok()?;
    (url.host_str()?, url.port_or_known_default()?).to_socket_addrs().ok()?.next()
}
