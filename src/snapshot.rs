//! What is the case, as Juju tells it: read once at the start of a hook, and not changed afterwards.

mod declared;
mod known;

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream, try_join};
use thiserror::Error;

use self::known::KnownRelations;

use crate::{
    contract::{self, EndpointSpec, Role, endpoint, hook, option},
    juju::{
        ConfigValues, Databag, Dispatch, Environment, GoalState, HookTools, ModelId, ModelProxies, RelationId,
        SecretContent, ToolError,
    },
};

/// The key in an integrator's databag that names the secret with the secret fields.
const SECRET_FIELD: &str = "secret-extra";
/// The key in the databag of those who are told something that says what they make of it.
const VERDICT: &str = "event";
/// The key in the unit's state under which a look at old backups is kept.
pub(crate) const RETENTION: &str = "retention";
/// How many relations of an endpoint are read at a time: each is a few programs to run.
const AT_ONCE: usize = 4;

/// Everything of Juju that decides what should run.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub application: String,
    /// The name of this unit.
    pub unit: String,
    pub model: ModelId,
    /// The proxies of the model.
    pub proxies: ModelProxies,
    /// Whether this unit speaks for the application.
    pub leader: bool,
    /// Whether this is `update-status`: by then an integrator has had time to answer.
    pub periodic: bool,
    /// Whether the last hook left the unit other than Active, so that it may not have done all that it was to do.
    pub unsettled: bool,
    pub config: ConfigValues,
    /// The relations, by their endpoint.
    pub relations: Relations,
    /// Where others reach this unit, if one of the relations is to tell it and Juju knows it.
    pub address: Option<String>,
    /// The secret of the option `repository-password`. Only the leader reads it.
    pub repository_password: OptionSecret,
    /// What the last look at old backups has left. Only the leader looks.
    pub retention: Option<String>,
}

/// The secret that an option names.
#[derive(Clone, Debug)]
pub(crate) enum OptionSecret {
    /// The option is not set.
    Unset,
    /// The secret is not granted to us, or is gone.
    OutOfReach,
    Content(SecretContent),
}

/// A relation, and what both sides have published in it.
#[derive(Clone, Debug)]
pub(crate) struct Relation {
    /// Juju's id of it.
    pub id: RelationId,
    /// The application on the other side, as this model calls it, if Juju still knows it.
    pub remote: Option<String>,
    /// What the other side has published.
    pub theirs: Databag,
    /// What we have published as an application; only the leader may read that.
    pub ours: Databag,
    /// What this unit has published for itself, where it has to.
    pub own: Databag,
    /// The content of the secret that the other side has published, where it is granted to us.
    pub secret: Option<SecretContent>,
}

/// Why Juju could not be read.
#[derive(Debug, Error)]
#[error("cannot read {what}")]
pub(crate) struct SnapshotError {
    what: String,
    #[source]
    source: ToolError,
}

impl Snapshot {
    /// Reads what Juju knows.
    pub(crate) async fn read(
        tools: &HookTools,
        environment: &Environment,
        goal: &GoalState,
    ) -> Result<Self, SnapshotError> {
        let (leader, config, state) = try_join!(
            async { tools.is_leader().await.map_err(failed("whether this unit is the leader")) },
            async { tools.config().await.map_err(failed("the options")) },
            async { tools.state().await.map_err(failed("what this unit remembers")) },
        )?;
        let periodic = environment.dispatch == Dispatch::Hook(hook::UPDATE_STATUS.to_owned());
        let reader = Reader { tools, environment, leader };
        let known = KnownRelations::recall(&state);
        let mut relations = if periodic {
            reader.unchanged(goal, &known).await?
        } else {
            let (relations, news) = reader.changed(goal, known.clone()).await?;
            reader.keep_known(&known, &news).await?;
            relations
        };
        let mut retention = None;
        if leader {
            relations.extend(declared::by_endpoint(reader.declaring(&state).await?));
            retention = state.get(RETENTION).cloned();
        } else {
            reader.forget_declared().await?;
        }
        for Relation { id, remote, theirs, .. } in relations.values().flatten() {
            tracing::debug!("{id} with {} has {theirs:?}", remote.as_deref().unwrap_or("nobody"));
        }
        let name = endpoint::METRICS_ENDPOINT;
        let address = if relations.get(name).is_none_or(Vec::is_empty) {
            None
        } else {
            tools.address(name).await.map_err(failed("this unit's address"))?
        };
        let repository_password = match config.text(option::REPOSITORY_PASSWORD).filter(|uri| leader && !uri.is_empty())
        {
            None => OptionSecret::Unset,
            Some(uri) => {
                let what = format!("the secret of the option {}", option::REPOSITORY_PASSWORD);
                let content = tools.secret(uri).await.map_err(failed(what))?;
                content.map_or(OptionSecret::OutOfReach, OptionSecret::Content)
            }
        };
        let (application, unit) = (environment.application().to_owned(), environment.unit.clone());
        let (model, proxies) = (environment.model.clone(), environment.proxies.clone());
        Ok(Self {
            application,
            unit,
            model,
            proxies,
            leader,
            periodic,
            unsettled: false,
            config,
            relations,
            address,
            repository_password,
            retention,
        })
    }

