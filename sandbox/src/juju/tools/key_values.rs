//! `key=value` arguments and the YAML of `--file`.

use std::collections::BTreeMap;

use super::{ToolError, failed, usage};

/// The pairs, with white space at both ends of keys and values cut off, as Juju does.
pub(super) fn from_arguments(arguments: &[String]) -> Result<BTreeMap<String, String>, ToolError> {
    let mut pairs = BTreeMap::new();
    for argument in arguments.iter().filter(|argument| !argument.is_empty()) {
        let Some((key, value)) = argument.split_once('=').filter(|(key, _)| !key.trim().is_empty()) else {
            return usage(format!("expected \"key=value\", got {argument:?}"));
        };
        if pairs.insert(key.trim().to_owned(), value.trim().to_owned()).is_some() {
            return usage(format!("key {:?} specified more than once", key.trim()));
        }
    }
    Ok(pairs)
}

/// A flat map of scalars; their text is kept, null is the empty text.
pub(super) fn from_yaml(text: &str) -> Result<BTreeMap<String, String>, ToolError> {
    let document: Option<BTreeMap<String, serde_yaml::Value>> = match serde_yaml::from_str(text) {
        Ok(document) => document,
        Err(error) => return failed(format!("yaml: {error}")),
    };
    let mut pairs = BTreeMap::new();
    for (key, value) in document.unwrap_or_default() {
        let value = match value {
            serde_yaml::Value::Null => String::new(),
            serde_yaml::Value::String(text) => text,
            serde_yaml::Value::Bool(value) => value.to_string(),
            serde_yaml::Value::Number(number) => number.to_string(),
            _ => {
                return failed(format!("yaml: unmarshal errors:\n  cannot unmarshal the value of {key:?} into string"));
            }
        };
        if key.is_empty() {
            return failed("empty keys are not permitted");
        }
        pairs.insert(key, value);
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn arguments_are_trimmed() {
        let pairs = from_arguments(&arguments(&[" a = 1 ", "b=x=y", "c=", ""])).expect("pairs");
        assert_eq!(pairs["a"], "1");
        assert_eq!(pairs["b"], "x=y");
        assert_eq!(pairs["c"], "");
    }

    #[test]
    fn arguments_without_equals_or_twice_are_refused() {
        let refused = |words| from_arguments(&arguments(words)).expect_err("refused");
        assert_eq!(refused(&["a"]), ToolError::Usage("expected \"key=value\", got \"a\"".to_owned()));
        assert_eq!(refused(&["=a"]), ToolError::Usage("expected \"key=value\", got \"=a\"".to_owned()));
        assert_eq!(refused(&["a=1", "a=2"]), ToolError::Usage("key \"a\" specified more than once".to_owned()));
    }

    #[test]
    fn yaml_is_kept_as_it_is() {
        let pairs = from_yaml(r#"{"a": " 1 ", "b": "\u001b", "c": null, "d": 5}"#).expect("pairs");
        assert_eq!((pairs["a"].as_str(), pairs["b"].as_str()), (" 1 ", "\u{1b}"));
        assert_eq!((pairs["c"].as_str(), pairs["d"].as_str()), ("", "5"));
        assert!(matches!(from_yaml("a: [1]"), Err(ToolError::Failed(_))));
    }
}
