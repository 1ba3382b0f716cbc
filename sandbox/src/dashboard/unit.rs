//! Units of values.

use serde::Deserialize;

/// How many ticks an axis has at most, beside that at 0.
const MOST_TICKS: f64 = 4.0;

/// What a value counts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Unit {
    /// Things.
    #[default]
    None,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// A value with its unit, in the multiple in which it is read best.
    pub(super) fn format(self, value: f64) -> String {
        let (size, name) = self.multiple(value);
        let number = number(value / size);
        if name.is_empty() { number } else { format!("{number} {name}") }
    }

    /// The values at which an axis from 0 to at least `most` has its ticks.
    pub(super) fn ticks(self, most: f64) -> Vec<f64> {
        let most = if most > 0.0 { most } else { 1.0 };
        let (size, _) = self.multiple(most);
        let least = most / size / MOST_TICKS;
        let power = 10_f64.powf(least.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= least * 0.999);
        let step = step.unwrap_or(10.0 * power) * size;
        let mut ticks = vec![0.0];
        while let Some(last) = ticks.last().copied().filter(|last| *last < most * 0.999) {
            ticks.push(last + step);
        }
        ticks
    }

    /// The largest multiple of the unit that a value has one of, and its name.
    fn multiple(self, value: f64) -> (f64, &'static str) {
        let multiples: &[(f64, &str)] = match self {
            Self::None => &[(1.0, "")],
            Self::Seconds => &[(86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s")],
            Self::Bytes => &[(1_073_741_824.0, "GiB"), (1_048_576.0, "MiB"), (1024.0, "KiB"), (1.0, "B")],
        };
        let reached = multiples.iter().find(|(size, _)| value.abs() >= *size);
        reached.or(multiples.last()).copied().unwrap_or((1.0, ""))
    }
}

/// A number with three digits, or more before its point.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        ..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_in_its_largest_multiple() {
        for (unit, value, text) in [
            (Unit::None, 0.0, "0"),
            (Unit::None, 3.0, "3"),
            (Unit::None, 0.456, "0.46"),
            (Unit::None, 12345.0, "12345"),
            (Unit::Seconds, 0.0, "0 s"),
            (Unit::Seconds, 59.94, "59.9 s"),
            (Unit::Seconds, 120.0, "2 min"),
            (Unit::Seconds, 150.0, "2.5 min"),
            (Unit::Seconds, 86400.0, "1 d"),
            (Unit::Bytes, 0.0, "0 B"),
            (Unit::Bytes, 1023.0, "1023 B"),
            (Unit::Bytes, 1536.0, "1.5 KiB"),
            (Unit::Bytes, 104_857_600.0, "100 MiB"),
        ] {
            assert_eq!(unit.format(value), text, "{value} {unit:?}");
        }
    }

    #[test]
    fn an_axis_has_a_few_round_ticks_up_to_all_values() {
        assert_eq!(Unit::None.ticks(3.0), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(Unit::None.ticks(27.0), [0.0, 10.0, 20.0, 30.0]);
        assert_eq!(Unit::Seconds.ticks(150.0), [0.0, 60.0, 120.0, 180.0]);
        assert_eq!(Unit::Bytes.ticks(3.5 * 1_048_576.0).last(), Some(&4_194_304.0));
        assert_eq!(Unit::None.ticks(0.0), [0.0, 0.5, 1.0]);
    }
}
