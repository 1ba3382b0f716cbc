//! A spec as an application has declared it: whose it is, and what it says.

use serde_json::Value;
use thiserror::Error;

use super::spec::{BackupSpec, SpecError};

/// Which spec it is, for as long as it is declared: others may tell the same of the application.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct SpecId {
    /// The number of its relation.
    pub relation: u32,
    /// Its place in the relation's list, from 0 on.
    pub position: usize,
}

/// What is backed up, in the words of whoever declares it: not always the related application.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Target {
    pub application: String,
    pub endpoint: String,
    /// The application's model; `None` for this one.
    pub model: Option<String>,
}

/// What an application has declared at a place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Declaration {
    pub id: SpecId,
    /// What is backed up, as far as that can be read.
    pub target: Option<Target>,
    /// The application's name for messages.
    pub name: String,
    pub spec: Result<BackupSpec, DeclarationError>,
}

/// What is wrong with what an application has declared.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub(crate) enum DeclarationError {
    #[error("{key} is missing")]
    Missing { key: &'static str },
    #[error("the entry is not a JSON object")]
    NotAnObject,
    #[error(transparent)]
    Spec(#[from] SpecError),
}

impl Declaration {
    /// Reads what has been declared as single values, of which the spec is the text of a JSON object. `related` is the name of the
    /// application that declares it.
    pub(crate) fn of_texts<'a>(id: SpecId, related: &str, get: impl Fn(&str) -> Option<&'a str>) -> Self {
        let spec = get("spec").map_or(Ok(BackupSpec::default()), BackupSpec::from_text);
        Self::of(id, related, &get, spec)
    }

    /// Reads an entry of a list.
    pub(crate) fn of_entry(id: SpecId, related: &str, entry: &Value) -> Self {
        let Some(fields) = entry.as_object() else {
            let name = related.to_owned();
            return Self { id, target: None, name, spec: Err(DeclarationError::NotAnObject) };
        };
        let spec = fields.get("spec").filter(|spec| !spec.is_null());
        let spec = spec.map_or(Ok(BackupSpec::default()), BackupSpec::from_value);
        let get = |key: &str| fields.get(key)?.as_str().filter(|text| !text.is_empty());
        Self::of(id, related, get, spec)
    }

    fn of<'a>(
        id: SpecId,
        related: &str,
        get: impl Fn(&str) -> Option<&'a str>,
        spec: Result<BackupSpec, SpecError>,
    ) -> Self {
        let required = |key: &'static str| get(key).map(str::to_owned).ok_or(DeclarationError::Missing { key });
        let target = required("app").and_then(|application| {
            let endpoint = required("relation_name")?;
            Ok(Target { application, endpoint, model: get("model").map(str::to_owned) })
        });
        let name = get("app").unwrap_or(related).to_owned();
        match target {
            Ok(target) => Self { id, target: Some(target), name, spec: spec.map_err(DeclarationError::Spec) },
            Err(error) => Self { id, target: None, name, spec: Err(error) },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: SpecId = SpecId { relation: 11, position: 0 };

    #[test]
    fn an_application_is_named_as_it_says_itself() {
        let entry = json!({"app": "ledger", "relation_name": "ledger-backups", "model": "apps", "spec": {}});
        let declaration = Declaration::of_entry(ID, "integrator", &entry);
        let target =
            Target { application: "ledger".into(), endpoint: "ledger-backups".into(), model: Some("apps".into()) };
        assert_eq!((declaration.name.as_str(), &declaration.target), ("ledger", &Some(target)));
        let texts = |key: &str| {
            Some(match key {
                "app" => "ledger",
                "relation_name" => "ledger-backups",
                "model" => "apps",
                _ => "{}",
            })
        };
        assert_eq!(Declaration::of_texts(ID, "integrator", texts), declaration);
    }

    #[test]
    fn without_a_name_of_its_own_it_is_that_of_the_relation() {
        for (entry, told) in [
            (json!({"relation_name": "backups"}), "app is missing"),
            (json!({"app": "integrator"}), "relation_name is missing"),
            (json!("integrator"), "the entry is not a JSON object"),
        ] {
            let declaration = Declaration::of_entry(ID, "integrator", &entry);
            assert_eq!((declaration.name.as_str(), declaration.target), ("integrator", None));
            assert_eq!(declaration.spec.unwrap_err().to_string(), told);
        }
    }

    #[test]
    fn no_spec_at_all_is_an_empty_one() {
        let entry = json!({"app": "ledger", "relation_name": "backups", "spec": null});
        assert_eq!(Declaration::of_entry(ID, "ledger", &entry).spec, Ok(BackupSpec::default()));
    }
}
