//! What a hook sees of the cluster at its beginning: all that it has to look at where nothing is to be done, in calls
//! that go together.
//!
//! It is what the cluster was then. What changes something looks again before it does.

use std::fmt;

use futures::{future::try_join_all, try_join};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use kube::{
    Api,
    api::{DynamicObject, PartialObjectMeta},
};

use super::{
    expected::Expected,
    holdings::{self, Holdings},
    namespace,
    observed::{self, Observed},
};
use crate::{
    cluster::{Cluster, ClusterError, call, named},
    velero::names::{COMPONENT_SELECTOR, CREDENTIALS, DRILL_BOOK, NODE_AGENT, SERVER, definition_kind, policies_name},
};

/// What there was at the beginning of a hook, beside the [`Holdings`].
#[derive(Debug)]
pub(crate) struct Sighting {
    at: Timestamp,
    pods: Vec<Pod>,
    /// The namespace's metadata.
    pub namespace: Option<PartialObjectMeta<Namespace>>,
    /// The metadata of Velero's CustomResourceDefinitions.
    pub definitions: Vec<DynamicObject>,
    /// The Secret with the credentials.
    pub credentials: LiveCredentials,
    /// The ConfigMap with what is remembered of drills.
    pub drills: Option<DynamicObject>,
    /// The application's ConfigMap with policies for volumes.
    pub policies: Option<DynamicObject>,
}

/// The Secret with the credentials as it is in the cluster, if it is there. It does not print itself.
pub(crate) struct LiveCredentials(pub Option<Secret>);

impl fmt::Debug for LiveCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LiveCredentials").finish_non_exhaustive()
    }
}

impl LiveCredentials {
    /// Reads the Secret.
    pub(crate) async fn read(cluster: &Cluster) -> Result<Self, ClusterError> {
        let secrets: Api<Secret> = cluster.namespaced();
        Ok(Self(call("get", format!("Secret {CREDENTIALS}"), || secrets.get_opt(CREDENTIALS)).await?))
    }

    /// Returns the Secret without what is in it.
    fn head(&self) -> Option<DynamicObject> {
        let mut head = named("v1", "Secret", CREDENTIALS);
        head.metadata = self.0.as_ref()?.metadata.clone();
        Some(head)
    }
}

impl Sighting {
    /// Looks at what an application has to know of.
    pub(crate) async fn take(cluster: &Cluster, application: &str) -> Result<(Holdings, Self), ClusterError> {
        // Many calls at once are large, and this is in the future of every hook.
        Box::pin(Self::take_at_once(cluster, application)).await
    }

    async fn take_at_once(cluster: &Cluster, application: &str) -> Result<(Holdings, Self), ClusterError> {
        let at = Timestamp::now();
        let by_name = holdings::names_to_get(cluster.namespace());
        let kind = definition_kind();
        let (definitions, pods) = (cluster.everywhere(&kind), cluster.namespaced::<Pod>());
        let (found, servers, maps, credentials, definitions, mut pods, namespace) = try_join!(
            try_join_all(by_name.iter().map(|object| cluster.find(object))),
            holdings::servers(cluster),
            holdings::config_maps(cluster),
            LiveCredentials::read(cluster),
            cluster.list_metadata(&definitions, &kind, "CustomResourceDefinitions of Velero", COMPONENT_SELECTOR),
            cluster.list(&pods, "the pods of Velero", COMPONENT_SELECTOR),
            namespace::read(cluster),
        )?;
        let of_name = |name: &str| maps.iter().find(|map| map.metadata.name.as_deref() == Some(name)).cloned();
        let (drills, policies) = (of_name(DRILL_BOOK), of_name(&policies_name(application)));
        let settings = maps.into_iter().filter(|map| holdings::is_held_name(map, application));
        let (server, others): (Vec<_>, Vec<_>) =
            servers.into_iter().partition(|server| server.metadata.name.as_deref() == Some(SERVER));
        let own_names = server.into_iter().chain(found.into_iter().flatten()).chain(credentials.head()).chain(settings);
        let objects = own_names.chain(others).collect();
        pods.iter_mut().for_each(observed::lessen);
        let holdings = Holdings::of(cluster, application, objects).await?;
        Ok((holdings, Self { at, pods, namespace, definitions, credentials, drills, policies }))
    }

    /// Returns the pods of Velero.
    pub(crate) fn pods(&self) -> &[Pod] {
        &self.pods
    }

    /// Returns what an installation is judged by; `None` where that takes more than what was looked at.
    pub(crate) fn observed(&self, holdings: &Holdings, expected: &Expected) -> Option<Observed> {
        let server = holdings.typed("Deployment", SERVER).ok()?;
        let node_agent = match expected.node_agent {
            Some(_) => holdings.typed("DaemonSet", NODE_AGENT).ok()?,
            None => None,
        };
        // Why its pods are not there is told elsewhere.
        if node_agent.as_ref().is_some_and(|agent| !observed::runs_everywhere(agent)) {
            return None;
        }
        let location = holdings.location().filter(|_| expected.location).map(|held| held.object.clone());
        Some(Observed { at: self.at, server, node_agent, location, ..Observed::of_pods(self.pods.clone()) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        cluster::test_api::TestApi,
        velero::{
            fixtures::{APPLICATION, own},
            seen::expected::ExpectedManifest,
        },
    };

    #[tokio::test]
    async fn what_was_seen_suffices_unless_the_node_agent_does_not_run_everywhere() {
        let api = TestApi::new();
        let agent = |available: u32| {
            let mut agent = own("apps/v1", "DaemonSet", NODE_AGENT);
            agent["spec"] = json!({"selector": {}, "template": {}});
            agent["status"] = json!({"observedGeneration": 1, "desiredNumberScheduled": 2, "currentNumberScheduled": 2,
                "updatedNumberScheduled": 2, "numberReady": 2, "numberAvailable": available, "numberMisscheduled": 0});
            agent["metadata"]["generation"] = json!(1);
            agent
        };
        let suffices = async |agent: serde_json::Value, is_expected: bool| {
            api.put(&agent);
            let (holdings, sighting) = Sighting::take(&api.cluster("velero"), APPLICATION).await.unwrap();
            let node_agent = is_expected.then_some(ExpectedManifest::Any);
            let expected = Expected { server: ExpectedManifest::Any, node_agent, location: true };
            sighting.observed(&holdings, &expected).map(|observed| observed.node_agent.is_some())
        };
        assert_eq!(suffices(agent(2), true).await, Some(true));
        assert_eq!(suffices(agent(1), true).await, None);
        assert_eq!(suffices(agent(1), false).await, Some(false));
    }

    #[test]
    fn credentials_do_not_print_themselves() {
        let secret = serde_json::from_value(json!({"data": {"creds": "b25l"}})).unwrap();
        assert_eq!(format!("{:?}", LiveCredentials(Some(secret))), "LiveCredentials { .. }");
    }
}
