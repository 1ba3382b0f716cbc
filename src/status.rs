//! The status of the unit: the worst of what was seen.

use std::fmt;

use crate::text::harmless;

/// Longer messages make `juju status` unreadable; the log has the whole.
const LONGEST_MESSAGE: usize = 400;

/// A status of the unit, with its message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Status {
    /// All is as it should be.
    Active(String),
    /// It will be, without anybody doing anything.
    Waiting(String),
    /// A person must act, and the message says what to do.
    Blocked(String),
}

/// Returns the worst of several: a person must act before anything resolves itself, before all is well. Among those of one kind it
/// is the first: they are collected with the most urgent first.
pub(crate) fn worst(statuses: impl IntoIterator<Item = Status>) -> Option<Status> {
    let severity = |status: &Status| match status {
        Status::Active(_) => 0,
        Status::Waiting(_) => 1,
        Status::Blocked(_) => 2,
    };
    statuses.into_iter().reduce(|worst, next| if severity(&next) > severity(&worst) { next } else { worst })
}

impl Status {
    /// Returns the word that `status-set` takes.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Active(_) => "active",
            Self::Waiting(_) => "waiting",
            Self::Blocked(_) => "blocked",
        }
    }

    /// Returns the message as Juju gets it: one line, and not endless. Control characters that somebody else wrote are replaced: a
    /// NUL among them could be no argument of a hook tool, and the hook would fail.
    pub(crate) fn message(&self) -> String {
        let (Self::Active(message) | Self::Waiting(message) | Self::Blocked(message)) = self;
        // Lines that a program draws between the parts of its message would take the room of the message.
        let is_drawn = |word: &&str| word.len() > 3 && word.chars().all(|each| each == '-');
        let line = message.split_whitespace().filter(|word| !is_drawn(word)).collect::<Vec<_>>().join(" ");
        let line = harmless(&line);
        match line.char_indices().nth(LONGEST_MESSAGE) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }

    /// Returns the status with remarks behind its message.
    pub(crate) fn with_remarks(self, remarks: &[String]) -> Self {
        let said = |message: String| [message].iter().chain(remarks).map(String::as_str).collect::<Vec<_>>().join("; ");
        match self {
            Self::Active(message) => Self::Active(said(message)),
            Self::Waiting(message) => Self::Waiting(said(message)),
            Self::Blocked(message) => Self::Blocked(said(message)),
        }
    }

    /// Returns the status of a non-leader. It has nothing to do, and the leader's status is where a person is asked to act.
    pub(crate) fn standing_by(self) -> Self {
        match self {
            Self::Active(message) => Self::Active(format!("{message}, standing by for the leader")),
            Self::Waiting(message) => Self::Waiting(format!("for the leader, which waits {message}")),
            Self::Blocked(message) => Self::Waiting(format!("for the leader, which is blocked: {message}")),
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
        let worst = worst([
            Status::Waiting("for the node agent".into()),
            Status::Blocked("the image cannot be pulled".into()),
            Status::Active(String::new()),
        ]);
        assert_eq!(worst, Some(Status::Blocked("the image cannot be pulled".into())));
        assert_eq!(super::worst([]), None);
    }

    #[test]
    fn among_equals_the_first_counts_whatever_its_letters() {
        for (first, second) in
            [("cannot pull image", "storage is not usable"), ("storage is not usable", "cannot pull image")]
        {
            let worst = worst([
                Status::Waiting("for zeal".into()),
                Status::Blocked(first.into()),
                Status::Blocked(second.into()),
            ]);
            assert_eq!(worst, Some(Status::Blocked(first.into())));
        }
        let waiting =
            [Status::Waiting("for a backup".into()), Status::Waiting("for Velero to run as configured".into())];
        assert_eq!(worst(waiting.clone()).as_ref(), waiting.first());
    }

    #[test]
    fn a_unit_that_stands_by_is_never_blocked() {
        let said = |status: Status| status.standing_by().to_string();
        assert_eq!(said(Status::Active("ready".into())), "active: ready, standing by for the leader");
        assert_eq!(said(Status::Blocked("no storage".into())), "waiting: for the leader, which is blocked: no storage");
        assert_eq!(said(Status::Waiting("for x".into())), "waiting: for the leader, which waits for x");
    }

    #[test]
    fn a_message_is_one_line_of_a_readable_length() {
        let status = Status::Blocked(format!("first\n{}\nsecond\t{}", "-".repeat(80), "ö".repeat(1000)));
        let message = status.message();
        assert!(message.starts_with("first second ö"));
        assert_eq!(message.chars().count(), LONGEST_MESSAGE + 1);
    }

    #[test]
    fn a_control_character_of_somebody_else_is_no_part_of_a_message() {
        let status = Status::Blocked("the option retention: \0 is \u{1b}[31mred\u{9b}0m\u{7f}".to_owned());
        assert_eq!(status.message(), "the option retention: ␀ is ␛[31mred\u{fffd}0m␡");
    }
}