    /// Whether nothing has happened since a hook that has done all that it was to do: what cannot have changed need not be looked at.
    pub(crate) fn leaves_out_the_unchanged(&self) -> bool {
        self.periodic && !self.unsettled
    }

    /// Whether the Schedules are looked at. Between the hooks in which it can change what there should be, there is nothing to look
    /// at where no application is related.
    pub(crate) fn looks_at_schedules(&self) -> bool {
        let is_declared = || {
            let mut endpoints = declared::endpoints();
            endpoints.any(|endpoint| !self.relations(endpoint.name).is_empty())
        };
        self.leader && (!self.leaves_out_the_unchanged() || is_declared())
    }

    /// Reads only what other applications declare of their backups, and the options. What they declare of `application` is as it is
    /// now. Any unit may.
    pub(crate) async fn of_declarations(
        tools: &HookTools,
        environment: &Environment,
        application: &str,
    ) -> Result<Self, SnapshotError> {
        let config = tools.config().await.map_err(failed("the options"))?;
        let reader = Reader { tools, environment, leader: false };
        let relations = declared::by_endpoint(reader.declaring_about(application).await?);
        Ok(Self::of_parts(environment, config, relations))
    }

    /// Reads only what the relations say of the storage. Any unit may.
    pub(crate) async fn of_storage(tools: &HookTools, environment: &Environment) -> Result<Self, SnapshotError> {
        let reader = Reader { tools, environment, leader: false };
        let mut relations = Relations::new();
        for endpoint in contract::RELATIONS {
            if endpoint.role == Role::Requires && !endpoint.declares_backups() {
                relations.insert(endpoint.name, reader.relations(endpoint).await?);
            }
        }
        Ok(Self::of_parts(environment, ConfigValues::default(), relations))
    }

    /// Returns a snapshot of only that, for a unit that changes nothing.
    fn of_parts(environment: &Environment, config: ConfigValues, relations: Relations) -> Self {
        Self {
            application: environment.application().to_owned(),
            unit: environment.unit.clone(),
            model: environment.model.clone(),
            proxies: environment.proxies.clone(),
            leader: false,
            periodic: false,
            unsettled: false,
            config,
            relations,
            address: None,
            repository_password: OptionSecret::Unset,
            retention: None,
        }
    }

    pub(crate) fn relations(&self, endpoint: &str) -> &[Relation] {
        self.relations.get(endpoint).map_or(&[], Vec::as_slice)
    }
}

impl Relation {
    /// Returns the fields that the other side has published; those of the secret come last, and win.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.theirs.entries().chain(self.secret.iter().flat_map(SecretContent::entries))
    }

    /// What the other side makes of what the charm tells it, as JSON.
    pub(crate) fn verdict(&self) -> Option<&str> {
        self.theirs.get(VERDICT)
    }

    /// Whether fields are missing because their secret is not granted to us.
    pub(crate) fn secret_withheld(&self) -> bool {
        self.secret.is_none() && self.theirs.get(SECRET_FIELD).is_some()
    }
}

fn failed(what: impl Into<String>) -> impl FnOnce(ToolError) -> SnapshotError {
    let what = what.into();
    move |source| SnapshotError { what, source }
}

/// Relations by their endpoint.
type Relations = BTreeMap<&'static str, Vec<Relation>>;

struct Reader<'a> {
    tools: &'a HookTools,
    environment: &'a Environment,
    leader: bool,
}

