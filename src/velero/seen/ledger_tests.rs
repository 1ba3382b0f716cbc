use serde_json::json;

use super::*;

fn backup(name: &str, application: &str, phase: &str, hour: u8) -> ReducedRun {
    let labels = json!({"managed-by": "velero-operator", "app": application, "endpoint": "backups", "model": "prod"});
    serde_json::from_value(json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {"includedNamespaces": ["prod"]},
        "status": {"phase": phase, "startTimestamp": format!("2026-01-31T{hour:02}:00:00Z"),
            "completionTimestamp": format!("2026-01-31T{hour:02}:05:00Z"), "progress": {"itemsBackedUp": 7, "totalItems": 8}},
    }))
    .unwrap()
}

fn schedule(name: &str, spec: &Value) -> ReducedSchedule {
    let labels = json!({"managed-by": "velero-operator", "app": "ledger", "endpoint": "backups", "model": "cut-0a1b"});
    serde_json::from_value(json!({
        "metadata": {"name": name, "uid": "u", "labels": labels, "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {"velero-operator/model": "a model with a long name"}},
        "spec": spec,
        "status": {"phase": "Enabled"},
    }))
    .unwrap()
}

fn noted(events: impl IntoIterator<Item = Event<ReducedRun>>) -> (Ledger, Vec<Outcome>) {
    let mut ledger = Ledger::default();
    let outcomes = events.into_iter().map(|event| ledger.note(LedgerEvent::Backup(event))).collect();
    (ledger, outcomes)
}

fn last<'a>(ledger: &'a Ledger, application: &str) -> &'a LastBackups {
    &ledger.backups[&[application, "backups", "prod"].map(str::to_owned)]
}

#[test]
fn of_each_application_the_newest_backup_and_the_newest_good_one_are_kept() {
    let (ledger, _) = noted([
        Event::Init,
        Event::InitApply(backup("b", "ledger", "Completed", 3)),
        Event::InitApply(backup("a", "ledger", "Completed", 2)),
        Event::InitApply(backup("c", "ledger", "PartiallyFailed", 4)),
        Event::InitApply(backup("d", "ledger", "InProgress", 5)),
        Event::InitApply(backup("e", "other", "FailedValidation", 1)),
        Event::InitDone,
    ]);
    let of_ledger = last(&ledger, "ledger");
    let newest = of_ledger.newest.as_ref().unwrap();
    assert_eq!((newest.name.as_str(), newest.result, newest.items), ("c", BackupResult::PartiallyFailed, 7));
    assert_eq!(of_ledger.newest_good, Some(("2026-01-31T03:05:00Z".parse().unwrap(), "b".to_owned())));
    assert_eq!(last(&ledger, "other").newest.as_ref().unwrap().result, BackupResult::Failed);
    assert_eq!(last(&ledger, "other").newest_good, None);
    assert_eq!(ledger.running(), BTreeSet::from(["backup d".to_owned()]));
}

#[test]
fn what_is_known_counts_until_a_new_list_is_whole() {
    let (ledger, _) = noted([
        Event::Init,
        Event::InitApply(backup("a", "ledger", "Completed", 2)),
        Event::InitDone,
        Event::Init,
        Event::InitApply(backup("b", "ledger", "Failed", 3)),
    ]);
    assert_eq!(last(&ledger, "ledger").newest.as_ref().unwrap().name, "a");
}

#[test]
fn only_who_forgets_the_newest_has_to_read_all_again() {
    let [a, b, c] = [("a", 2), ("b", 3), ("c", 4)].map(|(name, hour)| backup(name, "ledger", "Completed", hour));
    let (ledger, outcomes) =
        noted([Event::Apply(a.clone()), Event::Apply(b), Event::Apply(c.clone()), Event::Delete(a), Event::Delete(c)]);
    assert_eq!(outcomes[..4], [Outcome::Known; 4]);
    assert_eq!(outcomes[4..], [Outcome::ReadBackupsAnew]);
    assert_eq!(last(&ledger, "ledger").newest.as_ref().unwrap().name, "c");
}

#[test]
fn a_schedule_is_known_by_its_whole_texts_and_changes_with_what_is_planned() {
    let mut ledger = Ledger::default();
    let mut planned = Vec::new();
    for spec in [
        json!({"schedule": "@daily", "skipImmediately": true}),
        json!({"schedule": "@daily", "skipImmediately": false}),
        json!({"schedule": "@weekly", "paused": true}),
    ] {
        let _ = ledger.note(LedgerEvent::Schedule(Event::Apply(schedule("ledger-1", &spec))));
        planned.push(ledger.planned());
    }
    assert_eq!(planned[0], planned[1]);
    assert_ne!(planned[1], planned[2]);
    let entry = &ledger.schedules["ledger-1"];
    assert_eq!(entry.target, ["ledger", "backups", "a model with a long name"].map(str::to_owned));
    assert!(entry.paused && entry.cron.as_ref().is_some_and(|cron| cron.as_str() == "@weekly"));
    let mut others = schedule("nightly", &json!({"schedule": "@daily"}));
    others.labels_mut().remove("managed-by");
    let _ = ledger.note(LedgerEvent::Schedule(Event::Apply(others)));
    assert_eq!(ledger.schedules.len(), 1);
}

#[test]
fn who_forgets_the_newest_good_one_has_to_read_all_again_too() {
    let (good, failed) = (backup("a", "ledger", "Completed", 2), backup("b", "ledger", "Failed", 3));
    for gone in [good.clone(), failed.clone()] {
        let (_, outcomes) = noted([Event::Apply(good.clone()), Event::Apply(failed.clone()), Event::Delete(gone)]);
        assert_eq!(outcomes[2], Outcome::ReadBackupsAnew);
    }
}
