//! How long it is from one backup of a schedule to the next.

use jiff::{SignedDuration, Timestamp, ToSpan, civil::Date, tz::TimeZone};

use super::{
    cron::{Cron, DAY_OF_MONTH, DAY_OF_WEEK, HOUR, MINUTE, MONTH, Values, has, time_zone, values},
    go_duration::GoDuration,
};

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// How many days before and after a moment are looked at: a schedule has to come once within five years.
const BEFORE: i64 = 5 * 366;
const AFTER: i64 = 5 * 366;

impl Cron {
    /// Returns the longest time from one run to the next, around a moment. Where the clocks are changed, it may be an hour more.
    pub(crate) fn longest_gap(&self, around: Timestamp) -> Option<SignedDuration> {
        let (_, rest) = time_zone(self.as_str()).ok()?;
        match rest {
            "@yearly" | "@annually" => Some(DAY * 366),
            "@monthly" => Some(DAY * 31),
            "@weekly" => Some(DAY * 7),
            "@daily" | "@midnight" => Some(DAY),
            "@hourly" => Some(SignedDuration::from_hours(1)),
            _ => match rest.strip_prefix("@every ") {
                Some(text) => Some(SignedDuration::from_nanos(GoDuration::parse(text).ok()?.nanoseconds())),
                None => gap_of_fields(rest, around),
            },
        }
    }
}

fn gap_of_fields(text: &str, around: Timestamp) -> Option<SignedDuration> {
    let fields: Vec<_> = text.split_whitespace().collect();
    let [minute, hour, day_of_month, month, day_of_week] = fields[..] else { return None };
    let minutes = minutes_of_day(values(minute, MINUTE).ok()?, values(hour, HOUR).ok()?);
    let (first, last) = (*minutes.first()?, *minutes.last()?);
    let within = minutes.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
    let (day_of_month, month, day_of_week) =
        (values(day_of_month, DAY_OF_MONTH).ok()?, values(month, MONTH).ok()?, values(day_of_week, DAY_OF_WEEK).ok()?);
    // One of Velero's parsers wants both days, and has the longer time between.
    let is_one = |date: &Date| {
        has(month, date.month())
            && has(day_of_month, date.day())
            && has(day_of_week, date.weekday().to_sunday_zero_offset())
    };
    let begin = around.to_zoned(TimeZone::UTC).date().checked_sub(BEFORE.days()).ok()?;
    let days = (0..BEFORE + AFTER).filter_map(|day| begin.checked_add(day.days()).ok().filter(is_one).map(|_| day));
    let days: Vec<_> = days.collect();
    let between = days.windows(2).map(|pair| (pair[1] - pair[0]) * 24 * 60 + first - last).max().unwrap_or_default();
    Some(SignedDuration::from_mins(within.max(between))).filter(SignedDuration::is_positive)
}

/// Returns the minutes of a day, counted from its beginning, at which something runs.
fn minutes_of_day(minute: Values, hour: Values) -> Vec<i64> {
    let hours = (0..24_i8).filter(|number| has(hour, *number));
    hours
        .flat_map(|hour| (0..60_i8).filter(move |number| has(minute, *number)).map(move |minute| (hour, minute)))
        .map(|(hour, minute)| i64::from(hour) * 60 + i64::from(minute))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_time_from_one_run_to_the_next_is_found() {
        let now = "2026-01-31T10:20:30Z".parse().unwrap();
        let (minute, hour, day) = (60, 60 * 60, 24 * 60 * 60);
        for (expression, seconds) in [
            ("30 1 * * *", day),
            ("@daily", day),
            ("CRON_TZ=Europe/Berlin 0 3 * * *", day),
            ("TZ=UTC @weekly", 7 * day),
            ("0 3 * * 0", 7 * day),
            ("0 3 1 * *", 31 * day),
            ("@monthly", 31 * day),
            ("@yearly", 366 * day),
            ("@hourly", hour),
            ("0 * * * *", hour),
            ("*/15 * * * *", 15 * minute),
            ("@every 1h30m", 90 * minute),
            ("@every 36h", 36 * hour),
            // From Friday to Monday.
            ("0 22 * * 1-5", 3 * day),
            // Over the night.
            ("*/30 8-17 * * *", 14 * hour + 30 * minute),
            ("0 1,13 * * mon,thu", 3 * day + 12 * hour),
            ("0 0 31 * *", 61 * day),
            ("0 0 29 2 *", 4 * 366 * day - 3 * day),
            // A Monday among the first seven days of a month.
            ("0 0 1-7 * 1", 35 * day),
        ] {
            let gap = Cron::parse(expression).unwrap().longest_gap(now).unwrap();
            assert_eq!(gap, SignedDuration::from_secs(seconds), "{expression}");
        }
    }
}
