//! What is printed at the end: what each task cost, how long hooks took in trouble, how soon news are told, and what was to be
//! reached.

use std::{collections::BTreeMap, fmt};

use super::{
    cost::{Spread, Summary, megabytes, micros, seconds},
    news::{News, Notices, UPDATE_STATUS},
    targets::targets,
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
With many applications related, a hook asks Juju only for what the one of its own relation declares, with the same calls however
many there are: Juju keeps what the others have declared in the unit's state, which is read and written by a call each. A new
leader knows nothing of that, and asks for each of them: two calls a relation, for the application and its databag.
Where the API server is 200 ms away, what the charm and it say to each other takes 100 ms each way, also while a connection is made;
the pods of Velero are as near as ever.
kubectl gives the charm's own server its other image back among 10,000 backups, and deletes 1,000 backups after the charm's hooks.
The hook among 10,000 backups has 2,000 restores and 500 nodes around it, of which it needs none.
The observer reads from the end of the hook that starts it until its metrics tell of the newest backup. Its minute comes right
after that, with nothing changed; all its memory is what was resident at most in that time.
";

/// The same of the table of troubles.
const NOTES_ON_TROUBLES: &str = "\
The longest hook by its wall time, in seconds: of those that bring the trouble, and `update-status` after them, with nothing
changed. Each trouble is brought twice at most, however many runs there are.
";

/// The same of the table of news.
const NOTES_ON_NEWS: &str = "\
Seconds until `juju status` tells what happens between the hooks, and that it is over: of a server, from its pod's being
available again. No hook comes but those that the observer asks for, and it has not asked for any in the last ten minutes.
Without it, the next `update-status` tells: every five minutes, so at most five minutes and that hook later, and half as long on
average. These are computed.
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
    /// How long hooks took in each trouble.
    pub troubles: BTreeMap<Trouble, Delays>,
    /// How soon the status told of what.
    pub news: BTreeMap<News, Notices>,
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
        if !self.news.is_empty() {
            let header = ["trouble to status", "told", "over", "at most without observer", "on average"];
            let rows = self.news.iter().map(|(news, notices)| news_row(*news, notices));
            writeln!(formatter, "{}\n{NOTES_ON_NEWS}", table(header.map(str::to_owned), rows.collect()))?;
        }
        let targets = targets(&self.tasks, &self.troubles, &self.news);
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

fn news_row(news: News, notices: &Notices) -> [String; 5] {
    let without = micros(UPDATE_STATUS);
    let [told, over] = [notices.told, notices.over].map(|spread| cell(&spread, seconds));
    [news.title().to_owned(), told, over, seconds(without), seconds(without / 2)]
}

fn cell(spread: &Spread, show: impl Fn(u64) -> String) -> String {
    let [least, median, most] = [spread.least, spread.median, spread.most].map(show);
    if least == most { median } else { format!("{median} ({least}–{most})") }
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
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn same(value: u64) -> Spread {
        Spread { median: value, least: value, most: value }
    }

    pub(in super::super) fn summary(wall: u64) -> Summary {
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

    pub(in super::super) fn report(tasks: BTreeMap<Task, Summary>, troubles: BTreeMap<Trouble, Delays>) -> Report {
        Report { machine: "2 cores".into(), runs: 5, tasks, troubles, news: BTreeMap::new() }
    }

    #[test]
    fn the_report_has_a_row_for_each_task_that_was_run() {
        let tasks = BTreeMap::from([(Task::UpdateStatus, summary(210_000)), (Task::Install, summary(1_900_000))]);
        let report = report(tasks, BTreeMap::new()).to_string();
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

    pub(in super::super) fn delays(first: u64, next: u64, statuses: &[StatusValue]) -> Delays {
        Delays { first: same(first), next: same(next), statuses: statuses.iter().copied().collect() }
    }

    #[test]
    fn troubles_have_a_table_of_their_own() {
        let both = [StatusValue::Waiting, StatusValue::Blocked];
        let troubles = BTreeMap::from([(Trouble::Silence, delays(41_200_000, 3_000_000, &both))]);
        let report = report(BTreeMap::new(), troubles).to_string();
        let row = report.lines().find(|line| line.starts_with("a store that never answers")).unwrap();
        let cells: Vec<_> = row.split_whitespace().skip(5).collect();
        assert_eq!(cells, ["41.20", "3.00", "blocked", "or", "waiting"]);
        assert!(!report.contains("memory"), "{report}");
    }

    #[test]
    fn news_have_a_table_of_their_own_and_the_slowest_counts() {
        let told = |most| Notices { told: Spread { median: 2_000_000, least: 2_000_000, most }, over: same(1_500_000) };
        let with = |most| Report {
            news: BTreeMap::from([(News::NoPods, told(2_000_000)), (News::UnusableStorage, told(most))]),
            ..report(BTreeMap::new(), BTreeMap::new())
        };
        let text = with(5_000_000).to_string();
        let row = text.lines().find(|line| line.starts_with("a server without pods")).unwrap();
        assert_eq!(row.split_whitespace().skip(4).collect::<Vec<_>>(), ["2.00", "1.50", "300.00", "150.00"]);
        let verdict = |most| {
            let Report { tasks, troubles, news, .. } = with(most);
            targets(&tasks, &troubles, &news).pop().unwrap()[2].clone()
        };
        let verdicts = [5_000_000, 5_000_001].map(verdict);
        assert_eq!(verdicts, ["reached", "missed"]);
        assert!(!report(BTreeMap::new(), BTreeMap::new()).to_string().contains("to status"));
    }
}
