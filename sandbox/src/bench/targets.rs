//! What the charm is to reach, and whether it does.

use std::collections::BTreeMap;

use super::{
    cost::{Summary, megabytes, seconds},
    news::{News, Notices},
    task::Task,
    trouble::{Delays, Trouble},
};
use crate::juju::StatusValue;

/// How soon the status is to tell what happens between the hooks, in microseconds.
const SOON: u64 = 5_000_000;

/// How long a hook may keep actions waiting in any trouble, in microseconds.
const LONGEST: u64 = 60_000_000;

/// What the charm is to reach, with what it does: target, measured, whether it is reached.
pub(super) fn targets(
    tasks: &BTreeMap<Task, Summary>,
    troubles: &BTreeMap<Trouble, Delays>,
    news: &BTreeMap<News, Notices>,
) -> Vec<[String; 3]> {
    let mut targets = Vec::new();
    if let Some(Summary { wall, peak_memory, tool_calls, api_calls, changed, .. }) = tasks.get(&Task::UpdateStatus) {
        let calls = tool_calls.map_or(0, |calls| calls.median);
        let idle = "update-status, nothing changed:";
        targets.extend([
            target(&format!("{idle} under 0.10 s"), seconds(wall.median) + " s", wall.median < 100_000),
            target(
                &format!("{idle} under 20 MB"),
                megabytes(peak_memory.median) + " MB",
                peak_memory.median < 20_000_000,
            ),
            target(&format!("{idle} at most 8 hook-tool calls"), calls.to_string(), calls <= 8),
            target(&format!("{idle} at most 12 API requests"), api_calls.median.to_string(), api_calls.median <= 12),
            // Once is too often here, so it is not the median that counts.
            target(&format!("{idle} no object changed in any run"), changed.most.to_string(), changed.most == 0),
        ]);
    }
    if let Some(Summary { wall, .. }) = tasks.get(&Task::UpdateStatusFar) {
        let text = "update-status, API server 200 ms away: under 2 s";
        targets.push(target(text, seconds(wall.median) + " s", wall.median < 2_000_000));
    }
    if let (Some(near), Some(far)) = (tasks.get(&Task::Deploy), tasks.get(&Task::DeployFar)) {
        let more = far.wall.median.saturating_sub(near.wall.median);
        let text = "deploy, API server 200 ms away: under 6 s more";
        targets.push(target(text, seconds(more) + " s", more < 6_000_000));
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
    if let Some(most) = news.values().map(|notices| notices.told.most).max() {
        let text = "trouble to status, in any run: within 5 s";
        targets.push(target(text, seconds(most) + " s", most <= SOON));
    }
    targets
}

fn targets_among_many(tasks: &BTreeMap<Task, Summary>) -> Vec<[String; 3]> {
    let mut targets = Vec::new();
    if let (Some(few), Some(many)) = (tasks.get(&Task::QuietAmong100), tasks.get(&Task::QuietAmong10000)) {
        let (few, requests, memory) = (few.api_calls.most, many.api_calls.most, many.peak_memory.most);
        let idle = "update-status, 10,000 backups, 2,000 restores, 500 nodes:";
        targets.extend([
            target(&format!("{idle} no request more than with 100"), requests.to_string(), requests <= few),
            target(&format!("{idle} under 40 MB"), megabytes(memory) + " MB", memory < 40_000_000),
        ]);
    }
    if let Some(Summary { wall, .. }) = tasks.get(&Task::ListMany) {
        let text = "list-backups, 10,000 backups: under 1.5 s";
        targets.push(target(text, seconds(wall.most) + " s", wall.most < 1_500_000));
    }
    let observer = [Task::ObserverReads, Task::ObserverRests].iter().filter_map(|task| tasks.get(task));
    if let Some(memory) = observer.map(|summary| summary.peak_memory.most).max() {
        let text = "observer, 10,000 backups: under 15 MB";
        targets.push(target(text, megabytes(memory) + " MB", memory < 15_000_000));
    }
    for (task, what, by_hand, limit, most) in [
        (
            Task::RestartAmongMany,
            "config-changed of an image, 10,000 backups:",
            Task::KubectlSetImageAmongMany,
            "at most 2 s more than kubectl's",
            (|by_hand| by_hand + 2_000_000) as fn(u64) -> u64,
        ),
        (
            Task::Forget,
            "relation ends, 10,000 backups, longest hook:",
            Task::KubectlDeleteBackups,
            "no longer than kubectl for 1,000",
            |by_hand| by_hand,
        ),
    ] {
        let Some(Summary { wall, own_peak_memory, .. }) = tasks.get(&task) else { continue };
        let memory = own_peak_memory.map_or(0, |memory| memory.most);
        if let Some(by_hand) = tasks.get(&by_hand).map(|summary| summary.wall.most) {
            let measured = format!("{} s, kubectl {} s", seconds(wall.most), seconds(by_hand));
            targets.push(target(&format!("{what} {limit}"), measured, wall.most <= most(by_hand)));
        }
        targets.extend([target(
            &format!("{what} under 40 MB in the charm's own process"),
            megabytes(memory) + " MB",
            memory < 40_000_000,
        )]);
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

#[cfg(test)]
mod tests {
    use super::{
        super::{
            cost::Spread,
            report::tests::{delays, same, summary},
        },
        *,
    };

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
    fn the_observer_is_as_large_as_it_was_at_any_time() {
        let observer = |read, rested| {
            let of = |peak_memory| Summary { peak_memory: same(peak_memory), ..summary(1) };
            let tasks = [(Task::ObserverReads, of(read)), (Task::ObserverRests, of(rested))];
            targets_among_many(&BTreeMap::from(tasks)).pop().unwrap()
        };
        let expected = |measured: &str, verdict: &str| {
            ["observer, 10,000 backups: under 15 MB", measured, verdict].map(str::to_owned)
        };
        assert_eq!(observer(14_900_000, 9_000_000), expected("14.9 MB", "reached"));
        assert_eq!(observer(9_000_000, 15_000_000), expected("15.0 MB", "missed"));
        let listed =
            |wall| targets_among_many(&BTreeMap::from([(Task::ListMany, summary(wall))])).pop().unwrap()[2].clone();
        assert_eq!([1_499_999, 1_500_000].map(listed), ["reached", "missed"]);
    }

    #[test]
    fn among_many_backups_it_is_the_worst_run_that_counts() {
        let verdicts = |forget: Summary, remove: Summary| {
            let tasks = [
                (Task::RestartAmongMany, Summary { wall: same(forget.wall.most + 2_000_000), ..forget }),
                (Task::KubectlSetImageAmongMany, summary(5_000_000)),
                (Task::Forget, forget),
                (Task::KubectlDeleteBackups, summary(5_000_000)),
                (Task::Remove, remove),
            ];
            targets_among_many(&BTreeMap::from(tasks)).into_iter().map(|[_, _, verdict]| verdict).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(summary(5_000_000), summary(20_000_000)), ["reached"; 5]);
        let worst = |most| Spread { median: 1, least: 1, most };
        let forget = Summary { wall: worst(5_000_001), own_peak_memory: Some(worst(40_000_000)), ..summary(1) };
        assert_eq!(verdicts(forget, Summary { wall: worst(20_000_001), ..summary(1) }), ["missed"; 5]);
    }

    #[test]
    fn targets_are_reached_or_missed() {
        let verdicts = |tasks: [(Task, Summary); 4]| {
            targets(&BTreeMap::from(tasks), &BTreeMap::new(), &BTreeMap::new())
                .into_iter()
                .map(|[_, _, verdict]| verdict)
                .collect::<Vec<_>>()
        };
        let reached = Summary { tool_calls: Some(same(8)), api_calls: same(12), ..summary(99_999) };
        let missed = Summary {
            wall: same(100_000),
            peak_memory: same(20_000_000),
            tool_calls: Some(same(9)),
            api_calls: same(13),
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
            ["reached"; 7]
        );
        assert_eq!(
            verdicts([
                (Task::UpdateStatus, missed),
                install,
                (Task::VeleroInstall, summary(23_999_998)),
                (Task::QuietWith500, summary(2_000_000))
            ]),
            ["missed"; 7]
        );
    }

    #[test]
    fn what_is_far_away_is_measured_against_what_is_near() {
        let verdicts = |near, far| {
            let tasks =
                [(Task::Deploy, summary(near)), (Task::DeployFar, summary(far)), (Task::UpdateStatusFar, summary(far))];
            targets(&BTreeMap::from(tasks), &BTreeMap::new(), &BTreeMap::new())
                .into_iter()
                .map(|[_, measured, verdict]| format!("{measured}: {verdict}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(verdicts(1_000_000, 1_999_999), ["2.00 s: reached", "1.00 s: reached"]);
        assert_eq!(verdicts(1_000_000, 7_000_000), ["7.00 s: missed", "6.00 s: missed"]);
    }

    #[test]
    fn a_hook_without_anything_to_do_reads_no_more_among_many_backups() {
        let verdicts = |requests, memory| {
            let many = Summary { api_calls: same(requests), peak_memory: same(memory), ..summary(1) };
            let few = Summary { api_calls: same(12), ..summary(1) };
            targets_among_many(&BTreeMap::from([(Task::QuietAmong100, few), (Task::QuietAmong10000, many)]))
                .into_iter()
                .map(|[_, _, verdict]| verdict)
                .collect::<Vec<_>>()
        };
        assert_eq!(verdicts(12, 39_999_999), ["reached"; 2]);
        assert_eq!(verdicts(13, 40_000_000), ["missed"; 2]);
    }
}
