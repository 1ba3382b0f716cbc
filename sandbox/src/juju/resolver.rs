//! Which hook comes next: the difference between what is the case and what the charm was told.
//!
//! Nothing is queued. A verb that is killed half-way leaves nothing wrong behind, since the next one finds the same
//! difference again.

use super::hook::{Hook, RelationEvent};
use super::names::UnitName;
use super::relation::Relation;
use super::state::{Application, Life, ModelState, Seen, SeenRelation, Unit};

/// The next hook of the unit, if any is due. A unit whose hook failed has none until that is resolved.
#[must_use]
pub fn next_hook(model: &ModelState, name: &UnitName) -> Option<Hook> {
    let application = model.applications.get(&name.application)?;
    let unit = application.units.get(&name.number)?;
    if unit.seen.failed.is_some() || unit.seen.removed {
        return None;
    }
    match unit.life {
        Life::Alive => next_of_alive(model, name, application, unit),
        Life::Dying => next_of_dying(model, name, unit),
        Life::Dead => (unit.seen.started && !unit.seen.stopped).then_some(Hook::Stop),
    }
}

fn next_of_alive(model: &ModelState, name: &UnitName, application: &Application, unit: &Unit) -> Option<Hook> {
    let seen = &unit.seen;
    if seen.stop_due {
        return Some(Hook::Stop);
    }
    if !seen.installed {
        return Some(Hook::Install);
    }
    let relations = || model.relations.values().filter(|relation| relation.side(&name.application).is_some());
    let created = |relation: &Relation| seen.relations.get(&relation.id).is_some_and(|seen| seen.created);
    if let Some(relation) = relations().find(|relation| !relation.dying && !created(relation)) {
        return relation_hook(relation, name, RelationEvent::Created, None);
    }
    let leads = application.leader == Some(name.number);
    if leads && !seen.leader {
        return Some(Hook::LeaderElected);
    }
    if !leads && !seen.leader_settings && model.series.has_leader_settings() {
        return Some(Hook::LeaderSettingsChanged);
    }
    if seen.started
        && let Some((id, consumer)) = model.changed_secret(name)
    {
        return Some(Hook::SecretChanged { id: id.to_owned(), label: consumer.label.clone() });
    }
    if seen.upgrade_due {
        return Some(Hook::UpgradeCharm);
    }
    if seen.config.as_ref() != Some(&application.config_hash(unit)) {
        return Some(Hook::ConfigChanged);
    }
    if !seen.started {
        return Some(Hook::Start);
    }
    relations().find_map(|relation| {
        let seen = seen.relations.get(&relation.id)?;
        next_of_relation(relation, seen, name, relation.dying)
    })
}

fn next_of_dying(model: &ModelState, name: &UnitName, unit: &Unit) -> Option<Hook> {
    let Seen { installed, started, stopped, relations, .. } = &unit.seen;
    if !installed {
        return None;
    }
    let left = relations.values().map(|seen| 1 + seen.members.len()).sum();
    let in_relations =
        model.ending_order.arrange(relations.keys().copied().collect(), left).into_iter().find_map(|id| {
            let relation = model.relations.get(&id)?;
            next_of_relation(relation, relations.get(&id)?, name, true)
        });
    in_relations.or(Some(if *started && !stopped { Hook::Stop } else { Hook::Remove }))
}

/// Departs, then broken, then the application's data, then joins (each with the `-changed` that follows), then the
/// units' data.
fn next_of_relation(relation: &Relation, seen: &SeenRelation, name: &UnitName, ending: bool) -> Option<Hook> {
    let present = relation.remote_units(name);
    let due = |(member, version): (&UnitName, &Option<u64>)| version.is_none().then(|| member.clone());
    // What follows a joining comes also where everything ends meanwhile.
    if let Some(joined) = seen.members.iter().find_map(due) {
        return relation_hook(relation, name, RelationEvent::Changed, Some(joined));
    }
    if let Some(gone) = seen.members.keys().find(|member| ending || !present.contains(member)) {
        return relation_hook(relation, name, RelationEvent::Departed, Some(gone.clone()));
    }
    if ending {
        // Peers depart, but nothing breaks among them.
        return (seen.created && !relation.is_peer())
            .then(|| relation_hook(relation, name, RelationEvent::Broken, None))
            .flatten();
    }
    if relation.remote(&name.application)?.bag.version > seen.application_version {
        return relation_hook(relation, name, RelationEvent::Changed, None);
    }
    if let Some(new) = present.iter().find(|unit| !seen.members.contains_key(unit)) {
        return relation_hook(relation, name, RelationEvent::Joined, Some(new.clone()));
    }
    let changed = present.into_iter().find(|unit| {
        let told = seen.members.get(unit).copied().flatten();
        told < relation.unit_bag(unit).map(|bag| bag.version)
    })?;
    relation_hook(relation, name, RelationEvent::Changed, Some(changed))
}

fn relation_hook(relation: &Relation, name: &UnitName, event: RelationEvent, about: Option<UnitName>) -> Option<Hook> {
    let remote = relation.remote(&name.application)?;
    Some(Hook::Relation {
        event,
        relation: relation.id,
        endpoint: relation.side(&name.application)?.endpoint.clone(),
        remote_application: remote.application.clone(),
        departing: about.clone().filter(|_| event == RelationEvent::Departed),
        remote_unit: about,
    })
}

