//! A panel with what it is answered.

pub(super) use super::definition::Panel;
use super::{definition::Target, series::Series};

/// A panel, and for each of its targets what a Prometheus answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered<'a> {
    pub(super) panel: &'a Panel,
    pub(super) answers: &'a [Vec<Series>],
}

impl<'a> Answered<'a> {
    /// All series, each with the target that it answers.
    pub(super) fn series(&self) -> impl Iterator<Item = (&'a Target, &'a Series)> + use<'a> {
        let answered = self.panel.targets.iter().zip(self.answers);
        answered.flat_map(|(target, answer)| answer.iter().map(move |series| (target, series)))
    }
}

#[cfg(test)]
pub(super) mod fixtures {
    use serde_json::{Value, json};

    use super::*;

    /// A panel with a title and a place.
    pub(in super::super) fn panel(definition: &Value) -> Panel {
        let mut definition = definition.clone();
        definition["title"] = "Title".into();
        definition["gridPos"] = json!({"x": 0, "y": 0, "w": 6, "h": 4});
        serde_json::from_value(definition).unwrap()
    }

    /// The series of an answer.
    pub(in super::super) fn series(answer: Value) -> Vec<Series> {
        let Value::Array(answer) = answer else { panic!("{answer}") };
        Series::of_answer(answer).unwrap()
    }
}
