//! What a command printed, in a size that Juju takes.

use std::{collections::VecDeque, fmt};

/// A result travels as one argument, of which Linux takes 128 KiB; the beginning and the end of an output matter most.
const HEAD: usize = 64 * 1024;
const TAIL: usize = 32 * 1024;

/// The lines of a command, the middle of very many left out.
#[derive(Debug, Default)]
pub struct Output {
    head: Vec<String>,
    head_bytes: usize,
    tail: VecDeque<String>,
    tail_bytes: usize,
    cut: usize,
}

impl Output {
    /// Adds lines; those that are to be shown while the command runs come back, with a note where that ends.
    pub fn add(&mut self, lines: Vec<String>) -> Vec<String> {
        let mut shown = Vec::new();
        for line in lines {
            // An argument of a process ends at a NUL.
            let line = line.replace('\0', "\u{fffd}");
            if self.tail.is_empty() && self.head_bytes + line.len() < HEAD {
                self.head_bytes += line.len() + 1;
                self.head.push(line.clone());
                shown.push(line);
                continue;
            }
            if self.tail.is_empty() {
                shown.push("(there is more: the results have the beginning and the end)".to_owned());
            }
            self.tail_bytes += line.len() + 1;
            self.tail.push_back(line);
            while self.tail_bytes > TAIL && self.tail.len() > 1 {
                let dropped = self.tail.pop_front().unwrap_or_default();
                self.tail_bytes -= dropped.len() + 1;
                self.cut += 1;
            }
        }
        shown
    }

    /// The last thing that the command said, as an error message.
    #[must_use]
    pub fn last_words(&self) -> Option<String> {
        let lines: Vec<&str> =
            self.head.iter().chain(&self.tail).map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
        let error = lines
            .iter()
            .rposition(|line| line.starts_with("An error occurred:") || line.starts_with("Error:"))
            .or_else(|| lines.len().checked_sub(1))?;
        // A wrong flag is told first and followed by the whole usage.
        let words: Vec<_> =
            lines[error..].iter().take_while(|line| !line.starts_with("Usage:")).take(5).copied().collect();
        Some(words.join(" "))
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

    #[test]
    fn a_short_output_is_whole() {
        let mut output = Output::default();
        assert_eq!(output.add(vec!["a".into(), String::new(), "b\0".into()]).len(), 3);
        assert_eq!(output.to_string(), "a\n\nb\u{fffd}");
    }

    #[test]
    fn a_long_output_loses_its_middle_and_says_so() {
        let mut output = Output::default();
        let shown: usize = (0..100_000).map(|number| output.add(vec![format!("line {number}")]).len()).sum();
        let text = output.to_string();
        assert!(text.len() < 120 * 1024, "{}", text.len());
        assert!(text.starts_with("line 0\n") && text.ends_with("\nline 99999"));
        assert_eq!(text.matches("lines are left out here").count(), 1);
        let kept = text.lines().count() - 1;
        assert!(text.contains(&format!("(… {} lines are left out here …)", 100_000 - kept)));
        assert!(shown < 10_000);
    }

    #[test]
    fn the_last_words_are_the_error_and_not_the_usage_behind_it() {
        let mut output = Output::default();
        output.add(["doing", "Error: unknown flag: --x", "Usage:", "  velero backup get"].map(str::to_owned).into());
        assert_eq!(output.last_words().unwrap(), "Error: unknown flag: --x");
        assert_eq!(Output::default().last_words(), None);
    }
}
