//! `relation-ids`, `relation-list`, `relation-get`, `relation-set`, `relation-model-get`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::names::UnitName;
use super::super::relation::Whose;
use super::flags::{switch, value};
use super::key_values::{from_arguments, from_yaml};
use super::relation_id::{RELATION, given_or_own, needed};
use super::{Answer, Call, Context, ToolError, failed, no_more, usage};

pub(super) fn ids(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let (parsed, writer) = call.parse_reading(&[])?;
    no_more(parsed.positional.get(1..).unwrap_or_default())?;
    let endpoint = match parsed.positional.first() {
        Some(endpoint) => endpoint.clone(),
        None => match context.hook_endpoint() {
            Some(endpoint) => endpoint.to_owned(),
            None => return usage("no endpoint name specified"),
        },
    };
    let mut ids: Vec<String> = context
        .model
        .relations_of(&context.unit.application, &endpoint)
        .filter(|relation| context.lists_relation(relation.id))
        .map(|relation| format!("{endpoint}:{}", relation.id))
        .collect();
    ids.sort();
    Ok(writer.write(&json!(ids)))
}

pub(super) fn list(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let (parsed, writer) = call.parse_reading(&[RELATION, switch(&["app"])])?;
    let id = needed(context, &parsed)?;
    no_more(&parsed.positional)?;
    let Some(relation) = context.model.relations.get(&id) else { return failed("relation not found") };
    if parsed.is_set("app") {
        let remote = relation.remote(&context.unit.application).map(|side| side.application.as_str());
        return Ok(writer.write(&json!(remote)));
    }
    Ok(writer.write(&json!(context.members(relation).iter().map(ToString::to_string).collect::<Vec<_>>())))
}

pub(super) fn model_get(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let (parsed, writer) = call.parse_reading(&[RELATION])?;
    needed(context, &parsed)?;
    no_more(&parsed.positional)?;
    Ok(writer.write(&json!({"uuid": context.model.uuid})))
}

pub(super) fn get(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let (parsed, writer) = call.parse_reading(&[RELATION, switch(&["app"])])?;
    let id = given_or_own(context, &parsed)?;
    let mut words = parsed.positional.iter();
    let key = words.next().map(String::as_str).filter(|key| !key.is_empty() && *key != "-");
    let whom = whose(context, words.next(), parsed.is_set("app"))?;
    no_more(parsed.positional.get(2..).unwrap_or_default())?;
    let Some(id) = id else { return usage("no relation id specified") };
    let Some(whom) = whom else { return usage("no unit or application specified") };
    let settings = context.read_settings(id, &whom).map_err(ToolError::Failed)?;
    let answer = match key {
        Some(key) => settings.get(key).map_or(Value::Null, |value| Value::from(value.as_str())),
        None => json!(settings),
    };
    Ok(writer.write(&answer))
}

/// Whose settings are asked for: the named, or in a relation hook the one that it is about.
fn whose(context: &Context<'_>, name: Option<&String>, application: bool) -> Result<Option<Whose>, ToolError> {
    let Some(name) = name else {
        return Ok(context.hook_remote().map(|(remote_application, remote_unit)| match remote_unit {
            Some(unit) if !application => Whose::Unit(unit),
            _ => Whose::Application(remote_application),
        }));
    };
    let unit = name.parse::<UnitName>();
    match (application, unit) {
        (true, Ok(unit)) => Ok(Some(Whose::Application(unit.application))),
        (true, Err(_)) if super::super::charm::is_valid_name(name) => Ok(Some(Whose::Application(name.clone()))),
        (true, Err(_)) => usage(format!("{name:?} is not a valid unit or application")),
        (false, Ok(unit)) => Ok(Some(Whose::Unit(unit))),
        (false, Err(_)) if super::super::charm::is_valid_name(name) => {
            usage(format!("expected unit name, got application name {name:?}"))
        }
        (false, Err(_)) => usage(format!("invalid unit name {name:?}")),
    }
}

pub(super) fn set(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let parsed = call.parse(&[RELATION, switch(&["app"]), value(&["file"]), value(&["format"])])?;
    let id = needed(context, &parsed)?;
    let mut settings: BTreeMap<String, String> = match parsed.get("file") {
        Some(path) => {
            let arguments = from_arguments(&parsed.positional)?;
            let mut settings = from_yaml(call.read(path)?)?;
            settings.extend(arguments);
            settings
        }
        None => from_arguments(&parsed.positional)?,
    };
    let application = parsed.is_set("app");
    if application && !context.is_leader() {
        return failed("cannot write relation settings");
    }
    context.write_settings(id, application, &mut settings);
    let deprecated = parsed.get("format").map(|_| "--format flag deprecated for command \"relation-set\"\n".to_owned());
    Ok(Answer { stderr: deprecated.unwrap_or_default(), ..Answer::silent() })
}
