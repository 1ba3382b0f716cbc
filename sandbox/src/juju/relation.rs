//! Relations and their databags.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::charm::{Metadata, Role};
use super::names::UnitName;

/// The settings of one side of a relation: an application's or a unit's.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Bag {
    /// The keys and values.
    pub data: BTreeMap<String, String>,
    /// Grows with every change that is one; 0 means never written.
    pub version: u64,
}

impl Bag {
    /// Merges the changes; an empty value deletes. Returns whether anything is different now.
    pub fn apply<'a>(&mut self, changes: impl IntoIterator<Item = (&'a String, &'a String)>) -> bool {
        let mut different = false;
        for (key, value) in changes {
            different |= if value.is_empty() {
                self.data.remove(key).is_some()
            } else {
                self.data.insert(key.clone(), value.clone()).as_ref() != Some(value)
            };
        }
        self.version += u64::from(different);
        different
    }
}

/// Whose settings in a relation.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Whose {
    /// An application's.
    Application(String),
    /// A unit's.
    Unit(UnitName),
}

/// A unit that is or was in a relation.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Participant {
    /// Its settings, readable also after it left.
    pub bag: Bag,
    /// Whether it is still in.
    pub present: bool,
}

/// One application in a relation.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Side {
    /// The application.
    pub application: String,
    /// Its endpoint.
    pub endpoint: String,
    /// The endpoint's role.
    pub role: Role,
    /// The application's settings.
    pub bag: Bag,
    /// Its units.
    pub units: BTreeMap<u32, Participant>,
}

impl Side {
    /// The side of an application before any unit entered.
    #[must_use]
    pub fn new(application: &str, endpoint: &str, role: Role) -> Self {
        Self {
            application: application.to_owned(),
            endpoint: endpoint.to_owned(),
            role,
            bag: Bag::default(),
            units: BTreeMap::new(),
        }
    }
}

/// A relation between two applications, or among the units of one.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Relation {
    /// Its number.
    pub id: u32,
    /// The protocol.
    pub interface: String,
    /// One side for peers, two otherwise.
    pub sides: Vec<Side>,
    /// Whether it is being removed.
    pub dying: bool,
}

impl Relation {
    /// The side of that application.
    #[must_use]
    pub fn side(&self, application: &str) -> Option<&Side> {
        self.sides.iter().find(|side| side.application == application)
    }

    /// The side of that application, to change.
    pub fn side_mut(&mut self, application: &str) -> Option<&mut Side> {
        self.sides.iter_mut().find(|side| side.application == application)
    }

    /// The side that faces that application: for peers, its own.
    #[must_use]
    pub fn remote(&self, application: &str) -> Option<&Side> {
        self.side(application)?;
        self.sides.iter().find(|side| side.application != application).or(self.sides.first())
    }

    /// Whether it is among the units of one application.
    #[must_use]
    pub fn is_peer(&self) -> bool {
        self.sides.len() == 1
    }

    /// The remote units that are in the relation, as `unit` sees it.
    #[must_use]
    pub fn remote_units(&self, unit: &UnitName) -> Vec<UnitName> {
        let Some(remote) = self.remote(&unit.application) else { return Vec::new() };
        remote
            .units
            .iter()
            .filter(|(_, participant)| participant.present)
            .map(|(number, _)| UnitName::new(&remote.application, *number))
            .filter(|name| name != unit)
            .collect()
    }

    /// The settings of that unit, also if it left.
    #[must_use]
    pub fn unit_bag(&self, unit: &UnitName) -> Option<&Bag> {
        self.side(&unit.application)?.units.get(&unit.number).map(|participant| &participant.bag)
    }

    /// Puts the unit into the relation, with the settings that Juju itself writes.
    pub fn enter(&mut self, unit: &UnitName, address: &str) {
        let Some(side) = self.side_mut(&unit.application) else { return };
        let participant = side.units.entry(unit.number).or_default();
        participant.present = true;
        let settings = BTreeMap::from([
            ("egress-subnets".to_owned(), format!("{address}/32")),
            ("ingress-address".to_owned(), address.to_owned()),
            ("private-address".to_owned(), address.to_owned()),
        ]);
        participant.bag.apply(&settings);
    }

    /// Takes the unit out of the relation; its settings stay readable.
    pub fn leave(&mut self, unit: &UnitName) {
        if let Some(participant) = self.side_mut(&unit.application).and_then(|side| side.units.get_mut(&unit.number)) {
            participant.present = false;
        }
    }

    /// Whether anybody is still in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sides.iter().all(|side| side.units.values().all(|participant| !participant.present))
    }
}

/// One side of a relation as a user names it: `application` or `application:endpoint`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EndpointName {
    /// The application.
    pub application: String,
    /// Its endpoint, if given.
    pub endpoint: Option<String>,
}

impl From<&str> for EndpointName {
    fn from(text: &str) -> Self {
        match text.split_once(':') {
            Some((application, endpoint)) => {
                Self { application: application.to_owned(), endpoint: Some(endpoint.to_owned()) }
            }
            None => Self { application: text.to_owned(), endpoint: None },
        }
    }
}

