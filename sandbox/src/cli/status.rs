//! `status`.

use clap::{Args, ValueEnum};
use sandbox::juju::ModelView;

use super::Failure;
use super::globals::Globals;
use super::table::{Format, row, table};

#[derive(Args)]
pub struct Status {
    /// Show only these applications or units
    only: Vec<String>,
    /// How to show it
    #[arg(long, value_enum, default_value_t = StatusFormat::Tabular)]
    format: StatusFormat,
    /// Also list the relations
    #[arg(long, visible_alias = "integrations")]
    relations: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum StatusFormat {
    /// For people
    Tabular,
    /// JSON on one line
    Json,
    /// YAML
    Yaml,
}

impl Status {
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        let mut view = globals.model()?.status()?;
        if !self.only.is_empty() {
            let known = view.applications.keys().cloned().collect::<Vec<_>>().join(", ");
            view.applications.retain(|name, _| {
                self.only.iter().any(|only| only == name || only.split('/').next() == Some(name.as_str()))
            });
            for application in view.applications.values_mut() {
                application.units.retain(|name, _| {
                    self.only.iter().any(|only| only == name || Some(only.as_str()) == name.split('/').next())
                });
            }
            if view.applications.is_empty() {
                return Err(format!("nothing matched {:?}: the model has {known}", self.only.join(" ")).into());
            }
        }
        let format = match self.format {
            StatusFormat::Tabular => {
                print!("{}", tabular(&view, self.relations));
                return Ok(());
            }
            StatusFormat::Json => Format::Json,
            StatusFormat::Yaml => Format::Yaml,
        };
        print!("{}", format.write(&serde_json::to_value(&view)?)?);
        Ok(())
    }
}

fn tabular(view: &ModelView, relations: bool) -> String {
    let now = jiff::Zoned::now().strftime("%H:%M:%S%:z").to_string();
    let mut blocks = vec![table(&[
        row([&"Model", &"Cloud", &"Version", &"Timestamp"]),
        row([&view.model, &"sandbox", &view.version, &now]),
    ])];
    if view.applications.is_empty() {
        return format!("{}\nModel {:?} is empty.\n", blocks[0], view.model);
    }
    let mut applications = vec![row([&"App", &"Version", &"Status", &"Scale", &"Charm", &"Rev", &"Message"])];
    let mut units = vec![row([&"Unit", &"Workload", &"Agent", &"Address", &"Ports", &"Message"])];
    for (name, application) in &view.applications {
        let status = &application.application_status;
        let scale = application.units.len();
        applications.push(row([
            name,
            &application.version,
            &status.value,
            &scale,
            &application.charm,
            &application.charm_rev,
            &first_line(&status.message),
        ]));
        for (name, unit) in &application.units {
            let name = if unit.leader { format!("{name}*") } else { name.clone() };
            let status = &unit.workload_status;
            let ports = unit.open_ports.join(",");
            let agent = &unit.agent_status;
            units.push(row([&name, &status.value, agent, &unit.address, &ports, &first_line(&status.message)]));
        }
    }
    blocks.push(table(&applications));
    blocks.push(table(&units));
    if relations && !view.relations.is_empty() {
        let mut rows = vec![row([&"Integration provider", &"Requirer", &"Interface", &"Type", &"Message"])];
        for relation in &view.relations {
            let kind = if relation.provider == relation.requirer { "peer" } else { "regular" };
            let message = if relation.dying { "dying" } else { "" };
            rows.push(row([&relation.provider, &relation.requirer, &relation.interface, &kind, &message]));
        }
        blocks.push(table(&rows));
    }
    blocks.join("\n")
}

/// A message with line breaks would break the table.
fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}
