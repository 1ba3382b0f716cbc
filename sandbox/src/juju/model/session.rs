//! One verb at work: it holds the model's lock, runs the hooks that are due and saves after each.

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::agent::{Agent, HookRecord};
use super::super::context::{ActionRun, Context};
use super::super::environment::Execution;
use super::super::error::Error;
use super::super::hook::{Hook, RelationEvent};
use super::super::interruption::Interruption;
use super::super::log::Log;
use super::super::names::UnitName;
use super::super::reactions::react;
use super::super::resolver::{next_hook, note};
use super::super::state::{Application, ApplicationKind, Life, ModelState, Unit};
use super::super::status::{Status, StatusValue};
use super::{Model, Progress};

/// More hooks than this in one verb are taken for an endless loop, and this many more for each relation, all of which may end.
const HOOK_LIMIT: usize = 500;
const HOOKS_OF_RELATION: usize = 10;

pub(super) struct Session<'m> {
    pub(super) model: &'m Model,
    pub(super) state: ModelState,
    pub(super) log: Log,
    pub(super) records: Vec<HookRecord>,
    /// How many hooks may run.
    limit: usize,
    /// Takes failed hooks as done.
    pub(super) force: bool,
    retried: BTreeSet<UnitName>,
    interruption: Arc<Interruption>,
    _lock: File,
}

impl Model {
    pub(super) fn begin(&self) -> Result<Session<'_>, Error> {
        self.store.create()?;
        let lock = self.store.lock(|| (self.progress)(&Progress::Waiting))?;
        let state = self.state()?;
        let path = self.store.log_path();
        let log = Log::open(&path).map_err(|source| Error::Log { path, source })?;
        let limit = HOOK_LIMIT + HOOKS_OF_RELATION * state.relations.len();
        Ok(Session {
            model: self,
            state,
            log,
            records: Vec::new(),
            limit,
            force: false,
            retried: BTreeSet::new(),
            interruption: self.at_work(),
            _lock: lock,
        })
    }
}

