//! When restore drills are to be conducted.

use std::time::Duration;

use super::{StorageMode, read_option, storage_mode, switch};
use crate::{
    backups::{Cron, TimeLimit},
    contract::option,
    juju::ConfigValues,
    status::Status,
    velero::DrillOrder,
};

/// What is planned of drills.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Drills {
    /// None is conducted unless somebody asks for it.
    None,
    /// None is conducted for now, until it is known by what they go.
    Keep,
    /// They are conducted so.
    Use(DrillPlan),
}

/// How drills are conducted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct DrillPlan {
    pub schedule: Cron,
    /// How long one may take.
    pub timeout: Duration,
    /// Whether one waits until pods are ready that were.
    pub waits_for_pods: bool,
}

/// Decides it. An option that cannot be used is added to the obstacles.
pub(super) fn drills(config: &ConfigValues, obstacles: &mut Vec<Status>) -> Drills {
    let schedule = read_option(config, option::DRILL_SCHEDULE, Cron::parse, obstacles);
    let timeout = read_option(config, option::DRILL_TIMEOUT, TimeLimit::parse, obstacles);
    match (schedule, timeout, storage_mode(config)) {
        (Err(()), ..) | (_, Err(()), _) | (.., Err(_)) => Drills::Keep,
        // What is restored from there is another cluster's.
        (Ok(None), ..) | (.., Ok(StorageMode::Recovery)) => Drills::None,
        (Ok(Some(schedule)), Ok(timeout), Ok(StorageMode::Normal)) => Drills::Use(DrillPlan {
            schedule,
            timeout: timeout.map_or(DrillOrder::DEFAULT_TIMEOUT, TimeLimit::duration),
            waits_for_pods: switch(config, option::DRILL_WAITS_FOR_PODS),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn planned(options: Value) -> (Drills, Vec<String>) {
        let config = serde_json::from_value::<serde_json::Map<_, _>>(options).unwrap().into_iter().collect();
        let mut obstacles = Vec::new();
        let drills = drills(&config, &mut obstacles);
        (drills, obstacles.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn drills_go_by_the_options_if_there_is_a_schedule() {
        for options in [json!({}), json!({"drill-schedule": " ", "drill-timeout": "1h"})] {
            assert_eq!(planned(options), (Drills::None, Vec::new()));
        }
        let plan = |timeout, waits_for_pods| {
            Drills::Use(DrillPlan { schedule: Cron::parse("@weekly").unwrap(), timeout, waits_for_pods })
        };
        let options = json!({"drill-schedule": "@weekly"});
        assert_eq!(planned(options), (plan(DrillOrder::DEFAULT_TIMEOUT, false), Vec::new()));
        let options = json!({"drill-schedule": "@weekly", "drill-timeout": "90m", "drill-waits-for-pods": true});
        assert_eq!(planned(options), (plan(Duration::from_mins(90), true), Vec::new()));
    }

    #[test]
    fn of_another_clusters_backups_there_are_none() {
        let options = json!({"drill-schedule": "@weekly", "storage-mode": "recovery"});
        assert_eq!(planned(options), (Drills::None, Vec::new()));
    }

    #[test]
    fn an_option_that_cannot_be_used_holds_drills_back_and_is_told() {
        for (options, told) in [
            (
                json!({"drill-schedule": "weekly"}),
                "blocked: the option drill-schedule: \"weekly\" is no cron expression that Velero reads: ",
            ),
            (
                json!({"drill-schedule": "@weekly", "drill-timeout": "1d"}),
                "blocked: the option drill-timeout: \"1d\" is no time limit: ",
            ),
            (json!({"drill-timeout": "0"}), "blocked: the option drill-timeout: \"0\" is no time limit: "),
        ] {
            let (drills, obstacles) = planned(options);
            assert_eq!(drills, Drills::Keep);
            assert!(matches!(&obstacles[..], [one] if one.starts_with(told)), "{obstacles:?}");
        }
        let options = json!({"drill-schedule": "@weekly", "storage-mode": "other"});
        assert_eq!(planned(options), (Drills::Keep, Vec::new()));
    }
}
