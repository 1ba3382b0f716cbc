//! How a model is, for people and for programs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::error::Error;
use super::super::state::{Application, Life, ModelState, Unit};
use super::super::status::{Status, StatusValue};
use super::Model;

/// A model as `juju status` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct ModelView {
    /// The model's name.
    pub model: String,
    /// The version of its Juju.
    pub version: String,
    /// Its applications, by name.
    pub applications: BTreeMap<String, ApplicationView>,
    /// Its relations.
    pub relations: Vec<RelationView>,
}

/// An application.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ApplicationView {
    /// The charm's name.
    pub charm: String,
    /// Its revision.
    pub charm_rev: u32,
    /// What `application-version-set` said.
    pub version: String,
    /// What the leader said, or the worst of the units.
    pub application_status: Status,
    /// Whether it has rights over the whole cluster.
    pub trust: bool,
    /// Whether it is being removed.
    pub life: Life,
    /// Its units, by name.
    pub units: BTreeMap<String, UnitView>,
}

/// A unit.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct UnitView {
    /// How the charm does.
    pub workload_status: Status,
    /// `idle`, or the hook that runs.
    pub agent_status: String,
    /// Whether it leads.
    pub leader: bool,
    /// Its address.
    pub address: String,
    /// Its open ports.
    pub open_ports: Vec<String>,
    /// Whether it is being removed.
    pub life: Life,
}

/// A relation.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RelationView {
    /// Its number.
    pub id: u32,
    /// The provider, as `application:endpoint`.
    pub provider: String,
    /// The requirer, as `application:endpoint`.
    pub requirer: String,
    /// The protocol.
    pub interface: String,
    /// Whether it is being removed.
    pub dying: bool,
}

/// How a unit is shown: one whose hook failed is in error, whatever the charm said before.
pub(super) fn shown_status(unit: &Unit) -> Status {
    match &unit.seen.failed {
        Some(hook) => Status {
            value: StatusValue::Error,
            message: format!("hook failed: {:?}", hook.name()),
            since: unit.status.since,
        },
        None => unit.status.clone(),
    }
}

impl Model {
    /// How the model is now; does not wait for a verb that works.
    ///
    /// # Errors
    /// When the model's files cannot be read.
    pub fn status(&self) -> Result<ModelView, Error> {
        Ok(view(&self.state()?))
    }
}

fn view(state: &ModelState) -> ModelView {
    let applications = state
        .applications
        .iter()
        .map(|(name, application)| (name.clone(), application_view(name, application)))
        .collect();
    let relations = state
        .relations
        .values()
        .map(|relation| {
            let written = |role| {
                let side = relation.sides.iter().find(|side| side.role == role).or(relation.sides.first());
                side.map(|side| format!("{}:{}", side.application, side.endpoint)).unwrap_or_default()
            };
            RelationView {
                id: relation.id,
                provider: written(super::super::charm::Role::Provides),
                requirer: written(super::super::charm::Role::Requires),
                interface: relation.interface.clone(),
                dying: relation.dying,
            }
        })
        .collect();
    ModelView { model: state.name.clone(), version: state.series.to_string(), applications, relations }
}

fn application_view(name: &str, application: &Application) -> ApplicationView {
    let units: BTreeMap<String, UnitView> = application
        .units
        .iter()
        .map(|(number, unit)| {
            let view = UnitView {
                workload_status: shown_status(unit),
                agent_status: match &unit.executing {
                    Some(hook) => format!("executing ({hook})"),
                    None => "idle".to_owned(),
                },
                leader: application.leader == Some(*number),
                address: unit.address.clone(),
                open_ports: unit.ports.iter().cloned().collect(),
                life: unit.life,
            };
            (format!("{name}/{number}"), view)
        })
        .collect();
    let worst = units.values().map(|unit| &unit.workload_status).min_by_key(|status| status.value);
    let status = match (&application.status, worst) {
        (Some(said), worst) if worst.is_none_or(|worst| worst.value != StatusValue::Error) => said.clone(),
        (_, Some(worst)) => worst.clone(),
        (Some(said), None) => said.clone(),
        (None, None) => Status::now(StatusValue::Unknown, ""),
    };
    ApplicationView {
        charm: application.metadata().name.clone(),
        charm_rev: application.revision(),
        version: application.workload_version.clone(),
        application_status: status,
        trust: application.trust,
        life: application.life,
        units,
    }
}
