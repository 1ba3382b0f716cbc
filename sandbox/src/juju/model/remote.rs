//! What a test does in place of the applications at the other side, and looks at.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::agent::HookRecord;
use super::super::charm::Metadata;
use super::super::error::Error;
use super::super::names::{SecretUri, UnitName};
use super::super::relation::{Bag, Whose};
use super::super::secret::{Grant, Owner, Secret};
use super::super::simulated::{S3Integrator, Simulated};
use super::super::state::ApplicationKind;
use super::Model;
use super::application::new_application;
use super::session::Session;

/// An application that does only what a test tells it to.
#[derive(Clone, Debug)]
pub struct Scripted {
    /// Its name.
    pub name: String,
    /// Its endpoints.
    pub metadata: Metadata,
    /// How many units it has.
    pub units: u32,
}

impl Scripted {
    /// An application of one unit that provides the interface at an endpoint.
    #[must_use]
    pub fn provider(name: &str, endpoint: &str, interface: &str) -> Self {
        Self::parse(name, &format!("provides: {{{endpoint}: {interface}}}"))
    }

    /// An application of one unit that requires the interface at an endpoint.
    #[must_use]
    pub fn requirer(name: &str, endpoint: &str, interface: &str) -> Self {
        Self::parse(name, &format!("requires: {{{endpoint}: {interface}}}"))
    }

    /// An application of one unit that provides the interface at many endpoints.
    #[must_use]
    pub fn provider_of_many(name: &str, endpoints: impl Iterator<Item = String>, interface: &str) -> Self {
        let endpoints: Vec<_> = endpoints.map(|endpoint| format!("{endpoint}: {interface}")).collect();
        Self::parse(name, &format!("provides: {{{}}}", endpoints.join(", ")))
    }

    fn parse(name: &str, endpoints: &str) -> Self {
        let text = format!("name: {name}\nsummary: played by a test\ndescription: played by a test\n{endpoints}\n");
        Self { name: name.to_owned(), metadata: serde_yaml::from_str(&text).unwrap_or_default(), units: 1 }
    }
}

impl Model {
    /// Deploys an application that does only what a test tells it to.
    ///
    /// # Errors
    /// When the name is taken or no name.
    pub fn deploy_scripted(&self, scripted: &Scripted) -> Result<Vec<HookRecord>, Error> {
        let mut session = self.begin()?;
        session.check_new_application(&scripted.name)?;
        let metadata = scripted.metadata.clone();
        let application = new_application(ApplicationKind::Simulated { behaviour: Simulated::Scripted, metadata });
        session.add_application(&scripted.name, application, scripted.units)?;
        session.finish()
    }

    /// The settings in a relation, as the controller holds them.
    ///
    /// # Errors
    /// When there is no such relation or side in it.
    pub fn databag(&self, relation: u32, whose: &Whose) -> Result<BTreeMap<String, String>, Error> {
        let state = self.state()?;
        let found = state.relations.get(&relation).and_then(|relation| match whose {
            Whose::Application(name) => relation.side(name).map(|side| &side.bag),
            Whose::Unit(unit) => relation.unit_bag(unit),
        });
        found.map(|bag| bag.data.clone()).ok_or_else(|| Error::RelationNotFound(relation.to_string()))
    }

    /// Writes settings in place of a played application or unit, in one commit; an empty value deletes.
    ///
    /// # Errors
    /// When there is no such relation or side in it, or the side is a charm's.
    pub fn write_databag(
        &self,
        relation: u32,
        whose: &Whose,
        changes: &BTreeMap<String, String>,
    ) -> Result<Vec<HookRecord>, Error> {
        let mut session = self.begin()?;
        let application = match whose {
            Whose::Application(name) => name,
            Whose::Unit(unit) => &unit.application,
        };
        session.check_played(application)?;
        session.bag(relation, whose)?.apply(changes);
        session.finish()
    }

