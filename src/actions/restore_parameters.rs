//! What of a backup a user wants to have restored: a decision without I/O.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{
    backups::{is_label_key, is_label_value},
    contract::{ParameterSpec, parameter},
    juju::ActionParameters,
    velero::{ExistingResourcePolicy, RestoreOrder},
};

/// The longest name of a namespace.
const LONGEST_NAMESPACE: usize = 63;
/// Kinds that Velero restores never, and refuses where they are asked for.
const NEVER_RESTORED: &[&str] = &[
    "nodes",
    "events",
    "events.events.k8s.io",
    "backups.velero.io",
    "restores.velero.io",
    "resticrepositories.velero.io",
    "csinodes.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
    "backuprepositories.velero.io",
];

/// Which backup is meant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    Name(String),
    /// By the uid that it has in this cluster.
    Uid(String),
}

/// What is wrong with the parameters.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub(crate) enum ParameterError {
    #[error("name the backup by backup-uid or by backup, as list-backups shows it")]
    NoBackup,
    #[error("{one} and {other} cannot go together: give one of them")]
    Both { one: &'static str, other: &'static str },
    #[error("{parameter} is empty")]
    Empty { parameter: &'static str },
    #[error("existing-resource-policy is {0:?}, and must be none or update")]
    Policy(String),
    #[error("{parameter} has {name:?}, which cannot be {what}")]
    Name { parameter: &'static str, name: String, what: &'static str },
    #[error("{parameter} has \"*\" beside others, of which Velero takes one or the other")]
    EverythingAndMore { parameter: &'static str },
    #[error("include-resources has {0}, which Velero never restores")]
    NeverRestored(String),
    #[error("{parameter} has {term:?}, which is not of the form {form}")]
    Form { parameter: &'static str, term: String, form: &'static str },
    #[error("{parameter} says two things of {name:?}")]
    Twice { parameter: &'static str, name: String },
}

/// Reads all parameters but `wait`.
pub(crate) fn read(parameters: &ActionParameters) -> Result<(Source, RestoreOrder), ParameterError> {
    let reader = Reader(parameters);
    let source = reader.source()?;
    reader.not_both(parameter::INCLUDE_NAMESPACES, parameter::EXCLUDE_NAMESPACES)?;
    reader.not_both(parameter::INCLUDE_RESOURCES, parameter::EXCLUDE_RESOURCES)?;
    reader.not_both(parameter::SELECTOR, parameter::OR_SELECTOR)?;
    let order = RestoreOrder {
        existing: reader.policy()?,
        include_namespaces: reader.names(parameter::INCLUDE_NAMESPACES, is_namespace, "a namespace")?,
        exclude_namespaces: reader.names(parameter::EXCLUDE_NAMESPACES, is_namespace, "a namespace")?,
        include_resources: reader.names(parameter::INCLUDE_RESOURCES, is_resource, "a kind of objects")?,
        exclude_resources: reader.names(parameter::EXCLUDE_RESOURCES, is_resource, "a kind of objects")?,
        selectors: reader.selectors()?,
        namespace_mapping: reader.mapping()?,
    };
    match order.include_resources.iter().find(|name| NEVER_RESTORED.contains(&name.as_str())) {
        Some(name) => Err(ParameterError::NeverRestored(name.clone())),
        None => Ok((source, order)),
    }
}

/// Returns the name of a backup if it is one: any other text would be a part of an address of the API.
///
/// # Errors
///
/// When it is none.
pub(super) fn backup_name(name: &str) -> Result<&str, ParameterError> {
    let parameter = parameter::BACKUP.name;
    let other = || ParameterError::Name { parameter, name: name.to_owned(), what: "the name of a backup" };
    is_object_name(name).then_some(name).ok_or_else(other)
}

struct Reader<'a>(&'a ActionParameters);

impl<'a> Reader<'a> {
    /// Returns a text without white space around it.
    fn text(&self, parameter: ParameterSpec) -> Result<Option<&'a str>, ParameterError> {
        match self.0.text(parameter.name).map(str::trim) {
            Some("") => Err(ParameterError::Empty { parameter: parameter.name }),
            text => Ok(text),
        }
    }

    fn not_both(&self, one: ParameterSpec, other: ParameterSpec) -> Result<(), ParameterError> {
        match (self.0.text(one.name), self.0.text(other.name)) {
            (Some(_), Some(_)) => Err(ParameterError::Both { one: one.name, other: other.name }),
            _ => Ok(()),
        }
    }

    fn source(&self) -> Result<Source, ParameterError> {
        self.not_both(parameter::BACKUP_UID, parameter::BACKUP)?;
        match (self.text(parameter::BACKUP_UID)?, self.text(parameter::BACKUP)?) {
            (Some(uid), _) => Ok(Source::Uid(uid.to_owned())),
            (None, Some(name)) => Ok(Source::Name(backup_name(name)?.to_owned())),
            (None, None) => Err(ParameterError::NoBackup),
        }
    }

    fn policy(&self) -> Result<ExistingResourcePolicy, ParameterError> {
        match self.text(parameter::EXISTING_RESOURCE_POLICY)? {
            None | Some("none") => Ok(ExistingResourcePolicy::None),
            Some("update") => Ok(ExistingResourcePolicy::Update),
            Some(other) => Err(ParameterError::Policy(other.to_owned())),
        }
    }

    /// Returns the parts of a list; none where it was not given.
    fn parts(&self, parameter: ParameterSpec, between: &'static str) -> Result<Vec<&'a str>, ParameterError> {
        let Some(text) = self.text(parameter)? else { return Ok(Vec::new()) };
        let parts: Vec<_> = text.split(between).map(str::trim).filter(|part| !part.is_empty()).collect();
        // Velero would take no names for all.
        if parts.is_empty() { Err(ParameterError::Empty { parameter: parameter.name }) } else { Ok(parts) }
    }

    fn names(
        &self,
        spec: ParameterSpec,
        is_name: impl Fn(&str) -> bool,
        what: &'static str,
    ) -> Result<Vec<String>, ParameterError> {
        let (parameter, names) = (spec.name, self.parts(spec, ",")?);
        let is_including = [parameter::INCLUDE_NAMESPACES.name, parameter::INCLUDE_RESOURCES.name].contains(&parameter);
        if let Some(name) = names.iter().find(|name| !(is_name(name) || is_including && **name == "*")) {
            return Err(ParameterError::Name { parameter, name: (*name).to_owned(), what });
        }
        if names.len() > 1 && names.contains(&"*") {
            return Err(ParameterError::EverythingAndMore { parameter });
        }
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    fn selectors(&self) -> Result<Vec<BTreeMap<String, String>>, ParameterError> {
        let whole = self.parts(parameter::SELECTOR, ",")?;
        if !whole.is_empty() {
            return Ok(vec![labels(parameter::SELECTOR.name, whole)?]);
        }
        let each =
            |alternative: &str| labels(parameter::OR_SELECTOR.name, alternative.split(',').map(str::trim).collect());
        self.parts(parameter::OR_SELECTOR, " or ")?.into_iter().map(each).collect()
    }

    fn mapping(&self) -> Result<BTreeMap<String, String>, ParameterError> {
        let parameter = parameter::NAMESPACE_MAPPING.name;
        let mut mapping = BTreeMap::new();
        for term in self.parts(parameter::NAMESPACE_MAPPING, ",")? {
            let Some((old, new)) = term.split_once(':') else {
                return Err(ParameterError::Form { parameter, term: term.to_owned(), form: "OLD:NEW" });
            };
            let (old, new) = (old.trim(), new.trim());
            if let Some(name) = [old, new].into_iter().find(|name| !is_namespace(name)) {
                return Err(ParameterError::Name { parameter, name: name.to_owned(), what: "a namespace" });
            }
            if mapping.insert(old.to_owned(), new.to_owned()).is_some() {
                return Err(ParameterError::Twice { parameter, name: old.to_owned() });
            }
        }
        Ok(mapping)
    }
}

/// Reads a selector that names values of labels.
fn labels(parameter: &'static str, terms: Vec<&str>) -> Result<BTreeMap<String, String>, ParameterError> {
    let mut labels = BTreeMap::new();
    for term in terms {
        let form = || ParameterError::Form { parameter, term: term.to_owned(), form: "KEY=VALUE" };
        let (key, value) = term.split_once('=').ok_or_else(form)?;
        let (key, value) = (key.trim(), value.trim());
        if !is_label_key(key) || value.is_empty() || !is_label_value(value) {
            return Err(form());
        }
        if labels.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(ParameterError::Twice { parameter, name: key.to_owned() });
        }
    }
    Ok(labels)
}

fn is_letter(character: char) -> bool {
    character.is_ascii_lowercase() || character.is_ascii_digit()
}

fn is_namespace(name: &str) -> bool {
    name.len() <= LONGEST_NAMESPACE && is_part_of_name(name)
}

fn is_part_of_name(text: &str) -> bool {
    text.starts_with(is_letter)
        && text.ends_with(is_letter)
        && text.chars().all(|character| is_letter(character) || character == '-')
}

fn is_object_name(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_part_of_name)
}

