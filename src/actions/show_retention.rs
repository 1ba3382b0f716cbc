//! The action `show-retention`: what the retention would do, as a dry run.

use std::cmp::Reverse;

use super::{
    ActionError, SUCCESS, connect, failed,
    list_backups::{filter, limit},
    refused,
    table::text,
};
use crate::{
    backups::Retention,
    contract::{option, parameter},
    juju::{ActionParameters, Environment, HookTools},
    plan,
    velero::{BackupFilter, RetentionReview, ReviewedBackup},
};

/// Shows what becomes of each backup.
pub(super) async fn run(tools: &HookTools, environment: &Environment) -> Result<(), ActionError> {
    let parameters = tools.action_parameters().await?;
    let filter = filter(&parameters).map_err(failed)?;
    let limit = limit(&parameters).map_err(failed)?;
    let retention = retention(tools, &parameters).await?;
    let velero = connect(environment)?;
    let review = velero.review_retention(environment.application(), &retention).await;
    let review = review.map_err(refused(environment))?;
    let mut results = shown(review, &retention, &filter, limit);
    results.push((SUCCESS.0.to_owned(), SUCCESS.1.to_owned()));
    Ok(tools.set_action_results(&results).await?)
}

/// Returns the retention to show: the one to try, or what the option says.
async fn retention(tools: &HookTools, parameters: &ActionParameters) -> Result<Retention, ActionError> {
    let name = parameter::RETENTION.name;
    if let Some(text) = parameters.text(name).map(str::trim).filter(|text| !text.is_empty()) {
        return Retention::parse(text).map_err(|error| failed(format!("{name}: {error}")));
    }
    let option = plan::retention_option(&tools.config().await?).map_err(|status| failed(status.message()))?;
    option.ok_or_else(|| {
        let option = option::RETENTION.name;
        failed(format!(
            "the option {option} is not set, so that no backup goes by it: give one to try, as {name}=\"7 daily\""
        ))
    })
}

/// Returns the results: first those of the backups that go.
fn shown(review: RetentionReview, retention: &Retention, filter: &BackupFilter, limit: usize) -> Vec<(String, String)> {
    let RetentionReview { mut backups, others, obstacle } = review;
    backups.retain(|backup| filter.is_for(&backup.application, &backup.endpoint, &backup.model));
    // Those of one application stay together, the newest first.
    backups.sort_by_key(|backup| Reverse(backup.verdict.goes()));
    let (total, going) = (backups.len(), backups.iter().filter(|backup| backup.verdict.goes()).count());
    let mut remarks = vec![format!("by retention {retention}: {going} to delete, {} to keep", total - going)];
    remarks.extend(obstacle.map(|obstacle| format!("nothing is deleted now: {obstacle}")));
    remarks.extend((others > 0).then(|| {
        format!("{others} more are left alone: made by schedules in another cluster or of another application, or before Velero was installed anew")
    }));
    remarks.extend(backups.iter().filter_map(|backup| {
        Some(format!("Velero could not delete {}, and is asked again within a day: {}", backup.name, backup.failure()?))
    }));
    backups.truncate(limit);
    let head = ["ACTION", "BACKUP", "APP", "ENDPOINT", "MODEL", "PHASE", "STARTED", "REASON"];
    let table = text(head, backups.iter().map(row).collect(), total, &remarks);
    let mut results = vec![
        ("table".to_owned(), table),
        ("retention".to_owned(), retention.to_string()),
        ("total".to_owned(), total.to_string()),
        ("delete".to_owned(), going.to_string()),
        ("keep".to_owned(), (total - going).to_string()),
    ];
    results.extend(backups.iter().flat_map(entries));
    results
}

fn action(backup: &ReviewedBackup) -> &'static str {
    if backup.verdict.goes() { "delete" } else { "keep" }
}

fn row(backup: &ReviewedBackup) -> [String; 8] {
    let ReviewedBackup { name, application, endpoint, model, phase, started, verdict, .. } = backup;
    [
        action(backup).to_owned(),
        name.clone(),
        application.clone(),
        endpoint.clone(),
        model.clone(),
        phase.to_string(),
        started.to_string(),
        verdict.to_string(),
    ]
}

