//! `juju-log`.

use super::super::log::Level;
use super::flags::{switch, value};
use super::{Answer, Call, Context, ToolError, usage};

pub(super) fn write(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let parsed = call.parse(&[value(&["l", "log-level"]), switch(&["debug"]), value(&["format"])])?;
    if parsed.positional.is_empty() {
        return usage("no message specified");
    }
    let asked = parsed.get("l").unwrap_or("INFO");
    let level = match Level::named(asked) {
        Some(level) => level,
        None if asked.eq_ignore_ascii_case("unspecified") => return Ok(Answer::silent()),
        None => {
            context.log(Level::Warning, &format!("Specified log level of {asked:?} is not valid"));
            Level::Info
        }
    };
    let level = if parsed.is_set("debug") { Level::Debug } else { level };
    context.juju_log(level, &parsed.positional.join(" "));
    let deprecated = parsed.get("format").map(|_| "--format flag deprecated for command \"juju-log\"\n".to_owned());
    Ok(Answer { stderr: deprecated.unwrap_or_default(), ..Answer::silent() })
}