/// Whether a text can be a kind's plural, with or without its group. Unknown ones are no error.
fn is_resource(name: &str) -> bool {
    name.len() <= 253 && name.split(['.', '/']).all(is_part_of_name)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read_of(parameters: &Value) -> Result<(Source, RestoreOrder), String> {
        let parameters = parameters.as_object().unwrap().clone().into_iter().collect();
        read(&parameters).map_err(|error| error.to_string())
    }

    /// The order that comes of parameters beside the backup's name.
    fn order(parameters: &Value) -> Result<RestoreOrder, String> {
        let mut all = json!({"backup": "nightly"});
        all.as_object_mut().unwrap().extend(parameters.as_object().unwrap().clone());
        read_of(&all).map(|(_, order)| order)
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_backup_is_named_by_its_name_or_by_its_uid() {
        let source = |parameters| read_of(&parameters).map(|(source, _)| source);
        assert_eq!(source(json!({"backup": "nightly.1"})), Ok(Source::Name("nightly.1".into())));
        assert_eq!(source(json!({"backup-uid": " 0a1b-2c "})), Ok(Source::Uid("0a1b-2c".into())));
        for (parameters, told) in [
            (json!({}), "name the backup by backup-uid or by backup, as list-backups shows it"),
            (json!({"backup": "a", "backup-uid": "b"}), "backup-uid and backup cannot go together: give one of them"),
            (json!({"backup-uid": " "}), "backup-uid is empty"),
            (json!({"backup": "Nightly"}), "backup has \"Nightly\", which cannot be the name of a backup"),
        ] {
            assert_eq!(source(parameters), Err(told.to_owned()));
        }
    }

    #[test]
    fn what_is_chosen_is_read() {
        let chosen = order(&json!({"existing-resource-policy": "update", "include-namespaces": "shop, mail,",
            "exclude-resources": "pods,deployments.apps", "selector": "tier=data,app.kubernetes.io/name=shop",
            "namespace-mapping": "shop:shop-again, mail:mail-2"}));
        let expected = RestoreOrder {
            existing: ExistingResourcePolicy::Update,
            include_namespaces: vec!["shop".into(), "mail".into()],
            exclude_resources: vec!["pods".into(), "deployments.apps".into()],
            selectors: vec![labels(&[("tier", "data"), ("app.kubernetes.io/name", "shop")])],
            namespace_mapping: labels(&[("shop", "shop-again"), ("mail", "mail-2")]),
            ..RestoreOrder::default()
        };
        assert_eq!(chosen, Ok(expected));
        assert_eq!(order(&json!({})), Ok(RestoreOrder::default()));
        assert_eq!(order(&json!({"include-namespaces": "*"})).unwrap().include_namespaces, ["*"]);
        let either = order(&json!({"or-selector": "tier=data or tier=web,app=shop"})).unwrap().selectors;
        assert_eq!(either, [labels(&[("tier", "data")]), labels(&[("tier", "web"), ("app", "shop")])]);
    }

    #[test]
    fn what_is_wrong_is_told_before_anything_is_made() {
        for (parameters, told) in [
            (
                json!({"include-namespaces": "a", "exclude-namespaces": "b"}),
                "include-namespaces and exclude-namespaces",
            ),
            (json!({"include-resources": "a", "exclude-resources": "b"}), "include-resources and exclude-resources"),
            (json!({"selector": "a=b", "or-selector": "a=b"}), "selector and or-selector cannot go together"),
            (json!({"existing-resource-policy": "replace"}), "existing-resource-policy is \"replace\", and must be"),
            (json!({"include-namespaces": ","}), "include-namespaces is empty"),
            (json!({"include-namespaces": ""}), "include-namespaces is empty"),
            (json!({"include-namespaces": "Shop"}), "include-namespaces has \"Shop\", which cannot be a namespace"),
            (json!({"include-namespaces": "-a"}), "include-namespaces has \"-a\", which cannot be a namespace"),
            (json!({"include-namespaces": "a-"}), "include-namespaces has \"a-\", which cannot be a namespace"),
            (json!({"include-namespaces": "a,*"}), "include-namespaces has \"*\" beside others"),
            (json!({"exclude-namespaces": "*"}), "exclude-namespaces has \"*\", which cannot be a namespace"),
            (json!({"include-resources": "a b"}), "include-resources has \"a b\", which cannot be a kind of objects"),
            (json!({"include-resources": "nodes"}), "include-resources has nodes, which Velero never restores"),
            (json!({"selector": "tier"}), "selector has \"tier\", which is not of the form KEY=VALUE"),
            (json!({"selector": "tier!=data"}), "selector has \"tier!=data\", which is not of the form KEY=VALUE"),
            (json!({"selector": "tier=="}), "selector has \"tier==\", which is not of the form KEY=VALUE"),
            (json!({"selector": "tier in (a)"}), "selector has \"tier in (a)\", which is not of the form"),
            (json!({"selector": "a=b,a=c"}), "selector says two things of \"a\""),
            (json!({"or-selector": "a=b or c"}), "or-selector has \"c\", which is not of the form KEY=VALUE"),
            (json!({"namespace-mapping": "shop"}), "namespace-mapping has \"shop\", which is not of the form OLD:NEW"),
            (json!({"namespace-mapping": "shop:"}), "namespace-mapping has \"\", which cannot be a namespace"),
            (json!({"namespace-mapping": "a:b,a:c"}), "namespace-mapping says two things of \"a\""),
        ] {
            let error = order(&parameters).unwrap_err();
            assert!(error.starts_with(told), "{parameters}: {error}");
        }
    }
}
