//! Owning secrets: `secret-add`, `secret-set`, `secret-grant`, `secret-revoke`, `secret-remove`.
//!
//! All of it is kept back until the hook has ended well.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::super::context::SecretChange;
use super::super::names::{SecretUri, UnitName};
use super::super::secret::{Grant, Owner, Secret, SecretDescription};
use super::flags::{Flag, Parsed, switch, value};
use super::key_values::from_yaml;
use super::relation_id::{RELATION, given_or_own};
use super::secret::{not_found, parse_uri};
use super::{Answer, Call, Context, ToolError, failed, no_more, usage};

const VALUE_LIMIT: usize = 8 * 1024;
const CONTENT_LIMIT: usize = 64 * 1024;
const ROTATIONS: [&str; 7] = ["never", "hourly", "daily", "weekly", "monthly", "quarterly", "yearly"];

const UPSERT: &[Flag] = &[
    value(&["owner"]),
    value(&["label"]),
    value(&["description"]),
    value(&["expire"]),
    value(&["rotate"]),
    value(&["file"]),
];

fn is_key(key: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    key.len() >= 3
        && key.as_bytes()[0].is_ascii_lowercase()
        && key.bytes().all(|byte| fits(byte) || byte == b'-')
        && !key.ends_with('-')
        && !key.contains("--")
}

/// The content given by arguments and files, as base64.
fn content(call: &Call<'_>, parsed: &Parsed, arguments: &[String]) -> Result<BTreeMap<String, String>, ToolError> {
    let mut plain: BTreeMap<String, String> = BTreeMap::new();
    if let Some(path) = parsed.get("file").filter(|path| !path.is_empty()) {
        plain = from_yaml(call.read(path)?)?;
    }
    let mut encoded = BTreeMap::new();
    for argument in arguments {
        let Some((key, given)) = argument.split_once('=') else {
            return usage(format!("expected \"key=value\", got {argument:?}"));
        };
        if let Some(name) = key.strip_suffix("#base64") {
            if STANDARD.decode(given).is_err() {
                return usage(format!("{argument:?} is not a valid base64 value"));
            }
            encoded.insert(name.to_owned(), given.to_owned());
        } else if let Some(name) = key.strip_suffix("#file") {
            plain.insert(name.to_owned(), call.read(given)?.to_owned());
        } else {
            plain.insert(key.to_owned(), given.to_owned());
        }
    }
    encoded.extend(plain.into_iter().map(|(key, given)| (key, STANDARD.encode(given))));
    for (key, given) in &encoded {
        if !is_key(key) {
            return usage(format!("key {key:?} not valid"));
        }
        if given.len() / 4 * 3 > VALUE_LIMIT {
            return usage(format!("secret content for key {key:?} too large: {} bytes", given.len() / 4 * 3));
        }
    }
    let total: usize = encoded.values().map(|given| given.len() / 4 * 3).sum();
    if total > CONTENT_LIMIT {
        return usage(format!("secret content too large: {total} bytes"));
    }
    Ok(encoded)
}

fn rotation(parsed: &Parsed) -> Result<Option<String>, ToolError> {
    match parsed.get("rotate").filter(|policy| !policy.is_empty()) {
        Some(policy) if !ROTATIONS.contains(&policy) => usage(format!("rotate policy {policy:?} not valid")),
        policy => Ok(policy.map(str::to_owned)),
    }
}

fn owner(context: &Context<'_>, parsed: &Parsed) -> Result<Owner, ToolError> {
    match parsed.get("owner").unwrap_or("application") {
        "application" => Ok(Owner::Application(context.unit.application.clone())),
        "unit" => Ok(Owner::Unit(context.unit.clone())),
        other => usage(format!("secret owner {other:?} not valid")),
    }
}

