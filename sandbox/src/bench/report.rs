//! What is printed at the end: one table, and what was to be reached.

use std::{collections::BTreeMap, fmt};

use super::{
    cost::{Spread, Summary},
    task::Task,
};

/// What the columns are, as far as their names do not say.
const NOTES: &str = "\
Each cell is the median of the runs, with the smallest and the largest in brackets where they differ.
wall, CPU    of the process and of all that it started: for a hook that is the charm with the hook tools and the Velero CLI,
             from the start of the process, so without Juju's own time. Several hooks, or commands, are added up; between hooks,
             where Juju would be at work, the cluster goes on.
memory       resident at most in the largest single process; * where one of the charm's is the Velero CLI.
tools        calls of Juju's hook tools.
API          requests to the API server by the hook's service account, or by that of the command, from the audit log.
changed      objects of Velero that came or have another resourceVersion, definitions included, pods and other objects that
             the cluster makes not. Of a BackupStorageLocation the spec, labels and annotations count, as the server renews its
             status about once a minute.
Before each deploy, install and first apply there is nothing of Velero in the cluster: all of them make the definitions.
kubectl's Velero has no storage, so no plugin to start and no location to validate: its new image runs sooner than the charm's.
The images are on the node. kubectl has its discovery cache, but in the first run.
";

/// What all runs cost.
#[derive(Debug)]
pub struct Report {
    /// The machine and the versions, on one line.
    pub machine: String,
    /// How often each task was run.
    pub runs: u32,
    /// What each task cost.
    pub tasks: BTreeMap<Task, Summary>,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}; runs of each: {}\n", self.machine, self.runs)?;
        let header = ["", "wall, s", "CPU, s", "memory, MB", "tools", "API", "changed"].map(str::to_owned);
        let rows = Task::ALL.iter().filter_map(|task| Some(row(*task, self.tasks.get(task)?)));
        write!(formatter, "{}\n{NOTES}\n", table(header, rows.collect()))?;
        let targets = targets(&self.tasks);
        write!(formatter, "{}", table(["target", "measured", ""].map(str::to_owned), targets))
    }
}

fn row(task: Task, summary: &Summary) -> [String; 7] {
    let star = if task.runs_the_cli() { "*" } else { " " };
    [
        task.title().to_owned(),
        cell(&summary.wall, seconds),
        cell(&summary.cpu, seconds),
        cell(&summary.peak_memory, megabytes) + star,
        summary.tool_calls.map_or_else(|| "–".to_owned(), |calls| cell(&calls, |count| count.to_string())),
        cell(&summary.api_calls, |count| count.to_string()),
        cell(&summary.changed, |count| count.to_string()),
    ]
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
fn targets(tasks: &BTreeMap<Task, Summary>) -> Vec<[String; 3]> {
    let target = |text: &str, measured: String, reached: bool| {
        [text.to_owned(), measured, if reached { "reached" } else { "missed" }.to_owned()]
    };
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
    if let Some(Summary { wall, .. }) = tasks.get(&Task::FailedPull) {
        let text = "an image that cannot be pulled: Blocked within 15 s";
        targets.push(target(text, seconds(wall.median) + " s", wall.median < 15_000_000));
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
    targets
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
        let report = Report { machine: "2 cores".into(), runs: 5, tasks }.to_string();
        let row = report.lines().find(|line| line.starts_with("update-status")).unwrap();
        let cells: Vec<_> = row.split_whitespace().skip(3).collect();
        assert_eq!(cells, ["0.21", "0.12", "15.0", "9", "30", "(30–31)", "0"]);
        let row = report.lines().find(|line| line.starts_with("deploy: hook install")).unwrap();
        assert!(row.contains("15.0*"), "{row}");
        assert!(!report.contains("velero backup get"), "{report}");
    }

    #[test]
    fn targets_are_reached_or_missed() {
        let verdicts = |tasks: [(Task, Summary); 3]| {
            targets(&BTreeMap::from(tasks)).into_iter().map(|[_, _, verdict]| verdict).collect::<Vec<_>>()
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
            verdicts([(Task::UpdateStatus, reached), install, (Task::VeleroInstall, summary(24_000_000))]),
            ["reached"; 5]
        );
        assert_eq!(
            verdicts([(Task::UpdateStatus, missed), install, (Task::VeleroInstall, summary(23_999_998))]),
            ["missed"; 5]
        );
    }
}