/// Notes that the charm was told of what the hook is about: it succeeded, or a person chose to skip it.
///
/// `before` is the model as the hook saw it; what changed while it ran is still to be told.
pub fn note(model: &mut ModelState, before: &ModelState, name: &UnitName, hook: &Hook) {
    let Some(config) = before
        .applications
        .get(&name.application)
        .and_then(|application| application.units.get(&name.number).map(|unit| application.config_hash(unit)))
    else {
        return;
    };
    let leads = before.is_leader(name);
    let Some(unit) = model.unit_mut(name) else { return };
    let dying = unit.life != Life::Alive;
    let seen = &mut unit.seen;
    match hook {
        Hook::Install => seen.installed = true,
        Hook::LeaderElected => seen.leader = leads,
        Hook::LeaderSettingsChanged => seen.leader_settings = true,
        Hook::ConfigChanged => seen.config = Some(config),
        Hook::Start => seen.started = true,
        Hook::Stop if dying => seen.stopped = true,
        Hook::Stop => {
            seen.started = false;
            seen.upgrade_due |= std::mem::take(&mut seen.stop_due);
        }
        Hook::Remove => seen.removed = dying,
        // After every upgrade the configuration is told once more.
        Hook::UpgradeCharm => {
            seen.upgrade_due = false;
            seen.config = None;
        }
        Hook::Relation { event, relation, remote_unit, .. } => {
            note_relation(model, before, name, *relation, *event, remote_unit.as_ref());
        }
        Hook::SecretChanged { id, .. } => {
            let latest = before.secrets.get(id).map_or(0, super::secret::Secret::latest);
            if let Some(consumer) = model.secrets.get_mut(id).and_then(|secret| secret.consumers.get_mut(name)) {
                consumer.notified = latest;
            }
        }
        Hook::UpdateStatus | Hook::Other(_) => {}
    }
}

fn note_relation(
    model: &mut ModelState,
    before: &ModelState,
    name: &UnitName,
    id: u32,
    event: RelationEvent,
    about: Option<&UnitName>,
) {
    let Some(relation) = before.relations.get(&id) else { return };
    let application_version = relation.remote(&name.application).map_or(0, |remote| remote.bag.version);
    let unit_version = about.and_then(|unit| relation.unit_bag(unit)).map(|bag| bag.version);
    if event == RelationEvent::Broken {
        if let Some(unit) = model.unit_mut(name) {
            unit.seen.relations.remove(&id);
        }
        if let Some(relation) = model.relations.get_mut(&id) {
            relation.leave(name);
        }
        return;
    }
    let Some(unit) = model.unit_mut(name) else { return };
    let seen = unit.seen.relations.entry(id).or_default();
    match (event, about) {
        (RelationEvent::Created, _) => seen.created = true,
        (RelationEvent::Joined, Some(about)) => {
            seen.members.insert(about.clone(), None);
        }
        (RelationEvent::Departed, Some(about)) => {
            seen.members.remove(about);
        }
        (RelationEvent::Changed, Some(about)) => {
            seen.members.insert(about.clone(), unit_version);
        }
        (RelationEvent::Changed, None) => seen.application_version = application_version,
        (RelationEvent::Joined | RelationEvent::Departed, None) | (RelationEvent::Broken, _) => {}
    }
}

/// The hook of that name as it would be run on `unit` now, for a test that wants to see it once more: a relation
/// hook is about the endpoint's first relation and, where it is about a unit, its first remote unit.
#[must_use]
pub fn hook_named(name: &str, model: &ModelState, unit: &UnitName) -> Option<Hook> {
    Some(match name {
        "install" => Hook::Install,
        "leader-elected" => Hook::LeaderElected,
        "leader-settings-changed" => Hook::LeaderSettingsChanged,
        "config-changed" => Hook::ConfigChanged,
        "start" => Hook::Start,
        "stop" => Hook::Stop,
        "remove" => Hook::Remove,
        "upgrade-charm" => Hook::UpgradeCharm,
        "update-status" => Hook::UpdateStatus,
        "secret-changed" => {
            let (id, secret) = model.secrets.iter().find(|(_, secret)| secret.consumers.contains_key(unit))?;
            Hook::SecretChanged { id: id.clone(), label: secret.consumers[unit].label.clone() }
        }
        other => match RelationEvent::from_suffix(other) {
            None => Hook::Other(other.to_owned()),
            Some((endpoint, event)) => {
                let relation = model.relations_of(&unit.application, endpoint).next()?;
                let about_unit = matches!(event, RelationEvent::Joined | RelationEvent::Departed);
                let remote_unit = relation.remote_units(unit).into_iter().next().filter(|_| about_unit);
                Hook::Relation {
                    event,
                    relation: relation.id,
                    endpoint: endpoint.to_owned(),
                    remote_application: relation.remote(&unit.application)?.application.clone(),
                    departing: remote_unit.clone().filter(|_| event == RelationEvent::Departed),
                    remote_unit,
                }
            }
        },
    })
}