/// Returns the results of a backup, for scripts.
fn entries(backup: &ReviewedBackup) -> impl Iterator<Item = (String, String)> + use<> {
    let uid = backup.uid.clone();
    let [action, name, application, endpoint, model, phase, started, reason] = row(backup);
    let fields = [
        ("name", name),
        ("app", application),
        ("endpoint", endpoint),
        ("model", model),
        ("phase", phase),
        ("start-timestamp", started),
        ("action", action),
        ("reason", reason),
    ];
    fields.into_iter().map(move |(key, value)| (format!("backups.{uid}.{key}"), value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{backups::Verdict, juju::ScriptedTools, velero::Phase};

    fn backup(name: &str, application: &str, verdict: Verdict) -> ReviewedBackup {
        ReviewedBackup::new(name, application, Phase::Completed, "2026-01-31T10:20:30Z".parse().unwrap(), verdict)
    }

    fn review() -> RetentionReview {
        RetentionReview {
            backups: vec![
                backup("new", "ledger", Verdict::Kept(vec!["daily", "weekly"])),
                backup("old", "ledger", Verdict::Superseded),
                backup("only", "mail", Verdict::Kept(vec!["daily"])),
            ],
            others: 2,
            obstacle: Some("the storage is read-only".to_owned()),
        }
    }

    #[test]
    fn what_goes_comes_first_and_each_has_its_reason() {
        let retention = Retention::parse("1 daily, 1 weekly").unwrap();
        let results = shown(review(), &retention, &BackupFilter::default(), 100);
        let expected = "\
ACTION  BACKUP  APP     ENDPOINT  MODEL  PHASE      STARTED               REASON
delete  old     ledger  backups   apps   Completed  2026-01-31T10:20:30Z  no rule keeps it
keep    new     ledger  backups   apps   Completed  2026-01-31T10:20:30Z  daily, weekly
keep    only    mail    backups   apps   Completed  2026-01-31T10:20:30Z  daily
by retention 1 daily, 1 weekly: 1 to delete, 2 to keep
nothing is deleted now: the storage is read-only
2 more are left alone: made by schedules in another cluster or of another application, or before Velero was installed anew";
        assert_eq!(results[0].1, expected);
        let of = |key: &str| results.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        assert_eq!((of("total"), of("delete"), of("keep")), (Some("3"), Some("1"), Some("2")));
        assert_eq!((of("backups.old.action"), of("backups.new.action")), (Some("delete"), Some("keep")));
        assert_eq!(of("backups.new.reason"), Some("daily, weekly"));
        let filter = BackupFilter { application: Some("ledger".to_owned()), ..BackupFilter::default() };
        let few = shown(review(), &retention, &filter, 1);
        assert!(few[0].1.contains("\n1 of 2: to see others"), "{}", few[0].1);
        assert!(few.iter().all(|(key, _)| !key.starts_with("backups.new")));
        let alone = shown(RetentionReview { others: 0, ..review() }, &retention, &BackupFilter::default(), 100);
        assert!(!alone[0].1.contains("left alone"), "{}", alone[0].1);
    }

    #[tokio::test]
    async fn what_is_tried_wins_and_none_at_all_is_told() {
        let read = async |option: &str, tried: Option<&str>| {
            let config = format!("echo '{}'", json!({"retention": option}));
            let tools = ScriptedTools::new(&[("config-get", &config)]);
            let parameters: ActionParameters = tried.map(|text| ("retention", json!(text))).into_iter().collect();
            let read = retention(&tools.tools(), &parameters).await;
            read.map_or_else(|error| error.to_string(), |retention| retention.to_string())
        };
        assert_eq!(read("7", None).await, "7");
        assert_eq!(read("7", Some("2 daily")).await, "2 daily");
        assert!(read("7", Some("daily")).await.starts_with("retention: \"daily\" is not understood"));
        assert!(read("daily", None).await.starts_with("the option retention: \"daily\" is not understood"));
        assert!(read("", None).await.starts_with("the option retention is not set"));
    }
}
