//! What the other sides refuse of that which the charm tells them. They say so in their own databags.

use std::{borrow::Cow, fmt};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    contract::endpoint,
    snapshot::{Relation, Snapshot},
    text::shorten,
};

/// How much of a reason a status has room for, in bytes.
const ROOM: usize = 160;

/// Something that the other side of a relation does not take.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Refusal {
    /// The application that refuses, and the endpoint of the charm.
    by: String,
    what: Cow<'static, str>,
    reason: String,
}

/// What the other side makes of what it was told.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Verdict {
    /// A text, or a list with an entry for each dashboard.
    errors: Value,
    scrape_job_errors: Value,
}

/// Returns what is refused. Only the leader knows.
pub(crate) fn refusals(snapshot: &Snapshot) -> Vec<Refusal> {
    let of_endpoint = |endpoint: &'static str, read: fn(Verdict) -> Vec<(Cow<'static, str>, String)>| {
        snapshot.relations(endpoint).iter().flat_map(move |relation| {
            let by = format!("{} ({endpoint})", relation.remote.as_deref().unwrap_or("an application"));
            let refused = verdict(relation).map(read).unwrap_or_default();
            refused.into_iter().map(move |(what, reason)| Refusal { by: by.clone(), what, reason })
        })
    };
    of_endpoint(endpoint::METRICS_ENDPOINT, of_metrics)
        .chain(of_endpoint(endpoint::GRAFANA_DASHBOARD, of_dashboards))
        .collect()
}

impl Refusal {
    /// Returns the refusal as a status says it.
    pub(crate) fn remark(&self) -> String {
        let Self { by, what, reason } = self;
        format!("{by} refuses {what}: {}", shorten(reason, ROOM))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, what, reason } = self;
        write!(formatter, "{by} refuses {what}: {reason}")
    }
}

/// What cannot be read is no refusal.
fn verdict(relation: &Relation) -> Option<Verdict> {
    serde_json::from_str(relation.verdict()?).ok()
}

fn of_metrics(verdict: Verdict) -> Vec<(Cow<'static, str>, String)> {
    [("the alert rules", verdict.errors), ("the scrape jobs", verdict.scrape_job_errors)]
        .into_iter()
        .filter_map(|(what, errors)| Some((what.into(), reason(&errors)?)))
        .collect()
}

fn of_dashboards(verdict: Verdict) -> Vec<(Cow<'static, str>, String)> {
    let entries = match verdict.errors {
        Value::Array(entries) => entries,
        other => vec![other],
    };
    let refused = |entry: &Value| {
        let Some(id) = entry["dashboard_id"].as_str() else { return Some(("the dashboards".into(), reason(entry)?)) };
        Some((format!("the dashboard {id}").into(), reason(&entry["error"]).unwrap_or_default()))
    };
    entries.iter().filter_map(refused).collect()
}

/// Returns what is wrong, if anything is.
fn reason(errors: &Value) -> Option<String> {
    match errors {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Null | Value::Bool(_) => None,
        Value::Array(entries) if entries.is_empty() => None,
        Value::Object(entries) if entries.is_empty() => None,
        other => Some(other.to_string()),
    }
    .filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::publication_tests::snapshot, *};
    use crate::contract::endpoint::{GRAFANA_DASHBOARD, METRICS_ENDPOINT};

    /// What is refused where the other side has that to say.
    fn refused(endpoint: &'static str, event: &str) -> Vec<String> {
        let mut snapshot = snapshot(true, &[(endpoint, &["any:3"])]);
        let relation = &mut snapshot.relations.get_mut(endpoint).unwrap()[0];
        relation.remote = Some("cos".to_owned());
        relation.theirs = [("event", event)].into_iter().collect();
        refusals(&snapshot).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn refused_rules_and_jobs_are_named_with_the_words_of_the_other_side() {
        let of = |event: Value| refused(METRICS_ENDPOINT, &event.to_string());
        let errors = "error validating rules: group \"x\", rule 1, \"VeleroBackupOverdue\": parse error";
        let rules = format!("cos (metrics-endpoint) refuses the alert rules: {errors}");
        assert_eq!(of(json!({"errors": errors, "valid": false})), [rules]);
        let event = json!({"errors": "bad rule", "scrape_job_errors": "bad job\n", "valid": false});
        let said = [
            "cos (metrics-endpoint) refuses the alert rules: bad rule",
            "cos (metrics-endpoint) refuses the scrape jobs: bad job",
        ];
        assert_eq!(of(event), said);
    }

    #[test]
    fn refused_dashboards_are_named_each() {
        let event = json!({"errors": [
            {"dashboard_id": "file:velero_backups", "error": "no panels"},
            {"dashboard_id": "file:other", "error": null},
            "Invalid"]});
        let said = [
            "cos (grafana-dashboard) refuses the dashboard file:velero_backups: no panels",
            "cos (grafana-dashboard) refuses the dashboard file:other: ",
            "cos (grafana-dashboard) refuses the dashboards: Invalid",
        ];
        assert_eq!(refused(GRAFANA_DASHBOARD, &event.to_string()), said);
    }

    #[test]
    fn what_is_taken_or_cannot_be_read_is_not_refused() {
        for event in [r#"{"errors": "", "valid": true}"#, r#"{"errors": [], "valid": true}"#, "{}", "nothing", "", "[]"]
        {
            for endpoint in [METRICS_ENDPOINT, GRAFANA_DASHBOARD] {
                assert_eq!(refused(endpoint, event), [""; 0], "{event}");
            }
        }
    }

    #[test]
    fn a_long_reason_leaves_a_status_room_for_others() {
        let refusal = Refusal { by: "cos".into(), what: "the alert rules".into(), reason: "x".repeat(5_000) };
        assert!(refusal.remark().len() < 250 && refusal.to_string().len() > 5_000);
        assert!(refusal.remark().starts_with("cos refuses the alert rules: xxx"));
    }
}
