//! When a schedule comes next.

use jiff::{SignedDuration, Timestamp, ToSpan, civil::Date, tz::TimeZone};

use super::{
    cron::{Cron, DAY_OF_MONTH, HOUR, MINUTE, MONTH, Values, days_of_week, has, time_zone, values},
    go_duration::GoDuration,
};

/// How many days are looked at: a schedule has to come once within five years.
const AHEAD: i64 = 6 * 366;

/// When a schedule comes, by the clocks of a time zone.
struct Times {
    minute: Values,
    hour: Values,
    day_of_month: Values,
    month: Values,
    day_of_week: Values,
}

impl Cron {
    /// Returns when it comes next after a moment, as Velero 1.18.3 has it: on days that are both the day of the month and that of the
    /// week. A time that the clocks leave out comes as much later as they leave out, and one that they have twice comes twice.
    pub(crate) fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let (zone, rest) = time_zone(self.as_str()).ok()?;
        if let Some(text) = rest.strip_prefix("@every ") {
            let pause = SignedDuration::from_nanos(GoDuration::parse(text).ok()?.nanoseconds());
            let begin = Timestamp::from_second(moment.as_second()).ok()?;
            return begin.checked_add(SignedDuration::from_secs(pause.as_secs())).ok();
        }
        Times::of(in_fields(rest))?.next_after(moment, &zone)
    }
}

/// Returns an expression in five fields.
fn in_fields(text: &str) -> &str {
    match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        fields => fields,
    }
}

impl Times {
    fn of(text: &str) -> Option<Self> {
        let fields: Vec<_> = text.split_whitespace().collect();
        let [minute, hour, day_of_month, month, day_of_week] = fields[..] else { return None };
        Some(Self {
            minute: values(minute, MINUTE).ok()?,
            hour: values(hour, HOUR).ok()?,
            day_of_month: values(day_of_month, DAY_OF_MONTH).ok()?,
            month: values(month, MONTH).ok()?,
            day_of_week: days_of_week(day_of_week).ok()?,
        })
    }

    fn next_after(&self, moment: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        // What the clocks left out at the end of a day comes on the next one.
        let begin = moment.to_zoned(zone.clone()).date().checked_sub(1.day()).ok()?;
        let days = (0..AHEAD).map_while(|day| begin.checked_add(day.days()).ok());
        days.filter(|date| self.has_day(*date)).find_map(|date| self.first_of_day(date, moment, zone))
    }

    fn has_day(&self, date: Date) -> bool {
        has(self.month, date.month())
            && has(self.day_of_month, date.day())
            && has(self.day_of_week, date.weekday().to_sunday_zero_offset())
    }

    /// Returns when it comes first on a day that it has, and after a moment.
    fn first_of_day(&self, date: Date, moment: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let hours = (0..24_i8).filter(|hour| has(self.hour, *hour));
        let times = hours.flat_map(|hour| (0..60_i8).map(move |minute| (hour, minute)));
        let moments = times.filter(|(_, minute)| has(self.minute, *minute)).flat_map(|(hour, minute)| {
            let time = zone.to_ambiguous_timestamp(date.at(hour, minute, 0, 0));
            // Where the clocks have it once or not at all, these are the same.
            [time.compatible(), time.later()]
        });
        moments.filter_map(Result::ok).filter(|time| *time > moment).min()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn next(expression: &str, moment: &str) -> String {
        Cron::parse(expression).unwrap().next_after(moment.parse().unwrap()).unwrap().to_string()
    }

    #[test]
    fn the_next_time_is_found() {
        for (expression, expected) in [
            ("*/15 * * * *", "2026-01-31T10:30:00Z"),
            ("20 10 * * *", "2026-02-01T10:20:00Z"),
            ("@hourly", "2026-01-31T11:00:00Z"),
            ("@daily", "2026-02-01T00:00:00Z"),
            ("@weekly", "2026-02-01T00:00:00Z"),
            ("@monthly", "2026-02-01T00:00:00Z"),
            ("@yearly", "2027-01-01T00:00:00Z"),
            ("CRON_TZ=Europe/Berlin 0 3 * * *", "2026-02-01T02:00:00Z"),
            ("@every 90m", "2026-01-31T11:50:30Z"),
            ("0 0 31 * *", "2026-03-31T00:00:00Z"),
            ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
            // To the newer parser, an open end is a second Sunday.
            ("0 5 * * 3/2", "2026-02-01T05:00:00Z"),
            // A Friday among the last seven days of a month that has 31.
            ("0 5 25-31 * 5", "2026-02-27T05:00:00Z"),
        ] {
            assert_eq!(next(expression, "2026-01-31T10:20:30.5Z"), expected, "{expression}");
        }
        // It comes after the moment, and not at it.
        assert_eq!(next("0 3 * * *", "2026-01-31T03:00:00Z"), "2026-02-01T03:00:00Z");
    }

    #[test]
    fn it_comes_on_the_days_on_which_clocks_are_changed() {
        let night = "CRON_TZ=Europe/Berlin 30 2 * * *";
        // On this day, half past two is left out.
        assert_eq!(next(night, "2026-03-28T12:00:00Z"), "2026-03-29T01:30:00Z");
        assert_eq!(next(night, "2026-03-29T01:30:00Z"), "2026-03-30T00:30:00Z");
        // On this one it is there twice.
        assert_eq!(next(night, "2026-10-24T12:00:00Z"), "2026-10-25T00:30:00Z");
        assert_eq!(next(night, "2026-10-25T00:30:00Z"), "2026-10-25T01:30:00Z");
        assert_eq!(next(night, "2026-10-25T01:30:00Z"), "2026-10-26T01:30:00Z");
        // Here, midnight is left out.
        let midnight = "CRON_TZ=America/Sao_Paulo 0 0 * * *";
        assert_eq!(next(midnight, "2018-11-03T12:00:00Z"), "2018-11-04T03:00:00Z");
    }

    proptest! {
        /// Against a count of every minute.
        #[test]
        fn no_minute_before_the_next_time_is_one(
            second in 1_767_225_600_i64..1_798_761_600, minute in 0..60_u8, hour in 0..24_u8, days in "\\*|1-5|[0-6]"
        ) {
            let cron = Cron::parse(&format!("CRON_TZ=Europe/Berlin {minute} {hour} * * {days}")).unwrap();
            let zone = TimeZone::get("Europe/Berlin").unwrap();
            let moment = Timestamp::from_second(second).unwrap();
            let next = cron.next_after(moment).unwrap();
            let gap = cron.longest_gap(moment).unwrap() + SignedDuration::from_hours(1);
            prop_assert!(next > moment && next.duration_since(moment) <= gap);
            let times = Times::of(cron.as_str().split_once(' ').unwrap().1).unwrap();
            let is_one = |time: Timestamp| {
                let clock = time.to_zoned(zone.clone());
                times.has_day(clock.date()) && has(times.hour, clock.hour()) && has(times.minute, clock.minute())
            };
            let first = Timestamp::from_second(second - second.rem_euclid(60) + 60).unwrap();
            let mut between = first;
            while between < next {
                prop_assert!(!is_one(between), "{between} is before {next}");
                between += SignedDuration::from_mins(1);
            }
        }
    }
}
