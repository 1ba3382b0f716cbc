//! The options of `config.yaml` and the values that they take.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The type of an option.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OptionType {
    /// Any text.
    String,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// `true` or `false`.
    Boolean,
    /// The URI of a secret.
    Secret,
}

impl OptionType {
    /// The name that `config.yaml` uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::Secret => "secret",
        }
    }
}

/// One option of a charm.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ConfigOption {
    /// What values it takes.
    #[serde(rename = "type")]
    pub kind: OptionType,
    /// The value that it has unless one is set.
    #[serde(default)]
    pub default: Option<Value>,
    /// What it is for.
    #[serde(default)]
    pub description: String,
}

/// A value that an option does not take.
#[derive(Debug, thiserror::Error)]
#[error("option {name:?} expected {}, got {got}", kind.name())]
pub struct InvalidOption {
    /// The option.
    pub name: String,
    /// What it takes.
    pub kind: OptionType,
    /// What it was given, quoted if it is text.
    pub got: String,
}

impl ConfigOption {
    /// The value of this option that `text` stands for, as `juju config NAME=TEXT` reads it.
    ///
    /// # Errors
    /// When the text is not of the option's type.
    pub fn parse(&self, name: &str, text: &str) -> Result<Value, InvalidOption> {
        let parsed = match self.kind {
            OptionType::String => Some(Value::from(text)),
            OptionType::Int => text.parse::<i64>().ok().map(Value::from),
            OptionType::Float => text.parse::<f64>().ok().map(Value::from),
            OptionType::Boolean => parse_bool(text).map(Value::from),
            OptionType::Secret => (text.is_empty() || text.starts_with("secret:")).then(|| Value::from(text)),
        };
        parsed.ok_or_else(|| self.invalid(name, &Value::from(text)))
    }

    pub(super) fn check_default(&self, name: &str) -> Result<(), InvalidOption> {
        let Some(default) = &self.default else { return Ok(()) };
        let fits = match self.kind {
            OptionType::String => default.is_string(),
            OptionType::Int => default.is_i64(),
            OptionType::Float => default.is_number(),
            OptionType::Boolean => default.is_boolean(),
            OptionType::Secret => default.as_str().is_some_and(|text| text.starts_with("secret:")),
        };
        if fits { Ok(()) } else { Err(self.invalid(name, default)) }
    }

    fn invalid(&self, name: &str, got: &Value) -> InvalidOption {
        InvalidOption { name: name.to_owned(), kind: self.kind, got: got.to_string() }
    }
}

/// The words for a boolean that Go knows.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(kind: OptionType) -> ConfigOption {
        ConfigOption { kind, default: None, description: String::new() }
    }

    #[test]
    fn values_are_of_the_options_type() {
        assert_eq!(option(OptionType::Int).parse("x", "5").expect("a number"), Value::from(5));
        assert_eq!(option(OptionType::Boolean).parse("x", "True").expect("a boolean"), Value::from(true));
        assert_eq!(option(OptionType::String).parse("x", "5").expect("text"), Value::from("5"));
        let error = option(OptionType::Boolean).parse("x", "yes").expect_err("refused");
        assert_eq!(error.to_string(), "option \"x\" expected boolean, got \"yes\"");
        assert!(option(OptionType::Secret).parse("x", "hello").is_err());
    }
}
