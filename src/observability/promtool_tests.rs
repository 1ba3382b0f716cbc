//! The rules and the dashboard as a Prometheus takes them: asked of promtool.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use sandbox::{
    progress::Progress,
    tools::{self, PROMETHEUS},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{alert_rules, alerts, dashboard, topology::EXAMPLE};

/// What the observer of each unit tells.
const OBSERVER: &[&str] = &[
    "velero_operator_schedule_info",
    "velero_operator_schedule_created_timestamp_seconds",
    "velero_operator_schedule_period_seconds",
    "velero_operator_schedule_paused",
    "velero_operator_schedule_volumes",
    "velero_operator_backup_last_success_timestamp_seconds",
    "velero_operator_backup_last_timestamp_seconds",
    "velero_operator_backup_last_result",
    "velero_operator_backup_last_duration_seconds",
    "velero_operator_backup_last_items",
    "velero_operator_backup_last_volume_bytes",
    "velero_operator_backup_last_volumes",
    "velero_operator_drill_last_success_timestamp_seconds",
    "velero_operator_drill_last_timestamp_seconds",
    "velero_operator_drill_last_result",
    "velero_operator_drill_last_duration_seconds",
    "velero_operator_drill_period_seconds",
    "velero_operator_drill_scheduled_timestamp_seconds",
    "velero_operator_drill_under_way",
    "velero_operator_storage_location_available",
    "velero_operator_storage_location_phase_timestamp_seconds",
    "velero_operator_node_agent_wanted",
    "velero_operator_node_agent_ready",
    "velero_operator_server_available",
    "velero_operator_server_info",
    "velero_operator_observer_last_look_timestamp_seconds",
];

/// What the Velero server itself tells, of what is worth looking at: seen on a real one.
const VELERO: &[&str] = &[
    "velero_backup_attempt_total",
    "velero_backup_success_total",
    "velero_backup_partial_failure_total",
    "velero_backup_failure_total",
    "velero_backup_validation_failure_total",
    "velero_backup_deletion_failure_total",
    "velero_restore_success_total",
    "velero_restore_partial_failure_total",
    "velero_restore_failed_total",
    "velero_restore_validation_failed_total",
    "velero_volume_snapshot_failure_total",
    "velero_csi_snapshot_failure_total",
    "velero_backup_tarball_size_bytes",
    "velero_backup_total",
    "velero_restore_total",
    // Only after the first maintenance.
    "velero_repo_maintenance_success_total",
    "velero_repo_maintenance_failure_total",
];

static PROMTOOL: LazyLock<PathBuf> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(tools::program(&PROMETHEUS, "promtool", &Progress::to_stderr())).unwrap()
});

/// Runs promtool in a folder. It is well when it finds nothing wrong, and says so.
fn assert_well(folder: &Path, arguments: &[&str]) {
    let output = Command::new(&*PROMTOOL).current_dir(folder).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && said.contains("SUCCESS"), "{said}");
}

/// A folder with the rules as they are published.
fn folder_with_rules() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.json"), alert_rules(&EXAMPLE).to_string()).unwrap();
    folder
}

#[test]
fn a_prometheus_takes_the_rules() {
    let folder = folder_with_rules();
    assert_well(folder.path(), &["check", "rules", "--lint=all", "--lint-fatal", "rules.json"]);
}

