//! When somebody is to be told.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Topology;

/// The rules as people write them, without what is the same for all.
const FILES: &[&str] = &[
    include_str!("alert_rules/backups.yaml"),
    include_str!("alert_rules/drills.yaml"),
    include_str!("alert_rules/health.yaml"),
];

/// What to do about each alert, in this project, under a heading of the alert's name.
const RUNBOOK: &str = "docs/how-to/respond-to-alerts.md";

/// Where the files of this project are read, as far as `Cargo.toml` says it.
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

/// A file of rules, in the form of a Prometheus.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    alert: String,
    expr: String,
    #[serde(rename = "for")]
    duration: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

/// The groups of all files. That they can be read depends on nothing that is known only when the program runs, and a test reads
/// them.
static GROUPS: LazyLock<Vec<Group>> = LazyLock::new(|| {
    let read = |text: &&str| serde_yaml::from_str::<RuleFile>(text).expect("the rules of this program can be read");
    FILES.iter().map(read).flat_map(|file| file.groups).collect()
});

/// Returns the rules of the charm at its place in Juju.
pub(crate) fn alert_rules(topology: &Topology<'_>) -> Value {
    let mut groups = GROUPS.clone();
    for group in &mut groups {
        group.name = topology.group_name(&group.name);
        for rule in &mut group.rules {
            // By these the consumer's library finds out whose metrics the expression is about.
            rule.labels.extend(topology.labels().map(|(name, value)| (name.to_owned(), value.to_owned())));
            rule.annotations.insert("runbook_url".to_owned(), runbook(REPOSITORY, &rule.alert));
        }
    }
    json!(RuleFile { groups })
}

/// Returns where it is said what to do about an alert.
fn runbook(repository: &str, alert: &str) -> String {
    let heading = alert.to_ascii_lowercase();
    match repository.trim_end_matches('/') {
        "" => format!("{RUNBOOK}#{heading}"),
        repository => format!("{repository}/blob/main/{RUNBOOK}#{heading}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::{super::topology::EXAMPLE, *};

    pub(in super::super) fn names() -> Vec<&'static str> {
        rules().map(|rule| rule.alert.as_str()).collect()
    }

    pub(in super::super) fn runbook_of(alert: &str) -> String {
        runbook(REPOSITORY, alert)
    }

    fn rules() -> impl Iterator<Item = &'static Rule> {
        GROUPS.iter().flat_map(|group| &group.rules)
    }

    #[test]
    fn each_rule_tells_what_is_the_case_how_bad_it_is_and_what_to_do() {
        let rendered = alert_rules(&EXAMPLE);
        let groups = rendered["groups"].as_array().unwrap();
        let rendered: Vec<_> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
        assert_eq!(rendered.len(), names().len());
        for rule in rendered {
            for (key, value) in EXAMPLE.labels() {
                assert_eq!(rule["labels"][key], value);
            }
            assert!(["critical", "warning"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{rule}");
            for annotation in ["summary", "description", "runbook_url"] {
                assert!(rule["annotations"][annotation].as_str().is_some_and(|text| text.len() > 10), "{rule}");
            }
        }
    }

    #[test]
    fn no_two_rules_have_the_same_name() {
        let distinct: BTreeSet<_> = names().into_iter().collect();
        assert_eq!(distinct.len(), names().len());
    }

    #[test]
    fn the_runbook_has_a_heading_for_each_alert_and_for_no_other() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(RUNBOOK);
        let text = fs::read_to_string(&path).unwrap();
        let headings: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(headings, names());
    }

    #[test]
    fn the_reference_has_a_line_for_each_alert_and_for_no_other() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/alerts.md");
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("| `"));
        let told: Vec<Vec<_>> =
            lines.map(|line| line.split('|').map(|cell| cell.trim_matches([' ', '`'])).collect()).collect();
        let told: Vec<_> = told.iter().map(|cells| (cells[1], cells[2], cells[4])).collect();
        let are: Vec<_> = rules().map(|rule| (&*rule.alert, &*rule.labels["severity"], &*rule.duration)).collect();
        assert_eq!(told, are);
    }

    #[test]
    fn a_runbook_is_found_in_the_projects_repository() {
        let heading = "docs/how-to/respond-to-alerts.md#veleroserverdown";
        assert_eq!(runbook("", "VeleroServerDown"), heading);
        let repository = "https://code.example.test/velero-operator";
        assert_eq!(runbook(&format!("{repository}/"), "VeleroServerDown"), format!("{repository}/blob/main/{heading}"));
    }
}
