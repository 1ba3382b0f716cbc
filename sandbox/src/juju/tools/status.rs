//! `status-get`, `status-set`, `application-version-set`.

use serde_json::{Value, json};

use super::super::status::{Status, StatusValue};
use super::flags::switch;
use super::{Answer, Call, Context, ToolError, failed, no_more, usage};

pub(super) fn get(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let (parsed, writer) = call.parse_reading(&[switch(&["include-data"]), switch(&["application"])])?;
    no_more(&parsed.positional)?;
    let whole = |status: &Status| json!({"status": status.value.name(), "message": status.message, "status-data": {}});
    let application = context.application();
    if parsed.is_set("application") {
        if !context.is_leader() {
            return failed("finding application status: this unit is not the leader");
        }
        let units: Value = application
            .units
            .iter()
            .map(|(number, unit)| (format!("{}/{number}", context.unit.application), whole(&unit.status)))
            .collect();
        let unknown = Status::now(StatusValue::Unknown, "");
        let mut answer = whole(application.status.as_ref().unwrap_or(&unknown));
        answer["units"] = units;
        return Ok(writer.write(&json!({"application-status": answer})));
    }
    let status = context.unit_status();
    let answer = if parsed.is_set("include-data") { whole(&status) } else { json!({"status": status.value.name()}) };
    // Without the data the plain word is enough for a shell.
    if writer.format == super::Format::Smart && !parsed.is_set("include-data") {
        return Ok(writer.write(&json!(status.value.name())));
    }
    Ok(writer.write(&answer))
}

pub(super) fn set(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let parsed = call.parse(&[switch(&["application"])])?;
    let Some(word) = parsed.positional.first() else { return usage("invalid args, require <status> [message]") };
    let value = match word.as_str() {
        "maintenance" => StatusValue::Maintenance,
        "blocked" => StatusValue::Blocked,
        "waiting" => StatusValue::Waiting,
        "active" => StatusValue::Active,
        other => {
            return usage(format!("invalid status {other:?}, expected one of [maintenance blocked waiting active]"));
        }
    };
    no_more(parsed.positional.get(2..).unwrap_or_default())?;
    let message = parsed.positional.get(1).cloned().unwrap_or_default();
    if parsed.is_set("application") {
        if !context.is_leader() {
            return failed("this unit is not the leader");
        }
        context.set_application_status(Status::now(value, message));
    } else {
        context.set_unit_status(Status::now(value, message));
    }
    Ok(Answer::silent())
}

pub(super) fn application_version_set(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let parsed = call.parse(&[])?;
    let Some(version) = parsed.positional.first() else { return usage("no version specified") };
    no_more(parsed.positional.get(1..).unwrap_or_default())?;
    context.set_workload_version(version);
    Ok(Answer::silent())
}
