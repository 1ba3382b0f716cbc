//! The actions of `actions.yaml` and the parameters that they take.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// One action of a charm.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct ActionSpec {
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// The schema of each parameter.
    #[serde(default)]
    pub params: BTreeMap<String, Value>,
    /// The parameters that must be given.
    #[serde(default)]
    pub required: Vec<String>,
    /// Whether parameters that are not in `params` are let through: they are unless this is `false`.
    #[serde(default, rename = "additionalProperties")]
    pub additional_properties: Option<bool>,
}

/// Parameters that do not fit the action's schema.
#[derive(Debug, thiserror::Error)]
#[error("validation failed: {reason}")]
pub struct InvalidParameters {
    /// Each broken rule, joined by `; `.
    pub reason: String,
}

impl ActionSpec {
    /// Checks the action's own definition.
    ///
    /// # Errors
    /// The rule of Juju that is broken, as text.
    pub(super) fn check(&self, name: &str) -> Result<(), String> {
        let parts_fit = name.split('-').all(|part| {
            !part.is_empty() && part.chars().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit())
        });
        if !parts_fit {
            return Err(format!("bad action name {name}"));
        }
        if name == "juju" || name.starts_with("juju-") {
            return Err(format!("cannot use action name {name}: \"juju\" is a reserved name"));
        }
        jsonschema::validator_for(&self.schema())
            .map(|_| ())
            .map_err(|error| format!("invalid params schema for action schema {name}: {error}"))
    }

    /// The parameters that the charm will see: those given, with the schema's defaults for the others.
    ///
    /// # Errors
    /// When they break the action's schema, as `juju run` refuses them before the unit hears of it.
    pub fn parameters(&self, given: &Map<String, Value>) -> Result<Map<String, Value>, InvalidParameters> {
        let mut parameters = given.clone();
        for (name, schema) in &self.params {
            if let (false, Some(default)) = (parameters.contains_key(name), schema.get("default")) {
                parameters.insert(name.clone(), default.clone());
            }
        }
        let validator = jsonschema::validator_for(&self.schema())
            .map_err(|error| InvalidParameters { reason: error.to_string() })?;
        let value = Value::Object(parameters.clone());
        let broken: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| {
                let path = error.instance_path().to_string();
                let place =
                    if path.is_empty() { "(root)".to_owned() } else { path.trim_start_matches('/').replace('/', ".") };
                format!("{place} : {error}, given {value}")
            })
            .collect();
        if broken.is_empty() { Ok(parameters) } else { Err(InvalidParameters { reason: broken.join("; ") }) }
    }

    fn schema(&self) -> Value {
        json!({
            "type": "object",
            "properties": self.params,
            "required": self.required,
            "additionalProperties": self.additional_properties.unwrap_or(true),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action() -> ActionSpec {
        serde_yaml::from_str(
            "params: {command: {type: string}, limit: {type: integer, default: 3}}\n\
             required: [command]\nadditionalProperties: false",
        )
        .expect("an action")
    }

    fn given(value: &Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn defaults_are_filled_in() {
        let parameters = action().parameters(&given(&json!({"command": "x"}))).expect("valid");
        assert_eq!(Value::Object(parameters), json!({"command": "x", "limit": 3}));
    }

    #[test]
    fn unknown_missing_and_mistyped_parameters_are_refused() {
        for bad in [json!({"command": "x", "other": 1}), json!({}), json!({"command": 5})] {
            let error = action().parameters(&given(&bad)).expect_err("refused");
            assert!(error.to_string().starts_with("validation failed: "), "{error}");
        }
    }

    #[test]
    fn names_of_actions_follow_juju() {
        assert!(action().check("run-cli").is_ok());
        for bad in ["Run", "run_cli", "-run", "juju-run", "juju"] {
            assert!(action().check(bad).is_err(), "{bad}");
        }
    }
}
