use kube::runtime::watcher::Event;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::{
    observer::holdings::Holding,
    velero::{DrillsSince, LedgerEvent, Observed},
};

const NOW: &str = "2026-01-31T10:20:30Z";

fn parse<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn labels(application: &str) -> Value {
    json!({"managed-by": "velero-operator", "app": application, "endpoint": "backups", "model": "prod"})
}

fn schedule(application: &str, cron: &str) -> LedgerEvent {
    LedgerEvent::Schedule(Event::Apply(parse(json!({
        "metadata": {"name": format!("{application}-1"), "labels": labels(application),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {"velero-operator/app": format!("{application}, whole")}},
        "spec": {"schedule": cron, "paused": false},
    }))))
}

fn backup(application: &str, name: &str, phase: &str) -> LedgerEvent {
    LedgerEvent::Backup(Event::Apply(parse(json!({
        "metadata": {"name": name, "labels": labels(application)},
        "status": {"phase": phase, "startTimestamp": "2026-01-31T01:00:00Z",
            "completionTimestamp": "2026-01-31T01:01:30Z", "progress": {"itemsBackedUp": 7}},
    }))))
}

fn page(events: impl IntoIterator<Item = LedgerEvent>) -> String {
    let mut knowledge = Knowledge::default();
    for event in events {
        let _ = knowledge.ledger.note(event);
    }
    super::page(&knowledge, NOW.parse().unwrap())
}

fn series(page: &str) -> Vec<&str> {
    page.lines().filter(|line| !line.starts_with('#')).map(|line| line.trim_start_matches("velero_operator_")).collect()
}

#[test]
fn of_a_schedule_its_period_and_the_last_of_its_backups_are_told() {
    let page = page([schedule("ledger", "0 3 * * 0"), backup("ledger", "a", "Completed")]);
    let labels = r#"{app="ledger, whole",endpoint="backups",model="prod",schedule="ledger-1""#;
    let expected = [
        format!("schedule_info{labels}}} 1"),
        format!("schedule_created_timestamp_seconds{labels}}} 1767225600"),
        format!("schedule_period_seconds{labels}}} 604800"),
        format!("schedule_paused{labels}}} 0"),
        format!("backup_last_success_timestamp_seconds{labels}}} 1769821290"),
        format!("backup_last_timestamp_seconds{labels}}} 1769821200"),
        format!("backup_last_result{labels},result=\"completed\"}} 1"),
        format!("backup_last_result{labels},result=\"partially_failed\"}} 0"),
        format!("backup_last_result{labels},result=\"failed\"}} 0"),
        format!("backup_last_duration_seconds{labels}}} 90"),
        format!("backup_last_items{labels}}} 7"),
    ];
    assert_eq!(series(&page), expected.each_ref().map(String::as_str));
}

#[test]
fn volumes_are_counted_as_they_are_going_to_be_in_backups_and_as_they_are() {
    let mut knowledge = Knowledge::default();
    for event in [schedule("ledger", "@daily"), backup("ledger", "a", "Completed"), schedule("mail", "@daily")] {
        let _ = knowledge.ledger.note(event);
    }
    knowledge.volumes.insert("ledger-1".to_owned(), VolumeCount { with_data: 2, without_data: 1 });
    let now = tokio::time::Instant::now();
    let uid = knowledge.next_to_read(now).unwrap();
    knowledge.holdings.note((uid, Some(Holding { with_data: 1, failed: 3, bytes: 4096 })), now);
    let page = super::page(&knowledge, NOW.parse().unwrap());
    let labels = r#"{app="ledger, whole",endpoint="backups",model="prod",schedule="ledger-1""#;
    let expected = [
        format!("schedule_volumes{labels},data=\"yes\"}} 2"),
        format!("schedule_volumes{labels},data=\"no\"}} 1"),
        format!("backup_last_volumes{labels},data=\"yes\"}} 1"),
        format!("backup_last_volumes{labels},data=\"no\"}} 3"),
        format!("backup_last_volume_bytes{labels}}} 4096"),
    ];
    let told: Vec<_> = series(&page).into_iter().filter(|line| line.contains("volume")).collect();
    assert_eq!(told, expected.each_ref().map(String::as_str));
}

