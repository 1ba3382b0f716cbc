//! When a hook looks which backups are to go, and what is remembered of that until the next look.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Hook, ReconcileError};
use crate::{
    backups::Retention, contract::hook, error_chain::ErrorChain, juju::Dispatch, snapshot::RETENTION, text::shorten,
    velero::RetentionApplied,
};

/// How long a look does for where nothing is changed: there may be very many backups, and a backup that goes an hour later does no harm.
const LOOK: SignedDuration = SignedDuration::from_hours(1);
/// How much is told of an error of Velero's.
const LONGEST_REASON: usize = 160;

/// What a look has left for the hooks after it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct LastLook {
    retention: String,
    at: Timestamp,
    /// Whether there was more to delete than a hook asks for.
    is_partial: bool,
    /// What the user should know.
    remark: Option<String>,
}

impl Hook<'_> {
    /// Has the backups deleted that are not to be kept, where it is time to look for them. Returns what the user should know.
    pub(super) async fn delete_old_backups(&self) -> Result<Option<String>, ReconcileError> {
        let Some(retention) = self.retention else { return Ok(None) };
        let last = self.snapshot.retention.as_deref().and_then(LastLook::recall);
        let now = Timestamp::now();
        // Whoever sets an option wants to see what comes of it.
        let is_asked_for = self.environment.dispatch == Dispatch::Hook(hook::CONFIG_CHANGED.to_owned());
        if let Some(last) = last.filter(|last| !is_asked_for && last.does_for(retention, now)) {
            return Ok(last.remark);
        }
        match self.velero.apply_retention(&self.installation.application, retention).await {
            Ok(applied) => {
                let look = LastLook::of(retention, &applied, now);
                self.tools.keep(&BTreeMap::from([(RETENTION, look.written().as_str())])).await?;
                Ok(look.remark)
            }
            // The next hook tries it again, and Velero works all the same.
            Err(error) => {
                tracing::warn!("cannot delete backups that are not to be kept: {}", ErrorChain(&error));
                Ok(None)
            }
        }
    }
}

impl LastLook {
    /// Returns what is kept of a look.
    fn of(retention: &Retention, applied: &RetentionApplied, at: Timestamp) -> Self {
        let remark = applied.failed.first().map(|(name, why)| {
            let why = shorten(why, LONGEST_REASON);
            match applied.failed.len() {
                1 => format!("Velero could not delete backup {name}, which retention does not keep: {why}"),
                several => {
                    format!(
                        "Velero could not delete {several} backups that retention does not keep, such as {name}: {why}"
                    )
                }
            }
        });
        Self { retention: retention.to_string(), at, is_partial: applied.is_partial, remark }
    }

    /// Reads what was kept; `None` for what another revision of the charm may have kept.
    fn recall(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    fn written(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether nothing has to be looked at now. Options that have changed are looked at always.
    fn does_for(&self, retention: &Retention, now: Timestamp) -> bool {
        let age = now.duration_since(self.at);
        self.retention == retention.to_string() && !self.is_partial && age < LOOK && age >= SignedDuration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retention(text: &str) -> Retention {
        Retention::parse(text).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_look_does_for_an_hour_unless_there_is_more_to_do() {
        let began = at("2026-01-31T10:00:00Z");
        let look = LastLook::of(&retention("7"), &RetentionApplied::default(), began);
        assert_eq!(LastLook::recall(&look.written()), Some(look.clone()));
        assert!(look.does_for(&retention("7"), at("2026-01-31T10:59:59Z")));
        assert!(!look.does_for(&retention("7"), at("2026-01-31T11:00:00Z")));
        assert!(!look.does_for(&retention("8"), began));
        // A clock that was wrong.
        assert!(!look.does_for(&retention("7"), at("2026-01-31T09:00:00Z")));
        let partial =
            LastLook::of(&retention("7"), &RetentionApplied { is_partial: true, ..Default::default() }, began);
        assert!(!partial.does_for(&retention("7"), began));
        assert_eq!(LastLook::recall("{}"), None);
    }

    #[test]
    fn what_velero_could_not_delete_is_told_in_short() {
        let failed = |names: &[&str]| {
            let failed = names.iter().map(|name| ((*name).to_owned(), format!("no such snapshot {}", "x".repeat(400))));
            let applied = RetentionApplied { failed: failed.collect(), ..Default::default() };
            LastLook::of(&retention("7"), &applied, at("2026-01-31T10:00:00Z")).remark.unwrap()
        };
        let one = failed(&["nightly-1"]);
        assert!(
            one.starts_with("Velero could not delete backup nightly-1, which retention does not keep: no such"),
            "{one}"
        );
        assert!(one.len() < 300, "{one}");
        let two = failed(&["nightly-1", "nightly-2"]);
        assert!(
            two.starts_with("Velero could not delete 2 backups that retention does not keep, such as nightly-1:"),
            "{two}"
        );
    }
}