    /// Adds a secret of a played application and returns its URI. With `id`, one of that name.
    ///
    /// # Errors
    /// When there is no such application, or it is a charm's.
    pub fn add_secret(
        &self,
        owner: &str,
        id: Option<&str>,
        content: &BTreeMap<String, String>,
    ) -> Result<SecretUri, Error> {
        let mut session = self.begin()?;
        session.check_played(owner)?;
        let uri = match id {
            None => SecretUri::random(),
            Some(id) => id.parse().map_err(|_| Error::SecretNotFound(id.to_owned()))?,
        };
        let secret = Secret::new(Owner::Application(owner.to_owned()), encoded(content));
        session.state.secrets.insert(uri.id.clone(), secret);
        session.finish()?;
        Ok(uri)
    }

    /// Writes a new revision of a secret; whoever read it before gets `secret-changed`.
    ///
    /// # Errors
    /// When there is no such secret.
    pub fn update_secret(&self, uri: &SecretUri, content: &BTreeMap<String, String>) -> Result<Vec<HookRecord>, Error> {
        let mut session = self.begin()?;
        session.secret(uri)?.update(encoded(content));
        session.finish()
    }

    /// Lets the application at the other side of the relation read the secret.
    ///
    /// # Errors
    /// When there is no such secret or relation.
    pub fn grant_secret(&self, uri: &SecretUri, relation: u32) -> Result<(), Error> {
        let mut session = self.begin()?;
        let owner = session.secret(uri)?.owner.application().unwrap_or_default().to_owned();
        let remote = session.state.relations.get(&relation).and_then(|each| each.remote(&owner));
        let application =
            remote.map(|side| side.application.clone()).ok_or_else(|| Error::RelationNotFound(relation.to_string()))?;
        session.secret(uri)?.grants.push(Grant { relation: Some(relation), application, unit: None });
        session.finish().map(|_| ())
    }

    /// Takes all grants of the secret back.
    ///
    /// # Errors
    /// When there is no such secret.
    pub fn revoke_secret(&self, uri: &SecretUri) -> Result<(), Error> {
        let mut session = self.begin()?;
        session.secret(uri)?.grants.clear();
        session.finish().map(|_| ())
    }

    /// Removes the secret.
    ///
    /// # Errors
    /// When there is no such secret.
    pub fn remove_secret(&self, uri: &SecretUri) -> Result<(), Error> {
        let mut session = self.begin()?;
        session.secret(uri)?;
        session.state.secrets.remove(&uri.id);
        session.finish().map(|_| ())
    }

    /// The action `sync-s3-credentials` of a played `s3-integrator`.
    ///
    /// # Errors
    /// When the application is another one.
    pub fn sync_s3_credentials(
        &self,
        application: &str,
        access_key: &str,
        secret_key: &str,
    ) -> Result<Vec<HookRecord>, Error> {
        let mut session = self.begin()?;
        let kind = &mut session.application_mut(application)?.kind;
        let ApplicationKind::Simulated { behaviour: Simulated::S3Integrator(integrator), .. } = kind else {
            return Err(Error::WrongKind { application: application.to_owned(), reason: "is no s3-integrator" });
        };
        integrator.sync_credentials(access_key, secret_key);
        session.finish()
    }
}

impl Session<'_> {
    fn check_played(&self, application: &str) -> Result<(), Error> {
        if self.application(application)?.charm().is_none() {
            return Ok(());
        }
        Err(Error::WrongKind { application: application.to_owned(), reason: "is a charm and writes for itself" })
    }

    fn bag(&mut self, relation: u32, whose: &Whose) -> Result<&mut Bag, Error> {
        let missing = || Error::RelationNotFound(relation.to_string());
        let relation = self.state.relations.get_mut(&relation).ok_or_else(missing)?;
        let found = match whose {
            Whose::Application(name) => relation.side_mut(name).map(|side| &mut side.bag),
            Whose::Unit(UnitName { application, number }) => relation
                .side_mut(application)
                .and_then(|side| side.units.get_mut(number))
                .map(|participant| &mut participant.bag),
        };
        found.ok_or_else(missing)
    }

    pub(super) fn secret(&mut self, uri: &SecretUri) -> Result<&mut Secret, Error> {
        self.state.secrets.get_mut(&uri.id).ok_or_else(|| Error::SecretNotFound(uri.to_string()))
    }
}

pub(super) fn encoded(content: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    content.iter().map(|(key, value)| (key.clone(), STANDARD.encode(value))).collect()
}

impl S3Integrator {
    /// The name of the action that tells it the keys.
    pub const SYNC_ACTION: &str = "sync-s3-credentials";
}
