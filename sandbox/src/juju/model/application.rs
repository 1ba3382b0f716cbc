//! Verbs on applications and units.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::agent::HookRecord;
use super::super::charm::{Charm, ConfigOption, Role, is_valid_name};
use super::super::cloud::Workload;
use super::super::error::Error;
use super::super::names::UnitName;
use super::super::relation::{Relation, Side};
use super::super::simulated::built_in;
use super::super::state::{Application, ApplicationKind, Life, ModelState};
use super::Model;
use super::session::Session;

/// How to deploy.
#[derive(Clone, Debug)]
pub struct DeployOptions {
    /// The application's name, if not the charm's.
    pub name: Option<String>,
    /// Whether it gets rights over the whole cluster.
    pub trust: bool,
    /// How many units.
    pub units: u32,
    /// Options, as text.
    pub config: BTreeMap<String, String>,
    /// The channel, for a charm that the sandbox plays: `2/stable` is another `s3-integrator` than `1/stable`.
    pub channel: Option<String>,
}

impl Default for DeployOptions {
    fn default() -> Self {
        Self { name: None, trust: false, units: 1, config: BTreeMap::new(), channel: None }
    }
}

impl Model {
    /// Deploys the unpacked charm in `charm`.
    ///
    /// # Errors
    /// When Juju would refuse it, or a charm cannot be run. A hook that fails is no error of the verb.
    pub fn deploy(&self, charm: &Path, options: &DeployOptions) -> Result<Vec<HookRecord>, Error> {
        let read = Charm::read(charm).map_err(|source| Error::Charm { directory: charm.to_owned(), source })?;
        let name = options.name.clone().unwrap_or_else(|| read.metadata.name.clone());
        let mut session = self.begin()?;
        session.check_new_application(&name)?;
        let settings = parse_settings(&name, &read.options, &options.config)?;
        let directory = self.store.keep_charm(charm, &name, 0)?;
        self.cloud.create_model(&self.name)?;
        self.cloud.ensure_application(&session.workload(&name, options.trust))?;
        let mut application = new_application(ApplicationKind::Charm { charm: read, directory, revision: 0 });
        application.settings = settings;
        application.trust = options.trust;
        session.add_application(&name, application, options.units)?;
        session.finish()
    }

    /// Deploys an application that the sandbox plays, such as `s3-integrator`; `None` if it plays none of that name.
    ///
    /// # Errors
    /// When Juju would refuse it.
    pub fn deploy_built_in(&self, charm: &str, options: &DeployOptions) -> Result<Option<Vec<HookRecord>>, Error> {
        let Some((behaviour, metadata)) = built_in(charm, options.channel.as_deref()) else { return Ok(None) };
        let name = options.name.clone().unwrap_or_else(|| charm.to_owned());
        let mut session = self.begin()?;
        session.check_new_application(&name)?;
        let settings = parse_settings(&name, &behaviour.options(), &options.config)?;
        let mut application = new_application(ApplicationKind::Simulated { behaviour, metadata });
        application.settings = settings;
        session.add_application(&name, application, options.units)?;
        session.finish().map(Some)
    }

    /// Adds units.
    ///
    /// # Errors
    /// When there is no such application, or a charm cannot be run.
    pub fn add_units(&self, application: &str, count: u32) -> Result<Vec<HookRecord>, Error> {
        let mut session = self.begin()?;
        session.application(application)?;
        session.add_units(application, count)?;
        session.finish()
    }

    /// Adds one unit.
    ///
    /// # Errors
    /// As [`Model::add_units`].
    pub fn add_unit(&self, application: &str) -> Result<Vec<HookRecord>, Error> {
        self.add_units(application, 1)
    }

    /// Removes that unit.
    ///
    /// # Errors
    /// When there is no such unit, or a charm cannot be run.
    pub fn remove_unit(&self, unit: &UnitName) -> Result<Vec<HookRecord>, Error> {
        let mut session = self.begin()?;
        session.unit(unit)?;
        session.let_die(unit);
        session.finish()
    }

    /// Removes the units with the highest numbers, as Kubernetes does when it scales down.
    ///
    /// # Errors
    /// When there are not so many, or a charm cannot be run.
    pub fn remove_units(&self, application: &str, count: u32) -> Result<Vec<HookRecord>, Error> {
        let mut session = self.begin()?;
        let units: Vec<u32> = session.application(application)?.units.keys().rev().copied().collect();
        if units.len() < count as usize {
            let application = application.to_owned();
            return Err(Error::TooFewUnits { application, asked: count, there: units.len() });
        }
        for number in units.into_iter().take(count as usize) {
            session.let_die(&UnitName::new(application, number));
        }
        session.finish()
    }

