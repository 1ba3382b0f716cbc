//! What the model will look like once everything under way is done.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{HookTools, ToolError};

/// A unit of the own application in the goal state.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct UnitGoal {
    /// Its status; `dying` marks a unit that goes away.
    pub status: String,
}

/// The units of the own application that Juju wants to be there, this one among them.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub struct GoalState {
    /// By the unit's name.
    #[serde(default)]
    pub units: BTreeMap<String, UnitGoal>,
}

impl GoalState {
    /// Whether no other unit will be left when `unit` is gone. `is-leader` cannot tell: leadership is given up before a
    /// unit's last hook.
    #[must_use]
    pub fn is_last(&self, unit: &str) -> bool {
        !self.units.iter().any(|(name, goal)| name != unit && goal.status != "dying")
    }

    /// Whether `unit` goes away while others stay.
    #[must_use]
    pub fn leaves_others(&self, unit: &str) -> bool {
        self.units.get(unit).is_some_and(|goal| goal.status == "dying") && !self.is_last(unit)
    }
}

impl HookTools {
    /// The goal state.
    ///
    /// # Errors
    ///
    /// When the tool fails.
    pub async fn goal_state(&self) -> Result<GoalState, ToolError> {
        let goal: Option<GoalState> = self.json("goal-state", &[]).await?;
        Ok(goal.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goal(units: &[(&str, &str)]) -> GoalState {
        GoalState {
            units: units
                .iter()
                .map(|(name, status)| ((*name).to_owned(), UnitGoal { status: (*status).to_owned() }))
                .collect(),
        }
    }

    #[test]
    fn a_unit_leaves_others_when_it_goes_and_they_do_not() {
        let leaves = |units: &[(&str, &str)]| goal(units).leaves_others("velero-operator/0");
        assert!(leaves(&[("velero-operator/0", "dying"), ("velero-operator/1", "active")]));
        assert!(!leaves(&[("velero-operator/0", "dying"), ("velero-operator/1", "dying")]));
        assert!(!leaves(&[("velero-operator/0", "active"), ("velero-operator/1", "active")]));
        assert!(!leaves(&[("velero-operator/1", "active")]));
    }

    #[test]
    fn a_unit_is_the_last_only_when_all_others_go_too() {
        assert!(goal(&[("velero-operator/0", "dying")]).is_last("velero-operator/0"));
        assert!(goal(&[("velero-operator/0", "dying"), ("velero-operator/1", "dying")]).is_last("velero-operator/0"));
        assert!(!goal(&[("velero-operator/0", "dying"), ("velero-operator/1", "active")]).is_last("velero-operator/0"));
    }
}
