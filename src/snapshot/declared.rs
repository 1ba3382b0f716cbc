//! What other applications declare of their backups, as the leader remembers it between hooks.
//!
//! To read it takes two calls of hook tools for each relation, and there may be hundreds. Juju runs a hook for each relation in which
//! something has changed, so that only that one is read; what the others declare is kept as the unit's state, which Juju takes over
//! only from a hook that ends well. A new leader, and another revision of the charm, read all anew.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Reader, Relation, SnapshotError, failed};
use crate::{
    contract::{self, EndpointSpec, hook},
    juju::{Databag, Dispatch, RelationId},
};

/// The key in the unit's state that says that all relations are remembered.
const ALL: &str = "declared";
/// What stands before a relation's number in the key of what it declares.
const ONE: &str = "declared-";
/// The longest value that Juju keeps, in bytes.
const LONGEST: usize = 65_536;
/// What is remembered at most, in bytes: a controller keeps 2 MiB of a unit unless it is told otherwise.
const MOST: usize = 1_500_000;
/// What the charm reads of a databag. Whatever else stands there is not remembered.
const KEPT: [&str; 5] = ["app", "relation_name", "model", "spec", "backup_targets"];

/// What is remembered of a relation.
#[derive(Debug, Deserialize, Serialize)]
struct Remembered {
    declared: BTreeMap<String, String>,
    id: String,
    remote: Option<String>,
}

/// Returns the endpoints at which applications declare what of theirs is to be backed up.
pub(super) fn endpoints() -> impl Iterator<Item = &'static EndpointSpec> {
    contract::RELATIONS.iter().filter(|endpoint| endpoint.declares_backups())
}

/// Returns the relations that are remembered, by their numbers; `None` where not all are.
fn recall(state: &BTreeMap<String, String>) -> Option<BTreeMap<String, Relation>> {
    if !state.contains_key(ALL) {
        return None;
    }
    state.iter().filter_map(|(key, value)| Some((key.strip_prefix(ONE)?, value))).map(of_text).collect()
}

fn of_text((number, text): (&str, &String)) -> Option<(String, Relation)> {
    let Remembered { id, remote, declared } = serde_json::from_str(text).ok()?;
    Some((number.to_owned(), Relation::declaring(RelationId::new(id), remote, &declared.into_iter().collect())))
}

/// Returns the state in which relations are remembered; `None` where that is more than Juju keeps.
fn state_of(relations: &BTreeMap<String, Relation>) -> Option<BTreeMap<String, String>> {
    let mut state = BTreeMap::from([(ALL.to_owned(), "1".to_owned())]);
    for (number, Relation { id, remote, theirs, .. }) in relations {
        let declared = theirs.entries().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let remembered = Remembered { id: id.to_string(), remote: remote.clone(), declared };
        state.insert(format!("{ONE}{number}"), serde_json::to_string(&remembered).ok()?);
    }
    let size: usize = state.iter().map(|(key, value)| key.len() + value.len()).sum();
    (size <= MOST && state.values().all(|value| value.len() <= LONGEST)).then_some(state)
}