pub(super) fn add(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let parsed = call.parse(UPSERT)?;
    let values = content(call, &parsed, &parsed.positional)?;
    if values.is_empty() {
        return usage("missing secret value or filename");
    }
    let rotate = rotation(&parsed)?;
    let owner = owner(context, &parsed)?;
    if matches!(owner, Owner::Application(_)) && !context.is_leader() {
        return failed("this unit is not the leader");
    }
    let label = parsed.get("label").unwrap_or_default();
    let taken = |secret: &Secret| secret.owner == owner && secret.label == label;
    if !label.is_empty() && context.secrets().values().any(taken) {
        let whose = &context.unit.application;
        return failed(format!("secret label {label:?} for application {whose:?} already exists"));
    }
    let uri = SecretUri::random();
    let mut secret = Secret::new(owner, values);
    label.clone_into(&mut secret.label);
    parsed.get("description").unwrap_or_default().clone_into(&mut secret.description);
    parsed.get("expire").unwrap_or_default().clone_into(&mut secret.expire);
    secret.rotate = rotate.unwrap_or(secret.rotate);
    context.change_secret(&uri.id, SecretChange::Add(Box::new(secret)));
    Ok(Answer { stdout: format!("{uri}\n"), ..Answer::silent() })
}

pub(super) fn set(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let parsed = call.parse(UPSERT)?;
    let Some((uri, arguments)) = parsed.positional.split_first() else { return usage("missing secret URI") };
    let id = parse_uri(uri)?.id;
    let values = content(call, &parsed, arguments)?;
    let change = SecretChange::Update {
        content: (!values.is_empty()).then_some(values),
        about: SecretDescription {
            label: parsed.get("label").map(str::to_owned),
            description: parsed.get("description").map(str::to_owned),
            rotate: rotation(&parsed)?,
            expire: parsed.get("expire").map(str::to_owned),
        },
    };
    context.change_secret(&id, change);
    Ok(Answer::silent())
}

fn access(context: &Context<'_>, parsed: &Parsed) -> Result<(String, Option<Grant>), ToolError> {
    let Some(uri) = parsed.positional.first() else { return usage("missing secret URI") };
    let id = parse_uri(uri)?.id;
    no_more(parsed.positional.get(1..).unwrap_or_default())?;
    let Some(relation) = given_or_own(context, parsed)? else { return Ok((id, None)) };
    let application = context
        .model
        .relations
        .get(&relation)
        .and_then(|relation| relation.remote(&context.unit.application))
        .map(|remote| remote.application.clone())
        .unwrap_or_default();
    let unit = match parsed.get("unit").filter(|unit| !unit.is_empty()) {
        None => None,
        Some(name) => match name.parse::<UnitName>() {
            Ok(unit) => Some(unit.number),
            Err(error) => return usage(error.to_string()),
        },
    };
    Ok((id, Some(Grant { relation: Some(relation), application, unit })))
}

pub(super) fn grant(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let parsed = call.parse(&[RELATION, value(&["unit"])])?;
    let (id, grant) = access(context, &parsed)?;
    let Some(grant) = grant else { return usage("no relation id specified") };
    if !context.secrets().contains_key(&id) {
        return Err(not_found(&id));
    }
    context.change_secret(&id, SecretChange::Grant(grant));
    Ok(Answer::silent())
}

pub(super) fn revoke(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let parsed = call.parse(&[RELATION, value(&["app", "application"]), value(&["unit"])])?;
    let (id, grant) = access(context, &parsed)?;
    let application = match (parsed.get("app"), grant) {
        (Some(application), _) => application.to_owned(),
        (None, Some(grant)) => grant.application,
        (None, None) => return usage("missing application or relation"),
    };
    context.change_secret(&id, SecretChange::Revoke { application });
    Ok(Answer::silent())
}

pub(super) fn remove(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let parsed = call.parse(&[value(&["revision"]), switch(&["force"])])?;
    let Some(uri) = parsed.positional.first() else { return usage("missing secret URI") };
    let id = parse_uri(uri)?.id;
    no_more(parsed.positional.get(1..).unwrap_or_default())?;
    let revision = match parsed.given("revision") {
        None => None,
        Some(given) => match given.value.parse::<u32>() {
            Ok(revision) if revision > 0 => Some(revision),
            _ => return usage(format!("invalid value {} for option {}", json!(given.value), given.written)),
        },
    };
    context.change_secret(&id, SecretChange::Remove { revision });
    Ok(Answer::silent())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_three_characters_at_least() {
        for good in ["access-key", "abc", "a1b"] {
            assert!(is_key(good), "{good}");
        }
        for bad in ["", "ab", "a_b_c", "1ab", "abc-", "a--b", "Abc"] {
            assert!(!is_key(bad), "{bad}");
        }
    }
}
