//! What the controller knows of a model: all that is kept between verbs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::charm::{Charm, Metadata, is_valid_name};
use super::ending_order::EndingOrder;
use super::hook::Hook;
use super::relation::Relation;
use super::secret::Secret;
use super::series::Series;
use super::simulated::Simulated;

/// The name of a unit: `velero-operator/0`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitName {
    /// The application.
    pub application: String,
    /// Which of its units.
    pub number: u32,
}

/// A text that is not `application/number`.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a valid unit name")]
pub struct InvalidUnitName(String);

impl UnitName {
    /// The unit of that application and number.
    #[must_use]
    pub fn new(application: &str, number: u32) -> Self {
        Self { application: application.to_owned(), number }
    }

    /// The unit's name in logs and paths: `unit-velero-operator-0`.
    #[must_use]
    pub fn tag(&self) -> String {
        format!("unit-{}-{}", self.application, self.number)
    }

    /// The name of the unit's pod: `velero-operator-0`.
    #[must_use]
    pub fn pod(&self) -> String {
        format!("{}-{}", self.application, self.number)
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.application, self.number)
    }
}

impl FromStr for UnitName {
    type Err = InvalidUnitName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_once('/')
            .filter(|(application, _)| is_valid_name(application))
            .and_then(|(application, number)| Some(Self::new(application, number.parse().ok()?)))
            .ok_or_else(|| InvalidUnitName(text.to_owned()))
    }
}

impl TryFrom<String> for UnitName {
    type Error = InvalidUnitName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<UnitName> for String {
    fn from(name: UnitName) -> Self {
        name.to_string()
    }
}

/// The words for how something is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusValue {
    /// A hook failed: Juju sets it, never the charm.
    Error,
    /// A person must act.
    Blocked,
    /// It resolves itself.
    Waiting,
    /// The charm is at work.
    Maintenance,
    /// All is well.
    Active,
    /// The charm never said.
    Unknown,
    /// The unit has gone.
    Terminated,
}

impl StatusValue {
    /// The word itself.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Blocked => "blocked",
            Self::Waiting => "waiting",
            Self::Maintenance => "maintenance",
            Self::Active => "active",
            Self::Unknown => "unknown",
            Self::Terminated => "terminated",
        }
    }
}

impl fmt::Display for StatusValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// How something is, and since when.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// The word.
    pub value: StatusValue,
    /// One line for people.
    pub message: String,
    /// When it was last set, also if to the same.
    pub since: Timestamp,
}

impl Status {
    /// A status as of now.
    #[must_use]
    pub fn now(value: StatusValue, message: impl Into<String>) -> Self {
        Self { value, message: message.into(), since: Timestamp::now() }
    }
}

/// Whether something stays or is being removed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Life {
    /// It stays.
    #[default]
    Alive,
    /// It goes, once its last hooks have run.
    Dying,
    /// The controller is done with it. A unit that is so before its last hooks has `stop` alone.
    Dead,
}

/// How long a pod has to end, as Juju says in its pods.
const POD_GRACE: Duration = Duration::from_secs(30);

fn pod_grace() -> Duration {
    POD_GRACE
}

/// A model.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ModelState {
    /// Its name, and that of its namespace.
    pub name: String,
    /// Its UUID.
    pub uuid: String,
    /// Whether a failed hook is tried again by the next verb, as Juju's timer would (the model option
    /// `automatically-retry-hooks`).
    pub automatically_retry_hooks: bool,
    /// Whether a leader that is being removed answers `true` to `is-leader` to its end. Juju promises neither; a charm
    /// has to do with both.
    pub dying_leader_keeps_lease: bool,
    /// Of which series of Juju it is.
    #[serde(default)]
    pub series: Series,
    /// In which order the relations of a dying unit end.
    #[serde(default)]
    pub ending_order: EndingOrder,
    /// How long a pod may take to end.
    #[serde(default = "pod_grace")]
    pub pod_grace: Duration,
    /// Whether the pod of a unit that is removed is told to end before the unit's last hooks.
    #[serde(default)]
    pub pods_end_with_removal: bool,
    /// What runs in it, by name.
    pub applications: BTreeMap<String, Application>,
    /// The relations, by number.
    pub relations: BTreeMap<u32, Relation>,
    /// The secrets, by the 20 characters of their id.
    pub secrets: BTreeMap<String, Secret>,
    /// The number of the next relation.
    pub next_relation: u32,
    /// The number of the next operation or task.
    pub next_task: u32,
    /// The last octet of the next unit's address.
    pub next_address: u16,
}

