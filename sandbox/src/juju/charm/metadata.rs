//! `metadata.yaml`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::is_valid_name;

/// Which side of a relation an endpoint is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Offers what the interface is about.
    Provides,
    /// Wants it.
    Requires,
    /// Among the units of one application.
    Peers,
}

/// One endpoint of a charm.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Endpoint {
    /// The name of the protocol that both sides of a relation must share.
    pub interface: String,
    /// How many relations of this endpoint may exist at once.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// The parts of `metadata.yaml` that decide how Juju treats a charm.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Metadata {
    /// The charm's name, and that of its application unless another is given.
    pub name: String,
    /// One line on what it is.
    pub summary: String,
    /// More than one line.
    pub description: String,
    /// Endpoints that provide.
    #[serde(default, deserialize_with = "endpoints")]
    pub provides: BTreeMap<String, Endpoint>,
    /// Endpoints that require.
    #[serde(default, deserialize_with = "endpoints")]
    pub requires: BTreeMap<String, Endpoint>,
    /// Endpoints among the application's own units.
    #[serde(default, deserialize_with = "endpoints")]
    pub peers: BTreeMap<String, Endpoint>,
    /// Containers of the workload: the local Juju runs charms without any.
    #[serde(default)]
    pub containers: BTreeMap<String, serde_json::Value>,
    /// The old list of bases, which makes a charm format 1.
    #[serde(default)]
    pub series: Vec<String>,
}

/// The long form of an endpoint, or just its interface.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Interface(String),
    Endpoint(Endpoint),
}

fn endpoints<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Endpoint>, D::Error> {
    let written: Option<BTreeMap<String, Written>> = Deserialize::deserialize(deserializer)?;
    Ok(written
        .unwrap_or_default()
        .into_iter()
        .map(|(name, written)| match written {
            Written::Interface(interface) => (name, Endpoint { interface, limit: None }),
            Written::Endpoint(endpoint) => (name, endpoint),
        })
        .collect())
}

impl Metadata {
    /// Every endpoint with its role.
    pub fn endpoints(&self) -> impl Iterator<Item = (&str, Role, &Endpoint)> {
        self.provides
            .iter()
            .map(|(name, endpoint)| (name.as_str(), Role::Provides, endpoint))
            .chain(self.requires.iter().map(|(name, endpoint)| (name.as_str(), Role::Requires, endpoint)))
            .chain(self.peers.iter().map(|(name, endpoint)| (name.as_str(), Role::Peers, endpoint)))
    }

    /// The endpoint of that name.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> Option<(Role, &Endpoint)> {
        self.endpoints().find(|(each, ..)| *each == name).map(|(_, role, endpoint)| (role, endpoint))
    }

    /// Juju's rules for metadata.
    ///
    /// # Errors
    /// The rule that is broken, as text.
    pub(super) fn check(&self) -> Result<(), String> {
        if !is_valid_name(&self.name) {
            return Err(format!("invalid charm name {:?}", self.name));
        }
        if !self.series.is_empty() {
            return Err("series makes this a charm of format 1, which Juju refuses on Kubernetes".to_owned());
        }
        let mut seen = Vec::new();
        for (name, role, endpoint) in self.endpoints() {
            if seen.contains(&name) {
                return Err(format!("charm {:?} using a duplicated relation name: {name:?}", self.name));
            }
            seen.push(name);
            if name == "juju" || name.starts_with("juju-") {
                return Err(format!("charm {:?} using a reserved relation name: {name:?}", self.name));
            }
            if role != Role::Requires && (endpoint.interface == "juju" || endpoint.interface.starts_with("juju-")) {
                return Err(format!(
                    "charm {:?} relation {name:?} using a reserved interface: {:?}",
                    self.name, endpoint.interface
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(text: &str) -> Metadata {
        serde_yaml::from_str(&format!("name: x\nsummary: s\ndescription: d\n{text}")).expect("metadata")
    }

    #[test]
    fn an_endpoint_may_be_just_its_interface() {
        let metadata = metadata("requires: {a: s3, b: {interface: gcs, limit: 1, optional: true}}");
        assert_eq!(metadata.requires["a"], Endpoint { interface: "s3".to_owned(), limit: None });
        assert_eq!(metadata.requires["b"].limit, Some(1));
    }

    #[test]
    fn one_name_for_two_endpoints_is_refused() {
        let error = metadata("requires: {a: s3}\nprovides: {a: s3}").check().expect_err("refused");
        assert!(error.contains("duplicated relation name"), "{error}");
    }

    #[test]
    fn reserved_names_are_refused() {
        assert!(metadata("requires: {juju-info: x}").check().is_err());
        assert!(metadata("provides: {info: juju-info}").check().is_err());
        assert!(metadata("requires: {info: juju-info}").check().is_ok());
    }
}
