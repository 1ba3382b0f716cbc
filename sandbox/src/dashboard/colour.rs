//! Colours.

use serde::Deserialize;

/// A colour by the name that a dashboard has for it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Colour {
    Text,
    Blue,
    Green,
    Orange,
    Red,
}

/// What is behind the panels.
pub(super) const PAGE: &str = "#f4f5f5";

/// What is behind what a panel shows.
pub(super) const PANEL: &str = "#ffffff";

/// The borders of panels and the lines of grids.
pub(super) const GRID: &str = "#dcdee2";

/// What is read after all else.
pub(super) const FAINT: &str = "#5f6672";

/// The lines of a chart, in turn.
const LINES: [&str; 8] = ["#2f7d32", "#1f60c4", "#b77900", "#c4162a", "#7d3bb8", "#00818a", "#8a4b2a", "#d0448f"];

impl Colour {
    /// The colour, dark enough to be read on a panel, and to be written on.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Text => "#24292e",
            Self::Blue => "#1f60c4",
            Self::Green => "#2f7d32",
            Self::Orange => "#c2570c",
            Self::Red => "#c4162a",
        }
    }
}

/// The colour of the line at that place among a chart's.
pub(super) fn of_line(number: usize) -> &'static str {
    LINES[number % LINES.len()]
}
