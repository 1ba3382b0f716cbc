//! Why the store could not be used.

use std::error::Error;

use thiserror::Error;

use super::refusal::Refusal;

/// Why an operation on the store failed.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub(crate) enum StoreError {
    /// The store has answered, and refused.
    #[error("{0}")]
    Refused(Refusal),
    /// There is no such object.
    #[error("it is not there")]
    Missing,
    /// It was not reached from here, which says nothing of Velero.
    #[error("{reason}")]
    Unreachable {
        /// The words of the network.
        reason: String,
    },
    /// It has not answered in time.
    #[error("no answer in {seconds} s")]
    Silent {
        /// How long was waited.
        seconds: u64,
    },
    /// It has answered with something else than was written.
    #[error("what was read is not what was written")]
    Different,
    /// There is no way to use it from here.
    #[error("{reason}")]
    Unusable {
        /// What is missing.
        reason: String,
    },
}

impl StoreError {
    /// Returns the error for what the client says, and what the store said last.
    pub(super) fn of(error: &object_store::Error, refusal: Option<Refusal>) -> Self {
        if matches!(error, object_store::Error::NotFound { .. })
            && refusal.as_ref().is_none_or(|refusal| !refusal.is_of_bucket())
        {
            return Self::Missing;
        }
        if let Some(refusal) = refusal {
            return Self::Refused(refusal);
        }
        // The texts above the last one hold addresses and times.
        let mut deepest: &dyn Error = error;
        while let Some(source) = deepest.source() {
            deepest = source;
        }
        Self::Unreachable { reason: deepest.to_string() }
    }

    /// Whether the store itself has decided so, and will again.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.is_lasting(),
            Self::Different | Self::Missing => true,
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Unusable { .. } => false,
        }
    }
}