/// An application: a charm's, or one that the sandbox plays.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Application {
    /// What it runs.
    pub kind: ApplicationKind,
    /// The values that were set, by option.
    pub settings: BTreeMap<String, Value>,
    /// Whether it was given rights over the whole cluster.
    pub trust: bool,
    /// Its units, by number.
    pub units: BTreeMap<u32, Unit>,
    /// The number of the unit that leads.
    pub leader: Option<u32>,
    /// What its leader said of the whole application.
    pub status: Option<Status>,
    /// What `application-version-set` said.
    pub workload_version: String,
    /// Whether it stays.
    pub life: Life,
    /// How many units the cluster was told to run.
    #[serde(default)]
    pub replicas: u32,
}

/// What an application runs.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApplicationKind {
    /// A real charm, run as a process.
    Charm {
        /// What it says of itself.
        charm: Charm,
        /// The copy that Juju took on deploy or refresh.
        directory: PathBuf,
        /// Counts the refreshes from 0.
        revision: u32,
    },
    /// An application without a charm process.
    Simulated {
        /// How it behaves.
        behaviour: Simulated,
        /// Its endpoints.
        metadata: Metadata,
    },
}

impl Application {
    /// Its charm's metadata.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        match &self.kind {
            ApplicationKind::Charm { charm, .. } => &charm.metadata,
            ApplicationKind::Simulated { metadata, .. } => metadata,
        }
    }

    /// Its charm, unless the sandbox plays it.
    #[must_use]
    pub fn charm(&self) -> Option<&Charm> {
        match &self.kind {
            ApplicationKind::Charm { charm, .. } => Some(charm),
            ApplicationKind::Simulated { .. } => None,
        }
    }

    /// The revision of its charm.
    #[must_use]
    pub fn revision(&self) -> u32 {
        match &self.kind {
            ApplicationKind::Charm { revision, .. } => *revision,
            ApplicationKind::Simulated { .. } => 0,
        }
    }

    /// The options that have a value, set or by default.
    #[must_use]
    pub fn effective_settings(&self) -> BTreeMap<String, Value> {
        let defaults = self.charm().into_iter().flat_map(|charm| &charm.options);
        let mut settings: BTreeMap<String, Value> =
            defaults.filter_map(|(name, option)| Some((name.clone(), option.default.clone()?))).collect();
        settings.extend(self.settings.clone());
        settings
    }

    /// What `config-changed` is fired for when it differs: the effective settings, the trust flag and the address.
    #[must_use]
    pub fn config_hash(&self, unit: &Unit) -> String {
        let settings = Value::from_iter(self.effective_settings());
        let text = format!("{settings}\n{}\n{}", self.trust, unit.address);
        data_encoding::HEXLOWER.encode(&Sha256::digest(text))
    }
}

/// A unit of an application.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Unit {
    /// Its address.
    pub address: String,
    /// Whether it stays.
    pub life: Life,
    /// What the charm said of it, or Juju before the charm did.
    pub status: Status,
    /// Whether the charm itself ever set the status.
    pub status_set_by_charm: bool,
    /// The hook that is being run.
    pub executing: Option<String>,
    /// What `state-set` kept.
    pub charm_state: BTreeMap<String, String>,
    /// The open ports, as `80/tcp`, by endpoint (empty for all).
    pub ports: BTreeSet<String>,
    /// What its hooks have used of the time that its pod has to end; `None` before the pod is told to.
    #[serde(default)]
    pub grace_used: Option<Duration>,
    /// What the unit's agent has told the charm.
    pub seen: Seen,
}

