//! What is printed at the end: what each task cost, how long hooks took in trouble, and what was to be reached.

use std::{collections::BTreeMap, fmt};

use super::{
    cost::{Spread, Summary},
    task::Task,
    trouble::{Delays, Trouble},
};
use crate::juju::StatusValue;

/// What the columns are, as far as their names do not say.
const NOTES: &str = "\
Each cell is the median of the runs, with the smallest and the largest in brackets where they differ.
wall, CPU    of the process and of all that it started: for a hook that is the charm with the hook tools and the Velero CLI,
             from the start of the process, so without Juju's own time. Several hooks, or commands, are added up; between hooks,
             where Juju would be at work, the cluster goes on.
memory       resident at most in the largest single process, which may be the Velero CLI.
own          resident at most in the charm's own process.
tools        calls of Juju's hook tools.
API          requests to the API server by the hook's service account, or by that of the command, from the audit log.
changed      objects of Velero that came or have another resourceVersion, definitions included, pods and other objects that
             the cluster makes not. Of a BackupStorageLocation the spec, labels and annotations count, as the server renews its
             status about once a minute.
Before each deploy, install and first apply there is nothing of Velero in the cluster: all of them make the definitions.
kubectl's Velero has no storage, so no plugin to start and no location to validate: its new image runs sooner than the charm's.
The images are on the node. kubectl has its discovery cache, but in the first run.
What is among 10,000 backups or with many applications related, and the removal of a full namespace, is run once. Full is one
with 1,000 backups, 3,000 backups of volumes and 100 restores that the server cleans up after; of a hook that fails and is tried
again, all attempts are added up.
";

/// The same of the table of troubles.
const NOTES_ON_TROUBLES: &str = "\
The longest hook by its wall time, in seconds: of those that bring the trouble, and `update-status` after them, with nothing
changed. Each trouble is brought twice at most, however many runs there are.
";

/// How long a hook may keep actions waiting in any trouble, in microseconds.
const LONGEST: u64 = 60_000_000;

/// What all runs cost.
#[derive(Debug)]
pub struct Report {
    /// The machine and the versions, on one line.
    pub machine: String,
    /// How often each task was run.
    pub runs: u32,
    /// What each task cost.
    pub tasks: BTreeMap<Task, Summary>,
    /// How long hooks took in each trouble.
    pub troubles: BTreeMap<Trouble, Delays>,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}; runs of each: {}\n", self.machine, self.runs)?;
        if !self.tasks.is_empty() {
            let header = ["", "wall, s", "CPU, s", "memory, MB", "own, MB", "tools", "API", "changed"];
            let rows = Task::ALL.iter().filter_map(|task| Some(row(*task, self.tasks.get(task)?)));
            writeln!(formatter, "{}\n{NOTES}", table(header.map(str::to_owned), rows.collect()))?;
        }
        if !self.troubles.is_empty() {
            let header = ["trouble", "hook that brings it", "update-status", "the unit is"];
            let rows = self.troubles.iter().map(|(trouble, delays)| trouble_row(*trouble, delays));
            writeln!(formatter, "{}\n{NOTES_ON_TROUBLES}", table(header.map(str::to_owned), rows.collect()))?;
        }
        let targets = targets(&self.tasks, &self.troubles);
        write!(formatter, "{}", table(["target", "measured", ""].map(str::to_owned), targets))
    }
}

fn row(task: Task, summary: &Summary) -> [String; 8] {
    let of_hooks = |spread: Option<Spread>, show: fn(u64) -> String| {
        spread.map_or_else(|| "–".to_owned(), |spread| cell(&spread, show))
    };
    [
        task.title().to_owned(),
        cell(&summary.wall, seconds),
        cell(&summary.cpu, seconds),
        cell(&summary.peak_memory, megabytes),
        of_hooks(summary.own_peak_memory, megabytes),
        of_hooks(summary.tool_calls, |count| count.to_string()),
        cell(&summary.api_calls, |count| count.to_string()),
        cell(&summary.changed, |count| count.to_string()),
    ]
}

