//! How many backups are kept of which periods, as users write it.

use std::fmt;

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use thiserror::Error;

/// What users are shown who have written something else.
const EXAMPLE: &str = "7 daily, 4 weekly, 12 monthly, or a number";
/// In the order of their lengths.
const PERIODS: [Period; 5] = [Period::Hour, Period::Day, Period::Week, Period::Month, Period::Year];

/// Which backups of an application are kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Retention {
    /// At least one, from the shortest period to the longest, and none twice.
    rules: Vec<Rule>,
}

/// One backup each is kept of so many periods.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Rule {
    pub period: Period,
    pub count: usize,
}

/// A stretch of time of which one backup is kept.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Period {
    /// As short as can be: each backup has one of its own.
    Moment,
    Hour,
    Day,
    /// From Monday to Sunday.
    Week,
    Month,
    Year,
}

/// Why a text does not say what is to be kept.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub(crate) enum RetentionError {
    #[error("{part:?} is not understood: {EXAMPLE}")]
    NotUnderstood { part: String },
    #[error("{word} is there twice: {EXAMPLE}")]
    Twice { word: &'static str },
    #[error("{part:?} keeps nothing: {EXAMPLE}")]
    Nothing { part: String },
}

impl Retention {
    /// Reads what users write: a number of backups, or numbers of periods with commas between.
    ///
    /// # Errors
    ///
    /// When it is neither, or would keep nothing.
    pub(crate) fn parse(text: &str) -> Result<Self, RetentionError> {
        if is_number(text.trim()) {
            return Ok(Self { rules: vec![Rule { period: Period::Moment, count: count(text.trim(), text)? }] });
        }
        let mut rules: Vec<Rule> = Vec::new();
        for part in text.split(',') {
            let words: Vec<_> = part.split_whitespace().collect();
            let period = match words[..] {
                [number, word] if is_number(number) => PERIODS.into_iter().find(|period| period.word() == word),
                _ => None,
            };
            let Some(period) = period else {
                return Err(RetentionError::NotUnderstood { part: part.trim().to_owned() });
            };
            if rules.iter().any(|rule| rule.period == period) {
                return Err(RetentionError::Twice { word: period.word() });
            }
            rules.push(Rule { period, count: count(words[0], part)? });
        }
        rules.sort_by_key(|rule| rule.period);
        Ok(Self { rules })
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Returns how old a backup becomes at most before it goes, where the longest time from one backup to the next is `gap`.
    pub(crate) fn reach(&self, gap: SignedDuration) -> SignedDuration {
        let reach = |rule: &Rule| {
            let seconds = rule.period.length().max(gap).as_secs();
            let count = i64::try_from(rule.count).unwrap_or(i64::MAX);
            SignedDuration::from_secs(seconds.saturating_mul(count))
        };
        self.rules.iter().map(reach).max().unwrap_or(SignedDuration::ZERO)
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|character| character.is_ascii_digit())
}

fn count(number: &str, part: &str) -> Result<usize, RetentionError> {
    let part = part.trim().to_owned();
    match number.parse() {
        Ok(0) => Err(RetentionError::Nothing { part }),
        Ok(count) => Ok(count),
        Err(_) => Err(RetentionError::NotUnderstood { part }),
    }
}

impl Period {
    /// Returns what users write for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Moment => "newest",
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Week => "weekly",
            Self::Month => "monthly",
            Self::Year => "yearly",
        }
    }

    /// Returns how long it is, on an average where that differs.
    fn length(self) -> SignedDuration {
        SignedDuration::from_hours(match self {
            Self::Moment => 0,
            Self::Hour => 1,
            Self::Day => 24,
            Self::Week => 7 * 24,
            Self::Month => 365 * 2,
            Self::Year => 365 * 24,
        })
    }

    /// Returns which period of its kind a moment is in. `number` is unlike that of all other backups.
    pub(super) fn of(self, at: Timestamp, number: usize) -> (i64, i64) {
        let time: DateTime = at.to_zoned(TimeZone::UTC).datetime();
        let date = time.date();
        let day = i64::from(date.month()) * 31 + i64::from(date.day());
        let year = i64::from(date.year());
        match self {
            Self::Moment => (i64::try_from(number).unwrap_or(i64::MAX), 0),
            Self::Hour => (year, day * 24 + i64::from(time.hour())),
            Self::Day => (year, day),
            Self::Week => (i64::from(date.iso_week_date().year()), i64::from(date.iso_week_date().week())),
            Self::Month => (year, i64::from(date.month())),
            Self::Year => (year, 0),
        }
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = |rule: &Rule| match rule.period {
            Period::Moment => rule.count.to_string(),
            period => format!("{} {}", rule.count, period.word()),
        };
        formatter.write_str(&self.rules.iter().map(rule).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_understood_in_any_order() {
        for (text, told) in [
            ("7 daily, 4 weekly, 12 monthly", "7 daily, 4 weekly, 12 monthly"),
            (" 1 yearly ,24  hourly,7 daily", "24 hourly, 7 daily, 1 yearly"),
            ("3", "3"),
            (" 12 ", "12"),
        ] {
            assert_eq!(Retention::parse(text).unwrap().to_string(), told);
        }
    }

    #[test]
    fn what_is_not_understood_is_told_with_an_example() {
        for (text, why) in [
            ("7 dayly", "\"7 dayly\" is not understood"),
            ("7daily", "\"7daily\" is not understood"),
            ("seven", "\"seven\" is not understood"),
            ("7 daily,", "\"\" is not understood"),
            ("7, 4 weekly", "\"7\" is not understood"),
            ("-7", "\"-7\" is not understood"),
            ("99999999999999999999", "\"99999999999999999999\" is not understood"),
            ("7 daily, 4 daily", "daily is there twice"),
            ("7 newest", "\"7 newest\" is not understood"),
            ("0", "\"0\" keeps nothing"),
            ("7 daily, 0 weekly", "\"0 weekly\" keeps nothing"),
        ] {
            let told = Retention::parse(text).unwrap_err().to_string();
            assert_eq!(told, format!("{why}: 7 daily, 4 weekly, 12 monthly, or a number"));
        }
    }

    #[test]
    fn how_far_back_it_reaches_is_known_by_the_schedule() {
        let days = |text: &str, gap_in_hours: i64| {
            Retention::parse(text).unwrap().reach(SignedDuration::from_hours(gap_in_hours)).as_hours() / 24
        };
        assert_eq!(days("7 daily, 4 weekly, 12 monthly", 24), 365);
        assert_eq!(days("7 daily", 24), 7);
        // Of each week there is only one day with a backup.
        assert_eq!(days("7 daily", 7 * 24), 49);
        assert_eq!((days("30", 24), days("48", 1)), (30, 2));
        assert!(days("4000000000 yearly", 24) > 0);
    }

    #[test]
    fn periods_are_those_of_the_calendar_in_utc() {
        let of = |period: Period, text: &str| period.of(text.parse().unwrap(), 0);
        for (period, one, same, other) in [
            (Period::Hour, "2026-01-31T10:00:00Z", "2026-01-31T10:59:59Z", "2026-01-31T11:00:00Z"),
            (Period::Day, "2026-01-31T00:00:00Z", "2026-02-01T00:59:59+01:00", "2026-02-01T00:00:00Z"),
            // The year of a week is that of its Thursday.
            (Period::Week, "2025-12-29T00:00:00Z", "2026-01-04T23:59:59Z", "2026-01-05T00:00:00Z"),
            (Period::Month, "2026-01-01T00:00:00Z", "2026-01-31T23:59:59Z", "2026-02-01T00:00:00Z"),
            (Period::Year, "2026-01-01T00:00:00Z", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"),
        ] {
            assert_eq!(of(period, one), of(period, same), "{period:?}");
            assert_ne!(of(period, one), of(period, other), "{period:?}");
        }
        assert_ne!(of(Period::Month, "2026-01-01T00:00:00Z"), of(Period::Month, "2025-01-01T00:00:00Z"));
    }
}
