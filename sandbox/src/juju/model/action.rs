//! Running actions.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::super::agent::HookRecord;
use super::super::context::ActionRun;
use super::super::environment::Execution;
use super::super::error::Error;
use super::super::names::UnitName;
use super::super::simulated::{S3Integrator, Simulated};
use super::super::state::ApplicationKind;
use super::Model;

/// How an action ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionStatus {
    /// Well.
    Completed,
    /// Otherwise.
    Failed,
}

/// What an action left.
#[derive(Clone, Debug)]
pub struct ActionResult {
    /// The number of its operation.
    pub operation: u32,
    /// The number of its task.
    pub task: u32,
    /// The unit.
    pub unit: UnitName,
    /// How it ended.
    pub status: ActionStatus,
    /// Why it failed.
    pub message: String,
    /// What it set, with `return-code`, `stdout` and `stderr`.
    pub results: Map<String, Value>,
    /// What it logged, and when.
    pub log: Vec<(Timestamp, String)>,
    /// When it was asked for.
    pub enqueued: Timestamp,
    /// When it ended.
    pub completed: Timestamp,
    /// The run of the charm, unless the sandbox plays the unit.
    pub record: Option<HookRecord>,
}

impl Model {
    /// Runs an action on a unit to its end, also on one whose hook failed. That the action fails is in the result.
    ///
    /// # Errors
    /// When Juju would refuse the action or its parameters, or the charm cannot be run.
    pub fn run_action(
        &self,
        unit: &UnitName,
        action: &str,
        parameters: &Map<String, Value>,
    ) -> Result<ActionResult, Error> {
        let mut session = self.begin()?;
        session.unit(unit)?;
        let application = session.application(&unit.application)?;
        let unknown =
            |there: Vec<String>| Error::UnknownAction { unit: unit.clone(), action: action.to_owned(), there };
        let operation = session.state.next_task;
        let mut result = ActionResult {
            operation,
            task: operation + 1,
            unit: unit.clone(),
            status: ActionStatus::Completed,
            message: String::new(),
            results: Map::new(),
            log: Vec::new(),
            enqueued: Timestamp::now(),
            completed: Timestamp::now(),
            record: None,
        };
        let Some(charm) = application.charm() else {
            let there = played_actions(&application.kind);
            if there.iter().all(|(name, _)| name != action) {
                return Err(unknown(there.into_iter().map(|(name, _)| name).collect()));
            }
            drop(session);
            return self.run_played(parameters, result);
        };
        let spec = charm.actions.get(action).ok_or_else(|| unknown(charm.actions.keys().cloned().collect()))?;
        let parameters = spec.parameters(parameters)?;
        session.state.next_task += 2;
        session.settle()?;
        session.unit(unit)?;
        let execution = Execution::Action { name: action.to_owned(), task: result.task };
        let run = ActionRun { parameters, ..ActionRun::default() };
        let (record, run) = session.run(unit, &execution, Some(run), None)?;
        let run = run.unwrap_or_default();
        result.completed = Timestamp::now();
        result.log = run.messages;
        result.results = run.results;
        let code = record.outcome.code.unwrap_or(-1);
        result.results.insert("return-code".to_owned(), Value::from(code));
        for (key, text) in [("stdout", &record.stdout), ("stderr", &record.stderr)] {
            if !text.is_empty() {
                result.results.insert(key.to_owned(), Value::from(text.as_str()));
            }
        }
        if let Some(message) = run.failure.or_else(|| record.failure.clone()) {
            result.status = ActionStatus::Failed;
            result.message = message;
        }
        session.tell(&record)?;
        session.records.push(record.clone());
        result.record = Some(record);
        session.finish()?;
        Ok(result)
    }

    fn run_played(&self, parameters: &Map<String, Value>, mut result: ActionResult) -> Result<ActionResult, Error> {
        let text = |key: &str| parameters.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        self.sync_s3_credentials(&result.unit.application, &text("access-key"), &text("secret-key"))?;
        result.results.insert("ok".to_owned(), Value::from("Credentials successfully updated."));
        result.completed = Timestamp::now();
        Ok(result)
    }

    /// The actions of an application, by name, with what they do.
    ///
    /// # Errors
    /// When there is no such application.
    pub fn actions(&self, application: &str) -> Result<Vec<(String, String)>, Error> {
        let session = self.begin()?;
        Ok(match &session.application(application)?.kind {
            ApplicationKind::Charm { charm, .. } => {
                charm.actions.iter().map(|(name, action)| (name.clone(), action.description.clone())).collect()
            }
            played @ ApplicationKind::Simulated { .. } => played_actions(played),
        })
    }
}

/// The actions of an application that the sandbox plays, by name, with what they do.
fn played_actions(kind: &ApplicationKind) -> Vec<(String, String)> {
    match kind {
        ApplicationKind::Simulated { behaviour: Simulated::S3Integrator(_), .. } => {
            vec![(S3Integrator::SYNC_ACTION.to_owned(), "Tell the keys of the S3 store".to_owned())]
        }
        _ => Vec::new(),
    }
}
