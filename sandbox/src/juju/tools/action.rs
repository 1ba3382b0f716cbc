//! `action-get`, `action-set`, `action-fail`, `action-log`.

use serde_json::{Map, Value};

use super::{Answer, Call, Context, ToolError, failed, no_more, usage};

const RESERVED: [&str; 4] = ["stdout", "stdout-encoding", "stderr", "stderr-encoding"];
const NOT_RUNNING: &str = "not running an action";

pub(super) fn get(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let (parsed, writer) = call.parse_reading(&[])?;
    no_more(parsed.positional.get(1..).unwrap_or_default())?;
    let Some(action) = &context.action else { return failed(NOT_RUNNING) };
    let Some(path) = parsed.positional.first() else {
        return Ok(writer.write(&Value::Object(action.parameters.clone())));
    };
    let mut found = path.split('.').try_fold(None, |at: Option<&Value>, key| {
        let inner = match at {
            None => action.parameters.get(key),
            Some(value) => value.get(key),
        };
        inner.map(Some)
    });
    Ok(writer.write(found.take().flatten().unwrap_or(&Value::Null)))
}

pub(super) fn set(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let parsed = call.parse(&[])?;
    let mut pairs = Vec::new();
    for argument in &parsed.positional {
        let Some((key, value)) = argument.split_once('=') else {
            return usage(format!("argument {argument:?} must be of the form key...=value"));
        };
        let path: Vec<&str> = key.split('.').collect();
        for part in &path {
            if RESERVED.contains(part) {
                return usage(format!("cannot set reserved action key {part:?}"));
            }
            if !is_key(part) {
                return usage(format!(
                    "key {part:?} must start and end with lowercase alphanumeric, and contain only lowercase \
                     alphanumeric, hyphens and periods"
                ));
            }
        }
        pairs.push((path, value));
    }
    let Some(action) = &mut context.action else { return failed(NOT_RUNNING) };
    for (path, value) in pairs {
        insert(&mut action.results, &path, value);
    }
    Ok(Answer::silent())
}

fn is_key(part: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let (Some(first), Some(last)) = (part.bytes().next(), part.bytes().last()) else { return false };
    fits(first) && fits(last) && part.bytes().all(|byte| fits(byte) || byte == b'-')
}

/// Puts the value where the path leads; what is in the way is overwritten.
fn insert(results: &mut Map<String, Value>, path: &[&str], value: &str) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        results.insert((*first).to_owned(), Value::from(value));
        return;
    }
    let inner = results.entry((*first).to_owned()).or_insert_with(|| Value::Object(Map::new()));
    if !inner.is_object() {
        *inner = Value::Object(Map::new());
    }
    if let Some(inner) = inner.as_object_mut() {
        insert(inner, rest, value);
    }
}

pub(super) fn fail(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let parsed = call.parse(&[])?;
    no_more(parsed.positional.get(1..).unwrap_or_default())?;
    let message = match parsed.positional.first() {
        Some(message) => message.clone(),
        None => "action failed without reason given, check action for errors".to_owned(),
    };
    let Some(action) = &mut context.action else { return failed(NOT_RUNNING) };
    action.failure = Some(message);
    Ok(Answer::silent())
}

pub(super) fn log(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let parsed = call.parse(&[])?;
    if parsed.positional.is_empty() {
        return usage("no message specified");
    }
    if context.action.is_none() {
        return failed(NOT_RUNNING);
    }
    context.action_log(&parsed.positional.join(" "));
    Ok(Answer::silent())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dots_make_maps_and_the_last_one_wins() {
        let mut results = Map::new();
        for (path, value) in [("a.b", "1"), ("a.c", "2"), ("d", "3"), ("d.e", "4"), ("a.b", "5")] {
            insert(&mut results, &path.split('.').collect::<Vec<_>>(), value);
        }
        assert_eq!(Value::Object(results), json!({"a": {"b": "5", "c": "2"}, "d": {"e": "4"}}));
    }

    #[test]
    fn keys_are_lower_case_with_dashes() {
        for good in ["a", "a-b", "5f0", "backup-0"] {
            assert!(is_key(good), "{good}");
        }
        for bad in ["", "A", "a_b", "a/b", "-a", "a-"] {
            assert!(!is_key(bad), "{bad}");
        }
    }
}
