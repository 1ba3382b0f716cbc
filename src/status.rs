//! What is to be said of the unit: the worst of what was seen.

use std::fmt;

/// Longer messages make `juju status` unreadable; the log has the whole.
const LONGEST_MESSAGE: usize = 400;

/// A status of the unit, with its message.
///
/// The order is that of severity: the worst of several is their maximum.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Status {
    /// All is as it should be.
    Active(String),
    /// It will be, without anybody doing anything.
    Waiting(String),
    /// A person must act, and the message says what to do.
    Blocked(String),
}

impl Status {
    /// The word that `status-set` takes.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Active(_) => "active",
            Self::Waiting(_) => "waiting",
            Self::Blocked(_) => "blocked",
        }
    }

    /// The message as Juju gets it: one line, and not endless.
    #[must_use]
    pub fn message(&self) -> String {
        let (Self::Active(message) | Self::Waiting(message) | Self::Blocked(message)) = self;
        let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(LONGEST_MESSAGE) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.word(), self.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_several_is_the_one_that_needs_a_person() {
        let worst = [
            Status::Waiting("for the node agent".into()),
            Status::Blocked("the image cannot be pulled".into()),
            Status::Active(String::new()),
        ]
        .into_iter()
        .max();
        assert_eq!(worst, Some(Status::Blocked("the image cannot be pulled".into())));
    }

    #[test]
    fn a_message_is_one_line_of_a_readable_length() {
        let status = Status::Blocked(format!("first\nsecond\t{}", "ö".repeat(1000)));
        let message = status.message();
        assert!(message.starts_with("first second ö"));
        assert_eq!(message.chars().count(), LONGEST_MESSAGE + 1);
    }
}
