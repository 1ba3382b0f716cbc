//! Verbs on secrets of the user's own, by which applications are told what no option should hold.

use std::collections::BTreeMap;

use super::super::agent::HookRecord;
use super::super::error::Error;
use super::super::names::SecretUri;
use super::super::secret::{Grant, Owner, Secret};
use super::Model;
use super::remote::encoded;
use super::session::Session;

impl Model {
    /// Adds a secret of the user's, as `juju add-secret` does. No application may read it yet.
    ///
    /// # Errors
    /// When the user has one of that name.
    pub fn add_user_secret(&self, name: &str, content: &BTreeMap<String, String>) -> Result<SecretUri, Error> {
        let mut session = self.begin()?;
        if session.user_secret(name).is_ok() {
            return Err(Error::SecretExists(name.to_owned()));
        }
        let uri = SecretUri::random();
        let mut secret = Secret::new(Owner::User, encoded(content));
        name.clone_into(&mut secret.label);
        session.state.secrets.insert(uri.id.clone(), secret);
        session.finish()?;
        Ok(uri)
    }

    /// Lets an application read a secret of the user's, by its name or URI, as `juju grant-secret` does.
    ///
    /// # Errors
    /// When there is no such secret or application.
    pub fn grant_user_secret(&self, secret: &str, application: &str) -> Result<Vec<HookRecord>, Error> {
        let mut session = self.begin()?;
        session.application(application)?;
        let grant = Grant { relation: None, application: application.to_owned(), unit: None };
        let grants = &mut session.user_secret(secret)?.grants;
        if !grants.contains(&grant) {
            grants.push(grant);
        }
        session.finish()
    }

    /// Writes a new revision of a secret of the user's, by its name or URI, as `juju update-secret` does.
    ///
    /// # Errors
    /// When there is no such secret, or a charm that is told of it cannot be run.
    pub fn update_user_secret(
        &self,
        secret: &str,
        content: &BTreeMap<String, String>,
    ) -> Result<Vec<HookRecord>, Error> {
        let mut session = self.begin()?;
        session.user_secret(secret)?.update(encoded(content));
        session.finish()
    }
}

impl Session<'_> {
    fn user_secret(&mut self, name: &str) -> Result<&mut Secret, Error> {
        let id = name.parse().ok().map(|uri: SecretUri| uri.id);
        let wanted = |key: &String, secret: &Secret| {
            secret.owner == Owner::User && (secret.label == name || Some(key) == id.as_ref())
        };
        let found = self.state.secrets.iter_mut().find(|(key, secret)| wanted(key, secret));
        found.map(|(_, secret)| secret).ok_or_else(|| Error::SecretNotFound(name.to_owned()))
    }
}