/// What is remembered of a drill of an application, by a schedule.
fn drilled(application: &str) -> DrillBook {
    let mut book = DrillBook::default();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    book.schedule = Some(DrillsSince { schedule: "@weekly".to_owned(), since: at("2025-12-01T00:00:00Z") });
    book.records.push(DrillRecord {
        target: [application, "backups", "prod"].map(str::to_owned),
        backup: "a".to_owned(),
        started: at("2026-01-31T02:00:00Z"),
        ended: at("2026-01-31T02:03:00Z"),
        result: DrillResult::Failed,
        findings: Vec::new(),
        last_good: Some(at("2026-01-24T02:03:00Z")),
    });
    book
}

#[test]
fn of_drills_the_last_one_and_their_period_are_told() {
    let mut knowledge = Knowledge::default();
    knowledge.drills = drilled("ledger");
    for event in [schedule("ledger", "@daily"), backup("ledger", "a", "Completed"), backup("other", "b", "Failed")] {
        let _ = knowledge.ledger.note(event);
    }
    let page = super::page(&knowledge, NOW.parse().unwrap());
    let labels = r#"{app="ledger, whole",endpoint="backups",model="prod",schedule="ledger-1""#;
    let expected = [
        format!("drill_last_success_timestamp_seconds{labels}}} 1769220180"),
        format!("drill_last_timestamp_seconds{labels}}} 1769824800"),
        format!("drill_last_result{labels},result=\"good\"}} 0"),
        format!("drill_last_result{labels},result=\"failed\"}} 1"),
        format!("drill_last_result{labels},result=\"stopped\"}} 0"),
        format!("drill_last_duration_seconds{labels}}} 180"),
        format!("drill_period_seconds{labels}}} 604800"),
        // Its Schedule was made after that of drills.
        format!("drill_scheduled_timestamp_seconds{labels}}} 1767225600"),
        "drill_under_way 0".to_owned(),
    ];
    let told: Vec<_> = series(&page).into_iter().filter(|line| line.starts_with("drill_")).collect();
    assert_eq!(told, expected.each_ref().map(String::as_str));
}

#[test]
fn what_never_was_has_no_series() {
    let page = page([schedule("ledger", "@daily"), backup("other", "b", "Failed")]);
    assert!(!page.contains("backup_last_success"), "{page}");
    assert!(!series(&page).iter().any(|line| line.starts_with("backup_") && line.contains("ledger")), "{page}");
    assert!(
        page.contains(
            r#"backup_last_result{app="other",endpoint="backups",model="prod",schedule="",result="failed"} 1"#
        )
    );
    assert_eq!(super::page(&Knowledge::default(), NOW.parse().unwrap()), "");
}

/// What is seen of an installation whose storage is in a phase.
fn observed(phase: &str) -> Observed {
    let status = |status: Value| json!({"metadata": {"name": "default"}, "status": status});
    let mut location: kube::api::DynamicObject = parse(json!({"metadata": {"name": "default"}}));
    location.data = json!({"status": {"phase": phase}});
    let server = json!({"metadata": {"name": "velero-1", "labels": {"deploy": "velero"}},
        "spec": {"containers": [{"name": "velero", "image": "velero/velero:v1.18.3"}]}});
    Observed {
        server: parse(status(json!({"availableReplicas": 1}))),
        node_agent: parse(status(json!({"desiredNumberScheduled": 3, "numberReady": 2,
            "currentNumberScheduled": 3, "numberMisscheduled": 0}))),
        location: Some(location),
        ..Observed::of_pods(vec![parse(server)])
    }
}

#[test]
fn of_an_installation_is_told_what_runs_and_since_when() {
    let mut knowledge = Knowledge::default();
    knowledge.public_password = Some(true);
    for (phase, time) in [("Available", 10), ("Available", 20), ("Unavailable", 30), ("Unavailable", 40)] {
        knowledge.see(observed(phase), Timestamp::from_second(time).unwrap());
    }
    let page = super::page(&knowledge, NOW.parse().unwrap());
    let expected = [
        r#"storage_location_available{location="default"} 0"#,
        r#"storage_location_phase_timestamp_seconds{location="default"} 30"#,
        "node_agent_wanted 3",
        "node_agent_ready 2",
        "repository_password_is_public 1",
        "server_available 1",
        r#"server_info{version="1.18.3"} 1"#,
        "observer_last_look_timestamp_seconds 40",
    ];
    assert_eq!(series(&page), expected);
}

