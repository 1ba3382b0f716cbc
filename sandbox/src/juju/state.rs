//! What the controller knows of a model: all that is kept between verbs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::charm::{Charm, Metadata};
use super::ending_order::EndingOrder;
use super::hook::Hook;
use super::names::{SecretUri, UnitName};
use super::relation::Relation;
use super::secret::{Consumer, Owner, Secret};
use super::series::Series;
use super::simulated::Simulated;
use super::status::{Status, StatusValue};

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
    /// The proxies that its hooks are told of, by the end of their variable's name: `HTTP_PROXY`.
    #[serde(default)]
    pub proxies: BTreeMap<String, String>,
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
    /// Leadership was lost in the hook that has ended last.
    #[serde(default)]
    pub deposed: bool,
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
            proxies: BTreeMap::new(),
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

    /// The relations of that endpoint, in the order of their numbers.
    pub fn relations_of<'a>(&'a self, application: &'a str, endpoint: &'a str) -> impl Iterator<Item = &'a Relation> {
        self.relations
            .values()
            .filter(move |relation| relation.side(application).is_some_and(|side| side.endpoint == endpoint))
    }

    /// Whether the unit may read the secret: it is its own or its application's, or granted through a relation that
    /// is not being removed.
    #[must_use]
    pub fn may_read(&self, secret: &Secret, unit: &UnitName) -> bool {
        let own = match &secret.owner {
            Owner::Application(application) => *application == unit.application,
            Owner::Unit(owner) => owner == unit,
            Owner::User => false,
        };
        own || secret.grants.iter().any(|grant| {
            grant.application == unit.application
                && grant.unit.is_none_or(|number| number == unit.number)
                && grant.relation.is_none_or(|id| self.relations.get(&id).is_some_and(|relation| !relation.dying))
        })
    }

    /// The content of the newest revision of a secret that the user has granted to the application.
    #[must_use]
    pub fn granted_by_user(&self, uri: &str, application: &str) -> Option<BTreeMap<String, String>> {
        let secret = self.secrets.get(&uri.parse::<SecretUri>().ok()?.id)?;
        let granted = secret.grants.iter().any(|grant| grant.relation.is_none() && grant.application == application);
        let (_, content) = secret.revisions.last_key_value().filter(|_| secret.owner == Owner::User && granted)?;
        let decoded = |value: &String| String::from_utf8(STANDARD.decode(value).ok()?).ok();
        content.iter().map(|(key, value)| Some((key.clone(), decoded(value)?))).collect()
    }

    /// The first secret whose newest revision the unit has read before but was not told of.
    #[must_use]
    pub fn changed_secret(&self, unit: &UnitName) -> Option<(&str, &Consumer)> {
        self.secrets.iter().find_map(|(id, secret)| {
            let consumer = secret.consumers.get(unit)?;
            (secret.latest() > consumer.notified && self.may_read(secret, unit)).then_some((id.as_str(), consumer))
        })
    }
}
