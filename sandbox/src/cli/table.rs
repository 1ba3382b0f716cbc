//! How answers are written.

use std::fmt::Write;

use clap::ValueEnum;
use serde_json::Value;

use super::Failure;

/// A format for programs.
#[derive(Clone, Copy, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// JSON on one line
    Json,
    /// YAML
    Yaml,
}

impl Format {
    /// The value as text, with the newline at its end.
    pub fn write(self, value: &Value) -> Result<String, Failure> {
        Ok(match self {
            Self::Json => format!("{value}\n"),
            Self::Yaml => serde_yaml::to_string(value)?,
        })
    }
}

/// Rows in columns as wide as their widest cell; the last is as wide as it is.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing into a String cannot fail.
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Cells from anything that can be shown.
pub fn row<const N: usize>(cells: [&dyn std::fmt::Display; N]) -> Vec<String> {
    cells.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must() {
        let rows = [row([&"App", &"Status"]), row([&"velero-operator", &"active"])];
        assert_eq!(table(&rows), "App              Status\nvelero-operator  active\n");
    }
}
