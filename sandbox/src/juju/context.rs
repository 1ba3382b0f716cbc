//! What the tools of one hook or action read and write.
//!
//! Writes are kept back until the charm has exited with 0, except those that Juju passes on at once.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::environment::Execution;
use super::hook::{Hook, RelationEvent};
use super::log::{Level, Log};
use super::memory::Memory;
use super::names::UnitName;
use super::relation::{Relation, Whose};
use super::secret::{Grant, Owner, Secret, SecretDescription};
use super::state::{Application, Life, ModelState, Unit};
use super::status::Status;
use super::store::Store;

/// Most that `state-set` may keep in all, in bytes.
const STATE_LIMIT: usize = 2 * 1024 * 1024;

/// What the agent says of the controller where it does not reach it.
pub(super) const DISCONNECTED: &str = "connection is shut down";

/// An action as its tools see it.
#[derive(Clone, Debug, Default)]
pub struct ActionRun {
    /// What it was called with, defaults included.
    pub parameters: Map<String, Value>,
    /// What `action-set` said.
    pub results: Map<String, Value>,
    /// What `action-fail` said.
    pub failure: Option<String>,
    /// What `action-log` said, and when.
    pub messages: Vec<(Timestamp, String)>,
}

/// A change to a secret that waits for the end of the hook.
#[derive(Clone, Debug)]
pub(super) enum SecretChange {
    Add(Box<Secret>),
    Update { content: Option<BTreeMap<String, String>>, about: SecretDescription },
    Grant(Grant),
    Revoke { application: String },
    Remove { revision: Option<u32> },
}

#[derive(Default)]
struct Buffer {
    /// Settings by relation and whether they are the application's; an empty value deletes.
    settings: BTreeMap<(u32, bool), BTreeMap<String, String>>,
    state: Option<BTreeMap<String, String>>,
    ports: Option<BTreeSet<String>>,
    secrets: Vec<(String, SecretChange)>,
}

impl Buffer {
    fn is_empty(&self) -> bool {
        let Self { settings, state, ports, secrets } = self;
        settings.is_empty() && state.is_none() && ports.is_none() && secrets.is_empty()
    }
}

/// What others do to the model while a charm runs, each before the tool call of that number (from 1) is answered.
pub(super) type Meanwhile = BTreeMap<usize, Box<dyn FnOnce(&mut ModelState) + Send>>;

/// One run of a charm, from the side of its agent.
pub struct Context<'a> {
    /// The model, with what is effective at once already in it.
    pub(super) model: &'a mut ModelState,
    /// The unit whose charm runs.
    pub(super) unit: UnitName,
    /// The action, if it is one.
    pub(super) action: Option<ActionRun>,
    /// Told of each line that an action logs.
    pub(super) on_action_log: &'a dyn Fn(&str),
    /// What happens to the model meanwhile.
    pub(super) meanwhile: Meanwhile,
    execution: &'a Execution,
    application: Application,
    buffer: Buffer,
    memory: Memory,
    lease_lost: bool,
    store: &'a Store,
    log: &'a Log,
}

impl<'a> Context<'a> {
    /// The context of a run, or `None` when the model has no such unit.
    pub(super) fn new(
        model: &'a mut ModelState,
        unit: &UnitName,
        execution: &'a Execution,
        store: &'a Store,
        log: &'a Log,
        on_action_log: &'a dyn Fn(&str),
    ) -> Option<Self> {
        model.unit(unit)?;
        let application = model.applications.get(&unit.application)?.clone();
        let mut context = Self {
            model,
            unit: unit.clone(),
            action: None,
            on_action_log,
            meanwhile: Meanwhile::new(),
            execution,
            application,
            buffer: Buffer::default(),
            memory: Memory::default(),
            lease_lost: false,
            store,
            log,
        };
        let relations = context.model.relations.values().filter(|relation| context.is_in(relation));
        context.memory.relations = relations.map(|relation| (relation.id, !context.is_broken(relation))).collect();
        Some(context)
    }

    /// Lets happen what is to happen before that tool call.
    pub(super) fn go_on(&mut self, call: usize) {
        if let Some(change) = self.meanwhile.remove(&call) {
            change(self.model);
        }
    }

