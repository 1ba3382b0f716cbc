//! What a Prometheus answers.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The values that something with those labels has had.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(super) struct Series {
    #[serde(rename = "metric")]
    pub(super) labels: BTreeMap<String, String>,
    /// The value now.
    value: Option<Point>,
    /// The values at several times.
    #[serde(rename = "values")]
    pub(super) points: Vec<Point>,
}

/// A value at a time.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(try_from = "(f64, String)")]
pub(super) struct Point {
    /// In seconds since 1970.
    pub(super) time: f64,
    pub(super) value: f64,
}

impl TryFrom<(f64, String)> for Point {
    type Error = std::num::ParseFloatError;

    fn try_from((time, value): (f64, String)) -> Result<Self, Self::Error> {
        Ok(Self { time, value: value.parse()? })
    }
}

impl Series {
    /// The series of an answer, in the order of their labels.
    pub(super) fn of_answer(answer: Vec<Value>) -> Result<Vec<Self>, serde_json::Error> {
        let mut series: Vec<Self> = serde_json::from_value(Value::Array(answer))?;
        series.sort_by(|one, other| one.labels.cmp(&other.labels));
        Ok(series)
    }

    /// The newest value.
    pub(super) fn last(&self) -> Option<f64> {
        self.value.or(self.points.last().copied()).map(|point| point.value)
    }

    /// What the format of a legend calls it.
    pub(super) fn name(&self, format: &str) -> String {
        self.labels
            .iter()
            .fold(format.to_owned(), |name, (label, value)| name.replace(&format!("{{{{{label}}}}}"), value))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_of_now_and_of_some_time_are_read() {
        let answer = vec![
            json!({"metric": {"app": "mail"}, "values": [[10, "1"], [15, "2.5"]]}),
            json!({"metric": {"app": "ledger", "model": "finance"}, "value": [15.5, "7"]}),
        ];
        let series = Series::of_answer(answer).unwrap();
        let read = series.iter().map(|series| (series.name("{{app}} ({{model}})"), series.last()));
        assert_eq!(
            read.collect::<Vec<_>>(),
            [("ledger (finance)".to_owned(), Some(7.0)), ("mail ({{model}})".to_owned(), Some(2.5))]
        );
        assert_eq!(series[1].points[0], Point { time: 10.0, value: 1.0 });
        assert!(Series::of_answer(vec![json!({"metric": {}, "value": [1, "none"]})]).is_err());
    }
}
