//! Verbs on relations.

use super::super::agent::HookRecord;
use super::super::error::Error;
use super::super::relation::{EndpointName, Match, Relation, Side, infer_endpoints};
use super::Model;
use super::session::Session;

impl Model {
    /// Relates two applications, each named as `application` or `application:endpoint`, and returns the relation's
    /// number beside the hooks that ran.
    ///
    /// # Errors
    /// When they do not fit, are related, or have as many relations as they may.
    pub fn integrate(&self, first: &str, second: &str) -> Result<(u32, Vec<HookRecord>), Error> {
        let mut session = self.begin()?;
        let names = [EndpointName::from(first), EndpointName::from(second)];
        let found = session.infer(&names)?;
        let applications = names.map(|name| name.application);
        let written: Vec<String> = applications
            .iter()
            .zip(&found.endpoints)
            .map(|(application, (endpoint, _))| format!("{application}:{endpoint}"))
            .collect();
        if session.find(&applications, &found).is_some() {
            return Err(Error::RelationExists(written.join(" ")));
        }
        for (application, (endpoint, _)) in applications.iter().zip(&found.endpoints) {
            session.check_limit(application, endpoint)?;
        }
        let id = session.state.next_relation;
        session.state.next_relation += 1;
        let sides = applications
            .iter()
            .zip(&found.endpoints)
            .map(|(application, (endpoint, role))| Side::new(application, endpoint, *role))
            .collect();
        let relation = Relation { id, interface: found.interface, sides, dying: false };
        session.state.relations.insert(id, relation);
        Ok((id, session.finish()?))
    }

    /// Ends the relation of two applications.
    ///
    /// # Errors
    /// When they are not related.
    pub fn remove_relation(&self, first: &str, second: &str) -> Result<Vec<HookRecord>, Error> {
        let mut session = self.begin()?;
        let names = [EndpointName::from(first), EndpointName::from(second)];
        for name in &names {
            session.application(&name.application)?;
        }
        let fits = |relation: &Relation| {
            names.iter().all(|name| {
                relation
                    .side(&name.application)
                    .is_some_and(|side| name.endpoint.as_ref().is_none_or(|endpoint| *endpoint == side.endpoint))
            })
        };
        let ids: Vec<u32> = session
            .state
            .relations
            .values()
            .filter(|relation| !relation.is_peer() && !relation.dying && fits(relation))
            .map(|relation| relation.id)
            .collect();
        let [id] = ids.as_slice() else { return Err(Error::RelationNotFound(format!("{first} {second}"))) };
        if let Some(relation) = session.state.relations.get_mut(id) {
            relation.dying = true;
        }
        session.finish()
    }
}

impl Session<'_> {
    fn infer(&self, names: &[EndpointName; 2]) -> Result<Match, Error> {
        let [first, second] = names;
        let metadata = |name: &EndpointName| Ok::<_, Error>(self.application(&name.application)?.metadata());
        Ok(infer_endpoints((first, metadata(first)?), (second, metadata(second)?))?)
    }

    fn find(&self, applications: &[String; 2], found: &Match) -> Option<&Relation> {
        self.state.relations.values().find(|relation| {
            applications.iter().zip(&found.endpoints).all(|(application, (endpoint, _))| {
                relation.side(application).is_some_and(|side| side.endpoint == *endpoint)
            })
        })
    }

    fn check_limit(&self, application: &str, endpoint: &str) -> Result<(), Error> {
        let limit = self.application(application)?.metadata().endpoint(endpoint).and_then(|(_, spec)| spec.limit);
        match limit {
            Some(limit) if self.state.relations_of(application, endpoint).count() >= limit => {
                Err(Error::RelationLimit { endpoint: format!("{application}:{endpoint}"), limit })
            }
            _ => Ok(()),
        }
    }
}
