//! How integrators and their clients talk: by fields in their databags, some of them in a Juju secret on request.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::super::names::SecretUri;
use super::super::secret::{Grant, Owner, Secret};
use super::super::state::ModelState;

/// Kept by the integrators' library in its own settings: what it last saw of the other side.
const CACHE: &str = "data";

/// The field by which a client asks for others in a secret: their names, as a JSON list.
pub(super) const REQUESTED_SECRETS: &str = "requested-secrets";

/// The field that names the secret of a relation.
pub(super) const SECRET: &str = "secret-extra";

/// The numbers of the relations of an application's endpoint that are not about to end.
pub(super) fn relations(model: &ModelState, application: &str, endpoint: &str) -> Vec<u32> {
    model.relations_of(application, endpoint).filter(|relation| !relation.dying).map(|each| each.id).collect()
}

/// The settings of the application at the other side.
pub(super) fn requester(model: &ModelState, application: &str, id: u32) -> Option<BTreeMap<String, String>> {
    Some(model.relations.get(&id)?.remote(application)?.bag.data.clone())
}

/// Notes in the cache what the other side has written, and returns it.
pub(super) fn note<'a>(
    requested: &'a BTreeMap<String, String>,
    changes: &mut BTreeMap<String, String>,
) -> &'a BTreeMap<String, String> {
    if !requested.is_empty() {
        changes.insert(CACHE.to_owned(), python_json(requested));
    }
    requested
}

/// Writes what differs from what is there.
pub(super) fn publish(model: &mut ModelState, application: &str, id: u32, changes: &BTreeMap<String, String>) {
    if let Some(side) = model.relations.get_mut(&id).and_then(|relation| relation.side_mut(application)) {
        side.bag.apply(changes);
    }
}

/// The field that names the relation's secret with that content: another content is a new revision. `secrets` has the secret
/// of each relation.
pub(super) fn keep_secret(
    model: &mut ModelState,
    secrets: &mut BTreeMap<u32, String>,
    (application, endpoint, relation): (&str, &str, u32),
    content: &BTreeMap<String, String>,
) -> (String, String) {
    let content: BTreeMap<_, _> = content.iter().map(|(key, value)| (key.clone(), STANDARD.encode(value))).collect();
    let id = secrets.entry(relation).or_insert_with(|| SecretUri::random().id).clone();
    let remote = model.relations.get(&relation).and_then(|each| each.remote(application));
    let client = remote.map(|side| side.application.clone()).unwrap_or_default();
    let secret = model.secrets.entry(id.clone()).or_insert_with(|| {
        let mut secret = Secret::new(Owner::Application(application.to_owned()), content.clone());
        secret.label = format!("{endpoint}.{relation}.extra.secret");
        secret.grants.push(Grant { relation: Some(relation), application: client, unit: None });
        secret
    });
    secret.update(content);
    (SECRET.to_owned(), format!("secret:{id}"))
}

/// JSON as Python writes it, with a space after each colon and comma.
fn python_json(map: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = map
        .iter()
        .map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), Value::from(value.as_str())))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}
