//! The dashboard as its JSON defines it, as far as the charm's own uses what Grafana has.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::field::Field;

/// Panels on a page.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Dashboard {
    pub(super) title: String,
    pub(super) panels: Vec<Panel>,
}

/// A panel, and what it asks for.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Panel {
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    pub(super) title: String,
    pub(super) grid_pos: Place,
    #[serde(default)]
    pub(super) targets: Vec<Target>,
    #[serde(default)]
    field_config: FieldConfig,
    #[serde(default)]
    transformations: Vec<Transformation>,
    #[serde(default)]
    options: Options,
}

/// How a panel shows what it is answered.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// The title of the panels below.
    Row,
    /// One value.
    Stat,
    /// A line for each thing, with several values.
    Table,
    /// Values over time.
    Timeseries,
}

/// Where a panel is: in columns, of which a page has [`COLUMNS`], and in rows.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Place {
    pub(super) x: u16,
    pub(super) y: u16,
    #[serde(rename = "w")]
    pub(super) width: u16,
    #[serde(rename = "h")]
    pub(super) height: u16,
}

/// How many columns a page has.
pub(super) const COLUMNS: u16 = 24;

/// An expression of a panel.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Target {
    #[serde(rename = "expr")]
    pub(super) expression: String,
    /// The letter by which the panel knows it.
    pub(super) ref_id: String,
    /// What a series is called, with its labels in braces.
    #[serde(default)]
    pub(super) legend_format: String,
    /// Whether it is asked for its value now, and not for all that it was.
    #[serde(default)]
    pub(super) instant: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct FieldConfig {
    defaults: Map<String, Value>,
    #[serde(default)]
    overrides: Vec<Override>,
}

/// What is otherwise for one field.
#[derive(Clone, Debug, Deserialize)]
struct Override {
    matcher: Matcher,
    properties: Vec<Property>,
}

#[derive(Clone, Debug, Deserialize)]
struct Matcher {
    options: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Property {
    id: String,
    value: Value,
}

#[derive(Clone, Debug, Deserialize)]
struct Transformation {
    options: Arrangement,
}

/// Which columns of a table there are, in which order, and what they are called.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Arrangement {
    #[serde(rename = "excludeByName")]
    pub(super) excluded: BTreeMap<String, bool>,
    #[serde(rename = "indexByName")]
    pub(super) order: BTreeMap<String, usize>,
    #[serde(rename = "renameByName")]
    pub(super) renamed: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Options {
    text_mode: String,
}

impl Panel {
    /// What is so for all its fields.
    pub(super) fn field(&self) -> Result<Field, serde_json::Error> {
        serde_json::from_value(Value::Object(self.field_config.defaults.clone()))
    }

    /// What is so for the field of that name.
    pub(super) fn field_of(&self, name: &str) -> Result<Field, serde_json::Error> {
        let mut field = self.field_config.defaults.clone();
        let overrides = self.field_config.overrides.iter().filter(|found| found.matcher.options == name);
        for property in overrides.flat_map(|found| &found.properties) {
            field.insert(property.id.clone(), property.value.clone());
        }
        serde_json::from_value(Value::Object(field))
    }

    /// How its table is arranged.
    pub(super) fn arrangement(&self) -> Arrangement {
        self.transformations.last().map(|last| last.options.clone()).unwrap_or_default()
    }

    /// Whether it shows what a series is called, in place of its value.
    pub(super) fn shows_name(&self) -> bool {
        self.options.text_mode == "name"
    }
}
