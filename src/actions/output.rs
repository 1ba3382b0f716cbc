//! What a command printed, in a size that Juju takes.

use std::{collections::VecDeque, fmt};

use crate::text::{self, harmless};

/// A result travels as one argument, of which Linux takes 128 KiB: both of these, a note and the result's name fit in it.
const HEAD: usize = 64 * 1024;
const TAIL: usize = 56 * 1024;

/// No line takes the place of all others.
const LONGEST_TAIL_LINE: usize = TAIL / 2;

/// An error message of this many bytes is read by nobody.
const LONGEST_MESSAGE: usize = 2 * 1024;

/// The lines of a command: the beginning and the end of them, if they are very many.
#[derive(Debug, Default)]
pub(super) struct Output {
    head: Vec<String>,
    head_bytes: usize,
    /// Whether a line did not fit into the head: then all that follow go to the tail.
    head_is_full: bool,
    tail: VecDeque<String>,
    tail_bytes: usize,
    cut: usize,
}

impl Output {
    /// Adds lines. Returns those to show while the command runs, and a note where they end.
    pub(super) fn add(&mut self, lines: Vec<String>) -> Vec<String> {
        let mut shown = Vec::new();
        for line in lines {
            let line = harmless(&line);
            if !self.head_is_full && self.head_bytes + line.len() < HEAD {
                self.head_bytes += line.len() + 1;
                self.head.push(line.clone());
                shown.push(line);
                continue;
            }
            if !self.head_is_full {
                self.head_is_full = true;
                shown.push("(there is more: the results have the beginning and the end)".to_owned());
            }
            self.add_to_tail(text::shorten(&line, LONGEST_TAIL_LINE).into_owned());
        }
        shown
    }

    fn add_to_tail(&mut self, line: String) {
        self.tail_bytes += line.len() + 1;
        self.tail.push_back(line);
        while self.tail_bytes > TAIL {
            let Some(dropped) = self.tail.pop_front() else { break };
            self.tail_bytes -= dropped.len() + 1;
            self.cut += 1;
        }
    }

    /// Returns the lines that are kept.
    pub(super) fn lines(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.head.iter().chain(&self.tail).map(String::as_str)
    }

    /// Returns the last thing that the command said, as an error message.
    pub(super) fn last_words(&self) -> Option<String> {
        let lines: Vec<&str> = self.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let error = lines
            .iter()
            .rposition(|line| ["velero: ", "Error:"].iter().any(|start| line.starts_with(start)))
            .or_else(|| lines.len().checked_sub(1))?;
        // A wrong flag is told first and followed by the whole usage.
        let words: Vec<_> =
            lines[error..].iter().take_while(|line| !line.starts_with("Usage:")).take(5).copied().collect();
        Some(text::shorten(&words.join(" "), LONGEST_MESSAGE).into_owned())
    }
}

impl fmt::Display for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let note = (self.cut > 0).then(|| format!("(… {} lines are left out here …)", self.cut));
        let mut lines = self.head.iter().chain(&note).chain(&self.tail);
        if let Some(first) = lines.next() {
            formatter.write_str(first)?;
        }
        lines.try_for_each(|line| write!(formatter, "\n{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel takes as one argument, less the NUL behind it and what stands before the value.
    const ROOM: usize = 128 * 1024 - 1 - "output=".len();

    #[test]
    fn a_short_output_is_whole() {
        let mut output = Output::default();
        assert_eq!(output.add(vec!["a".into(), String::new(), "b\tc".into()]).len(), 3);
        assert_eq!(output.to_string(), "a\n\nb\tc");
    }

    #[test]
    fn control_characters_reach_no_terminal() {
        let mut output = Output::default();
        let shown = output.add(vec!["a\u{1b}[31mb\0c\rd\u{7f}\u{9b}e\u{202e}".into()]);
        assert_eq!(output.to_string(), "a␛[31mb␀c␍d␡\u{fffd}e\u{202e}");
        assert_eq!(shown, [output.to_string()]);
    }

    #[test]
    fn a_long_output_loses_its_middle_and_says_so() {
        let mut output = Output::default();
        let shown: usize = (0..100_000).map(|number| output.add(vec![format!("line {number}")]).len()).sum();
        let text = output.to_string();
        assert!(text.len() <= ROOM, "{}", text.len());
        assert!(text.starts_with("line 0\n") && text.ends_with("\nline 99999"));
        assert_eq!(text.matches("lines are left out here").count(), 1);
        let kept = text.lines().count() - 1;
        assert!(text.contains(&format!("(… {} lines are left out here …)", 100_000 - kept)));
        assert!(shown < 10_000);
    }

    #[test]
    fn no_output_is_longer_than_what_an_argument_takes() {
        for line in ["x".repeat(64 * 1024 - 1), "x".repeat(1_000_000), "\0".repeat(100_000), "€".repeat(60_000)] {
            let mut output = Output::default();
            output.add(vec!["first".to_owned()]);
            output.add(vec![format!("<{line}>"); 4]);
            output.add(vec!["last".to_owned()]);
            let text = output.to_string();
            assert!(text.len() <= ROOM, "{}", text.len());
            assert!(text.starts_with("first\n") && text.ends_with(">\nlast"), "{}", line.len());
            assert!(text.contains("left out here"));
        }
    }

    #[test]
    fn what_just_fits_is_whole_with_its_line_ends_counted() {
        let mut output = Output::default();
        assert_eq!(output.add(vec!["x".repeat(HEAD - 2), String::new()]).len(), 2);
        let shown = output.add(vec![String::new()]);
        assert!(shown.len() == 1 && shown[0].starts_with("(there is more"), "{shown:?}");
        // No line is too long for its place where it is the first.
        assert!(Output::default().add(vec!["x".repeat(HEAD)])[0].starts_with("(there is more"));
        output.add(vec!["x".repeat(1023); TAIL / 1024 - 1]);
        output.add(vec!["x".repeat(1022)]);
        assert!(!output.to_string().contains("left out here"));
        output.add(vec!["last".to_owned()]);
        assert!(output.to_string().contains("(… 2 lines are left out here …)"));
    }

    #[test]
    fn the_last_words_are_the_error_and_not_the_usage_behind_it() {
        let mut output = Output::default();
        output.add(["doing", "Error: unknown flag: --x", "Usage:", "  velero backup get"].map(str::to_owned).into());
        assert_eq!(output.last_words().unwrap(), "Error: unknown flag: --x");
        assert_eq!(Output::default().last_words(), None);
    }

    #[test]
    fn the_last_words_are_no_longer_than_a_message() {
        let mut output = Output::default();
        output.add(vec![format!("velero: {} refused", "x".repeat(10_000))]);
        let words = output.last_words().unwrap();
        assert!(words.starts_with("velero: xx") && words.ends_with("xx refused"), "{words}");
        assert!(words.len() <= LONGEST_MESSAGE);
    }
}
