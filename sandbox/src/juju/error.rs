//! Why a verb was refused or could not be done.

use std::path::PathBuf;

use super::agent::AgentError;
use super::charm::{CharmError, InvalidOption, InvalidParameters};
use super::cloud::CloudError;
use super::names::UnitName;
use super::relation::EndpointError;
use super::store::StoreError;

/// Why a verb was refused or could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name cannot be a model's or an application's.
    #[error("{name:?} is not a valid {what} name")]
    InvalidName {
        /// What it should name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// No such application.
    #[error("application {application:?} not found in model {model:?}: it has {}", listed(there))]
    ApplicationNotFound {
        /// What was asked for.
        application: String,
        /// Where.
        model: String,
        /// What is there.
        there: Vec<String>,
    },
    /// No such unit.
    #[error("unit {unit:?} not found: {application:?} has {}", listed(there))]
    UnitNotFound {
        /// What was asked for.
        unit: String,
        /// Of which application.
        application: String,
        /// What is there.
        there: Vec<String>,
    },
    /// Its agent takes no commands: it has not begun, or has ended.
    #[error("unit {:?} takes no commands now", .0.to_string())]
    NotRunning(UnitName),
    /// The name is taken.
    #[error("cannot add application {0:?}: application already exists")]
    ApplicationExists(String),
    /// The charm breaks a rule.
    #[error("cannot use the charm in {}", directory.display())]
    Charm {
        /// Its directory.
        directory: PathBuf,
        /// The rule.
        #[source]
        source: CharmError,
    },
    /// The charm has no such option.
    #[error("unknown option {option:?}: {application:?} has {}", listed(there))]
    UnknownOption {
        /// The application.
        application: String,
        /// What was asked for.
        option: String,
        /// What is there.
        there: Vec<String>,
    },
    /// The option does not take that value.
    #[error(transparent)]
    InvalidOption(#[from] InvalidOption),
    /// The endpoints do not fit.
    #[error("cannot integrate")]
    Endpoints(#[from] EndpointError),
    /// They are related.
    #[error("cannot add relation \"{0}\": relation already exists")]
    RelationExists(String),
    /// An endpoint has as many relations as it may.
    #[error("establishing a new relation for {endpoint} would exceed its maximum relation limit of {limit}")]
    RelationLimit {
        /// `application:endpoint`.
        endpoint: String,
        /// How many it may have.
        limit: usize,
    },
    /// They are not related.
    #[error("relation \"{0}\" not found")]
    RelationNotFound(String),
    /// The charm has no such action.
    #[error("action {action:?} not defined on unit {:?}: it has {}", unit.to_string(), listed(there))]
    UnknownAction {
        /// The unit.
        unit: UnitName,
        /// What was asked for.
        action: String,
        /// What is there.
        there: Vec<String>,
    },
    /// The action does not take those parameters.
    #[error(transparent)]
    InvalidParameters(#[from] InvalidParameters),
    /// There is nothing to resolve.
    #[error("unit {:?} is not in an error state", .0.to_string())]
    NotInError(UnitName),
    /// A charm's application was needed, or one that the sandbox plays.
    #[error("application {application:?} {reason}")]
    WrongKind {
        /// The application.
        application: String,
        /// What about it.
        reason: &'static str,
    },
    /// More units than there are.
    #[error("cannot remove {asked} units of application {application:?}: it has {there}")]
    TooFewUnits {
        /// The application.
        application: String,
        /// How many were to go.
        asked: u32,
        /// How many are there.
        there: usize,
    },
    /// No such secret.
    #[error("secret {0:?} not found")]
    SecretNotFound(String),
    /// The name of a secret is taken.
    #[error("secret with name {0:?} already exists")]
    SecretExists(String),
    /// The new charm is another one.
    #[error("cannot upgrade application {application:?} to charm {name:?}: it runs {runs:?}")]
    OtherCharm {
        /// The application.
        application: String,
        /// The new charm's name.
        name: String,
        /// The running one's.
        runs: String,
    },
    /// The new charm lacks an endpoint that is in use.
    #[error("cannot upgrade application {application:?}: would break relation {relation:?}")]
    BreaksRelation {
        /// The application.
        application: String,
        /// The relation.
        relation: String,
    },
    /// The hooks do not end: each makes another one due.
    #[error("the model does not settle: {hooks} hooks have run, the last was {last}")]
    Unsettled {
        /// How many ran in this verb.
        hooks: usize,
        /// The last.
        last: String,
    },
    /// [`super::Model::interrupt`] was called.
    #[error("interrupted")]
    Interrupted,
    /// The charm could not be run.
    #[error("cannot run {what} on unit {:?}", unit.to_string())]
    Run {
        /// The hook or action.
        what: String,
        /// The unit.
        unit: UnitName,
        /// Why.
        #[source]
        source: AgentError,
    },
    /// The cluster.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// The model's files.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The model's log.
    #[error("cannot use the log {}", path.display())]
    Log {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
