//! Backups that Velero ends before a retention would let them go.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::policy::Retention;
use crate::backups::{
    plan::{BackupPlan, PlannedSpec, SchedulePlan, ScheduledBackup},
    ttl::Ttl,
};

const HOUR: i64 = 60 * 60;

/// Returns what is to be said where backups are not kept for as long as a retention says, as the time for which they are kept is over
/// before.
pub(crate) fn undercut(retention: &Retention, plan: &BackupPlan) -> Option<String> {
    let mut gaps: BTreeMap<&str, SignedDuration> = BTreeMap::new();
    let mut short: BTreeMap<&str, (&ScheduledBackup, i64)> = BTreeMap::new();
    for PlannedSpec { target, schedule, .. } in &plan.specs {
        let (Some(target), SchedulePlan::Use(backup)) = (target, schedule) else { continue };
        // There is hardly a schedule that depends on the year.
        let gap = gaps
            .entry(backup.cron.as_str())
            .or_insert_with(|| backup.cron.longest_gap(Timestamp::UNIX_EPOCH).unwrap_or(SignedDuration::ZERO));
        let reach = retention.reach(*gap);
        if reach > backup.ttl.as_ref().map_or(Ttl::DEFAULT, Ttl::duration) {
            let hours = reach.as_secs().saturating_add(HOUR - 1) / HOUR;
            short.entry(&target.application).or_insert((backup, hours));
        }
    }
    let mut short = short.into_iter();
    let (application, (backup, hours)) = short.next()?;
    let others = match short.len() {
        0 => String::new(),
        1 => "; those of 1 other application too".to_owned(),
        several => format!("; those of {several} other applications too"),
    };
    let advice = match backup.spec.ttl {
        None => format!("set default-ttl={hours}h"),
        Some(_) => "its own spec says so".to_owned(),
    };
    let ttl =
        backup.ttl.as_ref().map_or_else(|| format!("{}h", Ttl::DEFAULT.as_hours()), |ttl| ttl.as_str().to_owned());
    Some(format!(
        "retention would keep backups of {application} for {hours}h, and their ttl of {ttl} ends them before: {advice}{others}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backups::{BackupSpec, Cron, SpecId, Target};

    fn spec(application: &str, cron: &str, ttl: Option<&str>, is_own: bool) -> PlannedSpec {
        let ttl = ttl.map(|text| Ttl::parse(text).unwrap());
        let spec = BackupSpec { ttl: ttl.clone().filter(|_| is_own), ..BackupSpec::default() };
        let backup = ScheduledBackup { cron: Cron::parse(cron).unwrap(), ttl, spec };
        PlannedSpec {
            id: SpecId { relation: 1, position: 0 },
            target: Some(Target { application: application.into(), endpoint: "backups".into(), model: None }),
            schedule: SchedulePlan::Use(Box::new(backup)),
        }
    }

    fn told(retention: &str, specs: &[PlannedSpec]) -> Option<String> {
        let plan = BackupPlan { specs: specs.to_vec(), ..BackupPlan::default() };
        undercut(&Retention::parse(retention).unwrap(), &plan)
    }

    #[test]
    fn a_time_that_is_too_short_is_told_with_what_to_do() {
        let daily = |application: &str, ttl: Option<&str>| spec(application, "30 1 * * *", ttl, false);
        let twelve = "7 daily, 4 weekly, 12 monthly";
        let says = |ttl: &str| {
            Some(format!(
                "retention would keep backups of ledger for 8760h, and their ttl of {ttl} ends them before: set default-ttl=8760h"
            ))
        };
        assert_eq!(told(twelve, &[daily("ledger", None)]), says("720h"));
        assert_eq!(told(twelve, &[daily("ledger", Some("8759h59m"))]), says("8759h59m"));
        assert_eq!(told(twelve, &[daily("ledger", Some("8760h"))]), None);
        // Velero takes none at all for its default.
        assert_eq!(told(twelve, &[daily("ledger", Some("0"))]), says("0"));
        assert_eq!(told("30", &[daily("ledger", None)]), None);
        let monthly = told("3", &[spec("ledger", "@monthly", None, false)]).unwrap();
        assert!(monthly.contains("for 2232h"), "{monthly}");
    }

    #[test]
    fn whose_own_spec_is_short_and_how_many_there_are_is_told() {
        let specs = [
            spec("a", "@daily", Some("24h"), true),
            spec("b", "@daily", None, false),
            spec("c", "@daily", None, false),
        ];
        assert_eq!(
            told("7", &specs).unwrap(),
            "retention would keep backups of a for 168h, and their ttl of 24h ends them before: its own spec says so"
        );
        let all = told("31", &specs).unwrap();
        assert!(all.ends_with("its own spec says so; those of 2 other applications too"), "{all}");
    }
}