    /// Removes an application: its relations end, its units stop and go. With `force` hooks that fail are taken as done.
    ///
    /// # Errors
    /// When there is no such application, or a charm cannot be run.
    pub fn remove_application(&self, application: &str, force: bool) -> Result<Vec<HookRecord>, Error> {
        let mut session = self.begin()?;
        session.force = force;
        let gone = session.application_mut(application)?;
        gone.life = Life::Dying;
        let units: Vec<u32> = gone.units.keys().copied().collect();
        for number in units {
            session.let_die(&UnitName::new(application, number));
        }
        for relation in session.state.relations.values_mut().filter(|relation| !relation.is_peer()) {
            relation.dying |= relation.side(application).is_some();
        }
        session.finish()
    }

    /// Sets options to the values that the texts stand for and gives others their defaults again, all or none.
    ///
    /// # Errors
    /// When there is no such application or option, or a value is not of the option's type.
    pub fn reconfigure(
        &self,
        application: &str,
        config: &BTreeMap<String, String>,
        reset: &[String],
    ) -> Result<Vec<HookRecord>, Error> {
        let mut session = self.begin()?;
        let options = options_of(session.application(application)?);
        let settings = parse_settings(application, &options, config)?;
        for key in reset {
            known_option(application, &options, key)?;
        }
        let changed = session.application_mut(application)?;
        changed.settings.retain(|name, _| !reset.contains(name));
        changed.settings.extend(settings);
        session.finish()
    }

    /// Sets one option.
    ///
    /// # Errors
    /// As [`Model::reconfigure`].
    pub fn configure(&self, application: &str, key: &str, value: &str) -> Result<Vec<HookRecord>, Error> {
        self.reconfigure(application, &BTreeMap::from([(key.to_owned(), value.to_owned())]), &[])
    }

    /// Gives options their defaults again.
    ///
    /// # Errors
    /// As [`Model::reconfigure`].
    pub fn reset(&self, application: &str, keys: &[&str]) -> Result<Vec<HookRecord>, Error> {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        self.reconfigure(application, &BTreeMap::new(), &keys)
    }

    /// The options of an application.
    ///
    /// # Errors
    /// When there is no such application.
    pub fn options(&self, application: &str) -> Result<BTreeMap<String, ConfigOption>, Error> {
        let session = self.begin()?;
        Ok(options_of(session.application(application)?))
    }

    /// Gives the application rights over the whole cluster, or takes them away.
    ///
    /// # Errors
    /// When there is no such application, or the cluster refuses.
    pub fn trust(&self, application: &str, on: bool) -> Result<Vec<HookRecord>, Error> {
        let mut session = self.begin()?;
        if session.application(application)?.charm().is_some() {
            self.cloud.ensure_application(&session.workload(application, on))?;
        }
        session.application_mut(application)?.trust = on;
        session.finish()
    }

    /// Moves the application to the charm in that directory: the pods are replaced.
    ///
    /// # Errors
    /// When the new charm is another one, breaks a rule, or lacks an endpoint that is in use.
    pub fn refresh(&self, application: &str, charm: &Path) -> Result<Vec<HookRecord>, Error> {
        let new = Charm::read(charm).map_err(|source| Error::Charm { directory: charm.to_owned(), source })?;
        let mut session = self.begin()?;
        let running = session.application(application)?;
        let Some(old) = running.charm() else {
            let reason = "is played by the sandbox and has no charm to refresh";
            return Err(Error::WrongKind { application: application.to_owned(), reason });
        };
        if old.metadata.name != new.metadata.name {
            let (name, runs) = (new.metadata.name, old.metadata.name.clone());
            return Err(Error::OtherCharm { application: application.to_owned(), name, runs });
        }
        let broken = session.state.relations.values().find(|relation| {
            relation.side(application).is_some_and(|side| {
                let kept = new.endpoint(&side.endpoint);
                kept.is_none_or(|(role, endpoint)| role != side.role || endpoint.interface != relation.interface)
            })
        });
        if let Some(relation) = broken {
            let relation = super::super::context::key(relation);
            return Err(Error::BreaksRelation { application: application.to_owned(), relation });
        }
        let revision = running.revision() + 1;
        let directory = self.store.keep_charm(charm, application, revision)?;
        let running = session.application_mut(application)?;
        running.settings.retain(|name, _| new.options.contains_key(name));
        running.kind = ApplicationKind::Charm { charm: new, directory, revision };
        for unit in running.units.values_mut() {
            unit.seen.stop_due = unit.seen.installed;
        }
        let fresh: Vec<u32> =
            running.units.iter().filter(|(_, unit)| !unit.seen.installed).map(|(number, _)| *number).collect();
        for number in fresh {
            session.replace_charm(&UnitName::new(application, number))?;
        }
        session.finish()
    }