impl Reader<'_> {
    /// Returns the relations of all endpoints but those that declare backups, and what is known of them for the next hook.
    async fn changed(
        &self,
        goal: &GoalState,
        mut known: KnownRelations,
    ) -> Result<(Relations, KnownRelations), SnapshotError> {
        let mut relations = Relations::new();
        for endpoint in contract::RELATIONS.iter().filter(|endpoint| !endpoint.declares_backups()) {
            let is_own_hook = self.environment.relation.as_ref().is_some_and(|id| id.endpoint() == endpoint.name);
            let is_left_out = match endpoint.role {
                // Each endpoint is a call. What only completes another relation is read beside that one, and in its own hooks.
                Role::Requires => is_alone(endpoint, &relations) && !is_own_hook,
                // What is published there changes with the unit and in no other relation's hook. Juju does not name all
                // relations among the goals: not those of an offer of ours that another model consumes.
                Role::Provides => {
                    let may_change = is_own_hook || self.environment.relation.is_none();
                    self.is_for_others(endpoint) || !may_change && !goal.relations.contains_key(endpoint.name)
                }
            };
            if is_left_out {
                relations.insert(endpoint.name, Vec::new());
                continue;
            }
            let of_endpoint = self.relations(endpoint).await?;
            known.note(endpoint, &of_endpoint);
            relations.insert(endpoint.name, of_endpoint);
        }
        Ok((relations, known))
    }

    /// Returns the same in a hook that comes although nothing has happened. Who is not known to be there, and not to be
    /// expected, is not asked for where nothing depends on it.
    async fn unchanged(&self, goal: &GoalState, known: &KnownRelations) -> Result<Relations, SnapshotError> {
        let mut relations = Relations::new();
        for endpoint in contract::RELATIONS.iter().filter(|endpoint| !endpoint.declares_backups()) {
            let is_left_out = match endpoint.role {
                Role::Requires => is_alone(endpoint, &relations),
                Role::Provides => {
                    let is_there =
                        known.has_any(endpoint).unwrap_or_else(|| goal.relations.contains_key(endpoint.name));
                    self.is_for_others(endpoint) || !is_there
                }
            };
            let of_endpoint = if is_left_out { Vec::new() } else { self.known_relations(known, endpoint).await? };
            relations.insert(endpoint.name, of_endpoint);
        }
        Ok(relations)
    }

    /// Whether only the leader has to do with an endpoint, and this unit is another.
    fn is_for_others(&self, endpoint: &EndpointSpec) -> bool {
        endpoint.is_for_leader && !self.leader
    }

    /// Returns the relations of an endpoint, without one that is being broken.
    async fn relations(&self, endpoint: &EndpointSpec) -> Result<Vec<Relation>, SnapshotError> {
        let name = endpoint.name;
        let mut ids = self.tools.relation_ids(name).await.map_err(failed(format!("the relations of {name}")))?;
        ids.retain(|id| Some(id) != self.environment.broken_relation());
        self.read_all(ids.into_iter().map(|id| (id, None)), endpoint).await
    }

    /// Returns these relations of an endpoint. Of some it is known who is on the other side.
    async fn read_all(
        &self,
        relations: impl Iterator<Item = (RelationId, Option<String>)>,
        endpoint: &EndpointSpec,
    ) -> Result<Vec<Relation>, SnapshotError> {
        stream::iter(relations)
            .map(|(id, remote)| self.relation(id, remote, endpoint))
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn relation(
        &self,
        id: RelationId,
        remote: Option<String>,
        endpoint: &EndpointSpec,
    ) -> Result<Relation, SnapshotError> {
        match endpoint.role {
            Role::Requires => self.required(id, remote, endpoint).await,
            Role::Provides => self.provided(id, remote, endpoint).await,
        }
    }

    /// Returns a relation in which the charm publishes. Of the other side it matters only what that makes of it, which is for the
    /// leader to tell.
    async fn provided(
        &self,
        id: RelationId,
        remote: Option<String>,
        endpoint: &EndpointSpec,
    ) -> Result<Relation, SnapshotError> {
        let own = async {
            if endpoint.is_for_leader {
                return Ok(Databag::default());
            }
            let read = self.tools.unit_databag(&id, &self.environment.unit).await;
            read.map_err(failed(format!("the relation {id}")))
        };
        let other_side =
            async { if self.leader { self.other_side(&id, remote).await } else { Ok(Default::default()) } };
        let (ours, own, (remote, theirs)) = try_join!(self.ours(&id), own, other_side)?;
        let theirs = theirs.entries().filter(|(key, _)| *key == VERDICT).collect();
        Ok(Relation { id, remote, theirs, ours, own, secret: None })
    }

    /// Returns what the application has published, which only its leader may read.
    async fn ours(&self, id: &RelationId) -> Result<Databag, SnapshotError> {
        if !self.leader {
            return Ok(Databag::default());
        }
        let read = self.tools.application_databag(id, self.environment.application()).await;
        read.map_err(failed(format!("the relation {id}")))
    }

    async fn required(
        &self,
        id: RelationId,
        remote: Option<String>,
        endpoint: &EndpointSpec,
    ) -> Result<Relation, SnapshotError> {
        if endpoint.declares_backups() {
            let (remote, theirs) = self.other_side(&id, remote).await?;
            return Ok(Relation::declaring(id, remote, &theirs));
        }
        let ((remote, theirs), ours) = try_join!(self.other_side(&id, remote), self.ours(&id))?;
        let secret = match theirs.get(SECRET_FIELD) {
            Some(uri) => self.tools.secret(uri).await.map_err(failed(format!("the secret of the relation {id}")))?,
            None => None,
        };
        Ok(Relation { id, remote, theirs, ours, own: Databag::default(), secret })
    }
}

/// Whether an endpoint only completes one that has no relation.
fn is_alone(endpoint: &EndpointSpec, relations: &Relations) -> bool {
    endpoint.completes.is_some_and(|main| relations.get(main).is_none_or(Vec::is_empty))
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
