//! How long something may take.

use std::time::Duration;

use thiserror::Error;

use super::go_duration::{GoDuration, GoDurationError};

/// How long something may take that a user has limited.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TimeLimit(Duration);

/// Why a text is no time that anything may take.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{text:?} is no time limit: {reason}")]
pub(crate) struct TimeLimitError {
    text: String,
    reason: String,
}

impl TimeLimit {
    /// Reads a duration of Go's.
    ///
    /// # Errors
    ///
    /// When it is none, or less than a second.
    pub(crate) fn parse(text: &str) -> Result<Self, TimeLimitError> {
        let refused = |reason: String| TimeLimitError { text: text.to_owned(), reason };
        let duration = GoDuration::parse(text).map_err(|error: GoDurationError| refused(error.to_string()))?;
        match u64::try_from(duration.nanoseconds()) {
            Ok(nanoseconds) if duration >= GoDuration::SECOND => Ok(Self(Duration::from_nanos(nanoseconds))),
            _ => Err(refused("it is shorter than a second".to_owned())),
        }
    }

    /// Returns it.
    #[must_use]
    pub(crate) fn duration(self) -> Duration {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_as_velero_reads_durations_and_is_some_time() {
        assert_eq!(TimeLimit::parse("1h30m").unwrap().duration(), Duration::from_mins(90));
        for (text, reason) in [
            ("2d", "no unit \"d\""),
            ("0", "shorter than a second"),
            ("-1h", "shorter than a second"),
            ("", "not of numbers"),
        ] {
            let error = TimeLimit::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text:?} is no time limit: ")) && error.contains(reason), "{error}");
        }
    }
}
