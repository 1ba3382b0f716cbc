//! What Juju tells a charm process by environment variables.

use std::path::PathBuf;

use secrecy::SecretString;
use thiserror::Error;

use super::RelationId;

/// Why the process was started, from `JUJU_DISPATCH_PATH`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Dispatch {
    /// A hook, by its name: `config-changed`, `s3-credentials-relation-changed`.
    Hook(String),
    /// An action, by its name.
    Action(String),
}

/// The model that the unit is in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct ModelId {
    /// Its name, which on Kubernetes is that of its namespace.
    pub name: String,
    /// What no other model has, on whichever controller.
    pub uuid: String,
}

/// What the model says of proxies, which Juju gives to each hook. There may be passwords in the URLs.
#[derive(Clone, Debug, Default)]
pub(crate) struct ModelProxies {
    /// The URL of the proxy for `http`.
    pub http: Option<SecretString>,
    /// The URL of the proxy for `https`.
    pub https: Option<SecretString>,
    /// What is reached without them, with commas between.
    pub exceptions: String,
    /// The address of the API server, which is reached without them too; empty where it is not known.
    pub api_server: String,
}

/// The part of Juju's environment that the charm reads.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    /// What is to be done.
    pub dispatch: Dispatch,
    /// The unit's name: `velero-operator/0`.
    pub unit: String,
    /// The unit's model.
    pub model: ModelId,
    /// The charm's directory, where its files lie.
    pub charm_directory: PathBuf,
    /// The relation that the hook is for.
    pub relation: Option<RelationId>,
    /// The proxies of the model.
    pub proxies: ModelProxies,
}

/// Why the environment is not that of a charm process.
#[derive(Debug, Error, Eq, PartialEq)]
pub(crate) enum EnvironmentError {
    #[error("{0} is not set: Juju runs this program for hooks and actions; for its other uses see --help")]
    Missing(&'static str),
    #[error("{variable} has the unexpected value {value:?}")]
    Unexpected { variable: &'static str, value: String },
}

impl Environment {
    /// Returns the relation that ends with this hook, for this unit at least.
    pub(crate) fn broken_relation(&self) -> Option<&RelationId> {
        match &self.dispatch {
            Dispatch::Hook(hook) if hook.ends_with("-relation-broken") => self.relation.as_ref(),
            _ => None,
        }
    }

    /// Reads the variables through `get`, which answers as [`std::env::var`] would.
    ///
    /// # Errors
    ///
    /// When a variable is missing that Juju always sets, or does not have its form.
    pub(crate) fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        let required = |variable: &'static str| {
            get(variable).filter(|value| !value.is_empty()).ok_or(EnvironmentError::Missing(variable))
        };
        let path = required("JUJU_DISPATCH_PATH")?;
        let dispatch = match path.split_once('/') {
            Some(("hooks", hook)) if !hook.is_empty() => Dispatch::Hook(hook.to_owned()),
            Some(("actions", action)) if !action.is_empty() => Dispatch::Action(action.to_owned()),
            _ => {
                return Err(EnvironmentError::Unexpected { variable: "JUJU_DISPATCH_PATH", value: path });
            }
        };
        Ok(Self {
            dispatch,
            unit: required("JUJU_UNIT_NAME")?,
            model: ModelId { name: required("JUJU_MODEL_NAME")?, uuid: required("JUJU_MODEL_UUID")? },
            charm_directory: required("JUJU_CHARM_DIR")?.into(),
            relation: get("JUJU_RELATION_ID").filter(|id| !id.is_empty()).map(RelationId::new),
            proxies: ModelProxies {
                http: get("JUJU_CHARM_HTTP_PROXY").map(SecretString::from),
                https: get("JUJU_CHARM_HTTPS_PROXY").map(SecretString::from),
                exceptions: get("JUJU_CHARM_NO_PROXY").unwrap_or_default(),
                api_server: get("KUBERNETES_SERVICE_HOST").unwrap_or_default(),
            },
        })
    }

    /// Returns the application's name: the unit's without its number.
    pub(crate) fn application(&self) -> &str {
        self.unit.split_once('/').map_or(self.unit.as_str(), |(application, _)| application)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const UUID: &str = "2f6d1f6e-58b1-4d27-9d0c-5f0a3c6b7e11";

    fn read(variables: &[(&str, &str)]) -> Result<Environment, EnvironmentError> {
        let of_model = [("JUJU_MODEL_NAME", "backups"), ("JUJU_MODEL_UUID", UUID)];
        Environment::from_variables(|name| {
            variables
                .iter()
                .chain(&of_model)
                .find(|(variable, _)| *variable == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_relation_hook_has_its_relation() {
        let environment = read(&[
            ("JUJU_DISPATCH_PATH", "hooks/s3-credentials-relation-changed"),
            ("JUJU_UNIT_NAME", "velero-operator/12"),
            ("JUJU_CHARM_DIR", "/charm"),
            ("JUJU_RELATION_ID", "s3-credentials:7"),
        ])
        .unwrap();
        assert_eq!(environment.dispatch, Dispatch::Hook("s3-credentials-relation-changed".into()));
        assert_eq!(environment.application(), "velero-operator");
        assert_eq!((environment.model.name.as_str(), environment.model.uuid.as_str()), ("backups", UUID));
        assert_eq!(environment.relation, Some(RelationId::new("s3-credentials:7")));
    }

    #[test]
    fn an_action_is_told_from_a_hook_and_empty_variables_are_unset() {
        let environment = read(&[
            ("JUJU_DISPATCH_PATH", "actions/run-cli"),
            ("JUJU_UNIT_NAME", "velero-operator/0"),
            ("JUJU_CHARM_DIR", "/charm"),
            ("JUJU_RELATION_ID", ""),
        ])
        .unwrap();
        assert_eq!(environment.dispatch, Dispatch::Action("run-cli".into()));
        assert_eq!(environment.relation, None);
    }

    #[test]
    fn the_models_proxies_are_read_and_their_passwords_not_printed() {
        let environment = read(&[
            ("JUJU_DISPATCH_PATH", "hooks/install"),
            ("JUJU_UNIT_NAME", "velero-operator/0"),
            ("JUJU_CHARM_DIR", "/charm"),
            ("JUJU_CHARM_HTTPS_PROXY", "http://user:marked@proxy.internal:3128"),
            ("JUJU_CHARM_NO_PROXY", "localhost"),
            ("KUBERNETES_SERVICE_HOST", "10.152.183.1"),
        ])
        .unwrap();
        let ModelProxies { http, https, exceptions, api_server } = &environment.proxies;
        assert_eq!(https.as_ref().unwrap().expose_secret(), "http://user:marked@proxy.internal:3128");
        assert_eq!((http.is_none(), exceptions.as_str(), api_server.as_str()), (true, "localhost", "10.152.183.1"));
        assert!(!format!("{environment:?}").contains("marked"));
    }

    #[test]
    fn what_juju_did_not_start_is_told_so() {
        assert_eq!(read(&[]).unwrap_err(), EnvironmentError::Missing("JUJU_DISPATCH_PATH"));
        assert!(matches!(read(&[("JUJU_DISPATCH_PATH", "install")]).unwrap_err(), EnvironmentError::Unexpected { .. }));
    }
}
