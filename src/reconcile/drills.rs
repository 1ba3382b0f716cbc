//! What a hook of the leader does about restore drills: it notes by which schedule they go, and tells of those that have failed.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Hook, ReconcileError};
use crate::{
    backups::{BackupPlan, Target},
    plan::Drills,
    text::shorten,
    velero::{DrillBook, DrillOrders, DrillRecord, DrillsSince},
};

/// How much is told of what a drill has found.
const LONGEST_FINDING: usize = 160;

/// What is known of drills.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct DrillsSeen {
    /// What the user should know.
    pub remark: Option<String>,
    /// Which have failed.
    pub failed: BTreeSet<String>,
    /// By what they are conducted from now on.
    pub orders: Option<DrillOrders>,
}

impl Hook<'_> {
    /// Returns what is remembered of drills, by what was sighted where that still tells it.
    pub(super) async fn drill_book(&self, is_as_sighted: bool) -> Result<DrillBook, ReconcileError> {
        if is_as_sighted {
            return Ok(self.sighting.drills.as_ref().map(DrillBook::of).unwrap_or_default());
        }
        Ok(self.velero.drill_book().await?)
    }

    /// Notes by which schedule drills go, where that has changed, and looks which have failed.
    pub(super) async fn look_after_drills(&self, book: &DrillBook) -> Result<DrillsSeen, ReconcileError> {
        let since = since(self.drills, book.schedule.as_ref(), Timestamp::now());
        if since != book.schedule {
            self.velero.note_drill_schedule(&self.installation.application, since.as_ref()).await?;
        }
        let orders = match (self.drills, since) {
            (Drills::Use(plan), Some(since)) => {
                Some(DrillOrders { since, timeout: plan.timeout, waits_for_pods: plan.waits_for_pods })
            }
            _ => None,
        };
        let failed: Vec<_> = book.failed().collect();
        let is_told = |record: &&&DrillRecord| is_backed_up(record, self.backups, self.velero.namespace());
        let remark = remark(&failed.iter().filter(is_told).copied().collect::<Vec<_>>());
        Ok(DrillsSeen { remark, failed: failed.iter().map(|record| record.id()).collect(), orders })
    }
}

/// Returns by which schedule drills go from now on: by the one that was noted, unless another is planned.
fn since(planned: &Drills, noted: Option<&DrillsSince>, now: Timestamp) -> Option<DrillsSince> {
    match planned {
        Drills::None => None,
        Drills::Keep => noted.cloned(),
        Drills::Use(plan) => {
            let schedule = plan.schedule.as_str();
            let same = noted.filter(|noted| noted.schedule == schedule).cloned();
            Some(same.unwrap_or_else(|| DrillsSince { schedule: schedule.to_owned(), since: now }))
        }
    }
}

/// Whether the application of a drill is one of those that are backed up, as far as these are known. `own` is this model.
fn is_backed_up(record: &DrillRecord, plan: Option<&BackupPlan>, own: &str) -> bool {
    let Some(plan) = plan.filter(|plan| plan.unknown.is_empty()) else { return true };
    plan.specs.iter().filter_map(|spec| spec.target.as_ref()).any(|Target { application, endpoint, model }| {
        record.is_of([application, endpoint, model.as_deref().unwrap_or(own)])
    })
}

/// Returns what the user should know of the drills that have failed.
fn remark(failed: &[&DrillRecord]) -> Option<String> {
    let DrillRecord { target: [application, endpoint, model], backup, findings, .. } = failed.first()?;
    let finding = shorten(findings.first().map_or("it is not known why", String::as_str), LONGEST_FINDING);
    let whose = format!("{application}:{endpoint} of model {model}");
    Some(match failed.len() {
        1 => format!("the last restore drill of {whose} has failed (backup {backup}): {finding}"),
        several => {
            format!(
                "the last restore drills of {several} applications have failed, such as of {whose} (backup {backup}): {finding}"
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use serde_json::json;

    use super::*;
    use crate::{
        backups::{Cron, Declaration, Defaults, SpecId},
        plan::DrillPlan,
        velero::DrillResult,
    };

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn failed(application: &str, findings: &[&str]) -> DrillRecord {
        DrillRecord {
            target: [application, "backups", "apps"].map(str::to_owned),
            backup: "nightly".to_owned(),
            started: at("2026-01-31T10:00:00Z"),
            ended: at("2026-01-31T10:01:00Z"),
            result: DrillResult::Failed,
            findings: findings.iter().map(|finding| (*finding).to_owned()).collect(),
            last_good: None,
        }
    }

    #[test]
    fn a_schedule_is_noted_once_and_again_when_it_is_another() {
        let (before, now) = (at("2026-01-01T10:00:00Z"), at("2026-01-31T10:00:00Z"));
        let planned = |schedule: &str| {
            let (timeout, waits_for_pods) = (Duration::from_hours(1), false);
            Drills::Use(DrillPlan { schedule: Cron::parse(schedule).unwrap(), timeout, waits_for_pods })
        };
        let noted = |schedule: &str, since| DrillsSince { schedule: schedule.to_owned(), since };
        let daily = noted("@daily", before);
        assert_eq!(since(&planned("@daily"), Some(&daily), now), Some(daily.clone()));
        assert_eq!(since(&planned("@weekly"), Some(&daily), now), Some(noted("@weekly", now)));
        assert_eq!(since(&planned("@daily"), None, now), Some(noted("@daily", now)));
        assert_eq!(since(&Drills::Keep, Some(&daily), now), Some(daily.clone()));
        assert_eq!(since(&Drills::None, Some(&daily), now), None);
    }

    #[test]
    fn the_first_of_the_drills_that_have_failed_is_told_in_short() {
        assert_eq!(remark(&[]), None);
        let ledger = failed("ledger", &["1 object did not come back: v1/ConfigMap shop/a", "another"]);
        assert_eq!(
            remark(&[&ledger]).unwrap(),
            "the last restore drill of ledger:backups of model apps has failed (backup nightly): \
             1 object did not come back: v1/ConfigMap shop/a"
        );
        let mail = failed("mail", &["x".repeat(1000).as_str()]);
        let told = remark(&[&mail, &ledger]).unwrap();
        let expected = "the last restore drills of 2 applications have failed, such as of mail:backups of model apps (backup nightly): x";
        assert!(told.starts_with(expected) && told.len() < 320, "{told}");
    }

    #[test]
    fn an_application_that_is_backed_up_no_more_is_not_told_of() {
        let declared = |application: &str| {
            let id = SpecId { relation: 7, position: 0 };
            let entry = json!({"app": application, "relation_name": "backups", "model": "apps", "spec": {}});
            let defaults = Defaults { schedule: Ok(None), ttl: Ok(None), policies: Ok(None), adds_pods: false };
            BackupPlan::of(vec![Declaration::of_entry(id, application, &entry)], BTreeMap::new(), &defaults)
        };
        let record = failed("ledger", &[]);
        assert!(is_backed_up(&record, Some(&declared("ledger")), "own"));
        assert!(!is_backed_up(&record, Some(&declared("mail")), "own"));
        // What is not known is told rather than left out.
        assert!(is_backed_up(&record, None, "own"));
        assert!(is_backed_up(&record, Some(&BackupPlan { unknown: [7].into(), ..BackupPlan::default() }), "own"));
    }
}
