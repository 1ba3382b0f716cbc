//! What is asked of the server.

use std::collections::BTreeMap;

use http::{Method, header, request::Parts};
use serde_json::Value;

use super::store::Key;

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Apply,
    Merge,
    Delete,
    DeleteCollection,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) verb: Verb,
    /// Of which object, or of which kind where its name is empty.
    pub(crate) key: Key,
    pub(super) version: String,
    pub(super) metadata_only: bool,
    pub(super) parameters: BTreeMap<String, String>,
    pub(crate) body: Value,
    /// The method and the address.
    pub(crate) text: String,
}

impl Call {
    pub(super) fn read(head: &Parts, body: &[u8]) -> Self {
        let parameters: BTreeMap<String, String> =
            url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let (key, version) = place(head.uri.path());
        let of_header =
            |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let body = serde_json::from_slice(body).unwrap_or(Value::Null);
        let one = !key.name.is_empty();
        let verb = match head.method {
            Method::GET if parameters.get("watch").is_some_and(|watch| watch == "true") => Verb::Watch,
            Method::GET if one => Verb::Get,
            Method::GET => Verb::List,
            Method::POST => Verb::Create,
            Method::PATCH if of_header(header::CONTENT_TYPE).contains("apply-patch") => Verb::Apply,
            Method::PATCH => Verb::Merge,
            Method::DELETE if one => Verb::Delete,
            Method::DELETE => Verb::DeleteCollection,
            ref other => panic!("the test's server knows no {other}"),
        };
        let metadata_only = of_header(header::ACCEPT).contains("as=PartialObjectMetadata");
        Self { verb, key, version, metadata_only, parameters, body, text: format!("{} {}", head.method, head.uri) }
    }

    /// A parameter of the address that says something.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn is_dry_run(&self) -> bool {
        self.parameter("dryRun").is_some() || self.body["dryRun"].is_array()
    }

    /// Whether the selectors of the request include an object.
    pub(super) fn selects(&self, object: &Value) -> bool {
        let labels = self.parameter("labelSelector").is_none_or(|selector| has_labels(object, selector));
        labels && self.parameter("fieldSelector").is_none_or(|selector| has_fields(object, selector))
    }
}

/// The object or kind of a path, and the version of its API.
fn place(path: &str) -> (Key, String) {
    let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let group = if parts.first() == Some(&"apis") { parts.remove(1) } else { "" };
    let version = parts.get(1).copied().unwrap_or_default();
    let (namespace, rest) = match &parts[2..] {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() && rest != ["status"] => (*namespace, rest),
        rest => ("", rest),
    };
    let part = |index: usize| rest.get(index).copied().unwrap_or_default().to_owned();
    let key = Key { group: group.to_owned(), plural: part(0), namespace: namespace.to_owned(), name: part(1) };
    (key, version.to_owned())
}

fn has_labels(object: &Value, selector: &str) -> bool {
    requirements(selector).into_iter().all(|requirement| {
        let label = |key: &str| object["metadata"]["labels"][key.trim()].as_str();
        if let Some((key, values)) = requirement.split_once(" notin ") {
            return label(key).is_none_or(|value| !listed(values, value));
        }
        if let Some((key, values)) = requirement.split_once(" in ") {
            return label(key).is_some_and(|value| listed(values, value));
        }
        if let Some((key, value)) = requirement.split_once("!=") {
            return label(key) != Some(value.trim());
        }
        if let Some((key, value)) = requirement.split_once('=') {
            return label(key) == Some(value.trim_start_matches('=').trim());
        }
        match requirement.strip_prefix('!') {
            Some(key) => label(key).is_none(),
            None => label(&requirement).is_some(),
        }
    })
}

/// The parts between the commas, but for those in parentheses.
fn requirements(selector: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for character in selector.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if character == ',' && depth == 0 {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).collect()
}

fn listed(values: &str, value: &str) -> bool {
    values.trim().trim_matches(['(', ')']).split(',').any(|listed| listed.trim() == value)
}

fn has_fields(object: &Value, selector: &str) -> bool {
    selector.split(',').all(|requirement| {
        let (path, value) = requirement.split_once('=').expect("a field selector");
        let (path, equal) = path.strip_suffix('!').map_or((path, true), |path| (path, false));
        let pointer = format!("/{}", path.replace('.', "/"));
        let found = object.pointer(&pointer).and_then(Value::as_str).unwrap_or_default();
        (found == value.trim_start_matches('=')) == equal
    })
}
