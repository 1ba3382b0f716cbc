//! The relation that a tool is about.

use super::flags::{Flag, Parsed, value};
use super::{Context, ToolError, usage};

/// `-r ID` or `--relation ID`.
pub(super) const RELATION: Flag = value(&["r", "relation"]);

/// The relation given by `-r`, or the hook's own; `None` if neither is there.
pub(super) fn given_or_own(context: &Context<'_>, parsed: &Parsed) -> Result<Option<u32>, ToolError> {
    let Some(given) = parsed.given("r") else { return Ok(context.hook_relation()) };
    let refused =
        |reason: &str| usage(format!("invalid value {:?} for option {}: {reason}", given.value, given.written));
    let number = given.value.rsplit_once(':').map_or(given.value.as_str(), |(_, number)| number);
    let Ok(id) = number.parse::<u32>() else { return refused("invalid relation id") };
    if !context.sees_relation(id) {
        return refused("relation not found");
    }
    Ok(Some(id))
}

/// The same, for tools that cannot do without.
pub(super) fn needed(context: &Context<'_>, parsed: &Parsed) -> Result<u32, ToolError> {
    match given_or_own(context, parsed)? {
        Some(id) => Ok(id),
        None => usage("no relation id specified"),
    }
}
