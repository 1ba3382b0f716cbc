//! A panel with a line for each thing.

use std::collections::BTreeMap;

use super::{
    canvas::{Area, Canvas, Style, count},
    colour::{self, Colour},
    field::{Field, Shown},
    panel::Answered,
};

/// How high the letters are, and a line of them.
const LETTERS: f64 = 11.5;
const LINE: f64 = 27.0;

/// How high a line of the head is.
const HEAD_LINE: f64 = 14.0;

/// What is left free beside the text of a cell.
const GAP: f64 = 10.0;

/// A column with its cells, from the first line to the last.
#[derive(Debug, Eq, PartialEq)]
struct Column {
    title: String,
    cells: Vec<Shown>,
}

/// Draws the table below its title.
pub(super) fn draw(canvas: &mut Canvas, area: Area, answered: &Answered<'_>) -> Result<(), serde_json::Error> {
    let columns = columns(answered)?;
    let (head, text) = (Style::new(LETTERS, Colour::Blue.code()).bold(), Style::new(LETTERS, Colour::Text.code()));
    let widths = widths(&columns, area.width, text);
    let titles: Vec<_> =
        columns.iter().zip(&widths).map(|(column, width)| head.lines(&column.title, width - GAP)).collect();
    let head_height = titles.iter().map(Vec::len).max().map_or(0.0, count) * HEAD_LINE;
    let lines = columns.iter().map(|column| column.cells.len()).max().unwrap_or_default();
    for line in 0..=lines {
        let below = area.top + head_height + 6.0 + count(line) * LINE;
        canvas.line((area.left, below), (area.right(), below), colour::GRID, false);
    }
    let mut left = area.left;
    for ((column, titles), width) in columns.iter().zip(titles).zip(widths) {
        for (number, title) in titles.iter().enumerate() {
            canvas.write(left, area.top + 10.0 + count(number) * HEAD_LINE, title, head);
        }
        for (number, cell) in column.cells.iter().enumerate() {
            let bottom = area.top + head_height + 6.0 + count(number) * LINE + 18.0;
            let style = Style { colour: cell.colour.code(), bold: cell.colour != Colour::Text, ..text };
            canvas.write(left, bottom, &cell.text, style);
        }
        left += width;
    }
    Ok(())
}

/// How wide each column is, so that all together are as wide as the table.
fn widths(columns: &[Column], width: f64, style: Style) -> Vec<f64> {
    let wanted = |column: &Column| {
        let words = column.title.split(' ').map(|word| style.bold().width(word));
        words.chain(column.cells.iter().map(|cell| style.width(&cell.text))).fold(0.0, f64::max) + GAP
    };
    let wanted: Vec<f64> = columns.iter().map(wanted).collect();
    let all: f64 = wanted.iter().sum();
    wanted.into_iter().map(|wanted| wanted * width / all).collect()
}

/// The columns in their order: the answers that have the same labels are in one line.
fn columns(answered: &Answered<'_>) -> Result<Vec<Column>, serde_json::Error> {
    let mut lines: BTreeMap<_, BTreeMap<String, f64>> = BTreeMap::new();
    for (target, series) in answered.series() {
        if let Some(value) = series.last() {
            lines.entry(&series.labels).or_default().insert(format!("Value #{}", target.ref_id), value);
        }
    }
    let arrangement = answered.panel.arrangement();
    let mut names: Vec<_> = arrangement.order.iter().map(|(name, index)| (index, name)).collect();
    names.sort();
    let wanted = names.into_iter().map(|(_, name)| name);
    let column = |name: &String| {
        let field = answered.panel.field_of(name)?;
        let title = field.display_name.as_ref().or(arrangement.renamed.get(name)).unwrap_or(name).clone();
        let cells = lines.iter().map(|(labels, values)| match labels.get(name) {
            Some(label) => Shown { text: label.clone(), colour: Colour::Text },
            None => values.get(name).map_or_else(|| field.show_none(), |value| cell(&field, *value)),
        });
        Ok(Column { title, cells: cells.collect() })
    };
    wanted.filter(|name| !arrangement.excluded.get(*name).is_some_and(|out| *out)).map(column).collect()
}

fn cell(field: &Field, value: f64) -> Shown {
    let shown = field.show(value);
    if field.has_coloured_cells() { shown } else { Shown { colour: Colour::Text, ..shown } }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::panel::{Panel, fixtures},
        *,
    };

    fn column(title: &str, cells: &[(&str, Colour)]) -> Column {
        let shown = |(text, colour): &(&str, Colour)| Shown { text: (*text).to_owned(), colour: *colour };
        Column { title: title.to_owned(), cells: cells.iter().map(shown).collect() }
    }

    #[test]
    fn answers_of_the_same_labels_are_one_line_of_the_columns_that_are_wanted() {
        let panel: Panel = fixtures::panel(&json!({
            "type": "table",
            "targets": [
                {"expr": "age", "refId": "A", "instant": true},
                {"expr": "result", "refId": "B", "instant": true},
            ],
            "transformations": [
                {"id": "merge", "options": {}},
                {"id": "organize", "options": {"excludeByName": {"Time": true},
                    "indexByName": {"app": 0, "Value #B": 1, "Value #A": 2, "Time": 3},
                    "renameByName": {"app": "Application"}}},
            ],
            "fieldConfig": {"defaults": {"thresholds": {"steps": [{"color": "text", "value": null}]}}, "overrides": [
                {"matcher": {"id": "byName", "options": "Value #A"}, "properties": [{"id": "unit", "value": "s"}]},
                {"matcher": {"id": "byName", "options": "Value #B"}, "properties": [
                    {"id": "displayName", "value": "Result"},
                    {"id": "mappings", "value": [{"options": {"2": {"text": "failed", "color": "red"}}}]},
                    {"id": "custom.cellOptions", "value": {"type": "color-text"}}]},
            ]},
        }));
        let answers = [
            json!([
                {"metric": {"app": "mail"}, "value": [10, "61"]},
                {"metric": {"app": "ledger"}, "value": [10, "5"]},
            ]),
            json!([{"metric": {"app": "mail"}, "value": [10, "2"]}]),
        ];
        let answers = answers.map(fixtures::series);
        let found = columns(&Answered { panel: &panel, answers: &answers }).unwrap();
        let expected = [
            column("Application", &[("ledger", Colour::Text), ("mail", Colour::Text)]),
            column("Result", &[("", Colour::Text), ("failed", Colour::Red)]),
            column("Value #A", &[("5 s", Colour::Text), ("1.02 min", Colour::Text)]),
        ];
        assert_eq!(found, expected);
        let widths = widths(&found, 300.0, Style::new(LETTERS, colour::FAINT));
        assert!((widths.iter().sum::<f64>() - 300.0).abs() < 0.001 && widths[0] > widths[1], "{widths:?}");
    }
}
