//! `goal-state`.

use serde_json::{Map, Value, json};

use super::super::state::{Application, Life, Unit};
use super::format::Format;
use super::{Answer, Call, Context, ToolError, no_more};

pub(super) fn get(context: &mut Context<'_>, call: &Call<'_>) -> Result<Answer, ToolError> {
    let (parsed, writer) = call.parse_formats(&[], &["yaml", "json"], Format::Yaml)?;
    no_more(&parsed.positional)?;
    let own = &context.unit.application;
    let mut relations = Map::new();
    for relation in context.model.relations.values().filter(|relation| !relation.is_peer()) {
        let (Some(side), Some(remote)) = (relation.side(own), relation.remote(own)) else { continue };
        let members = relations.entry(side.endpoint.clone()).or_insert_with(|| json!({}));
        let Some(application) = context.model.applications.get(&remote.application) else { continue };
        let since = application.units.values().map(|unit| unit.status.since).min().unwrap_or_default();
        let joined = if relation.dying { "dying" } else { "joined" };
        members[&remote.application] = json!({"status": joined, "since": written(since)});
        for (name, goal) in units(&remote.application, application) {
            members[name] = goal;
        }
    }
    let own_units: Map<String, Value> = units(own, context.application()).collect();
    Ok(writer.write(&json!({"units": own_units, "relations": relations})))
}

fn units(name: &str, application: &Application) -> impl Iterator<Item = (String, Value)> {
    let goal = |unit: &Unit| match unit.life {
        Life::Dying => "dying",
        Life::Alive | Life::Dead => unit.status.value.name(),
    };
    application.units.iter().filter(|(_, unit)| unit.life != Life::Dead).map(move |(number, unit)| {
        (format!("{name}/{number}"), json!({"status": goal(unit), "since": written(unit.status.since)}))
    })
}

/// `2026-01-31 10:20:30Z`.
fn written(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
