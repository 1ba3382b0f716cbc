//! How far a backup or a restore is, as Velero 1.18 names it.

use std::fmt;

use serde::Deserialize;

/// The phase of a Backup or a Restore.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub(crate) enum Phase {
    /// Not looked at yet.
    #[default]
    #[serde(alias = "")]
    New,
    /// A backup waits for others.
    Queued,
    /// A backup is the next.
    ReadyToStart,
    /// What was asked for cannot be done.
    FailedValidation,
    /// The server is at work on it.
    InProgress,
    /// Plugins are at work on it.
    WaitingForPluginOperations,
    /// As the one before, and something has failed.
    WaitingForPluginOperationsPartiallyFailed,
    /// The server does the last part.
    Finalizing,
    /// As the one before, and something has failed.
    FinalizingPartiallyFailed,
    /// It has ended well.
    Completed,
    /// It has ended, and something has failed.
    PartiallyFailed,
    /// It has ended, and all has failed.
    Failed,
    /// A backup is being deleted, or could not be.
    Deleting,
    /// One that this charm does not know.
    #[serde(untagged)]
    Unknown(String),
}

impl Phase {
    /// Whether the server has begun and not ended.
    pub(crate) fn is_in_progress(&self) -> bool {
        self.is_finalizing()
            || matches!(
                self,
                Self::InProgress | Self::WaitingForPluginOperations | Self::WaitingForPluginOperationsPartiallyFailed
            )
    }

    /// Whether the server does nothing more about it, but to delete it.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self, Self::FailedValidation | Self::Completed | Self::PartiallyFailed | Self::Failed | Self::Deleting)
    }

    /// Whether there is something to restore. Velero itself would also try what has failed.
    pub(crate) fn can_be_restored(&self) -> bool {
        matches!(self, Self::Completed | Self::PartiallyFailed)
    }

    /// Whether only the last part is to be done.
    pub(crate) fn is_finalizing(&self) -> bool {
        matches!(self, Self::Finalizing | Self::FinalizingPartiallyFailed)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(phase) => formatter.write_str(phase),
            known => write!(formatter, "{known:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn phase(text: &str) -> Phase {
        serde_json::from_value(json!(text)).unwrap()
    }

    #[test]
    fn phases_are_read_as_velero_writes_them() {
        assert_eq!(phase(""), Phase::New);
        assert_eq!(phase("FinalizingPartiallyFailed"), Phase::FinalizingPartiallyFailed);
        assert_eq!(phase("OfTheFuture"), Phase::Unknown("OfTheFuture".to_owned()));
    }

    #[test]
    fn what_is_not_begun_or_has_ended_is_not_in_progress() {
        for text in ["InProgress", "WaitingForPluginOperations", "Finalizing", "FinalizingPartiallyFailed"] {
            assert!(phase(text).is_in_progress(), "{text}");
        }
        for text in ["", "New", "Queued", "ReadyToStart", "Completed", "Failed", "PartiallyFailed", "FailedValidation"]
        {
            assert!(!phase(text).is_in_progress(), "{text}");
        }
    }

    #[test]
    fn what_has_ended_is_told_and_only_what_has_not_failed_can_be_restored() {
        for (text, has_ended, can_be_restored) in [
            ("New", false, false),
            ("Queued", false, false),
            ("InProgress", false, false),
            ("FinalizingPartiallyFailed", false, false),
            ("OfTheFuture", false, false),
            ("Completed", true, true),
            ("PartiallyFailed", true, true),
            ("Failed", true, false),
            ("FailedValidation", true, false),
            ("Deleting", true, false),
        ] {
            let phase = phase(text);
            assert_eq!((phase.has_ended(), phase.can_be_restored()), (has_ended, can_be_restored), "{text}");
            assert_eq!(phase.to_string(), text);
        }
    }
}
