//! How the values of a panel, or of a column of it, are shown.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{colour::Colour, unit::Unit};

/// How values are shown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Field {
    pub(super) unit: Unit,
    pub(super) display_name: Option<String>,
    thresholds: Thresholds,
    mappings: Vec<Mapping>,
    /// What is shown where there is no value.
    no_value: Option<String>,
    /// How a table shows it.
    #[serde(rename = "custom.cellOptions")]
    cell: Cell,
    /// How a chart shows it.
    custom: Custom,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Thresholds {
    steps: Vec<Step>,
}

/// The colour of all from a value on; of all where there is none.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Step {
    color: Colour,
    value: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
struct Mapping {
    options: BTreeMap<String, Mapped>,
}

/// What is shown in place of a value.
#[derive(Clone, Debug, Deserialize)]
struct Mapped {
    text: String,
    color: Option<Colour>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Cell {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Custom {
    thresholds_style: ThresholdsStyle,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ThresholdsStyle {
    mode: String,
}

/// A value as it is read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Shown {
    pub(super) text: String,
    pub(super) colour: Colour,
}

impl Field {
    /// A value as it is read.
    pub(super) fn show(&self, value: f64) -> Shown {
        if let Some(mapped) = self.mapped(value) {
            return Shown { text: mapped.text.clone(), colour: mapped.color.unwrap_or_else(|| self.colour(value)) };
        }
        Shown { text: self.unit.format(value), colour: self.colour(value) }
    }

    /// What stands beside a chart at that value; where values have texts, only these.
    pub(super) fn show_tick(&self, value: f64) -> Option<String> {
        if self.mappings.is_empty() { Some(self.unit.format(value)) } else { Some(self.mapped(value)?.text.clone()) }
    }

    fn mapped(&self, value: f64) -> Option<&Mapped> {
        let name = value.to_string();
        self.mappings.iter().find_map(|mapping| mapping.options.get(&name))
    }

    /// What stands for a value that is not there.
    pub(super) fn show_none(&self) -> Shown {
        Shown { text: self.no_value.clone().unwrap_or_default(), colour: Colour::Text }
    }

    /// Whether a table shows it in its colour.
    pub(super) fn has_coloured_cells(&self) -> bool {
        self.cell.kind == "color-text"
    }

    /// The values from which on a chart shows another colour, if it draws lines there.
    pub(super) fn limits(&self) -> Vec<(f64, Colour)> {
        let steps = self.thresholds.steps.iter().filter(|_| self.custom.thresholds_style.mode == "dashed");
        steps.filter_map(|step| Some((step.value?, step.color))).collect()
    }

    fn colour(&self, value: f64) -> Colour {
        let mut reached = self.thresholds.steps.iter().filter(|step| step.value.is_none_or(|from| value >= from));
        reached.next_back().map_or(Colour::Text, |step| step.color)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn field(json: Value) -> Field {
        serde_json::from_value(json).unwrap()
    }

    fn shown(text: &str, colour: Colour) -> Shown {
        Shown { text: text.to_owned(), colour }
    }

    #[test]
    fn a_value_has_the_colour_of_the_last_threshold_that_it_has_reached() {
        let steps =
            json!([{"color": "green", "value": null}, {"color": "orange", "value": 1}, {"color": "red", "value": 5}]);
        let field = field(json!({"unit": "none", "thresholds": {"mode": "absolute", "steps": steps}}));
        let found = [0.0, 1.0, 4.9, 5.0].map(|value| field.show(value).colour);
        assert_eq!(found, [Colour::Green, Colour::Orange, Colour::Orange, Colour::Red]);
        assert_eq!(field.limits(), []);
    }

    #[test]
    fn a_mapped_value_is_its_text_and_its_colour() {
        let options = json!({"0": {"text": "no"}, "1": {"text": "yes", "color": "orange"}});
        let field = field(json!({"mappings": [{"type": "value", "options": options}], "noValue": "none"}));
        assert_eq!(field.show(0.0), shown("no", Colour::Text));
        assert_eq!(field.show(1.0), shown("yes", Colour::Orange));
        assert_eq!(field.show(2.0), shown("2", Colour::Text));
        assert_eq!([0.5, 1.0].map(|value| field.show_tick(value)), [None, Some("yes".to_owned())]);
        assert_eq!(field.show_none(), shown("none", Colour::Text));
    }

    #[test]
    fn a_chart_has_lines_at_thresholds_only_where_it_asks_for_them() {
        let steps = json!([{"color": "green", "value": null}, {"color": "red", "value": 1.5}]);
        let field = field(json!({"thresholds": {"steps": steps}, "custom": {"thresholdsStyle": {"mode": "dashed"}}}));
        assert_eq!(field.limits(), [(1.5, Colour::Red)]);
    }
}