/// What the agent of a unit has told its charm so far: the difference to the model is the hooks to come.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a hook that has or has not run")]
pub struct Seen {
    /// `install` was run.
    pub installed: bool,
    /// `start` was run since the last `stop`.
    pub started: bool,
    /// The pod is about to be replaced: `stop` is due.
    pub stop_due: bool,
    /// The pod was replaced: `upgrade-charm` is due.
    pub upgrade_due: bool,
    /// `stop` was run on a unit that is being removed.
    pub stopped: bool,
    /// `remove` was run.
    pub removed: bool,
    /// `leader-elected` was run, and leadership not lost since.
    pub leader: bool,
    /// `leader-settings-changed` was run.
    pub leader_settings: bool,
    /// The configuration of the last `config-changed`.
    pub config: Option<String>,
    /// What it was told of each relation.
    pub relations: BTreeMap<u32, SeenRelation>,
    /// The hook that failed and waits to be run again.
    pub failed: Option<Hook>,
}

/// What a unit was told of one relation.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct SeenRelation {
    /// `-relation-created` was run.
    pub created: bool,
    /// The remote units that joined, each with the version of the settings last told (`None`: the `-changed` that
    /// follows `-joined` is due).
    pub members: BTreeMap<UnitName, Option<u64>>,
    /// The version of the remote application's settings last told.
    pub application_version: u64,
}

impl ModelState {
    /// An empty model.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            uuid: uuid::Uuid::new_v4().to_string(),
            automatically_retry_hooks: true,
            dying_leader_keeps_lease: false,
            series: Series::default(),
            ending_order: EndingOrder::default(),
            pod_grace: POD_GRACE,
            pods_end_with_removal: false,
            applications: BTreeMap::new(),
            relations: BTreeMap::new(),
            secrets: BTreeMap::new(),
            next_relation: 0,
            next_task: 1,
            next_address: 10,
        }
    }

    /// The unit of that name.
    #[must_use]
    pub fn unit(&self, name: &UnitName) -> Option<&Unit> {
        self.applications.get(&name.application)?.units.get(&name.number)
    }

    /// The unit of that name, to change.
    pub fn unit_mut(&mut self, name: &UnitName) -> Option<&mut Unit> {
        self.applications.get_mut(&name.application)?.units.get_mut(&name.number)
    }

    /// Whether that unit leads its application.
    #[must_use]
    pub fn is_leader(&self, name: &UnitName) -> bool {
        self.applications.get(&name.application).and_then(|application| application.leader) == Some(name.number)
    }

    /// Adds a unit with the lowest free number and gives it an address.
    pub fn add_unit(&mut self, application_name: &str) -> Option<UnitName> {
        let octet = self.next_address;
        let application = self.applications.get_mut(application_name)?;
        let number = (0..=u32::MAX).find(|number| !application.units.contains_key(number))?;
        let unit = Unit {
            address: format!("10.1.{}.{}", 42 + octet / 250, octet % 250),
            life: Life::Alive,
            status: Status::now(StatusValue::Waiting, "installing agent"),
            status_set_by_charm: false,
            executing: None,
            charm_state: BTreeMap::new(),
            ports: BTreeSet::new(),
            grace_used: None,
            seen: Seen::default(),
        };
        application.units.insert(number, unit);
        self.next_address += 1;
        Some(UnitName::new(application_name, number))
    }

    /// Gives the lead of each application without one to its first unit that stays.
    pub fn elect_leaders(&mut self) {
        let keeps = self.dying_leader_keeps_lease;
        for application in self.applications.values_mut() {
            let leads =
                |number: &u32| application.units.get(number).is_some_and(|unit| keeps || unit.life == Life::Alive);
            if !application.leader.as_ref().is_some_and(leads) {
                application.leader =
                    application.units.iter().find(|(_, unit)| unit.life == Life::Alive).map(|(number, _)| *number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_names_are_read_and_written() {
        let name: UnitName = "velero-operator/3".parse().expect("a name");
        assert_eq!(
            (name.to_string(), name.tag()),
            ("velero-operator/3".to_owned(), "unit-velero-operator-3".to_owned())
        );
        for bad in ["velero-operator", "/0", "a/b", "A/0", "a/0/1"] {
            assert!(bad.parse::<UnitName>().is_err(), "{bad}");
        }
    }
}
