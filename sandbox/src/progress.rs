//! Telling whoever waits what it is that they wait for.

/// Receives one line of text for each step that takes long enough to be noticed.
///
/// ```
/// let progress = sandbox::progress::Progress::new(|line| println!("{line}"));
/// progress.tell("building kube-apiserver (first run only, about 5 min)");
/// ```
pub struct Progress(Box<dyn Fn(&str) + Send + Sync>);

impl Progress {
    /// Hands every line to `tell`.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Box::new(tell))
    }

    /// Writes every line to the standard error, where it does not mix with what a program says.
    #[must_use]
    pub fn to_stderr() -> Self {
        Self::new(|line| eprintln!("{line}"))
    }

    /// Keeps silent.
    #[must_use]
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    /// Says that `line` is what happens now.
    pub fn tell(&self, line: &str) {
        (self.0)(line);
    }
}
