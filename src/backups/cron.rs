//! When Velero backs up: the expressions that its parser reads, which is the standard one of robfig/cron, version 3.

use jiff::tz::TimeZoneDatabase;
use thiserror::Error;

use super::go_duration::GoDuration;

/// A cron expression that Velero reads and that comes at some time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cron(String);

/// Why an expression is none that Velero could go by.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{expression:?} is no cron expression that Velero reads: {reason}")]
pub struct CronError {
    expression: String,
    reason: String,
}

/// A field of an expression.
#[derive(Clone, Copy)]
struct Field {
    name: &'static str,
    least: u64,
    most: u64,
    /// What may stand for the numbers from `least` on.
    names: &'static [&'static str],
}

const MINUTE: Field = Field { name: "minute", least: 0, most: 59, names: &[] };
const HOUR: Field = Field { name: "hour", least: 0, most: 23, names: &[] };
const DAY_OF_MONTH: Field = Field { name: "day of month", least: 1, most: 31, names: &[] };
const MONTH: Field = Field {
    name: "month",
    least: 1,
    most: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const DAY_OF_WEEK: Field =
    Field { name: "day of week", least: 0, most: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

/// The most days that each month has, from January on.
const DAYS: [u64; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// The values of a field.
#[derive(Clone, Copy, Debug, Default)]
struct Values {
    bits: u64,
    /// Whether a star was among them, and none with a step.
    has_star: bool,
}

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// When Velero would not read it, or it never comes: then Velero would back up whenever it looks at it.
    pub fn parse(expression: &str) -> Result<Self, CronError> {
        match check(expression) {
            Ok(()) => Ok(Self(expression.to_owned())),
            Err(reason) => Err(CronError { expression: expression.to_owned(), reason }),
        }
    }

    /// Returns the expression as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(expression: &str) -> Result<(), String> {
    let rest = behind_time_zone(expression)?;
    if rest.starts_with('@') {
        return check_descriptor(rest);
    }
    let fields: Vec<_> = rest.split_whitespace().collect();
    let [minute, hour, day_of_month, month, day_of_week] = fields[..] else {
        return Err(format!("it has {} fields and not 5", fields.len()));
    };
    let (minute, hour) = (values(minute, MINUTE)?, values(hour, HOUR)?);
    let days = (values(day_of_month, DAY_OF_MONTH)?, values(month, MONTH)?, values(day_of_week, DAY_OF_WEEK)?);
    if minute.bits == 0 || hour.bits == 0 || !comes(days) {
        return Err("it never comes".to_owned());
    }
    Ok(())
}

/// Returns what stands behind the time zone that an expression may begin with.
fn behind_time_zone(expression: &str) -> Result<&str, String> {
    let Some(named) = ["TZ=", "CRON_TZ="].iter().find_map(|key| expression.strip_prefix(key)) else {
        return Ok(expression);
    };
    let Some((zone, rest)) = named.split_once(' ') else {
        return Err("nothing stands behind the time zone".to_owned());
    };
    if !is_time_zone(zone) {
        return Err(format!("there is no time zone {zone:?}"));
    }
    Ok(rest.trim())
}

/// Whether Go knows a time zone, for which the letters' case counts.
fn is_time_zone(name: &str) -> bool {
    // The first two are UTC.
    matches!(name, "" | "UTC" | "Local")
        || TimeZoneDatabase::bundled().get(name).is_ok_and(|zone| zone.iana_name() == Some(name))
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
    if duration <= GoDuration::ZERO {
        return Err(format!("the duration {text:?} is not positive"));
    }
    Ok(())
}

/// Returns what a field says: ranges between commas.
fn values(text: &str, field: Field) -> Result<Values, String> {
    let ranges = text.split(',').filter(|range| !range.is_empty());
    ranges.map(|text| range(text, field)).try_fold(Values::default(), |sum, range| {
        let range = range.map_err(|reason| format!("the {} {reason}", field.name))?;
        Ok(Values { bits: sum.bits | range.bits, has_star: sum.has_star || range.has_star })
    })
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
    let step = match step {
        None => 1,
        Some(step) => {
            // From the number on.
            if last.is_none() {
                end = field.most;
            }
            number(step)?
        }
    };
    if start < field.least || end > field.most || start > end {
        return Err(format!("{text:?} is not within {} to {}", field.least, field.most));
    }
    let stride = usize::try_from(step).unwrap_or(usize::MAX);
    if stride == 0 {
        return Err(format!("{text:?} has a step of 0"));
    }
    let bits = (start..=end).step_by(stride).fold(0, |bits, value| bits | 1 << value);
    Ok(Values { bits, has_star: is_star && step == 1 })
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

/// Whether there is such a day in any year. With a star in one of the fields for days, both have to fit, else one of them.
fn comes((day_of_month, month, day_of_week): (Values, Values, Values)) -> bool {
    let has_day = |(month, days): (u64, u64)| {
        let in_month = (1..=days).any(|day| day_of_month.bits & 1 << day != 0);
        let in_week = day_of_week.bits != 0;
        let fits =
            if day_of_month.has_star || day_of_week.has_star { in_month && in_week } else { in_month || in_week };
        fits && month != 0
    };
    (1..).zip(DAYS).any(|(number, days)| has_day((month.bits & 1 << number, days)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_standard_parser_reads_stays_as_it_is_written() {
        for expression in [
            "30 1 * * *",
            "*/15 0-23/2 1,15 JAN-mar ?",
            "0 0 29 2 *",
            "5/10 * * * 1-5",
            "0 0 31 2 1",
            "@daily",
            "@every 1h30m",
            "CRON_TZ=Europe/Berlin 0 3 * * *",
            "TZ=UTC @weekly",
            "+5 * * * *",
        ] {
            assert_eq!(Cron::parse(expression).unwrap().as_str(), expression);
        }
    }

    #[test]
    fn what_it_does_not_read_is_refused_with_the_reason() {
        for (expression, reason) in [
            ("", "it has 0 fields and not 5"),
            ("every day", "it has 2 fields and not 5"),
            ("0 30 1 * * *", "it has 6 fields and not 5"),
            ("60 * * * *", "the minute \"60\" is not within 0 to 59"),
            ("* * 0 * *", "the day of month \"0\" is not within 1 to 31"),
            ("* * * * 7", "the day of week \"7\" is not within 0 to 6"),
            ("* * * foo *", "the month \"foo\" is not known"),
            ("10-5 * * * *", "is not within"),
            ("*/0 * * * *", "has a step of 0"),
            ("1-2-3 * * * *", "too many hyphens"),
            ("*/2/3 * * * *", "too many strokes"),
            ("@reboot", "use @yearly"),
            ("@every 1d", "there is no unit \"d\""),
            ("@every -1h", "is not positive"),
            ("CRON_TZ=Europe/Nowhere 0 3 * * *", "there is no time zone \"Europe/Nowhere\""),
            ("CRON_TZ=europe/berlin 0 3 * * *", "there is no time zone"),
            ("CRON_TZ=UTC", "nothing stands behind"),
        ] {
            let error = Cron::parse(expression).unwrap_err().to_string();
            assert!(error.contains(reason), "{expression}: {error}");
        }
    }

    #[test]
    fn what_never_comes_is_refused() {
        for expression in ["0 0 31 2 *", "0 0 30,31 feb ?", "0 0 31 4,6,9,11 *", ", * * * *", "0 0 * * ,", "0 0 , * *"]
        {
            let error = Cron::parse(expression).unwrap_err().to_string();
            assert!(error.ends_with("it never comes"), "{expression}: {error}");
        }
    }
}
