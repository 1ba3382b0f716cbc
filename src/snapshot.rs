//! What is the case, as Juju tells it: read once at the start of a hook.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{
    contract::hook,
    juju::{ConfigValues, Databag, Dispatch, Environment, HookTools, RelationId, ToolError},
    storage::{PROVIDERS, RequestContext, StorageFields, VeleroStorageProvider},
};

/// The key in an integrator's databag that names the secret with the fields that are not for everybody.
const SECRET_FIELD: &str = "secret-extra";

/// Everything of Juju that decides what should run.
#[derive(Debug)]
pub struct Snapshot {
    /// The name of this application.
    pub application: String,
    /// Whether this unit speaks for the application.
    pub leader: bool,
    /// The options.
    pub config: ConfigValues,
    /// The relations that carry storage.
    pub storage: Vec<StorageRelation>,
}

/// A relation of one of the endpoints for storage.
pub struct StorageRelation {
    /// What the relation's fields mean.
    pub provider: &'static dyn VeleroStorageProvider,
    /// The fields, those of the secret and of companion relations among them.
    pub fields: StorageFields,
    /// Whether the fields are incomplete because a secret is not granted to us.
    pub secret_withheld: bool,
    /// What the charm still has to publish, by relation.
    pub to_publish: Vec<(RelationId, BTreeMap<&'static str, String>)>,
}

impl std::fmt::Debug for StorageRelation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("StorageRelation")
            .field("endpoint", &self.provider.endpoint())
            .field("fields", &self.fields)
            .field("secret_withheld", &self.secret_withheld)
            .finish_non_exhaustive()
    }
}

/// Why Juju could not be read.
#[derive(Debug, Error)]
#[error("cannot read {what}")]
pub struct SnapshotError {
    what: String,
    #[source]
    source: ToolError,
}

impl Snapshot {
    /// Reads what Juju knows.
    ///
    /// # Errors
    ///
    /// When a hook tool fails.
    pub async fn read(tools: &HookTools, environment: &Environment) -> Result<Self, SnapshotError> {
        let reader = Reader { tools, environment };
        let leader = tools.is_leader().await.map_err(failed("whether this unit is the leader"))?;
        let config = tools.config().await.map_err(failed("the options"))?;
        let mut storage = Vec::new();
        for provider in PROVIDERS {
            storage.extend(reader.storage_relation(*provider, leader).await?);
        }
        Ok(Self { application: environment.application().to_owned(), leader, config, storage })
    }
}

fn failed(what: impl Into<String>) -> impl FnOnce(ToolError) -> SnapshotError {
    let what = what.into();
    move |source| SnapshotError { what, source }
}

struct Reader<'a> {
    tools: &'a HookTools,
    environment: &'a Environment,
}

/// What both sides of one relation have published.
struct Published {
    fields: StorageFields,
    ours: Databag,
    secret_withheld: bool,
}

impl Reader<'_> {
    async fn storage_relation(
        &self,
        provider: &'static dyn VeleroStorageProvider,
        leader: bool,
    ) -> Result<Option<StorageRelation>, SnapshotError> {
        let Some(id) = self.relation(provider.endpoint()).await? else {
            return Ok(None);
        };
        let published = self.published(&id, leader).await?;
        let request = provider.request(&RequestContext {
            relation_number: id.number(),
            published: &published.fields,
            overdue: self.environment.dispatch == Dispatch::Hook(hook::UPDATE_STATUS.to_owned()),
        });
        let mut relation = StorageRelation {
            provider,
            to_publish: vec![(id, published.ours.missing_from(&request))],
            fields: published.fields,
            secret_withheld: published.secret_withheld,
        };
        for companion in provider.companions() {
            let Some(id) = self.relation(companion.endpoint).await? else {
                continue;
            };
            let published = self.published(&id, leader).await?;
            let request = companion.request.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
            relation.to_publish.push((id, published.ours.missing_from(&request)));
            relation.secret_withheld |= published.secret_withheld;
            relation.fields.complete_with(published.fields);
        }
        relation.to_publish.retain(|(_, values)| leader && !values.is_empty());
        Ok(Some(relation))
    }

    /// The relation of an endpoint, of which metadata.yaml allows one. One that is just being broken is none.
    async fn relation(&self, endpoint: &str) -> Result<Option<RelationId>, SnapshotError> {
        let ids = self.tools.relation_ids(endpoint).await.map_err(failed(format!("the relations of {endpoint}")))?;
        Ok(ids.into_iter().find(|id| Some(id) != self.environment.broken_relation()))
    }

    async fn published(&self, id: &RelationId, leader: bool) -> Result<Published, SnapshotError> {
        let what = || format!("the relation {id}");
        let remote = self.tools.remote_application(id).await.map_err(failed(what()))?;
        let theirs = match remote {
            Some(remote) => self.tools.application_databag(id, &remote).await.map_err(failed(what()))?,
            None => Databag::default(),
        };
        // Only the leader may read what its own application has published.
        let ours = if leader {
            self.tools.application_databag(id, self.environment.application()).await.map_err(failed(what()))?
        } else {
            Databag::default()
        };
        let secret = match theirs.get(SECRET_FIELD) {
            Some(uri) => Some(self.tools.secret(uri).await.map_err(failed(format!("the secret of {}", what())))?),
            None => None,
        };
        let secret_withheld = matches!(secret, Some(None));
        let mut fields: StorageFields = theirs.into_iter().collect();
        if let Some(Some(content)) = secret {
            fields.replace_with(content.into_fields());
        }
        Ok(Published { fields, ours, secret_withheld })
    }
}
