//! What a hook has seen of an installation, in so few bytes that the next one who looks can tell whether there is anything new.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    expected::Expected,
    observed::Observed,
    readiness::{ImageOptions, assess},
};

/// What was expected of an installation, and what was seen of it. It holds no secrets.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Look {
    pub expected: Expected,
    pub seen: Fingerprint,
}

/// What was seen, in short: as long as it is the same, a hook has nothing new to tell of it, and nothing to mend.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Fingerprint(String);

impl Look {
    /// Returns what is seen in an observation.
    pub(crate) fn of(expected: &Expected, observed: &Observed) -> Self {
        Self { expected: expected.clone(), seen: Fingerprint::of(expected, observed) }
    }
}

impl Fingerprint {
    fn of(expected: &Expected, observed: &Observed) -> Self {
        // What the options are called does not depend on what is seen.
        let options = ImageOptions { velero: "", plugin: None };
        let troubles = assess(expected, observed).into_iter().map(|trouble| trouble.status(&options).to_string());
        let agent = observed.node_agent.as_ref().filter(|_| expected.node_agent.is_some());
        // Somebody's change of what the charm has planned works without a trouble, or makes it later.
        let generations = [
            observed.server.as_ref().and_then(|server| server.metadata.generation),
            agent.and_then(|agent| agent.metadata.generation),
        ];
        let generations = generations.map(|generation| format!("{generation:?}"));
        // The server's own words make a new generation of a location.
        let location =
            observed.location.as_ref().filter(|_| expected.location).map(|location| location.data["spec"].to_string());
        let mut hash = Sha256::new();
        for text in troubles.chain(generations).chain(location) {
            hash.update(text);
            hash.update([0]);
        }
        Self(HEXLOWER.encode(&hash.finalize()))
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use k8s_openapi::api::apps::v1::Deployment;
    use serde_json::{Value, json};

    use super::*;
    use crate::{cluster::named, velero::seen::expected::ExpectedManifest};

    fn server(generation: i64, available: i32) -> Deployment {
        let status = json!({"observedGeneration": generation, "replicas": 1, "updatedReplicas": 1,
            "availableReplicas": available});
        serde_json::from_value(json!({"metadata": {"name": "velero", "generation": generation},
            "spec": {"replicas": 1, "selector": {}, "template": {}}, "status": status}))
        .unwrap()
    }

    fn seen(server: Option<Deployment>, location: &Value) -> Fingerprint {
        let expected = Expected { server: ExpectedManifest::Any, node_agent: None, location: true };
        let mut live = named("velero.io/v1", "BackupStorageLocation", "default");
        live.data = location.clone();
        let observed = Observed { server, location: Some(live), ..Observed::of_pods(Vec::new()) };
        Look::of(&expected, &observed).seen
    }

    #[test]
    fn what_a_status_or_a_mending_depends_on_is_told_and_nothing_else() {
        let location = |bucket: &str, time: &str| json!({"spec": {"objectStorage": {"bucket": bucket}}, "status": {"phase": "Available", "lastValidationTime": time}});
        let now = jiff::Timestamp::now();
        let (earlier, later) = ((now - 90.seconds()).to_string(), (now - 30.seconds()).to_string());
        let usual = seen(Some(server(2, 1)), &location("backups", &earlier));
        assert_eq!(seen(Some(server(2, 1)), &location("backups", &later)), usual);
        for other in [
            seen(None, &location("backups", &earlier)),
            seen(Some(server(2, 0)), &location("backups", &earlier)),
            seen(Some(server(3, 1)), &location("backups", &earlier)),
            seen(Some(server(2, 1)), &location("elsewhere", &earlier)),
        ] {
            assert_ne!(other, usual);
        }
    }
}
