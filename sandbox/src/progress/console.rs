//! Where a person or a log reads: the last line of a terminal is written over, the lines of anything else stay.

use std::{
    fmt,
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use console::{Term, truncate_str};

/// To the first column, and away with what the line shows.
const OVER: &str = "\r\x1b[K";

/// What cannot be known of a terminal's width is taken to be this.
const USUAL_COLUMNS: u16 = 80;

/// A standard stream, with a line at its end that is written over when it is a terminal.
pub struct Console {
    /// `None` when it is no terminal.
    terminal: Option<Term>,
    output: Mutex<Output>,
}

struct Output {
    stream: Box<dyn Write + Send>,
    /// The line at the end; empty when there is none.
    shown: String,
}

impl Console {
    /// The standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::new(Term::stdout(), io::stdout())
    }

    /// The standard error.
    #[must_use]
    pub fn stderr() -> Self {
        Self::new(Term::stderr(), io::stderr())
    }

    fn new(terminal: Term, stream: impl Write + Send + 'static) -> Self {
        let terminal = Some(terminal).filter(Term::is_term);
        Self { terminal, output: Mutex::new(Output { stream: Box::new(stream), shown: String::new() }) }
    }

    /// Whether a line can be written over.
    #[must_use]
    pub fn rewrites(&self) -> bool {
        self.terminal.is_some()
    }

    /// Writes a line that stays.
    pub fn tell(&self, line: &str) {
        self.with(|output| output.tell(line));
    }

    /// Writes a line over the one that was shown before; an empty one only takes that away.
    pub fn show(&self, line: &str) {
        let Some(terminal) = &self.terminal else { return };
        let columns = terminal.size_checked().map_or(USUAL_COLUMNS, |(_, columns)| columns);
        self.with(|output| output.show(line, columns.into()));
    }

    fn with(&self, write: impl FnOnce(&mut Output) -> io::Result<()>) {
        // That nobody reads is no reason to stop half-way.
        let _ = write(&mut self.output.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Output {
    fn tell(&mut self, line: &str) -> io::Result<()> {
        let over = if self.shown.is_empty() { "" } else { OVER };
        writeln!(self.stream, "{over}{line}")?;
        write!(self.stream, "{}", self.shown)?;
        self.stream.flush()
    }

    /// A line that is longer than the terminal is wide would not be written over as a whole.
    fn show(&mut self, line: &str, columns: usize) -> io::Result<()> {
        let line = truncate_str(line, columns.saturating_sub(1), "…").into_owned();
        if line == self.shown {
            return Ok(());
        }
        write!(self.stream, "{OVER}{line}")?;
        self.shown = line;
        self.stream.flush()
    }
}

/// A terminal on which something else than the shell's prompt follows the last line would be hard to read.
impl Drop for Console {
    fn drop(&mut self) {
        self.show("");
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Console").field("terminal", &self.terminal).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// A stream that keeps what is written.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Kept {
        fn output(&self) -> Output {
            Output { stream: Box::new(self.clone()), shown: String::new() }
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn a_line_is_written_over_the_one_before_and_stays_below_what_is_told() {
        let kept = Kept::default();
        let mut output = kept.output();
        output.show("step 1 of 2", 80).unwrap();
        output.tell("etcd is built").unwrap();
        output.show("step 2 of 2", 80).unwrap();
        output.show("", 80).unwrap();
        output.tell("done").unwrap();
        assert_eq!(
            kept.text(),
            "\r\x1b[Kstep 1 of 2\r\x1b[Ketcd is built\nstep 1 of 2\r\x1b[Kstep 2 of 2\r\x1b[Kdone\n"
        );
    }

    #[test]
    fn a_line_is_no_longer_than_the_terminal_is_wide() {
        let kept = Kept::default();
        kept.output().show("step 1 of 2: Kubernetes", 12).unwrap();
        assert_eq!(kept.text(), "\r\x1b[Kstep 1 of …");
    }

    #[test]
    fn where_lines_stay_nothing_is_written_over() {
        let kept = Kept::default();
        let console = Console { terminal: None, output: Mutex::new(kept.output()) };
        console.show("step 1 of 2");
        console.tell("etcd is built");
        drop(console);
        assert_eq!(kept.text(), "etcd is built\n");
    }
}
