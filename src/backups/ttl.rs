//! How long backups are kept.

use jiff::SignedDuration;
use thiserror::Error;

use super::go_duration::{GoDuration, GoDurationError};

/// How long a backup is kept, as Velero reads it; none at all stands for the server's own default.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Ttl(String);

/// Why a text is no time for which a backup can be kept.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{text:?} is no duration that Velero reads: {reason}")]
pub(crate) struct TtlError {
    text: String,
    reason: String,
}

impl Ttl {
    /// The server's own default.
    pub(crate) const DEFAULT: SignedDuration = SignedDuration::from_hours(30 * 24);

    /// Reads a duration of Go's.
    ///
    /// # Errors
    ///
    /// When Velero would not read it, or would delete each backup as soon as it is made.
    pub(crate) fn parse(text: &str) -> Result<Self, TtlError> {
        let refused = |reason: String| TtlError { text: text.to_owned(), reason };
        let duration = GoDuration::parse(text).map_err(|error: GoDurationError| refused(error.to_string()))?;
        if duration < GoDuration::ZERO {
            return Err(refused("it is negative".to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the duration as it was written.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns how long Velero keeps a backup by it.
    pub(crate) fn duration(&self) -> SignedDuration {
        match GoDuration::parse(&self.0) {
            Ok(duration) if duration > GoDuration::ZERO => SignedDuration::from_nanos(duration.nanoseconds()),
            Ok(_) | Err(_) => Self::DEFAULT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_velero_reads_stays_as_it_is_written() {
        for text in ["720h", "72h0m0s", "24h30m", "0"] {
            assert_eq!(Ttl::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_velero_would_not_read_or_delete_at_once_is_refused() {
        for (text, reason) in [("30d", "no unit \"d\""), ("-1h", "negative"), ("", "not of numbers")] {
            let error = Ttl::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text:?} is no duration")) && error.contains(reason), "{error}");
        }
    }
}