impl Session<'_> {
    pub(super) fn save(&self) -> Result<(), Error> {
        Ok(self.model.store.save(&self.state)?)
    }

    /// Runs everything that is due and hands over what ran.
    pub(super) fn finish(mut self) -> Result<Vec<HookRecord>, Error> {
        self.settle()?;
        Ok(self.records)
    }

    pub(super) fn application(&self, name: &str) -> Result<&Application, Error> {
        self.state.applications.get(name).ok_or_else(|| self.no_application(name))
    }

    pub(super) fn application_mut(&mut self, name: &str) -> Result<&mut Application, Error> {
        if !self.state.applications.contains_key(name) {
            return Err(self.no_application(name));
        }
        let missing = self.no_application(name);
        self.state.applications.get_mut(name).ok_or(missing)
    }

    fn no_application(&self, name: &str) -> Error {
        Error::ApplicationNotFound {
            application: name.to_owned(),
            model: self.state.name.clone(),
            there: self.state.applications.keys().cloned().collect(),
        }
    }

    pub(super) fn unit(&self, name: &UnitName) -> Result<&Unit, Error> {
        let application = self.application(&name.application)?;
        application.units.get(&name.number).ok_or_else(|| Error::UnitNotFound {
            unit: name.to_string(),
            application: name.application.clone(),
            there: application.units.keys().map(|number| format!("{}/{number}", name.application)).collect(),
        })
    }

    /// The units that have a charm process, in order.
    pub(super) fn charm_units(&self) -> Vec<UnitName> {
        self.state
            .applications
            .iter()
            .filter(|(_, application)| application.charm().is_some())
            .flat_map(|(name, application)| application.units.keys().map(|number| UnitName::new(name, *number)))
            .collect()
    }

    /// Runs hooks until none is due.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        loop {
            self.keep_house()?;
            self.save()?;
            if self.interruption.is_asked() {
                return Err(Error::Interrupted);
            }
            let Some((unit, hook)) = self.next() else { return Ok(()) };
            if self.records.len() >= self.limit {
                return Err(Error::Unsettled { hooks: self.records.len(), last: format!("{} on {unit}", hook.name()) });
            }
            self.run_hook(&unit, &hook)?;
        }
    }

    fn next(&mut self) -> Option<(UnitName, Hook)> {
        for unit in self.charm_units() {
            let failed = self.state.unit(&unit).and_then(|unit| unit.seen.failed.clone());
            let retry = self.state.automatically_retry_hooks && !self.retried.contains(&unit);
            match failed {
                // A pod that ends does not wait for the next verb.
                Some(hook)
                    if retry || self.force || self.state.unit(&unit).is_some_and(|unit| unit.grace_used.is_some()) =>
                {
                    self.retried.insert(unit.clone());
                    return Some((unit, hook));
                }
                Some(_) => {}
                None => {
                    if let Some(hook) = next_hook(&self.state, &unit) {
                        return Some((unit, hook));
                    }
                }
            }
        }
        None
    }

    /// Does what Juju's controller does between hooks: elects leaders, lets the played applications react, forgets what
    /// has ended.
    fn keep_house(&mut self) -> Result<(), Error> {
        let played: Vec<String> = self
            .state
            .applications
            .iter()
            .filter(|(_, application)| application.charm().is_none())
            .map(|(name, _)| name.clone())
            .collect();
        for name in &played {
            self.join_played(name);
        }
        self.state.elect_leaders();
        for name in &played {
            react(&mut self.state, name);
        }
        self.forget_units()?;
        self.state.elect_leaders();
        self.scale()?;
        self.forget_relations();
        self.forget_applications()
    }

    /// The units of a played application are in its relations at once, and out of those that end.
    fn join_played(&mut self, name: &str) {
        let Some(application) = self.state.applications.get(name) else { return };
        let going = application.life == Life::Dying;
        let units: Vec<(UnitName, String, bool)> = application
            .units
            .iter()
            .map(|(number, unit)| {
                (UnitName::new(name, *number), unit.address.clone(), unit.life != Life::Alive || going)
            })
            .collect();
        for relation in self.state.relations.values_mut().filter(|relation| relation.side(name).is_some()) {
            for (unit, address, leaves) in &units {
                if *leaves || relation.dying {
                    relation.leave(unit);
                } else if relation.unit_bag(unit).is_none() {
                    relation.enter(unit, address);
                }
            }
        }
    }

    fn forget_units(&mut self) -> Result<(), Error> {
        let mut gone = Vec::new();
        for (name, application) in &self.state.applications {
            for (number, unit) in &application.units {
                let untouched = !unit.seen.installed && unit.seen.failed.is_none();
                let dead = unit.life == Life::Dead && (unit.seen.stopped || !unit.seen.started);
                let ended = unit.seen.removed || untouched || dead || application.charm().is_none();
                if unit.life != Life::Alive && ended {
                    gone.push(UnitName::new(name, *number));
                }
            }
        }
        for unit in gone {
            for relation in self.state.relations.values_mut() {
                relation.leave(&unit);
            }
            for secret in self.state.secrets.values_mut() {
                secret.consumers.remove(&unit);
            }
            if let Some(application) = self.state.applications.get_mut(&unit.application) {
                application.units.remove(&unit.number);
            }
            self.model.store.forget_unit(&unit)?;
        }
        Ok(())
    }

    fn forget_relations(&mut self) {
        let told = |id: &u32, state: &ModelState| {
            state
                .applications
                .values()
                .any(|application| application.units.values().any(|unit| unit.seen.relations.contains_key(id)))
        };
        let ended: Vec<u32> = self
            .state
            .relations
            .iter()
            .filter(|(id, relation)| relation.dying && relation.is_empty() && !told(id, &self.state))
            .map(|(id, _)| *id)
            .collect();
        for id in ended {
            self.state.relations.remove(&id);
            for secret in self.state.secrets.values_mut() {
                secret.grants.retain(|grant| grant.relation != Some(id));
            }
        }
    }

    fn forget_applications(&mut self) -> Result<(), Error> {
        let ended: Vec<String> = self
            .state
            .applications
            .iter()
            .filter(|(name, application)| {
                let related =
                    self.state.relations.values().any(|relation| !relation.is_peer() && relation.side(name).is_some());
                application.life == Life::Dying && application.units.is_empty() && !related
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in ended {
            let application = self.application(&name)?;
            if application.charm().is_some() {
                let revision = application.revision();
                self.model.cloud.remove_application(&self.state.name, &name)?;
                self.model.store.forget_charms(&name, revision)?;
            }
            self.state.relations.retain(|_, relation| !(relation.is_peer() && relation.side(&name).is_some()));
            self.state.secrets.retain(|_, secret| secret.owner.application() != Some(name.as_str()));
            self.state.applications.remove(&name);
        }
        Ok(())
    }

    pub(super) fn retry(&mut self, unit: &UnitName) -> Result<(), Error> {
        self.retried.insert(unit.clone());
        match self.unit(unit)?.seen.failed.clone() {
            Some(hook) => self.run_hook(unit, &hook),
            None => Ok(()),
        }
    }

    /// Takes a failed hook as done.
    pub(super) fn skip(&mut self, name: &UnitName, hook: &Hook) -> Result<(), Error> {
        let before = self.state.clone();
        note(&mut self.state, &before, name, hook);
        if let Some(unit) = self.state.unit_mut(name) {
            unit.seen.failed = None;
        }
        self.after(name, hook)
    }

    pub(super) fn run_unless_failed(&mut self, unit: &UnitName, hook: &Hook) -> Result<(), Error> {
        if self.unit(unit)?.seen.failed.is_some() {
            return Ok(());
        }
        self.run_hook(unit, hook)
    }

    fn run_hook(&mut self, name: &UnitName, hook: &Hook) -> Result<(), Error> {
        self.prepare(name, hook)?;
        let before = self.state.clone();
        let execution = Execution::Hook(hook.clone());
        let (limit, begun) = (self.time_left(name, hook), Instant::now());
        let (record, _) = self.run(name, &execution, None, limit)?;
        let took = begun.elapsed();
        // A pod that has had its time is replaced, whatever its `stop` had left to do.
        let replaced = *hook == Hook::Stop && before.unit(name).is_some_and(|unit| unit.seen.stop_due);
        let done = record.success() || replaced && limit.is_some_and(|limit| took >= limit);
        if done {
            note(&mut self.state, &before, name, hook);
        }
        if let Some(unit) = self.state.unit_mut(name) {
            unit.seen.failed = (!done).then(|| hook.clone());
            // Whoever leads again is told so.
            unit.seen.leader &= !std::mem::take(&mut unit.seen.deposed);
        }
        let gone = self.use_time(&record, took);
        let failed = !done && !gone;
        if done {
            self.after(name, hook)?;
        }
        self.told(record)?;
        if failed && self.force {
            self.skip(name, hook)?;
        }
        Ok(())
    }

    pub(super) fn told(&mut self, record: HookRecord) -> Result<(), Error> {
        self.tell(&record)?;
        self.records.push(record);
        self.save()
    }

    /// Tells whoever listens that a hook or action has ended, and keeps its record.
    pub(super) fn tell(&self, record: &HookRecord) -> Result<(), Error> {
        let status = self
            .state
            .unit(&record.unit)
            .map_or_else(|| Status::now(StatusValue::Terminated, ""), super::status::shown_status);
        self.model.store.append("hooks.jsonl", record)?;
        (self.model.progress)(&Progress::Ended { record, status: &status });
        Ok(())
    }

    /// What Juju does before a hook.
    fn prepare(&mut self, name: &UnitName, hook: &Hook) -> Result<(), Error> {
        if let Hook::Relation { event: RelationEvent::Created, relation, .. } = hook {
            let address = self.unit(name)?.address.clone();
            if let Some(relation) = self.state.relations.get_mut(relation) {
                relation.enter(name, &address);
            }
            if let Some(unit) = self.state.unit_mut(name) {
                unit.seen.relations.entry(hook.relation().unwrap_or_default()).or_default();
            }
        }
        let message = match hook {
            Hook::Install => "installing charm software",
            Hook::Stop => "stopping charm software",
            Hook::Remove => "cleaning up prior to charm deletion",
            _ => return Ok(()),
        };
        // Of a dead unit the controller hears nothing more.
        if let Some(unit) = self.state.unit_mut(name).filter(|unit| unit.life != Life::Dead) {
            unit.status = Status::now(StatusValue::Maintenance, message);
        }
        Ok(())
    }

    /// What Juju does after a hook that succeeded.
    fn after(&mut self, name: &UnitName, hook: &Hook) -> Result<(), Error> {
        let Some(unit) = self.state.unit_mut(name) else { return Ok(()) };
        if *hook == Hook::Start && !unit.status_set_by_charm {
            unit.status = Status::now(StatusValue::Unknown, "");
        }
        if *hook == Hook::Stop && unit.seen.upgrade_due {
            self.replace_charm(name)?;
        }
        Ok(())
    }

    /// Gives the unit its application's charm anew, as a new pod does.
    pub(super) fn replace_charm(&self, name: &UnitName) -> Result<(), Error> {
        if let ApplicationKind::Charm { directory, .. } = &self.application(&name.application)?.kind {
            self.model.store.unpack_charm(directory, name)?;
        }
        Ok(())
    }

    /// Runs the charm once for a hook or an action.
    pub(super) fn run(
        &mut self,
        name: &UnitName,
        execution: &Execution,
        action: Option<ActionRun>,
        limit: Option<Duration>,
    ) -> Result<(HookRecord, Option<ActionRun>), Error> {
        let cannot = |source| Error::Run { what: execution.name(), unit: name.clone(), source };
        self.model.take_commands(name).map_err(cannot)?;
        (self.model.progress)(&Progress::Started { unit: name, execution });
        if let Some(unit) = self.state.unit_mut(name) {
            unit.executing = Some(execution.name());
        }
        self.save()?;
        let agent = Agent {
            program: &self.model.program,
            store: &self.model.store,
            log: &self.log,
            cloud: self.model.cloud.as_ref(),
            authority: self.model.authority.as_deref(),
            limit: limit.map_or(self.model.run_limit, |limit| limit.min(self.model.run_limit)),
            interruption: &self.interruption,
            boundary: self.model.boundary.as_deref(),
        };
        let on_log = |message: &str| (self.model.progress)(&Progress::ActionLog { message });
        let Some(mut context) = Context::new(&mut self.state, name, execution, &self.model.store, &self.log, &on_log)
        else {
            return Err(self.unit(name).err().unwrap_or_else(|| self.no_application(&name.application)));
        };
        context.action = action;
        context.meanwhile = self.model.take_meanwhile();
        let record = agent.run(&mut context, self.model.take_disturbance());
        let action = context.action.take();
        let record = record.map_err(cannot);
        if let Some(unit) = self.state.unit_mut(name) {
            unit.executing = None;
        }
        self.save()?;
        Ok((record?, action))
    }
}
