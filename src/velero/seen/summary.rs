//! What is observed of an installation, in numbers.

use kube::ResourceExt;

use super::{freshness, observed::Observed, server::RunningServer};

/// What runs, in numbers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Summary {
    /// Whether a pod of the server is available.
    pub server_available: bool,
    /// The server's version, as far as it is known.
    pub server_version: Option<String>,
    /// The node agent, where there is one.
    pub node_agent: Option<AgentCount>,
    /// The storage location.
    pub location: Option<LocationState>,
}

/// The pods of the node agent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct AgentCount {
    pub wanted: i32,
    pub ready: i32,
}

/// What the server says of the storage location.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct LocationState {
    pub name: String,
    /// `Available`, `Unavailable`, or nothing yet.
    pub phase: String,
}

impl LocationState {
    /// Whether the server can use it.
    pub(crate) fn is_available(&self) -> bool {
        self.phase == "Available"
    }
}

impl Summary {
    /// Counts what is in an observation.
    pub(crate) fn of(observed: &Observed) -> Self {
        let status = observed.server.as_ref().and_then(|server| server.status.as_ref());
        let agent = observed.node_agent.as_ref().and_then(|agent| agent.status.as_ref());
        let version = RunningServer::among(&observed.pods).and_then(|server| server.known_version());
        Self {
            server_available: status.and_then(|status| status.available_replicas).is_some_and(|count| count > 0),
            server_version: version.map(|version| version.to_string()),
            node_agent: agent
                .map(|status| AgentCount { wanted: status.desired_number_scheduled, ready: status.number_ready }),
            location: observed.location.as_ref().map(|location| LocationState {
                name: location.name_any(),
                phase: freshness::phase(location).unwrap_or_default().to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::named;

    #[test]
    fn what_runs_is_counted_and_what_is_not_there_is_not() {
        let nothing = Observed::of_pods(Vec::new());
        assert_eq!(Summary::of(&nothing), Summary::default());
        let mut location = named("velero.io/v1", "BackupStorageLocation", "default");
        location.data = json!({"status": {"phase": "Available"}});
        let parse = |status| json!({"metadata": {}, "status": status});
        let pod = json!({"metadata": {"name": "velero-1", "labels": {"deploy": "velero"}},
            "spec": {"containers": [{"name": "velero", "image": "velero/velero:v1.18.3"}]}});
        let unavailable = serde_json::from_value(parse(json!({"availableReplicas": 0}))).unwrap();
        let unavailable = Observed { server: unavailable, ..Observed::of_pods(Vec::new()) };
        assert!(!Summary::of(&unavailable).server_available);
        let observed = Observed {
            server: serde_json::from_value(parse(json!({"availableReplicas": 1}))).unwrap(),
            node_agent: serde_json::from_value(parse(json!({"desiredNumberScheduled": 3, "numberReady": 2,
                "currentNumberScheduled": 3, "numberMisscheduled": 0})))
            .unwrap(),
            location: Some(location),
            ..Observed::of_pods(vec![serde_json::from_value(pod).unwrap()])
        };
        let summary = Summary::of(&observed);
        assert!(summary.server_available && summary.location.unwrap().is_available());
        assert_eq!(summary.server_version.as_deref(), Some("1.18.3"));
        assert_eq!(summary.node_agent, Some(AgentCount { wanted: 3, ready: 2 }));
    }
}