/// A case of `tests.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    series: Vec<Series>,
    moments: Vec<Moment>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Series {
    series: String,
    values: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Moment {
    at: String,
    #[serde(default)]
    alerts: Vec<ExpectedAlert>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedAlert {
    alertname: String,
    exp_labels: BTreeMap<String, String>,
    exp_annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlertTests {
    /// Short names of labels.
    labels: BTreeMap<String, String>,
    healthy: Vec<Series>,
    cases: Vec<Case>,
}

impl Series {
    fn metric(&self) -> &str {
        self.series.split('{').next().unwrap()
    }

    /// The series as promtool reads it.
    fn in_full(&self, labels: &BTreeMap<String, String>) -> Value {
        let series = labels.iter().fold(self.series.clone(), |series, (short, long)| series.replace(short, long));
        json!({"series": series, "values": self.values})
    }
}

impl Case {
    /// The case as promtool reads it: at each moment it asks for every alert.
    fn in_full(&self, all: &AlertTests) -> Value {
        let given: BTreeSet<_> = self.series.iter().map(Series::metric).collect();
        let others = all.healthy.iter().filter(|series| !given.contains(series.metric()));
        let series: Vec<_> = self.series.iter().chain(others).map(|series| series.in_full(&all.labels)).collect();
        let questions = self.moments.iter().flat_map(|moment| {
            alerts::tests::names().into_iter().map(|name| {
                let expected = moment.alerts.iter().filter(|alert| alert.alertname == name).map(ExpectedAlert::in_full);
                json!({"eval_time": moment.at, "alertname": name, "exp_alerts": expected.collect::<Vec<_>>()})
            })
        });
        json!({"name": self.name, "interval": "5m", "input_series": series, "alert_rule_test": questions.collect::<Vec<_>>()})
    }
}

impl ExpectedAlert {
    /// With what is the same for all alerts.
    fn in_full(&self) -> Value {
        let (mut labels, mut annotations) = (self.exp_labels.clone(), self.exp_annotations.clone());
        labels.extend(EXAMPLE.labels().map(|(key, value)| (key.to_owned(), value.to_owned())));
        annotations.insert("runbook_url".to_owned(), alerts::tests::runbook_of(&self.alertname));
        json!({"exp_labels": labels, "exp_annotations": annotations})
    }
}

#[test]
fn every_alert_fires_when_it_should_and_only_then() {
    let all: AlertTests = serde_yaml::from_str(include_str!("alert_rules/tests.yaml")).unwrap();
    let in_full: Vec<_> = all.cases.iter().map(|case| case.in_full(&all)).collect();
    let tests = json!({"rule_files": ["rules.json"], "evaluation_interval": "5m", "tests": in_full});
    let folder = folder_with_rules();
    fs::write(folder.path().join("tests.json"), tests.to_string()).unwrap();
    assert_well(folder.path(), &["test", "rules", "tests.json"]);
    // Each fires at least once; that it does not is asked at every other moment.
    let alerts = all.cases.iter().flat_map(|case| &case.moments).flat_map(|moment| &moment.alerts);
    let fired: BTreeSet<_> = alerts.map(|alert| alert.alertname.as_str()).collect();
    assert_eq!(fired, alerts::tests::names().into_iter().collect());
}

/// What panels of the dashboard show.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Glance {
    labels: BTreeMap<String, String>,
    series: Vec<Series>,
    at: String,
    /// By the panels' titles.
    shows: BTreeMap<String, f64>,
}

#[test]
fn the_dashboard_counts_what_is_the_case() {
    let Glance { labels, series, at, shows } = serde_yaml::from_str(include_str!("dashboard_tests.yaml")).unwrap();
    let expressions: BTreeMap<_, _> = dashboard::tests::expressions().into_iter().collect();
    let questions = shows.iter().map(|(title, value)| {
        let samples = json!([{"labels": "{}", "value": value}]);
        json!({"expr": expressions[title], "eval_time": at, "exp_samples": samples})
    });
    let series: Vec<_> = series.iter().map(|series| series.in_full(&labels)).collect();
    let questions: Vec<_> = questions.collect();
    let tests = json!({"tests": [{"interval": "5m", "input_series": series, "promql_expr_test": questions}]});
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tests.json"), tests.to_string()).unwrap();
    assert_well(folder.path(), &["test", "rules", "tests.json"]);
}

#[test]
fn a_prometheus_reads_every_expression_of_the_dashboard() {
    let rules = dashboard::tests::expressions().into_iter().enumerate();
    let rules: Vec<_> = rules.map(|(at, (_, expr))| json!({"record": format!("panel:{at}"), "expr": expr})).collect();
    assert!(rules.len() > 20, "{rules:?}");
    let folder = tempfile::tempdir().unwrap();
    let groups = json!({"groups": [{"name": "panels", "rules": rules}]});
    fs::write(folder.path().join("panels.json"), groups.to_string()).unwrap();
    assert_well(folder.path(), &["check", "rules", "panels.json"]);
}

/// The metrics that an expression names.
fn metrics(expression: &str) -> impl Iterator<Item = &str> {
    let name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    // No label has such a name, and no text in quotes.
    expression
        .split(move |letter| !name(letter))
        .filter(|word| ["velero_", "kopia_"].iter().any(|prefix| word.starts_with(prefix)))
}

/// Whatever asks for metrics, and how.
fn expressions() -> Vec<(String, String)> {
    let rules = alert_rules(&EXAMPLE);
    let groups = rules["groups"].as_array().unwrap();
    let of_rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    let of_rules = of_rules.map(|rule| (rule["alert"].to_string(), rule["expr"].as_str().unwrap().to_owned()));
    of_rules.chain(dashboard::tests::expressions()).collect()
}

#[test]
fn every_metric_that_is_asked_for_is_told_by_somebody() {
    for (what, expression) in expressions() {
        let asked: Vec<_> = metrics(&expression).collect();
        assert!(!asked.is_empty(), "{what}: {expression}");
        for metric in asked {
            assert!(OBSERVER.contains(&metric) || VELERO.contains(&metric), "{what} asks for {metric}");
        }
    }
}

#[test]
fn everything_that_the_observer_tells_is_asked_for() {
    let expressions = expressions();
    let asked: BTreeSet<_> = expressions.iter().flat_map(|(_, expression)| metrics(expression)).collect();
    let unasked: Vec<_> = OBSERVER.iter().filter(|metric| !asked.contains(*metric)).collect();
    assert_eq!(unasked, Vec::<&&str>::new());
}

/// A test of the observer compares what that tells.
#[test]
fn the_reference_has_a_line_for_each_metric_of_veleros_that_is_asked_for_and_for_no_other() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/metrics.md");
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let is_veleros = |metric: &&str| !metric.starts_with("velero_operator_");
    let told: BTreeSet<_> = lines.filter_map(|line| line.split('`').next()).filter(is_veleros).collect();
    let expressions = expressions();
    let asked = expressions.iter().flat_map(|(_, expression)| metrics(expression));
    assert_eq!(told, asked.filter(is_veleros).collect());
}
