//! What one run of a task cost, and the middle of several.

use std::{collections::BTreeSet, time::Duration};

/// What one run of a task cost.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cost {
    /// From the start of the process to its end.
    pub wall: Duration,
    /// User and system time of the process and of those that it started.
    pub cpu: Duration,
    /// What the largest of these processes held resident at most, in bytes.
    pub peak_memory: u64,
    /// What the charm's own process held resident at most, in bytes; a program that no hook is has none.
    pub own_peak_memory: Option<u64>,
    /// Calls of hook tools; a program that no hook is calls none.
    pub tool_calls: Option<u64>,
    /// Requests to the API server.
    pub api_calls: u64,
    /// Velero's objects that came, went or got another resourceVersion, as `Kind name`.
    pub changed: BTreeSet<String>,
}

impl Cost {
    /// The cost of this and then `next`, in processes one after the other.
    #[must_use]
    pub fn then(mut self, next: Self) -> Self {
        self.changed.extend(next.changed);
        let tool_calls = match (self.tool_calls, next.tool_calls) {
            (Some(first), Some(second)) => Some(first + second),
            (first, second) => first.or(second),
        };
        Self {
            wall: self.wall + next.wall,
            cpu: self.cpu + next.cpu,
            peak_memory: self.peak_memory.max(next.peak_memory),
            own_peak_memory: self.own_peak_memory.max(next.own_peak_memory),
            tool_calls,
            api_calls: self.api_calls + next.api_calls,
            changed: self.changed,
        }
    }
}

/// Returns the cost of all of them, one after the other.
pub(super) fn total(costs: impl IntoIterator<Item = Cost>) -> Cost {
    costs.into_iter().reduce(Cost::then).unwrap_or_default()
}

/// Returns what the one of them cost that lasted longest.
pub(super) fn longest(costs: impl IntoIterator<Item = Cost>) -> Option<Cost> {
    costs.into_iter().max_by_key(|cost| cost.wall)
}

/// The middle and the ends of some values.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Spread {
    /// As many are smaller as are larger; of an even number, the mean of the two in the middle, rounded down.
    pub median: u64,
    /// The smallest.
    pub least: u64,
    /// The largest.
    pub most: u64,
}

impl Spread {
    /// Of no value there is none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = u64>) -> Option<Self> {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_unstable();
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            u64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self { median, least, most })
    }
}

/// What several runs of a task cost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Summary {
    /// Wall time in microseconds.
    pub wall: Spread,
    /// CPU time in microseconds.
    pub cpu: Spread,
    /// Peak memory in bytes.
    pub peak_memory: Spread,
    /// Peak memory of the charm's own process in bytes.
    pub own_peak_memory: Option<Spread>,
    /// Calls of hook tools.
    pub tool_calls: Option<Spread>,
    /// Requests to the API server.
    pub api_calls: Spread,
    /// How many objects changed.
    pub changed: Spread,
}

impl Summary {
    /// Of no run there is none.
    #[must_use]
    pub fn of(costs: &[Cost]) -> Option<Self> {
        Some(Self {
            wall: Spread::of(costs.iter().map(|cost| micros(cost.wall)))?,
            cpu: Spread::of(costs.iter().map(|cost| micros(cost.cpu)))?,
            peak_memory: Spread::of(costs.iter().map(|cost| cost.peak_memory))?,
            own_peak_memory: Spread::of(costs.iter().filter_map(|cost| cost.own_peak_memory)),
            tool_calls: Spread::of(costs.iter().filter_map(|cost| cost.tool_calls)),
            api_calls: Spread::of(costs.iter().map(|cost| cost.api_calls))?,
            changed: Spread::of(costs.iter().map(|cost| cost.changed.len() as u64))?,
        })
    }
}

/// A time in microseconds.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Returns a time as it is printed, in seconds.
pub(super) fn seconds(micros: u64) -> String {
    let centiseconds = (micros + 5_000) / 10_000;
    format!("{}.{:02}", centiseconds / 100, centiseconds % 100)
}

/// Returns an amount of memory as it is printed, in megabytes.
pub(super) fn megabytes(bytes: u64) -> String {
    let tenths = (bytes + 50_000) / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(values: &[u64]) -> Option<(u64, u64, u64)> {
        Spread::of(values.iter().copied()).map(|spread| (spread.least, spread.median, spread.most))
    }

    #[test]
    fn the_median_is_in_the_middle_whatever_the_order() {
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[7]), Some((7, 7, 7)));
        assert_eq!(spread(&[90, 1, 3]), Some((1, 3, 90)));
        assert_eq!(spread(&[4, 1, 90, 3]), Some((1, 3, 90)));
        assert_eq!(spread(&[2, 4]), Some((2, 3, 4)));
    }

    #[test]
    fn processes_one_after_the_other_add_up_but_for_memory_and_for_what_both_change() {
        let cost = |wall, peak_memory, tool_calls: Option<u64>, changed: &[&str]| Cost {
            wall: Duration::from_secs(wall),
            cpu: Duration::from_secs(1),
            peak_memory,
            own_peak_memory: tool_calls.map(|_| peak_memory / 10),
            tool_calls,
            api_calls: 5,
            changed: changed.iter().map(|name| (*name).to_owned()).collect(),
        };
        let both = cost(2, 30, Some(4), &["a", "b"]).then(cost(3, 20, Some(5), &["b", "c"]));
        let expected = cost(5, 30, Some(9), &["a", "b", "c"]);
        assert_eq!(both, Cost { cpu: Duration::from_secs(2), api_calls: 10, ..expected });
        let neither = cost(1, 1, None, &[]).then(cost(1, 1, None, &[]));
        assert_eq!((neither.tool_calls, neither.own_peak_memory), (None, None));
    }

    #[test]
    fn the_longest_is_the_one_that_lasted_longest() {
        let cost = |seconds, peak_memory| Cost { wall: Duration::from_secs(seconds), peak_memory, ..Cost::default() };
        assert_eq!(longest([cost(1, 9), cost(5, 2), cost(3, 7)]), Some(cost(5, 2)));
        assert_eq!(longest([]), None);
    }

    #[test]
    fn what_is_no_hook_has_no_number_of_hook_tools_and_no_memory_of_its_own() {
        assert_eq!(Summary::of(&[]), None);
        let command = Summary::of(&[Cost::default()]).unwrap();
        assert_eq!((command.tool_calls, command.own_peak_memory), (None, None));
        let hook = Cost { tool_calls: Some(0), ..Cost::default() };
        assert_eq!(Summary::of(&[hook]).unwrap().tool_calls.unwrap().median, 0);
    }
}