fn trouble_row(trouble: Trouble, delays: &Delays) -> [String; 4] {
    let words: Vec<_> = delays.statuses.iter().map(StatusValue::to_string).collect();
    [trouble.title().to_owned(), cell(&delays.first, seconds), cell(&delays.next, seconds), words.join(" or ")]
}

fn cell(spread: &Spread, show: impl Fn(u64) -> String) -> String {
    let [least, median, most] = [spread.least, spread.median, spread.most].map(show);
    if least == most { median } else { format!("{median} ({least}–{most})") }
}

fn seconds(micros: u64) -> String {
    let centiseconds = (micros + 5_000) / 10_000;
    format!("{}.{:02}", centiseconds / 100, centiseconds % 100)
}

fn megabytes(bytes: u64) -> String {
    let tenths = (bytes + 50_000) / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// What the charm is to reach, with what it does: target, measured, whether it is reached.
fn targets(tasks: &BTreeMap<Task, Summary>, troubles: &BTreeMap<Trouble, Delays>) -> Vec<[String; 3]> {
    let mut targets = Vec::new();
    if let Some(Summary { wall, peak_memory, tool_calls, changed, .. }) = tasks.get(&Task::UpdateStatus) {
        let calls = tool_calls.map_or(0, |calls| calls.median);
        let idle = "update-status, nothing changed:";
        targets.extend([
            target(&format!("{idle} under 0.35 s"), seconds(wall.median) + " s", wall.median < 350_000),
            target(
                &format!("{idle} under 20 MB"),
                megabytes(peak_memory.median) + " MB",
                peak_memory.median < 20_000_000,
            ),
            target(&format!("{idle} at most 15 hook-tool calls"), calls.to_string(), calls <= 15),
            // Once is too often here, so it is not the median that counts.
            target(&format!("{idle} no object changed in any run"), changed.most.to_string(), changed.most == 0),
        ]);
    }
    if let (Some(ours), Some(theirs)) = (tasks.get(&Task::Install), tasks.get(&Task::VeleroInstall)) {
        let (ours, theirs) = (ours.wall.median, theirs.wall.median);
        let measured = format!("{} s of {} s", seconds(ours), seconds(theirs));
        targets.push(target(
            "deploy, until Velero runs: half the time of velero install --wait",
            measured,
            ours <= theirs / 2,
        ));
    }
    if let Some(Summary { wall, .. }) = tasks.get(&Task::QuietWith500) {
        let text = "update-status, 500 applications related: under 2 s";
        targets.push(target(text, seconds(wall.median) + " s", wall.median < 2_000_000));
    }
    targets.extend(targets_among_many(tasks));
    targets.extend(targets_in_trouble(troubles));
    targets
}

fn targets_among_many(tasks: &BTreeMap<Task, Summary>) -> Vec<[String; 3]> {
    let mut targets = Vec::new();
    for (task, what) in [
        (Task::RestartAmongMany, "config-changed of an image, 10,000 backups:"),
        (Task::Forget, "relation ends, 10,000 backups, longest hook:"),
    ] {
        let Some(Summary { wall, own_peak_memory, .. }) = tasks.get(&task) else { continue };
        let memory = own_peak_memory.map_or(0, |memory| memory.most);
        targets.extend([
            target(&format!("{what} under 5 s"), seconds(wall.most) + " s", wall.most < 5_000_000),
            target(
                &format!("{what} under 40 MB in the charm's own process"),
                megabytes(memory) + " MB",
                memory < 40_000_000,
            ),
        ]);
    }
    if let Some(Summary { wall, .. }) = tasks.get(&Task::Remove) {
        let text = "remove in a full namespace: within 20 s";
        targets.push(target(text, seconds(wall.most) + " s", wall.most <= 20_000_000));
    }
    targets
}

fn targets_in_trouble(troubles: &BTreeMap<Trouble, Delays>) -> Vec<[String; 3]> {
    let mut targets = Vec::new();
    if let Some(Delays { first, statuses, .. }) = troubles.get(&Trouble::Image) {
        let text = "an image that cannot be pulled: Blocked within 15 s";
        let is_blocked = statuses.iter().all(|status| *status == StatusValue::Blocked);
        targets.push(target(text, seconds(first.median) + " s", is_blocked && first.median < 15_000_000));
    }
    if let Some((trouble, delays)) = troubles.iter().max_by_key(|(_, delays)| delays.longest()) {
        let longest = delays.longest();
        let measured = format!("{} s, {}", seconds(longest), trouble.title());
        targets.push(target("the longest hook in any trouble and run: under 60 s", measured, longest < LONGEST));
    }
    targets
}

fn target(text: &str, measured: String, reached: bool) -> [String; 3] {
    [text.to_owned(), measured, if reached { "reached" } else { "missed" }.to_owned()]
}

/// Rows under a header in columns as wide as they must be: the first to the left, the others to the right.
fn table<const N: usize>(header: [String; N], rows: Vec<[String; N]>) -> String {
    let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
    let width =
        |column: usize| rows.iter().map(|row: &[String; N]| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(value: u64) -> Spread {
        Spread { median: value, least: value, most: value }
    }

    fn summary(wall: u64) -> Summary {
        Summary {
            wall: same(wall),
            cpu: same(120_000),
            peak_memory: same(15_000_000),
            own_peak_memory: Some(same(14_000_000)),
            tool_calls: Some(same(9)),
            api_calls: Spread { median: 30, least: 30, most: 31 },
            changed: same(0),
        }
    }

    #[test]
    fn numbers_are_rounded_to_what_can_be_told_apart() {
        assert_eq!([0, 4_999, 5_000, 1_234_567, 61_000_000].map(seconds), ["0.00", "0.00", "0.01", "1.23", "61.00"]);
        assert_eq!([0, 49_999, 14_950_000, 20_000_000].map(megabytes), ["0.0", "0.0", "15.0", "20.0"]);
    }

    #[test]
    fn a_range_is_shown_only_where_there_is_one() {
        assert_eq!(cell(&same(3), |count| count.to_string()), "3");
        assert_eq!(cell(&Spread { median: 3, least: 2, most: 9 }, |count| count.to_string()), "3 (2–9)");
        let same_as_printed = Spread { median: 210_000, least: 209_000, most: 211_000 };
        assert_eq!(cell(&same_as_printed, seconds), "0.21");
    }

    #[test]
    fn columns_are_as_wide_as_they_must() {
        let rows = vec![["deploy".to_owned(), "1.90 (1.80–2.10)".to_owned()]];
        let expected = "                    wall\ndeploy  1.90 (1.80–2.10)\n";
        assert_eq!(table([String::new(), "wall".to_owned()], rows), expected);
    }

    #[test]
    fn the_report_has_a_row_for_each_task_that_was_run() {
        let tasks = BTreeMap::from([(Task::UpdateStatus, summary(210_000)), (Task::Install, summary(1_900_000))]);
        let report = Report { machine: "2 cores".into(), runs: 5, tasks, troubles: BTreeMap::new() }.to_string();
        let row = report.lines().find(|line| line.starts_with("update-status")).unwrap();
        let cells: Vec<_> = row.split_whitespace().skip(3).collect();
        assert_eq!(cells, ["0.21", "0.12", "15.0", "14.0", "9", "30", "(30–31)", "0"]);
        assert!(!report.contains("velero backup get") && !report.contains("trouble"), "{report}");
        let by_hand = Summary { own_peak_memory: None, tool_calls: None, ..summary(210_000) };
        assert_eq!(row_of(Task::VeleroBackupGet, &by_hand), ["0.21", "0.12", "15.0", "–", "–", "30 (30–31)", "0"]);
    }

    fn row_of(task: Task, summary: &Summary) -> Vec<String> {
        row(task, summary).into_iter().skip(1).collect()
    }

    fn delays(first: u64, next: u64, statuses: &[StatusValue]) -> Delays {
        Delays { first: same(first), next: same(next), statuses: statuses.iter().copied().collect() }
    }

    #[test]
    fn troubles_have_a_table_of_their_own() {
        let both = [StatusValue::Waiting, StatusValue::Blocked];
        let troubles = BTreeMap::from([(Trouble::Silence, delays(41_200_000, 3_000_000, &both))]);
        let report = Report { machine: "2 cores".into(), runs: 5, tasks: BTreeMap::new(), troubles }.to_string();
        let row = report.lines().find(|line| line.starts_with("a store that never answers")).unwrap();
        let cells: Vec<_> = row.split_whitespace().skip(5).collect();
        assert_eq!(cells, ["41.20", "3.00", "blocked", "or", "waiting"]);
        assert!(!report.contains("memory"), "{report}");
    }

    #[test]
    fn no_hook_of_any_trouble_may_take_a_minute() {
        let blocked = [StatusValue::Blocked];
        let targets = |image, silence| {
            targets_in_trouble(&BTreeMap::from([(Trouble::Image, image), (Trouble::Silence, silence)]))
                .into_iter()
                .map(|[_, measured, verdict]| format!("{measured}: {verdict}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            targets(delays(14_999_999, 1, &blocked), delays(1, 59_999_999, &blocked)),
            ["15.00 s: reached", "60.00 s, a store that never answers: reached"]
        );
        assert_eq!(
            targets(delays(15_000_000, 1, &blocked), delays(60_000_000, 1, &blocked)),
            ["15.00 s: missed", "60.00 s, a store that never answers: missed"]
        );
        let waiting = delays(1_000_000, 1, &[StatusValue::Waiting]);
        assert_eq!(targets(waiting, delays(1, 1, &blocked))[0], "1.00 s: missed");
        assert_eq!(targets_in_trouble(&BTreeMap::new()), Vec::<[String; 3]>::new());
    }

    #[test]
    fn among_many_backups_it_is_the_worst_run_that_counts() {
        let verdicts = |forget: Summary, remove: Summary| {
            let tasks = [(Task::RestartAmongMany, forget), (Task::Forget, forget), (Task::Remove, remove)];
            targets_among_many(&BTreeMap::from(tasks)).into_iter().map(|[_, _, verdict]| verdict).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(summary(4_999_999), summary(20_000_000)), ["reached"; 5]);
        let worst = |most| Spread { median: 1, least: 1, most };
        let forget = Summary { wall: worst(5_000_000), own_peak_memory: Some(worst(40_000_000)), ..summary(1) };
        assert_eq!(verdicts(forget, Summary { wall: worst(20_000_001), ..summary(1) }), ["missed"; 5]);
    }

    #[test]
    fn targets_are_reached_or_missed() {
        let verdicts = |tasks: [(Task, Summary); 4]| {
            targets(&BTreeMap::from(tasks), &BTreeMap::new())
                .into_iter()
                .map(|[_, _, verdict]| verdict)
                .collect::<Vec<_>>()
        };
        let reached = summary(349_999);
        let missed = Summary {
            wall: same(350_000),
            peak_memory: same(20_000_000),
            tool_calls: Some(same(16)),
            changed: Spread { median: 0, least: 0, most: 1 },
            ..reached
        };
        let install = (Task::Install, summary(12_000_000));
        assert_eq!(
            verdicts([
                (Task::UpdateStatus, reached),
                install,
                (Task::VeleroInstall, summary(24_000_000)),
                (Task::QuietWith500, summary(1_999_999))
            ]),
            ["reached"; 6]
        );
        assert_eq!(
            verdicts([
                (Task::UpdateStatus, missed),
                install,
                (Task::VeleroInstall, summary(23_999_998)),
                (Task::QuietWith500, summary(2_000_000))
            ]),
            ["missed"; 6]
        );
    }
}