    /// Lets a unit lead, as when the lease of the leader before has run out.
    ///
    /// # Errors
    /// When there is no such unit, or a charm cannot be run.
    pub fn elect(&self, unit: &UnitName) -> Result<Vec<HookRecord>, Error> {
        let mut session = self.begin()?;
        session.unit(unit)?;
        let application = session.application_mut(&unit.application)?;
        let before = application.leader.replace(unit.number).filter(|number| *number != unit.number);
        if let Some(before) = before.and_then(|number| application.units.get_mut(&number)) {
            before.seen.leader = false;
            before.seen.leader_settings = false;
        }
        session.finish()
    }

    /// Replaces the pod of a unit without a word, as when its node dies: what the charm wrote to its directory is lost,
    /// and `upgrade-charm`, `config-changed`, `start` follow.
    ///
    /// # Errors
    /// When there is no such unit.
    pub fn replace_pod(&self, unit: &UnitName) -> Result<Vec<HookRecord>, Error> {
        let mut session = self.begin()?;
        session.unit(unit)?;
        session.replace_charm(unit)?;
        if let Some(unit) = session.state.unit_mut(unit) {
            unit.seen.upgrade_due = unit.seen.installed;
            unit.seen.started = false;
        }
        session.finish()
    }
}

impl Session<'_> {
    pub(super) fn check_new_application(&self, name: &str) -> Result<(), Error> {
        if !is_valid_name(name) {
            return Err(Error::InvalidName { what: "application", name: name.to_owned() });
        }
        if self.state.applications.contains_key(name) {
            return Err(Error::ApplicationExists(name.to_owned()));
        }
        Ok(())
    }

    /// The application as the cluster is told of it.
    fn workload<'w>(&'w self, application: &'w str, trust: bool) -> Workload<'w> {
        let ModelState { name: model, uuid: model_uuid, series, .. } = &self.state;
        Workload { model, model_uuid, application, version: series.version(), trust }
    }

    pub(super) fn add_application(&mut self, name: &str, application: Application, units: u32) -> Result<(), Error> {
        for (endpoint, role, spec) in application.metadata().clone().endpoints() {
            if role == Role::Peers {
                let id = self.state.next_relation;
                self.state.next_relation += 1;
                let sides = vec![Side::new(name, endpoint, role)];
                let relation = Relation { id, interface: spec.interface.clone(), sides, dying: false };
                self.state.relations.insert(id, relation);
            }
        }
        self.state.applications.insert(name.to_owned(), application);
        self.add_units(name, units)
    }

    fn add_units(&mut self, application: &str, count: u32) -> Result<(), Error> {
        for _ in 0..count {
            if let Some(unit) = self.state.add_unit(application) {
                self.replace_charm(&unit)?;
            }
        }
        Ok(())
    }
}

pub(super) fn new_application(kind: ApplicationKind) -> Application {
    Application {
        kind,
        settings: BTreeMap::new(),
        trust: false,
        units: BTreeMap::new(),
        leader: None,
        status: None,
        workload_version: String::new(),
        life: Life::Alive,
        replicas: 0,
    }
}

fn options_of(application: &Application) -> BTreeMap<String, ConfigOption> {
    match &application.kind {
        ApplicationKind::Charm { charm, .. } => charm.options.clone(),
        ApplicationKind::Simulated { behaviour, .. } => behaviour.options(),
    }
}

fn known_option<'o>(
    application: &str,
    options: &'o BTreeMap<String, ConfigOption>,
    name: &str,
) -> Result<&'o ConfigOption, Error> {
    options.get(name).ok_or_else(|| Error::UnknownOption {
        application: application.to_owned(),
        option: name.to_owned(),
        there: options.keys().cloned().collect(),
    })
}

fn parse_settings(
    application: &str,
    options: &BTreeMap<String, ConfigOption>,
    config: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, serde_json::Value>, Error> {
    let parse = |(name, text): (&String, &String)| {
        Ok((name.clone(), known_option(application, options, name)?.parse(name, text)?))
    };
    config.iter().map(parse).collect()
}
