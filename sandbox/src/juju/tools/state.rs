//! `state-get`, `state-set`, `state-delete`.

use serde_json::{Value, json};

use super::flags::{switch, value};
use super::key_values::{from_arguments, from_yaml};
use super::{Answer, Call, Context, ToolError, failed, no_more};

const KEY_LIMIT: usize = 256;
const VALUE_LIMIT: usize = 65_536;

pub(super) fn get(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let (parsed, writer) = call.parse_reading(&[switch(&["strict"])])?;
    no_more(parsed.positional.get(1..).unwrap_or_default())?;
    let state = context.charm_state();
    let answer = match parsed.positional.first().filter(|key| *key != "-") {
        Some(key) => match state.get(key) {
            Some(value) => Value::from(value.as_str()),
            None if parsed.is_set("strict") => return failed(format!("key {key:?} not found")),
            None => Value::from(""),
        },
        None if state.is_empty() => Value::Null,
        None => json!(state),
    };
    Ok(writer.write(&answer))
}

pub(super) fn set(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let parsed = call.parse(&[value(&["file"])])?;
    let mut pairs = from_arguments(&parsed.positional)?;
    if let Some(path) = parsed.get("file") {
        let mut from_file = from_yaml(call.read(path)?)?;
        from_file.append(&mut pairs);
        pairs = from_file;
    }
    // One after the other, as Juju does: those before the one that is refused are set.
    for (key, value) in pairs {
        if key.len() > KEY_LIMIT {
            return failed(format!("max allowed key length ({KEY_LIMIT}) exceeded"));
        }
        if value.len() > VALUE_LIMIT {
            return failed(format!("max allowed value length ({VALUE_LIMIT}) exceeded"));
        }
        context.charm_state_mut().insert(key, value);
    }
    Ok(Answer::silent())
}

pub(super) fn delete(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let parsed = call.parse(&[])?;
    no_more(parsed.positional.get(1..).unwrap_or_default())?;
    if let Some(key) = parsed.positional.first().filter(|key| !key.is_empty()) {
        context.charm_state_mut().remove(key);
    }
    Ok(Answer::silent())
}
