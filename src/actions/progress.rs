//! How far a backup or a restore is, in lines for its user: few of them, and none that says nothing new.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    error_chain::ErrorChain,
    juju::HookTools,
    velero::{Audience, Phase, Run, Volumes},
};

/// How long after a line the next one comes at the earliest.
const PACE: Duration = Duration::from_secs(10);
/// How long a server that runs may take to begin.
const BEGINNING: Duration = Duration::from_mins(1);

/// What is said when no server begins.
const NOT_BEGUN: &str =
    "Velero has not begun with it for a minute, see juju status for whether its server runs; waiting goes on";

/// Shows the user how far a run is.
pub(super) struct Progress<'a> {
    tools: &'a HookTools,
    pace: Pace,
}

/// Which lines are shown, and when.
#[derive(Debug)]
struct Pace {
    begin: Instant,
    last: Option<(Instant, String)>,
    has_hinted: bool,
}

impl<'a> Progress<'a> {
    pub(super) fn new(tools: &'a HookTools) -> Self {
        Self { tools, pace: Pace::new(Instant::now()) }
    }
}

impl Audience for Progress<'_> {
    async fn sees(&mut self, run: &Run, volumes: &Volumes) {
        if let Some(line) = self.pace.due(run, volumes, Instant::now()) {
            show(self.tools, &line).await;
        }
    }
}

impl Pace {
    fn new(begin: Instant) -> Self {
        Self { begin, last: None, has_hinted: false }
    }

    /// Returns the line that is due now.
    fn due(&mut self, run: &Run, volumes: &Volumes, now: Instant) -> Option<String> {
        if run.status.phase == Phase::New {
            let is_due = !self.has_hinted && now >= self.begin + BEGINNING;
            self.has_hinted |= is_due;
            return is_due.then(|| NOT_BEGUN.to_owned());
        }
        let line = line(run, volumes);
        let is_due = match &self.last {
            Some((at, last)) => now >= *at + PACE && *last != line,
            // One that waits for others is worth a line where it waits for long.
            None => run.status.phase.is_in_progress() || now >= self.begin + PACE,
        };
        is_due.then(|| {
            self.last = Some((now, line.clone()));
            line
        })
    }
}

/// Shows the user a message at once. What it is about must not fail because it cannot be shown.
pub(super) async fn show(tools: &HookTools, message: &str) {
    if let Err(error) = tools.log_to_action(message).await {
        tracing::warn!("cannot show progress: {}", ErrorChain(&error));
    }
}

/// Returns how far a run is: `InProgress: 12 of 34 items, 1.5 MiB of 3.0 MiB of 2 volumes`.
fn line(run: &Run, volumes: &Volumes) -> String {
    let status = &run.status;
    let mut parts = Vec::new();
    if status.progress.total > 0 {
        parts.push(format!("{} of {} items", status.progress.done, status.progress.total));
    }
    if volumes.count() > 0 {
        let (done, total) = volumes.bytes();
        let word = if volumes.count() == 1 { "volume" } else { "volumes" };
        parts.push(format!("{} of {} of {} {word}", size(done), size(total), volumes.count()));
    }
    if parts.is_empty() { status.phase.to_string() } else { format!("{}: {}", status.phase, parts.join(", ")) }
}

/// Returns a number of bytes as people read it.
pub(super) fn size(bytes: u64) -> String {
    let mut whole = bytes;
    let mut tenths = 0;
    let mut units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"].into_iter().peekable();
    while whole >= 1024 && units.len() > 1 {
        units.next();
        tenths = whole % 1024 * 10 / 1024;
        whole /= 1024;
    }
    let unit = units.next().unwrap_or_default();
    if bytes < 1024 { format!("{whole} {unit}") } else { format!("{whole}.{tenths} {unit}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::named;

    fn run(phase: Phase, done: u64) -> Run {
        let mut run = Run::default();
        run.status.phase = phase;
        run.status.progress.total = 34;
        run.status.progress.done = done;
        run
    }

    #[test]
    fn a_line_comes_at_once_and_then_seldom_and_only_with_news() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin);
        let mut at = |seconds: u64, run: &Run| pace.due(run, &Volumes::default(), begin + Duration::from_secs(seconds));
        assert_eq!(at(1, &run(Phase::New, 0)), None);
        assert_eq!(at(1, &run(Phase::Queued, 0)), None);
        assert_eq!(at(2, &run(Phase::InProgress, 1)).unwrap(), "InProgress: 1 of 34 items");
        assert_eq!(at(11, &run(Phase::InProgress, 20)), None);
        assert_eq!(at(12, &run(Phase::InProgress, 20)).unwrap(), "InProgress: 20 of 34 items");
        assert_eq!(at(100, &run(Phase::InProgress, 20)), None);
        assert_eq!(at(101, &run(Phase::Finalizing, 34)).unwrap(), "Finalizing: 34 of 34 items");
    }

    #[test]
    fn volumes_are_told_with_their_bytes() {
        let volume = |name: &str| {
            let mut object = named("velero.io/v1", "PodVolumeBackup", name);
            object.data = json!({"status": {"progress": {"totalBytes": 2048, "bytesDone": 1024}}});
            object
        };
        let volumes = |names: &[&str]| names.iter().map(|name| volume(name)).collect::<Vec<_>>().iter().collect();
        let run = run(Phase::InProgress, 12);
        assert_eq!(line(&run, &volumes(&["a"])), "InProgress: 12 of 34 items, 1.0 KiB of 2.0 KiB of 1 volume");
        assert_eq!(line(&run, &volumes(&["a", "b"])), "InProgress: 12 of 34 items, 2.0 KiB of 4.0 KiB of 2 volumes");
    }

    #[test]
    fn one_that_waits_for_others_is_told_of_where_that_takes_long() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin);
        let mut queued = Run::default();
        queued.status.phase = Phase::Queued;
        let mut at = |seconds: u64| pace.due(&queued, &Volumes::default(), begin + Duration::from_secs(seconds));
        assert_eq!((at(9), at(10).as_deref(), at(30)), (None, Some("Queued"), None));
    }

    #[test]
    fn a_server_that_does_not_begin_is_told_of_once() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin);
        let mut at =
            |seconds: u64| pace.due(&Run::default(), &Volumes::default(), begin + Duration::from_secs(seconds));
        assert_eq!(at(59), None);
        assert_eq!(at(60).as_deref(), Some(NOT_BEGUN));
        assert_eq!(at(600), None);
    }

    #[test]
    fn bytes_are_told_in_units_that_fit() {
        for (bytes, told) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1536 * 1024, "1.5 MiB"),
            (u64::MAX, "16383.9 PiB"),
        ] {
            assert_eq!(size(bytes), told);
        }
    }
}
