//! Reading secrets: `secret-get`, `secret-info-get`, `secret-ids`.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::names::SecretUri;
use super::super::secret::Owner;
use super::flags::{Parsed, switch, value};
use super::format::Format;
use super::{Answer, Call, Context, ToolError, failed, no_more, usage};

/// The secret that a URI names.
pub(super) fn parse_uri(text: &str) -> Result<SecretUri, ToolError> {
    text.parse().map_err(|error: super::super::names::InvalidSecretUri| ToolError::Usage(error.to_string()))
}

pub(super) fn not_found(id: &str) -> ToolError {
    ToolError::Failed(format!("secret {id:?} not found"))
}

pub(super) fn get(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let (parsed, writer) = call.parse_formats(
        &[value(&["label"]), switch(&["peek"]), switch(&["refresh"])],
        &["yaml", "json"],
        Format::Yaml,
    )?;
    let label = parsed.get("label").filter(|label| !label.is_empty());
    if parsed.positional.is_empty() && label.is_none() {
        return usage("require either a secret URI or label");
    }
    if parsed.is_set("peek") && parsed.is_set("refresh") {
        return usage("specify one of --peek or --refresh but not both");
    }
    no_more(parsed.positional.get(2..).unwrap_or_default())?;
    let uri = match parsed.positional.first() {
        Some(uri) => parse_uri(uri)?,
        None => SecretUri { source: None, id: by_label(context, label.unwrap_or_default())? },
    };
    let values = read(context, &uri, label, &parsed)?;
    let decoded = |value: &str| {
        let bytes = STANDARD.decode(value).unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_else(|_| value.to_owned())
    };
    let answer = match parsed.positional.get(1) {
        None => values.iter().map(|(key, value)| (key.clone(), Value::from(decoded(value)))).collect(),
        Some(key) => {
            let (name, encoded) = key.strip_suffix("#base64").map_or((key.as_str(), false), |name| (name, true));
            match values.get(name) {
                Some(value) if encoded => json!(value),
                Some(value) => json!(decoded(value)),
                None => return failed(format!("secret key value for {name:?} not found")),
            }
        }
    };
    // A single value is written as it is, in YAML too.
    if parsed.positional.len() == 2 && writer.format == Format::Yaml {
        return Ok(super::Writer { format: Format::Smart, ..writer }.write(&answer));
    }
    Ok(writer.write(&answer))
}

fn by_label(context: &Context<'_>, label: &str) -> Result<String, ToolError> {
    let consumed = context
        .model
        .secrets
        .iter()
        .find(|(_, secret)| secret.consumers.get(&context.unit).is_some_and(|consumer| consumer.label == label));
    let owned =
        || context.secrets().into_iter().find(|(_, secret)| secret.label == label && context.owns(&secret.owner));
    match consumed.map(|(id, _)| id.clone()).or_else(|| owned().map(|(id, _)| id)) {
        Some(id) => Ok(id),
        None => failed(context.model.series.label_not_found(label)),
    }
}

/// The content that the flags ask for. What a reader pins and labels is kept at once, also if the hook fails.
fn read(
    context: &mut Context<'_>,
    uri: &SecretUri,
    label: Option<&str>,
    parsed: &Parsed,
) -> Result<BTreeMap<String, String>, ToolError> {
    let id = uri.id.as_str();
    // A secret added in this hook is readable by its owner only from the buffer.
    if let Some(pending) = context.added_secret(id) {
        return Ok(pending);
    }
    // What this hook has made of a secret is shown to who asks for the newest; the plain answer is what is stored.
    if (parsed.is_set("refresh") || parsed.is_set("peek"))
        && let Some(pending) = context.updated_secret(id)
    {
        return Ok(pending);
    }
    let unit = context.unit.clone();
    let Some(secret) = context.model.secrets.get(id) else { return failed(context.model.series.secret_not_found(uri)) };
    if !context.model.may_read(secret, &unit) {
        return failed("permission denied");
    }
    let taken = label.is_some_and(|label| {
        context.model.secrets.iter().any(|(other, secret)| {
            other != id && secret.consumers.get(&unit).is_some_and(|consumer| consumer.label == label)
        })
    });
    if taken {
        let label = label.unwrap_or_default();
        return failed(format!("secret label {label:?} for unit {:?} already exists", unit.to_string()));
    }
    let latest = secret.latest();
    let known = secret.consumers.get(&unit).map(|consumer| consumer.pinned);
    let pinned = if parsed.is_set("refresh") { latest } else { known.unwrap_or(latest) };
    let revision = if parsed.is_set("peek") { latest } else { pinned };
    let Some(values) = secret.revisions.get(&revision).cloned() else {
        return failed(format!("secret {id:?} revision {revision} not found"));
    };
    context.consume(id, pinned, latest, label);
    Ok(values)
}

pub(super) fn info_get(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let (parsed, writer) = call.parse_formats(&[value(&["label"])], &["yaml", "json"], Format::Yaml)?;
    let label = parsed.get("label");
    let id = match (parsed.positional.first(), label) {
        (Some(_), Some(_)) => return usage("specify either a secret URI or label but not both"),
        (None, None) => return usage("require either a secret URI or label"),
        (Some(uri), None) => parse_uri(uri)?.id,
        (None, Some(label)) => {
            let found = context.secrets().into_iter().find(|(_, secret)| secret.label == label);
            match found {
                Some((id, _)) => id,
                None => return failed(format!("secret {label:?} not found")),
            }
        }
    };
    no_more(parsed.positional.get(1..).unwrap_or_default())?;
    let secrets = context.secrets();
    let Some(secret) = secrets.get(&id).filter(|secret| context.owns(&secret.owner)) else {
        return Err(not_found(&id));
    };
    let mut info = json!({
        "revision": secret.latest(),
        "label": secret.label,
        "owner": match secret.owner { Owner::Unit(_) => "unit", Owner::Application(_) | Owner::User => "application" },
        "rotation": secret.rotate,
    });
    if !secret.description.is_empty() {
        info["description"] = json!(secret.description);
    }
    if !secret.expire.is_empty() {
        info["expiry"] = json!(secret.expire);
    }
    Ok(writer.write(&json!({id: info})))
}

pub(super) fn ids(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let (parsed, writer) = call.parse_reading(&[])?;
    no_more(&parsed.positional)?;
    let secrets = context.secrets();
    let own: Vec<&String> =
        secrets.iter().filter(|(_, secret)| context.owns(&secret.owner)).map(|(id, _)| id).collect();
    Ok(writer.write(&if own.is_empty() { Value::Null } else { json!(own) }))
}
