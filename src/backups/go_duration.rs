//! Durations as Go's `time.ParseDuration` reads them: `72h`, `1.5h`, `24h30m`.

use thiserror::Error;

/// The largest magnitude that is kept while summing: that of the most negative duration.
const LARGEST: u64 = 1 << 63;

/// A length of time as Go has it, in nanoseconds.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct GoDuration(i64);

/// Why a text is no duration of Go's.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub(crate) enum GoDurationError {
    #[error("it is not of numbers with the units h, m, s, ms, us and ns, as 24h30m is")]
    Malformed,
    #[error("a number has no unit: h, m, s, ms, us or ns")]
    NoUnit,
    #[error("there is no unit {unit:?}: use h, m, s, ms, us or ns")]
    UnknownUnit { unit: String },
    #[error("it is longer than 292 years")]
    TooLong,
}

impl GoDuration {
    /// No time at all.
    pub(crate) const ZERO: Self = Self(0);
    /// A second.
    pub(super) const SECOND: Self = Self(1_000_000_000);

    /// Returns the duration that Go reads in a text.
    pub(crate) fn parse(text: &str) -> Result<Self, GoDurationError> {
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(sign @ (b'-' | b'+')) => (*sign == b'-', &text[1..]),
            _ => (false, text),
        };
        // The only one without a unit.
        if rest == "0" {
            return Ok(Self::ZERO);
        }
        if rest.is_empty() {
            return Err(GoDurationError::Malformed);
        }
        let mut sum: u64 = 0;
        while !rest.is_empty() {
            let (part, behind) = part(rest)?;
            // Go does not see that twice the largest part is more than its number can hold, and reads it as nothing.
            sum = sum.wrapping_add(part);
            if sum > LARGEST {
                return Err(GoDurationError::TooLong);
            }
            rest = behind;
        }
        if negative {
            return Ok(Self(0_i64.wrapping_sub_unsigned(sum)));
        }
        i64::try_from(sum).map(Self).map_err(|_| GoDurationError::TooLong)
    }

    /// Returns the duration in nanoseconds.
    pub(super) fn nanoseconds(self) -> i64 {
        self.0
    }
}

/// Returns the nanoseconds of the number and the unit at the beginning of a text, and the text behind them.
fn part(text: &str) -> Result<(u64, &str), GoDurationError> {
    let (whole, behind) = digits(text);
    let (fraction, behind) = behind.strip_prefix('.').map_or(("", behind), digits);
    if whole.is_empty() && fraction.is_empty() {
        return Err(GoDurationError::Malformed);
    }
    let end = behind.find(|character: char| character == '.' || character.is_ascii_digit()).unwrap_or(behind.len());
    let (name, behind) = behind.split_at(end);
    let unit: u64 = match name {
        "" => return Err(GoDurationError::NoUnit),
        "ns" => 1,
        // With the sign for micro, and with the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        unit => return Err(GoDurationError::UnknownUnit { unit: unit.to_owned() }),
    };
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| GoDurationError::TooLong)? };
    let nanoseconds = whole
        .checked_mul(unit)
        .and_then(|nanoseconds| nanoseconds.checked_add(nanoseconds_of_fraction(fraction, unit)))
        .filter(|nanoseconds| *nanoseconds <= LARGEST)
        .ok_or(GoDurationError::TooLong)?;
    Ok((nanoseconds, behind))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len()))
}

/// Returns the nanoseconds of the digits behind a point, as far as they fit: with the rounding of Go, which computes them in floating
/// point.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn nanoseconds_of_fraction(digits: &str, unit: u64) -> u64 {
    let (mut value, mut scale) = (0_u64, 1_f64);
    for digit in digits.bytes().map(|digit| u64::from(digit - b'0')) {
        if value > (LARGEST - 1) / 10 {
            break;
        }
        let longer = value * 10 + digit;
        if longer > LARGEST {
            break;
        }
        value = longer;
        scale *= 10.0;
    }
    (value as f64 * (unit as f64 / scale)) as u64
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;

    use super::*;
    use crate::test_readers::{Readers, runner};

    fn nanoseconds(text: &str) -> Result<i64, GoDurationError> {
        GoDuration::parse(text).map(GoDuration::nanoseconds)
    }

    #[test]
    fn numbers_with_units_are_summed() {
        for (text, expected) in [
            ("0", 0),
            ("-0", 0),
            ("72h0m0s", 72 * 3_600_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("5.s", 5_000_000_000),
            ("1h1h", 7_200_000_000_000),
            ("-1m", -60_000_000_000),
            ("+1\u{b5}s1\u{3bc}s1us", 3_000),
            ("9223372036854775807ns", i64::MAX),
            ("9223372036854775808ns9223372036854775808ns", 0),
            ("-9223372036854775808ns", i64::MIN),
        ] {
            assert_eq!(nanoseconds(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_go_does_not_read_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "not of numbers"),
            ("h", "not of numbers"),
            (".s", "not of numbers"),
            (" 1h", "not of numbers"),
            ("1h ", "no unit \"h \""),
            ("30", "no unit:"),
            ("30d", "no unit \"d\""),
            ("1H", "no unit \"H\""),
            ("9223372036854775808ns", "292 years"),
            ("99999999999999999999h", "292 years"),
            ("2562048h", "292 years"),
        ] {
            let error = nanoseconds(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_read_is_what_go_reads() {
        let (readers, accepted) = (RefCell::new(Readers::start()), RefCell::new(0));
        let property = |text: String| {
            let read = readers.borrow_mut().read("duration", &text).ok().map(|values| values["nanoseconds"].clone());
            *accepted.borrow_mut() += usize::from(read.is_some());
            prop_assert_eq!(nanoseconds(&text).ok().map(|nanoseconds| nanoseconds.to_string()), read, "{}", text);
            Ok(())
        };
        runner().run(&duration(), property).unwrap();
        assert!(accepted.into_inner() > 100);
    }

    /// Durations, and what comes near them: numbers at the ends of what fits among them.
    fn duration() -> impl Strategy<Value = String> {
        let whole =
            prop_oneof![4 => "[0-9]{0,4}", 1 => "[0-9]{1,25}", 1 => "256204[78]", 1 => "922337203685477580[6-9]"];
        let fraction = prop_oneof![4 => Just(String::new()), 1 => "\\.[0-9]{0,5}", 1 => "\\.[0-9]{15,25}"];
        let unit =
            prop::sample::select(vec!["h", "m", "s", "ms", "us", "\u{b5}s", "\u{3bc}s", "ns", "d", "H", "", " ", "h "]);
        let part = (whole, fraction, unit).prop_map(|(whole, fraction, unit)| format!("{whole}{fraction}{unit}"));
        let sign = prop::sample::select(vec!["", "", "", "-", "+", " "]);
        (sign, prop::collection::vec(part, 1..4)).prop_map(|(sign, parts)| format!("{sign}{}", parts.concat()))
    }
}