impl Reader<'_> {
    /// Returns the relations in which applications declare what of theirs is to be backed up. `before` is what the unit keeps.
    pub(super) async fn declaring(&self, before: &BTreeMap<String, String>) -> Result<Vec<Relation>, SnapshotError> {
        let reads_anew = self.is_hook(hook::LEADER_ELECTED) || self.is_hook(hook::UPGRADE_CHARM);
        let recalled = if reads_anew { None } else { recall(before) };
        let mut relations = match recalled {
            Some(relations) => relations,
            None => self.all_declaring().await?,
        };
        if let Some((id, endpoint)) = self.declaring_hook() {
            if self.environment.broken_relation() == Some(id) {
                relations.remove(id.number());
            } else if self.is_hook(&format!("{}-relation-changed", endpoint.name)) {
                relations.insert(id.number().to_owned(), self.required(id.clone(), None, endpoint).await?);
            }
        }
        self.remember(before, &relations).await?;
        Ok(relations.into_values().collect())
    }

    /// Returns the relations in which applications declare what of theirs is to be backed up. Those that tell of `application` are
    /// read; of the others, what is remembered may do.
    pub(super) async fn declaring_about(&self, application: &str) -> Result<Vec<Relation>, SnapshotError> {
        let state = self.tools.state().await.map_err(failed("what this unit remembers"))?;
        if let Some(remembered) = recall(&state)
            && remembered.values().any(|relation| relation.mentions(application))
            && let Ok(relations) = self.read_again(remembered, application).await
        {
            return Ok(relations);
        }
        Ok(self.all_declaring().await?.into_values().collect())
    }

    /// Returns remembered relations, and reads those again that tell of an application.
    ///
    /// # Errors
    ///
    /// When one of these is there no more.
    async fn read_again(
        &self,
        remembered: BTreeMap<String, Relation>,
        application: &str,
    ) -> Result<Vec<Relation>, SnapshotError> {
        let mut relations = Vec::new();
        for relation in remembered.into_values() {
            let endpoint = endpoints().find(|endpoint| endpoint.name == relation.id.endpoint());
            relations.push(match endpoint {
                Some(endpoint) if relation.mentions(application) => {
                    self.required(relation.id, relation.remote, endpoint).await?
                }
                _ => relation,
            });
        }
        Ok(relations)
    }

    /// Lets a unit that does not lead forget what is going to change without it.
    pub(super) async fn forget_declared(&self) -> Result<(), SnapshotError> {
        if self.declaring_hook().is_some() {
            self.tools.forget(ALL).await.map_err(failed("what this unit remembers"))?;
        }
        Ok(())
    }

    async fn all_declaring(&self) -> Result<BTreeMap<String, Relation>, SnapshotError> {
        let mut all = BTreeMap::new();
        for endpoint in endpoints() {
            let relations = self.relations(endpoint).await?;
            all.extend(relations.into_iter().map(|relation| (relation.id.number().to_owned(), relation)));
        }
        Ok(all)
    }

    async fn remember(
        &self,
        before: &BTreeMap<String, String>,
        relations: &BTreeMap<String, Relation>,
    ) -> Result<(), SnapshotError> {
        let state = state_of(relations).unwrap_or_default();
        let news = |(key, value): &(&String, &String)| before.get(*key) != Some(*value);
        let news: BTreeMap<_, _> =
            state.iter().filter(news).map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let is_stale = |key: &&String| (*key == ALL || key.starts_with(ONE)) && !state.contains_key(*key);
        let written = async {
            for key in before.keys().filter(is_stale) {
                self.tools.forget(key).await?;
            }
            if news.is_empty() { Ok(()) } else { self.tools.keep(&news).await }
        };
        written.await.map_err(failed("what this unit remembers"))
    }

    fn is_hook(&self, name: &str) -> bool {
        matches!(&self.environment.dispatch, Dispatch::Hook(hook) if hook == name)
    }

    /// Returns the relation that the hook is for, if applications declare something in it.
    fn declaring_hook(&self) -> Option<(&RelationId, &'static EndpointSpec)> {
        let id = self.environment.relation.as_ref()?;
        Some((id, endpoints().find(|endpoint| endpoint.name == id.endpoint())?))
    }
}

/// Returns the relations by their endpoints.
pub(super) fn by_endpoint(relations: Vec<Relation>) -> BTreeMap<&'static str, Vec<Relation>> {
    let mut of_endpoints: BTreeMap<_, _> = endpoints().map(|endpoint| (endpoint.name, Vec::new())).collect();
    for relation in relations {
        if let Some(of_endpoint) = of_endpoints.get_mut(relation.id.endpoint()) {
            of_endpoint.push(relation);
        }
    }
    of_endpoints
}

impl Relation {
    /// Whether something in it may tell of an application.
    fn mentions(&self, application: &str) -> bool {
        self.theirs.entries().any(|(_, value)| value.contains(application))
    }

    /// Returns a relation in which an application declares what of it is to be backed up.
    pub(super) fn declaring(id: RelationId, remote: Option<String>, theirs: &Databag) -> Self {
        let (ours, own) = (Databag::default(), Databag::default());
        let theirs = theirs.entries().filter(|(key, _)| KEPT.contains(key)).collect();
        Self { id, remote, theirs, ours, own, secret: None }
    }
}

#[cfg(test)]
#[path = "declared_tests.rs"]
mod tests;
