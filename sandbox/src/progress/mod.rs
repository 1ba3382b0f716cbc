//! Telling whoever waits what it is that they wait for.

mod console;

use std::{sync::Arc, time::Duration};

pub use console::Console;

/// What takes a line.
type Teller = Box<dyn Fn(&str) + Send + Sync>;

/// Receives one line of text for each step that takes long enough to be noticed.
///
/// ```
/// let progress = sandbox::progress::Progress::new(|line| println!("{line}"));
/// progress.tell("building etcd (about 40 s)");
/// ```
pub struct Progress {
    tell: Teller,
    /// What takes a line that the next one is written over; `None` where lines stay.
    rewrite: Option<Teller>,
}

impl Progress {
    /// Hands every line to `tell`, and those that only say how far something is to nobody.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { tell: Box::new(tell), rewrite: None }
    }

    /// Hands every line to `tell`, and those that only say how far something is to `rewrite`, which shows one at a time.
    pub fn rewriting(
        tell: impl Fn(&str) + Send + Sync + 'static,
        rewrite: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        Self { tell: Box::new(tell), rewrite: Some(Box::new(rewrite)) }
    }

    /// Writes every line to the standard error, where it does not mix with what a program says.
    #[must_use]
    pub fn to_stderr() -> Self {
        Self::on(&Arc::new(Console::stderr()))
    }

    /// Writes every line to a console.
    #[must_use]
    pub fn on(console: &Arc<Console>) -> Self {
        let told = Arc::clone(console);
        let tell = move |line: &str| told.tell(line);
        if console.rewrites() {
            let shown = Arc::clone(console);
            Self::rewriting(tell, move |line| shown.show(line))
        } else {
            Self::new(tell)
        }
    }

    /// Keeps silent.
    #[must_use]
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    /// Says that `line` is what happens now.
    pub fn tell(&self, line: &str) {
        (self.tell)(line);
    }

    /// Says that a step of several has begun: with a line that stays, unless [`Progress::show`] says so anyway.
    pub fn begin(&self, line: &str) {
        if self.rewrite.is_none() {
            self.tell(line);
        }
    }

    /// Says how far something is, in place of what was said so before; nothing where lines stay. An empty line ends it.
    pub fn show(&self, line: &str) {
        if let Some(rewrite) = &self.rewrite {
            rewrite(line);
        }
    }
}

/// An estimate, as people say it: `about 40 s`, `about 3 min`.
pub(crate) fn about(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..=90 => format!("about {} s", seconds.div_ceil(10) * 10),
        seconds => format!("about {} min", seconds.div_ceil(60)),
    }
}

/// A time that was measured, as people say it: `40 s`, `3 min 5 s`.
pub(crate) fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn heard() -> (Arc<Mutex<Vec<String>>>, impl Fn(&str) + Send + Sync + 'static) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        (lines, move |line: &str| kept.lock().unwrap().push(line.to_owned()))
    }

    #[test]
    fn times_are_said_as_people_say_them() {
        let seconds = Duration::from_secs;
        assert_eq!(
            [35, 90, 91, 300].map(|time| about(seconds(time))),
            ["about 40 s", "about 90 s", "about 2 min", "about 5 min"]
        );
        assert_eq!([0, 59, 60, 185].map(|time| span(seconds(time))), ["0 s", "59 s", "1 min 0 s", "3 min 5 s"]);
    }

    #[test]
    fn where_lines_stay_a_step_is_told_once_and_not_how_far_it_is() {
        let (told, tell) = heard();
        let progress = Progress::new(tell);
        progress.begin("step 1");
        progress.show("step 1, 10 s");
        assert_eq!(*told.lock().unwrap(), ["step 1"]);
    }

    #[test]
    fn where_a_line_can_be_rewritten_only_how_far_a_step_is_is_shown() {
        let ((told, tell), (shown, show)) = (heard(), heard());
        let progress = Progress::rewriting(tell, show);
        progress.begin("step 1");
        progress.show("step 1, 10 s");
        assert!(told.lock().unwrap().is_empty());
        assert_eq!(*shown.lock().unwrap(), ["step 1, 10 s"]);
    }
}
