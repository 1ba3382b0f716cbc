//! What is told of a backup or a restore that has ended.

use crate::{
    text::harmless,
    velero::{Coverage, Details, Phase, Run, RunKind, Volumes},
};

/// How many volumes are named that are without their data.
const NAMED: usize = 20;

/// A run that has ended, with all that is known of it.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    pub kind: RunKind,
    pub name: String,
    pub run: Run,
    pub volumes: Volumes,
    pub details: Details,
    /// Of a backup: what it holds, where that is known.
    pub coverage: Option<Coverage>,
}

impl Ending {
    /// Returns the results of the action.
    pub(super) fn results(&self) -> Vec<(String, String)> {
        let status = &self.run.status;
        let mut results = vec![
            ("phase", status.phase.to_string()),
            ("items", status.progress.done.to_string()),
            ("warnings", status.warnings.to_string()),
            ("errors", status.errors.to_string()),
        ];
        // A restore tells of those alone whose files it writes.
        let volumes = match (self.kind, &self.coverage) {
            (RunKind::Backup, Some(coverage)) => Some((coverage.claims.len(), coverage.with_data)),
            (RunKind::Backup, None) => None,
            (RunKind::Restore, _) => Some((self.volumes.count(), self.volumes.completed())),
        };
        if let Some((all, with_data)) = volumes {
            results.extend([("volumes", all.to_string()), ("volumes-with-data", with_data.to_string())]);
        }
        if let Some(duration) = self.run.duration() {
            results.push(("duration", format!("{duration:#}")));
        }
        results.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Returns what the user should know though all went well.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks: Vec<_> = self.coverage.as_ref().and_then(missing_data).into_iter().collect();
        if self.run.status.phase == Phase::Completed && self.run.status.warnings > 0 {
            let first = self.details.first_warning.as_deref().map(|first| format!("; the first: {}", harmless(first)));
            remarks.push(format!("{}{}", counted(self.run.status.warnings, "warning"), first.unwrap_or_default()));
        }
        remarks
    }

    /// Returns what the action fails with, if the run did not end well.
    pub(super) fn failure(&self) -> Option<String> {
        let status = &self.run.status;
        if status.phase == Phase::Completed {
            return None;
        }
        let word = self.kind.word();
        let mut parts = vec![format!("{word} {} ended as {}", self.name, status.phase)];
        if status.errors + status.warnings > 0 {
            let (errors, warnings) = (counted(status.errors, "error"), counted(status.warnings, "warning"));
            parts.push(format!(" with {errors} and {warnings}"));
        }
        let reason = Some(status.failure_reason.as_str()).filter(|reason| !reason.is_empty());
        let reasons: Vec<&str> = status.validation_errors.iter().map(String::as_str).chain(reason).collect();
        if !reasons.is_empty() {
            parts.push(format!(": {}", reasons.join("; ")));
        }
        match (&self.details.first_error, &self.details.first_warning) {
            (Some(error), _) => parts.push(format!("; the first error: {error}")),
            (None, Some(warning)) => parts.push(format!("; the first warning: {warning}")),
            (None, None) => {}
        }
        parts.push(format!("; all of it: run command=\"{word} describe {} --details\"", self.name));
        Some(harmless(&parts.concat()))
    }
}

/// Returns which volumes of a backup lack their data, if some do.
pub(super) fn missing_data(coverage: &Coverage) -> Option<String> {
    let (all, missing) = (coverage.claims.len(), coverage.claims.len().saturating_sub(coverage.with_data));
    let first: Vec<_> = coverage.without_data.iter().take(NAMED).map(String::as_str).collect();
    let which = if first.is_empty() { String::new() } else { format!(": {}", first.join(", ")) };
    (missing > 0).then(|| format!("{missing} of {all} volumes are in the backup without their data{which}"))
}

fn counted(count: u64, word: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {word}{plural}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    fn ending(kind: RunKind, status: &Value) -> Ending {
        let run = serde_json::from_value(json!({"status": status})).unwrap();
        let (volumes, details) = (Volumes::default(), Details::default());
        Ending { kind, name: "nightly".to_owned(), run, volumes, details, coverage: None }
    }

    #[test]
    fn a_good_ending_fails_nothing_and_tells_what_is_missing() {
        let status = json!({"phase": "Completed", "warnings": 1, "progress": {"totalItems": 9, "itemsBackedUp": 9},
            "startTimestamp": "2026-01-31T10:20:30Z", "completionTimestamp": "2026-01-31T10:21:35Z"});
        let mut ending = ending(RunKind::Backup, &status);
        assert_eq!(ending.failure(), None);
        assert!(ending.results().iter().all(|(key, _)| key != "volumes"));
        ending.details.first_warning = Some("skipped a pod".to_owned());
        ending.coverage = Some(Coverage {
            claims: ["shop/data", "shop/logs"].map(str::to_owned).into(),
            with_data: 1,
            without_data: vec!["shop/logs".to_owned()],
        });
        let results: BTreeMap<_, _> = ending.results().into_iter().collect();
        let expected = json!({"phase": "Completed", "items": "9", "warnings": "1", "errors": "0", "volumes": "2",
            "volumes-with-data": "1", "duration": "1m 5s"});
        assert_eq!(json!(results), expected);
        assert_eq!(
            ending.remarks(),
            ["1 of 2 volumes are in the backup without their data: shop/logs", "1 warning; the first: skipped a pod"]
        );
    }

    #[test]
    fn a_bad_ending_is_told_with_the_first_of_veleros_own_errors() {
        let mut ending = ending(RunKind::Restore, &json!({"phase": "PartiallyFailed", "errors": 2, "warnings": 1}));
        ending.details.first_error = Some("shop: cannot create\u{1b}".to_owned());
        assert_eq!(
            ending.failure().unwrap(),
            "restore nightly ended as PartiallyFailed with 2 errors and 1 warning; the first error: shop: cannot create␛; \
             all of it: run command=\"restore describe nightly --details\""
        );
        assert_eq!(ending.remarks(), Vec::<String>::new());
    }

    #[test]
    fn veleros_reasons_are_told() {
        let refused =
            ending(RunKind::Backup, &json!({"phase": "FailedValidation", "validationErrors": ["no location"]}));
        let told = refused.failure().unwrap();
        assert!(told.starts_with("backup nightly ended as FailedValidation: no location; all of it"), "{told}");
        let reason = "found a backup with status \"InProgress\" during the server starting, mark it as \"Failed\"";
        let failed = ending(RunKind::Backup, &json!({"phase": "Failed", "failureReason": reason}));
        let told = failed.failure().unwrap();
        assert!(told.contains(reason) && !told.contains("error"), "{told}");
        let with_errors = |errors: u64, warnings: u64| {
            let status = json!({"phase": "PartiallyFailed", "errors": errors, "warnings": warnings});
            ending(RunKind::Backup, &status).failure().unwrap()
        };
        assert!(with_errors(1, 1).contains(" with 1 error and 1 warning;"));
        assert!(with_errors(1, 0).contains(" with 1 error and 0 warnings;"));
    }

    #[test]
    fn of_what_is_whole_nothing_is_told() {
        let mut ending = ending(RunKind::Backup, &json!({"phase": "Completed"}));
        let claims = ["shop/data"].map(str::to_owned).into();
        ending.coverage = Some(Coverage { claims, with_data: 1, without_data: Vec::new() });
        assert_eq!(ending.remarks(), Vec::<String>::new());
    }
}