    pub(super) fn execution(&self) -> &'a Execution {
        self.execution
    }

    /// The unit's own application.
    pub(super) fn application(&self) -> &Application {
        self.model.applications.get(&self.unit.application).unwrap_or(&self.application)
    }

    /// The unit itself, which is there for as long as its charm runs.
    pub(super) fn own_unit(&self) -> &Unit {
        self.model.unit(&self.unit).unwrap_or(&self.application.units[&self.unit.number])
    }

    /// Whether the unit leads, as its tools say.
    pub(super) fn is_leader(&self) -> bool {
        let does_not_lead = &self.memory.does_not_lead;
        does_not_lead.set(does_not_lead.get() || !self.leads());
        !does_not_lead.get()
    }

    /// Whether the unit leads, as the controller knows it.
    fn leads(&self) -> bool {
        self.model.is_leader(&self.unit) && !self.lease_lost
    }

    /// The configuration as of the first time that this run has asked.
    pub(super) fn settings(&mut self) -> BTreeMap<String, Value> {
        let now = self.application().effective_settings();
        self.memory.settings.get_or_insert(now).clone()
    }

    /// Takes the lead away for the rest of the run, as when the lease ran out.
    pub(super) fn lose_lease(&mut self) {
        self.lease_lost = true;
        if let Some(unit) = self.model.unit_mut(&self.unit) {
            unit.seen.deposed = true;
        }
    }

    pub(super) fn hook_relation(&self) -> Option<u32> {
        self.execution.hook().and_then(Hook::relation)
    }

    pub(super) fn hook_endpoint(&self) -> Option<&str> {
        match self.execution.hook() {
            Some(Hook::Relation { endpoint, .. }) => Some(endpoint),
            _ => None,
        }
    }

    /// The remote application and unit that the hook is about.
    pub(super) fn hook_remote(&self) -> Option<(String, Option<UnitName>)> {
        match self.execution.hook() {
            Some(Hook::Relation { remote_application, remote_unit, .. }) => {
                Some((remote_application.clone(), remote_unit.clone()))
            }
            _ => None,
        }
    }

    pub(super) fn endpoint_of(&self, id: u32) -> Option<&str> {
        Some(self.model.relations.get(&id)?.side(&self.unit.application)?.endpoint.as_str())
    }

    /// Whether `-r` may name that relation.
    pub(super) fn sees_relation(&self, id: u32) -> bool {
        self.memory.relations.contains_key(&id)
    }

    /// Whether the unit's agent has entered the relation and not left it. It enters all that there are after `install`, before
    /// the first `-relation-created`; it leaves with `-relation-broken`, and a unit that goes does not come back.
    fn is_in(&self, relation: &Relation) -> bool {
        let Unit { life, seen, .. } = self.own_unit();
        let enters = *life == Life::Alive && !relation.dying;
        relation.side(&self.unit.application).is_some()
            && seen.installed
            && (enters || seen.relations.contains_key(&relation.id))
    }

    /// Whether `relation-ids` names the relation: not one that is removed and has no remote units any more. One that ends
    /// only for this unit, as the unit goes, is named to its `-relation-broken`, and not after it.
    pub(super) fn lists_relation(&self, id: u32) -> bool {
        self.memory.relations.get(&id).is_some_and(|is_listed| *is_listed)
    }

    fn is_broken(&self, relation: &Relation) -> bool {
        relation.dying && !relation.is_peer() && self.members(relation).is_empty()
    }

    /// Whether the unit's agent reaches the controller: not that of a dead unit.
    pub(super) fn is_connected(&self) -> bool {
        self.own_unit().life != Life::Dead
    }

    /// The remote units that joined as far as this unit was told, with the one that just joins and without the one that
    /// just departs.
    pub(super) fn members(&self, relation: &Relation) -> Vec<UnitName> {
        let seen = self.own_unit().seen.relations.get(&relation.id);
        let mut members: BTreeSet<UnitName> = seen.into_iter().flat_map(|seen| seen.members.keys().cloned()).collect();
        if let Some(Hook::Relation { event, relation: id, remote_unit: Some(unit), .. }) = self.execution.hook()
            && *id == relation.id
        {
            match event {
                RelationEvent::Joined => {
                    members.insert(unit.clone());
                }
                RelationEvent::Departed => {
                    members.remove(unit);
                }
                _ => {}
            }
        }
        members.into_iter().collect()
    }

    /// Settings in a relation as of the first time that this run has asked, with what it has written to its own since.
    ///
    /// # Errors
    /// The tool's own words.
    pub(super) fn read_settings(&mut self, id: u32, whose: &Whose) -> Result<BTreeMap<String, String>, String> {
        let now = self.stored_settings(id, whose)?;
        let mut settings = self.memory.databags.entry((id, whose.clone())).or_insert(now).clone();
        let own = match whose {
            Whose::Application(name) => *name == self.unit.application,
            Whose::Unit(unit) => *unit == self.unit,
        };
        if own && let Some(written) = self.buffer.settings.get(&(id, matches!(whose, Whose::Application(_)))) {
            for (key, value) in written {
                if value.is_empty() {
                    settings.remove(key);
                } else {
                    settings.insert(key.clone(), value.clone());
                }
            }
        }
        Ok(settings)
    }

    /// Settings in a relation, as the controller gives them to this unit.
    fn stored_settings(&self, id: u32, whose: &Whose) -> Result<BTreeMap<String, String>, String> {
        let denied = || "permission denied".to_owned();
        let relation = self.model.relations.get(&id).ok_or("relation not found")?;
        match whose {
            Whose::Application(name) => {
                let side = relation.side(name).ok_or_else(denied)?;
                if *name == self.unit.application && !self.is_leader() && !relation.is_peer() {
                    return Err(denied());
                }
                Ok(side.bag.data.clone())
            }
            Whose::Unit(unit) => {
                relation.side(&unit.application).ok_or_else(denied)?;
                if unit.application == self.unit.application && *unit != self.unit && !relation.is_peer() {
                    return Err(denied());
                }
                let bag = relation.unit_bag(unit).ok_or_else(|| {
                    let name = unit.to_string();
                    format!(
                        "cannot read settings for unit {name:?} in relation {:?}: unit {name:?}: settings not found",
                        key(relation)
                    )
                })?;
                Ok(bag.data.clone())
            }
        }
    }

    pub(super) fn write_settings(&mut self, id: u32, application: bool, settings: &mut BTreeMap<String, String>) {
        self.buffer.settings.entry((id, application)).or_default().append(settings);
    }

    pub(super) fn charm_state(&self) -> BTreeMap<String, String> {
        self.buffer.state.clone().unwrap_or_else(|| self.own_unit().charm_state.clone())
    }

    pub(super) fn charm_state_mut(&mut self) -> &mut BTreeMap<String, String> {
        let kept = self.own_unit().charm_state.clone();
        self.buffer.state.get_or_insert(kept)
    }

    pub(super) fn ports_mut(&mut self) -> &mut BTreeSet<String> {
        let kept = self.own_unit().ports.clone();
        self.buffer.ports.get_or_insert(kept)
    }

    /// Whether this unit may manage what the owner owns.
    pub(super) fn owns(&self, owner: &Owner) -> bool {
        match owner {
            Owner::Application(application) => *application == self.unit.application && self.leads(),
            Owner::Unit(unit) => *unit == self.unit,
            Owner::User => false,
        }
    }

    /// The model's secrets, with what this run has added, said of them and removed. Their revisions stay those that the
    /// controller has.
    pub(super) fn secrets(&self) -> BTreeMap<String, Secret> {
        let mut secrets = self.model.secrets.clone();
        for (id, change) in &self.buffer.secrets {
            match (change, secrets.get_mut(id)) {
                (SecretChange::Add(secret), _) => {
                    secrets.insert(id.clone(), (**secret).clone());
                }
                (SecretChange::Update { content: _, about }, Some(secret)) => secret.describe(about),
                (SecretChange::Remove { .. }, _) => {
                    secrets.remove(id);
                }
                _ => {}
            }
        }
        secrets
    }

    /// The content that this run gives a secret that exists.
    pub(super) fn updated_secret(&self, id: &str) -> Option<BTreeMap<String, String>> {
        self.buffer.secrets.iter().rev().find_map(|(each, change)| match change {
            SecretChange::Update { content, .. } if each == id => content.clone(),
            _ => None,
        })
    }

    /// The content of a secret that this run has added.
    pub(super) fn added_secret(&self, id: &str) -> Option<BTreeMap<String, String>> {
        self.buffer.secrets.iter().find_map(|(each, change)| match change {
            SecretChange::Add(secret) if each == id => secret.revisions.values().next().cloned(),
            _ => None,
        })
    }

    pub(super) fn change_secret(&mut self, id: &str, change: SecretChange) {
        self.buffer.secrets.push((id.to_owned(), change));
    }

    /// Notes what the unit has read of a secret, at once. The manager of a secret is no consumer of it.
    pub(super) fn consume(&mut self, id: &str, pinned: u32, latest: u32, label: Option<&str>) {
        let unit = self.unit.clone();
        let Some(owner) = self.model.secrets.get(id).map(|secret| secret.owner.clone()) else { return };
        if self.owns(&owner) {
            return;
        }
        if let Some(secret) = self.model.secrets.get_mut(id) {
            let consumer = secret.consumers.entry(unit).or_default();
            consumer.pinned = pinned;
            // Who reads the newest revision knows of it.
            if pinned == latest {
                consumer.notified = latest;
            }
            if let Some(label) = label {
                label.clone_into(&mut consumer.label);
            }
            consumer.notified = consumer.notified.max(pinned);
        }
        self.save();
    }

    /// The unit's status as of the first time that this run has asked.
    pub(super) fn unit_status(&mut self) -> Status {
        let now = self.own_unit().status.clone();
        self.memory.status.get_or_insert(now).clone()
    }

    pub(super) fn set_unit_status(&mut self, status: Status) {
        if let Some(unit) = self.model.unit_mut(&self.unit) {
            unit.status = status;
            unit.status_set_by_charm = true;
        }
        self.save();
    }

    pub(super) fn set_application_status(&mut self, status: Status) {
        if let Some(application) = self.model.applications.get_mut(&self.unit.application) {
            application.status = Some(status);
        }
        self.save();
    }

    pub(super) fn set_workload_version(&mut self, version: &str) {
        if let Some(application) = self.model.applications.get_mut(&self.unit.application) {
            version.clone_into(&mut application.workload_version);
        }
        self.save();
    }

    /// Saves what is effective at once. That this fails shows when the hook's end is saved.
    fn save(&self) {
        let _ = self.store.save(self.model);
    }

    pub(super) fn log(&self, level: Level, message: &str) {
        self.log.write(&self.unit.tag(), level, &format!("unit.{}.juju-log", self.unit), message);
    }

    /// Logs for the charm; in relation hooks Juju says which relation.
    pub(super) fn juju_log(&self, level: Level, message: &str) {
        match (self.hook_endpoint(), self.hook_relation()) {
            (Some(endpoint), Some(id)) => self.log(level, &format!("{endpoint}:{id}: {message}")),
            _ => self.log(level, message),
        }
    }

    pub(super) fn action_log(&mut self, message: &str) {
        if let Some(action) = &mut self.action {
            action.messages.push((Timestamp::now(), message.to_owned()));
        }
        (self.on_action_log)(message);
    }

    /// Makes everything that was kept back true, or nothing of it.
    ///
    /// # Errors
    /// Why the controller refuses, in its words.
    pub(super) fn commit(&mut self) -> Result<(), String> {
        let buffer = std::mem::take(&mut self.buffer);
        if buffer.is_empty() {
            return Ok(());
        }
        if !self.is_connected() {
            return Err(DISCONNECTED.to_owned());
        }
        let mut model = self.model.clone();
        for ((id, application), settings) in &buffer.settings {
            if *application && !self.leads() {
                let (unit, lease) = (self.unit.to_string(), &self.unit.application);
                return Err(format!("prerequisites failed: {unit:?} is not leader of {lease:?}"));
            }
            let Some(side) = model.relations.get_mut(id).and_then(|relation| relation.side_mut(&self.unit.application))
            else {
                continue;
            };
            if *application {
                side.bag.apply(settings);
            } else if let Some(participant) = side.units.get_mut(&self.unit.number) {
                participant.bag.apply(settings);
            }
        }
        if let Some(unit) = model.unit_mut(&self.unit) {
            if let Some(state) = buffer.state {
                let size: usize = state.iter().map(|(key, value)| key.len() + value.len()).sum();
                if size > STATE_LIMIT {
                    return Err(format!("max allowed size ({STATE_LIMIT}) exceeded for charm state"));
                }
                unit.charm_state = state;
            }
            if let Some(ports) = buffer.ports {
                unit.ports = ports;
            }
        }
        for (id, change) in buffer.secrets {
            self.change(&mut model, &id, change)?;
        }
        *self.model = model;
        Ok(())
    }

    fn change(&self, model: &mut ModelState, id: &str, change: SecretChange) -> Result<(), String> {
        if let SecretChange::Add(secret) = change {
            if !self.owns(&secret.owner) {
                return Err("this unit is not the leader".to_owned());
            }
            model.secrets.insert(id.to_owned(), *secret);
            return Ok(());
        }
        let secret = model.secrets.get_mut(id).ok_or_else(|| format!("secret {id:?} not found"))?;
        if !self.owns(&secret.owner) {
            return Err("permission denied".to_owned());
        }
        match change {
            SecretChange::Add(_) => {}
            SecretChange::Update { content, about } => {
                if let Some(content) = content {
                    secret.update(content);
                }
                secret.describe(&about);
            }
            SecretChange::Grant(grant) => {
                if !secret.grants.contains(&grant) {
                    secret.grants.push(grant);
                }
            }
            SecretChange::Revoke { application } => secret.grants.retain(|grant| grant.application != application),
            SecretChange::Remove { revision: Some(revision) } if secret.revisions.len() > 1 => {
                secret.revisions.remove(&revision);
            }
            SecretChange::Remove { .. } => {
                model.secrets.remove(id);
            }
        }
        Ok(())
    }
}

/// A relation's name in Juju's messages: `velero-operator:s3-credentials s3-integrator:s3-credentials`.
pub(super) fn key(relation: &Relation) -> String {
    let sides: Vec<String> =
        relation.sides.iter().map(|side| format!("{}:{}", side.application, side.endpoint)).collect();
    sides.join(" ")
}
