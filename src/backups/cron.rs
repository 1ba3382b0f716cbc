//! When Velero backs up: the expressions that its parser reads.
//!
//! Velero 1.18 began with the standard parser of robfig/cron and went over to that of netresearch/go-cron in a patch release. What is
//! read here, both read. They differ in what comes of a day of the month beside a day of the week: for the first, one of them
//! suffices, and for the second, a day has to be both.

use jiff::{
    civil::Date,
    tz::{TimeZone, TimeZoneDatabase},
};
use thiserror::Error;

use super::go_duration::GoDuration;

/// A cron expression that Velero reads and that comes at some time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Cron(String);

/// Why an expression is none that Velero could go by.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{expression:?} is no cron expression that Velero reads: {reason}")]
pub(crate) struct CronError {
    expression: String,
    reason: String,
}

/// A field of an expression.
#[derive(Clone, Copy)]
pub(super) struct Field {
    name: &'static str,
    least: u64,
    most: u64,
    /// What Sunday may be called, too, where the end is left open.
    open_most: u64,
    /// What may stand for the numbers from `least` on.
    names: &'static [&'static str],
}

pub(super) const MINUTE: Field = Field { name: "minute", least: 0, most: 59, open_most: 59, names: &[] };
pub(super) const HOUR: Field = Field { name: "hour", least: 0, most: 23, open_most: 23, names: &[] };
pub(super) const DAY_OF_MONTH: Field = Field { name: "day of month", least: 1, most: 31, open_most: 31, names: &[] };
pub(super) const MONTH: Field = Field {
    name: "month",
    least: 1,
    most: 12,
    open_most: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
pub(super) const DAY_OF_WEEK: Field = Field {
    name: "day of week",
    least: 0,
    most: 6,
    open_most: 7,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

/// The longest expression that is read.
const LONGEST: usize = 1024;
/// The years for which it is found out whether an expression comes: those of which the calendar has no exception.
const YEARS: std::ops::RangeInclusive<i16> = 2020..=2095;
/// For how many years Velero looks ahead.
const AHEAD: usize = 5;

/// The values of a field, as bits.
pub(super) type Values = u64;

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// When Velero would not read it, or it may not come for so long that Velero does not find it: then it would back up whenever it
    /// looks at it.
    pub(crate) fn parse(expression: &str) -> Result<Self, CronError> {
        match check(expression) {
            Ok(()) => Ok(Self(expression.to_owned())),
            Err(reason) => Err(CronError { expression: expression.to_owned(), reason }),
        }
    }

    /// Returns the expression as it was written.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(expression: &str) -> Result<(), String> {
    if expression.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    let (_, rest) = time_zone(expression)?;
    if rest.starts_with('@') {
        return check_descriptor(rest);
    }
    let fields: Vec<_> = rest.split_whitespace().collect();
    let [minute, hour, day_of_month, month, day_of_week] = fields[..] else {
        return Err(format!("it has {} fields and not 5", fields.len()));
    };
    let (minute, hour) = (values(minute, MINUTE)?, values(hour, HOUR)?);
    let days = (values(day_of_month, DAY_OF_MONTH)?, values(month, MONTH)?, values(day_of_week, DAY_OF_WEEK)?);
    if minute == 0 || hour == 0 || !comes(days) {
        return Err("there are five years and more in which it does not come".to_owned());
    }
    Ok(())
}

/// Returns the time zone that an expression may begin with, and what stands behind it.
pub(super) fn time_zone(expression: &str) -> Result<(TimeZone, &str), String> {
    let Some(named) = ["TZ=", "CRON_TZ="].iter().find_map(|key| expression.strip_prefix(key)) else {
        return Ok((TimeZone::UTC, expression));
    };
    let Some((name, rest)) = named.split_once(' ') else {
        return Err("nothing stands behind the time zone".to_owned());
    };
    let zone = known_time_zone(name).ok_or_else(|| format!("there is no time zone {name:?}"))?;
    Ok((zone, rest.trim()))
}

/// Returns the time zone that Go knows by a name, for which the letters' case counts.
fn known_time_zone(name: &str) -> Option<TimeZone> {
    // A pod has no other time of its own.
    if matches!(name, "UTC" | "Local") {
        return Some(TimeZone::UTC);
    }
    TimeZoneDatabase::bundled().get(name).ok().filter(|zone| zone.iana_name() == Some(name))
}

fn check_descriptor(descriptor: &str) -> Result<(), String> {
    const NAMED: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
    if NAMED.contains(&descriptor) {
        return Ok(());
    }
    let Some(text) = descriptor.strip_prefix("@every ") else {
        return Err(format!("use {} or @every with a duration", NAMED.join(", ")));
    };
    let duration = GoDuration::parse(text).map_err(|error| format!("the duration {text:?}: {error}"))?;
    if duration < GoDuration::SECOND {
        return Err(format!("the duration {text:?} is shorter than a second"));
    }
    Ok(())
}

/// Returns what a field says: ranges between commas.
pub(super) fn values(text: &str, field: Field) -> Result<Values, String> {
    let ranges = text.split(',').filter(|range| !range.is_empty());
    ranges.map(|text| range(text, field)).try_fold(0, |all, range| {
        range.map(|range| all | range).map_err(|reason| format!("the {} {reason}", field.name))
    })
}

/// Returns the days of the week as Velero's newer parser has them: to it, what is left open ends on a second Sunday.
pub(super) fn days_of_week(text: &str) -> Result<Values, String> {
    let days = values(text, DAY_OF_WEEK)?;
    let reaches_sunday = |range: &str| {
        let (first, step) = range.split_once('/').filter(|(first, _)| !first.contains('-'))?;
        let first = if matches!(first, "*" | "?") { Some(0) } else { number_or_name(first, DAY_OF_WEEK).ok() };
        Some((DAY_OF_WEEK.open_most - first?).is_multiple_of(number(step).ok()?))
    };
    let has_sunday = text.split(',').any(|range| reaches_sunday(range).unwrap_or_default());
    Ok(if has_sunday { days | 1 } else { days })
}

/// Returns what a range says: `5`, `5-10`, `*`, or any of these with a step.
fn range(text: &str, field: Field) -> Result<Values, String> {
    let mut parts = text.split('/');
    let (bounds, step, more) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let mut bounds = bounds.split('-');
    let (first, last) = (bounds.next().unwrap_or_default(), bounds.next());
    let is_star = matches!(first, "*" | "?");
    let (start, mut end) = if is_star {
        // Whatever stands behind the star.
        (field.least, field.most)
    } else {
        if bounds.next().is_some() {
            return Err(format!("{text:?} has too many hyphens"));
        }
        let start = number_or_name(first, field)?;
        (start, last.map_or(Ok(start), |last| number_or_name(last, field))?)
    };
    if more.is_some() {
        return Err(format!("{text:?} has too many strokes"));
    }
    // A number with a step is the first of those up to the end.
    let is_open = is_star || step.is_some() && last.is_none();
    if is_open {
        end = field.most;
    }
    let step = step.map_or(Ok(1), number)?;
    if start < field.least || end > field.most || start > end {
        return Err(format!("{text:?} is not within {} to {}", field.least, field.most));
    }
    let width = if is_open { field.open_most } else { end } - start + 1;
    if step == 0 || step > 1 && step >= width {
        return Err(format!("{text:?} has a step that is not within 1 to {}", width.saturating_sub(1)));
    }
    let stride = usize::try_from(step).unwrap_or(usize::MAX);
    Ok((start..=end).step_by(stride).fold(0, |bits, value| bits | 1 << value))
}

fn number_or_name(text: &str, field: Field) -> Result<u64, String> {
    match (field.least..).zip(field.names).find(|(_, name)| text.eq_ignore_ascii_case(name)) {
        Some((value, _)) => Ok(value),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u64, String> {
    // As Go does, it takes a sign.
    let number = text.parse::<i64>().ok().and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| format!("{text:?} is not known"))
}

/// Whether a value is among others.
pub(super) fn has(values: Values, value: i8) -> bool {
    values & 1 << value != 0
}

/// Whether there is such a day within the time for which Velero looks ahead, whenever it does.
fn comes((day_of_month, month, day_of_week): (Values, Values, Values)) -> bool {
    let is_one = |date: Date| has(day_of_month, date.day()) && has(day_of_week, date.weekday().to_sunday_zero_offset());
    let comes_in = |year: i16| {
        let months = (1..=12).filter(|number| has(month, *number)).filter_map(|month| Date::new(year, month, 1).ok());
        months
            .flat_map(|first| (1..=first.days_in_month()).filter_map(move |day| first.with().day(day).build().ok()))
            .any(is_one)
    };
    let years: Vec<bool> = YEARS.map(comes_in).collect();
    years.windows(AHEAD).all(|years| years.contains(&true))
}

#[cfg(test)]
#[path = "cron_tests.rs"]
mod tests;
