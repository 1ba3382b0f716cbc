//! `config-get` and `is-leader`.

use serde_json::Value;

use super::flags::switch;
use super::{Answer, Call, Context, ToolError, no_more, usage};

pub(super) fn get(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let (parsed, writer) = call.parse_reading(&[switch(&["a", "all"])])?;
    let key = parsed.positional.first();
    no_more(parsed.positional.get(1..).unwrap_or_default())?;
    let settings = context.settings();
    let answer = match key {
        Some(_) if parsed.is_set("a") => return usage("cannot use argument --all together with a key"),
        Some(key) => settings.get(key).cloned().unwrap_or(Value::Null),
        None => {
            let mut all = settings;
            if parsed.is_set("a")
                && let Some(charm) = context.application().charm()
            {
                for name in charm.options.keys() {
                    all.entry(name.clone()).or_insert(Value::Null);
                }
            }
            Value::from_iter(all)
        }
    };
    Ok(writer.write(&answer))
}

pub(super) fn is_leader(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let (parsed, writer) = call.parse_reading(&[])?;
    no_more(&parsed.positional)?;
    Ok(writer.write(&Value::from(context.is_leader())))
}