/// Why two endpoints cannot be related.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum EndpointError {
    /// Nothing that the two have fits.
    #[error("no relations found")]
    NoneFits,
    /// More than one pair fits.
    #[error("ambiguous relation: {asked:?} could refer to {}", quoted(pairs))]
    Ambiguous {
        /// What the user wrote.
        asked: String,
        /// What it could mean.
        pairs: Vec<String>,
    },
    /// The charm has no such endpoint.
    #[error("application {application:?} has no {endpoint:?} relation")]
    NoSuchEndpoint {
        /// The application.
        application: String,
        /// What was asked for.
        endpoint: String,
    },
}

fn quoted(pairs: &[String]) -> String {
    pairs.iter().map(|pair| format!("{pair:?}")).collect::<Vec<_>>().join("; ")
}

/// A pair of endpoints that fit each other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Match {
    /// The endpoints, in the order of the names.
    pub endpoints: [(String, Role); 2],
    /// The protocol that they share.
    pub interface: String,
}

/// The one pair of endpoints that the two names mean.
///
/// # Errors
/// When none or more than one pair fits, or a named endpoint does not exist.
pub fn infer_endpoints(
    first: (&EndpointName, &Metadata),
    second: (&EndpointName, &Metadata),
) -> Result<Match, EndpointError> {
    for (name, metadata) in [first, second] {
        if let Some(endpoint) = &name.endpoint
            && metadata.endpoint(endpoint).is_none()
        {
            return Err(EndpointError::NoSuchEndpoint {
                application: name.application.clone(),
                endpoint: endpoint.clone(),
            });
        }
    }
    let candidates = |(name, metadata): (&EndpointName, &Metadata)| {
        metadata
            .endpoints()
            .filter(|(each, role, _)| {
                *role != Role::Peers && name.endpoint.as_deref().is_none_or(|asked| asked == *each)
            })
            .map(|(each, role, endpoint)| (each.to_owned(), role, endpoint.interface.clone()))
            .collect::<Vec<_>>()
    };
    let mut matches = Vec::new();
    for (left, left_role, interface) in candidates(first) {
        for (right, right_role, other) in candidates(second) {
            if left_role != right_role && interface == other {
                let endpoints = [(left.clone(), left_role), (right, right_role)];
                matches.push(Match { endpoints, interface: interface.clone() });
            }
        }
    }
    match matches.len() {
        0 => Err(EndpointError::NoneFits),
        1 => Ok(matches.remove(0)),
        _ => {
            let written = |name: &EndpointName| match &name.endpoint {
                Some(endpoint) => format!("{}:{endpoint}", name.application),
                None => name.application.clone(),
            };
            Err(EndpointError::Ambiguous {
                asked: format!("{} {}", written(first.0), written(second.0)),
                pairs: matches
                    .iter()
                    .map(|Match { endpoints: [(left, _), (right, _)], .. }| {
                        format!("{}:{left} {}:{right}", first.0.application, second.0.application)
                    })
                    .collect(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(text: &str) -> Metadata {
        serde_yaml::from_str(&format!("name: x\nsummary: s\ndescription: d\n{text}")).expect("metadata")
    }

    fn changes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_same_value_is_no_change_and_an_empty_one_deletes() {
        let mut bag = Bag::default();
        assert!(bag.apply(&changes(&[("a", "1"), ("b", "2")])));
        assert!(!bag.apply(&changes(&[("a", "1"), ("c", "")])));
        assert_eq!(bag.version, 1);
        assert!(bag.apply(&changes(&[("a", "")])));
        assert_eq!((bag.data, bag.version), (changes(&[("b", "2")]), 2));
    }

    #[test]
    fn endpoints_of_one_interface_and_opposite_roles_fit() {
        let left = metadata("requires: {s3-credentials: s3, gcs-credentials: gcs}");
        let right = metadata("provides: {s3-credentials: s3}\nrequires: {gcs: gcs}");
        let found = infer_endpoints((&"a".into(), &left), (&"b".into(), &right)).expect("a match");
        assert_eq!(found.endpoints[0], ("s3-credentials".to_owned(), Role::Requires));
        assert_eq!(found.interface, "s3");
        let error = infer_endpoints((&"a:gcs-credentials".into(), &left), (&"b".into(), &right));
        assert_eq!(error, Err(EndpointError::NoneFits));
        let error = infer_endpoints((&"a:nothing".into(), &left), (&"b".into(), &right)).expect_err("refused");
        assert_eq!(error.to_string(), "application \"a\" has no \"nothing\" relation");
    }

    #[test]
    fn two_pairs_that_fit_are_ambiguous() {
        let left = metadata("requires: {one: s3, two: s3}");
        let right = metadata("provides: {s3: s3}");
        let error = infer_endpoints((&"a".into(), &left), (&"b".into(), &right)).expect_err("refused");
        assert_eq!(error.to_string(), "ambiguous relation: \"a b\" could refer to \"a:one b:s3\"; \"a:two b:s3\"");
    }

    #[test]
    fn a_unit_that_left_stays_readable() {
        let mut relation = Relation {
            id: 1,
            interface: "s3".to_owned(),
            sides: vec![Side::new("a", "x", Role::Requires), Side::new("b", "y", Role::Provides)],
            dying: false,
        };
        let (here, there) = (UnitName::new("a", 0), UnitName::new("b", 0));
        relation.enter(&there, "10.0.0.1");
        assert_eq!(relation.remote_units(&here), vec![there.clone()]);
        relation.leave(&there);
        assert!(relation.remote_units(&here).is_empty() && relation.is_empty());
        assert_eq!(relation.unit_bag(&there).expect("a bag").data["private-address"], "10.0.0.1");
    }
}