/// The labels that all metrics of applications have.
const OF_APPLICATIONS: [&str; 4] = ["app", "endpoint", "model", "schedule"];

/// A metric as the reference has it: its name, its labels beside [`OF_APPLICATIONS`], and its meaning.
type Line = [String; 3];

/// The metrics of a page: those of applications, and others. Of a label with several values, the line has these too.
fn lines_of(page: &str) -> [Vec<Line>; 2] {
    let mut lines = [Vec::new(), Vec::new()];
    for metric in page.split("# HELP ").skip(1) {
        let (help, series) = metric.split_once("\n# TYPE ").unwrap();
        let (name, meaning) = help.split_once(' ').unwrap();
        let mut labels: Vec<(&str, Vec<&str>)> = Vec::new();
        for series in series.lines().skip(1) {
            let pieces: Vec<_> = series.split('"').collect();
            for pair in pieces.chunks_exact(2) {
                let label = pair[0].trim_end_matches('=').rsplit(['{', ',']).next().unwrap();
                match labels.iter_mut().find(|(known, _)| *known == label) {
                    None => labels.push((label, vec![pair[1]])),
                    Some((_, values)) if values.contains(&pair[1]) => {}
                    Some((_, values)) => values.push(pair[1]),
                }
            }
        }
        let (common, more): (Vec<_>, Vec<_>) =
            labels.into_iter().partition(|(label, _)| OF_APPLICATIONS.contains(label));
        assert!([0, OF_APPLICATIONS.len()].contains(&common.len()), "{name}: {common:?}");
        let more = more.into_iter().map(|(label, values)| match &values[..] {
            [_] => format!("`{label}`"),
            several => format!("`{label}`: `{}`", several.join("`, `")),
        });
        let line = [format!("`{name}`"), more.collect::<Vec<_>>().join(", "), meaning.to_owned()];
        lines[usize::from(common.is_empty())].push(line);
    }
    lines
}

/// The metrics that the reference has below a heading.
fn documented(text: &str, heading: &str) -> Vec<Line> {
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let line = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let units = [("_timestamp_seconds`", "Unix time in seconds"), ("_seconds`", "seconds"), ("_bytes`", "bytes")];
        if let Some((_, unit)) = units.iter().find(|(end, _)| cells[1].ends_with(end)) {
            assert_eq!(cells[3], *unit, "{line}");
        }
        [cells[1], cells[2], cells[4]].map(str::to_owned)
    };
    section.lines().filter(|line| line.starts_with("| `")).map(line).collect()
}

#[test]
fn the_reference_has_a_line_for_each_metric_and_for_no_other() {
    let mut knowledge = Knowledge::default();
    knowledge.public_password = Some(false);
    for event in [schedule("ledger", "@daily"), backup("ledger", "a", "Completed")] {
        let _ = knowledge.ledger.note(event);
    }
    knowledge.drills = drilled("ledger");
    knowledge.see(observed("Available"), Timestamp::UNIX_EPOCH);
    knowledge.volumes.insert("ledger-1".to_owned(), VolumeCount { with_data: 2, without_data: 1 });
    let now = tokio::time::Instant::now();
    let uid = knowledge.next_to_read(now).unwrap();
    knowledge.holdings.note((uid, Some(Holding::default())), now);
    let page = super::page(&knowledge, NOW.parse().unwrap());
    let gauges = include_str!("metrics.rs").matches(".gauge(").count();
    assert_eq!(page.matches("# HELP ").count(), gauges, "nothing is missing on {page}");

    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/metrics.md");
    let text = std::fs::read_to_string(path).unwrap();
    let [of_applications, others] = lines_of(&page);
    assert_eq!(documented(&text, "Of applications"), of_applications);
    assert_eq!(documented(&text, "Of the installation"), others);
}
