//! What the model will look like once everything under way is done.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{HookTools, ToolError};

/// The status of a unit that goes away.
const DYING: &str = "dying";

/// A unit of the own application in the goal state.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub(crate) struct UnitGoal {
    /// Its status; `dying` marks a unit that goes away.
    pub status: String,
}

/// The units of the own application that Juju wants to be there, this one among them, and its relations.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub(crate) struct GoalState {
    /// By the unit's name.
    #[serde(default)]
    pub units: BTreeMap<String, UnitGoal>,
    /// By the application's own endpoint.
    #[serde(default)]
    pub relations: BTreeMap<String, Value>,
}

impl GoalState {
    /// Whether no other unit will be left when `unit` is gone; `None` where Juju does not list `unit` itself, so that nothing can
    /// be told. `is-leader` cannot tell: leadership is given up before a unit's last hook.
    pub(crate) fn is_last(&self, unit: &str) -> Option<bool> {
        self.units
            .contains_key(unit)
            .then(|| !self.units.iter().any(|(name, goal)| name != unit && goal.status != DYING))
    }

    /// Whether `unit` is going away; `None` where Juju does not list it.
    pub(crate) fn is_dying(&self, unit: &str) -> Option<bool> {
        Some(self.units.get(unit)?.status == DYING)
    }
}

impl HookTools {
    pub(crate) async fn goal_state(&self) -> Result<GoalState, ToolError> {
        let goal: Option<GoalState> = self.json("goal-state", &[]).await?;
        Ok(goal.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goal(units: &[(&str, &str)]) -> GoalState {
        let units = units.iter().map(|(name, status)| ((*name).to_owned(), UnitGoal { status: (*status).to_owned() }));
        GoalState { units: units.collect(), ..GoalState::default() }
    }

    #[test]
    fn a_unit_that_goes_is_told_by_its_own_status() {
        let is_dying = |units: &[(&str, &str)]| goal(units).is_dying("velero-operator/0");
        assert_eq!(is_dying(&[("velero-operator/0", "dying"), ("velero-operator/1", "active")]), Some(true));
        assert_eq!(is_dying(&[("velero-operator/0", "active"), ("velero-operator/1", "dying")]), Some(false));
    }

    #[test]
    fn a_unit_is_the_last_only_when_all_others_go_too() {
        let is_last = |units: &[(&str, &str)]| goal(units).is_last("velero-operator/0");
        assert_eq!(is_last(&[("velero-operator/0", "dying")]), Some(true));
        assert_eq!(is_last(&[("velero-operator/0", "dying"), ("velero-operator/1", "dying")]), Some(true));
        assert_eq!(is_last(&[("velero-operator/0", "dying"), ("velero-operator/1", "active")]), Some(false));
    }

    #[test]
    fn a_goal_state_without_the_unit_itself_says_nothing() {
        assert_eq!(goal(&[]).is_dying("velero-operator/0"), None);
        assert_eq!(goal(&[]).is_last("velero-operator/0"), None);
        assert_eq!(goal(&[("velero-operator/1", "dying")]).is_last("velero-operator/0"), None);
    }
}
