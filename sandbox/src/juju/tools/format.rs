//! How a hook tool writes its answer.

use std::fmt::Write;

use serde_json::Value;

/// The value of `--format`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// Text for a shell.
    Smart,
    /// YAML.
    Yaml,
    /// JSON on one line.
    Json,
}

impl Format {
    /// The format of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "smart" => Some(Self::Smart),
            "yaml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// The text of the value, with the newline that ends it.
    #[must_use]
    pub fn write(self, value: &Value) -> String {
        let text = match self {
            Self::Json => json(value),
            Self::Yaml => yaml(value),
            Self::Smart => smart(value),
        };
        if text.is_empty() || text.ends_with('\n') { text } else { format!("{text}\n") }
    }
}

/// JSON as Go writes it: what could be markup is escaped.
fn json(value: &Value) -> String {
    let mut text = String::new();
    for character in value.to_string().chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(text, "\\u{:04x}", u32::from(character));
            }
            other => text.push(other),
        }
    }
    text
}

fn yaml(value: &Value) -> String {
    serde_yaml::to_string(value).unwrap_or_else(|_| value.to_string())
}

fn smart(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
        }
        other => yaml(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_one_line_with_markup_escaped() {
        assert_eq!(
            Format::Json.write(&json!({"b": "<&>", "a": null})),
            "{\"a\":null,\"b\":\"\\u003c\\u0026\\u003e\"}\n"
        );
        assert_eq!(Format::Json.write(&json!([])), "[]\n");
        assert_eq!(Format::Json.write(&Value::Null), "null\n");
    }

    #[test]
    fn smart_says_nothing_for_nothing() {
        for nothing in [Value::Null, json!(""), json!([])] {
            assert_eq!(Format::Smart.write(&nothing), "", "{nothing}");
        }
        assert_eq!(Format::Smart.write(&json!(true)), "True\n");
        assert_eq!(Format::Smart.write(&json!(["a", "b"])), "a\nb\n");
        assert_eq!(Format::Smart.write(&json!({"a": "b"})), "a: b\n");
    }
}
