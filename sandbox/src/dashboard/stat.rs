//! A panel with one value.

use super::{
    canvas::{Anchor, Area, Canvas, Style},
    colour::{self, Colour},
    field::{Field, Shown},
    panel::Answered,
};

/// How high the value's letters are at most.
const VALUE: f64 = 34.0;

/// Draws the value on its colour, below the title.
pub(super) fn draw(canvas: &mut Canvas, area: Area, answered: &Answered<'_>) -> Result<(), serde_json::Error> {
    let shown = shown(answered, &answered.panel.field()?);
    let behind = if shown.colour == Colour::Text { colour::FAINT } else { shown.colour.code() };
    canvas.card(area, behind, behind);
    let title = Style::new(11.5, colour::PANEL).bold();
    let mut line = area.top + 18.0;
    for text in title.lines(&answered.panel.title, area.width - 12.0) {
        canvas.write(area.left + 8.0, line, &text, title);
        line += 15.0;
    }
    let largest = Style::new(VALUE, colour::PANEL).bold().at(Anchor::Middle);
    let size = VALUE.min(VALUE * (area.width - 20.0) / largest.width(&shown.text));
    let bottom = area.bottom() - (area.height - 38.0 - size) / 2.0 - size * 0.15;
    canvas.write(area.left + area.width / 2.0, bottom, &shown.text, Style { size, ..largest });
    Ok(())
}

/// The value as it is read, or the name of what has it.
fn shown(answered: &Answered<'_>, field: &Field) -> Shown {
    let found = answered.series().find_map(|(target, series)| Some((target, series, series.last()?)));
    let Some((target, series, value)) = found else { return field.show_none() };
    let shown = field.show(value);
    if answered.panel.shows_name() { Shown { text: series.name(&target.legend_format), ..shown } } else { shown }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        super::panel::{Panel, fixtures},
        *,
    };

    fn shown_of(options: &Value, answer: Value) -> Shown {
        let panel: Panel = fixtures::panel(&json!({
            "type": "stat",
            "targets": [{"expr": "up", "refId": "A", "instant": true, "legendFormat": "{{version}}"}],
            "fieldConfig": {"defaults": {"unit": "s", "noValue": "none",
                "thresholds": {"steps": [{"color": "green", "value": null}, {"color": "red", "value": 600}]}}},
            "options": options,
        }));
        let answers = vec![fixtures::series(answer)];
        shown(&Answered { panel: &panel, answers: &answers }, &panel.field().unwrap())
    }

    fn expected(text: &str, colour: Colour) -> Shown {
        Shown { text: text.to_owned(), colour }
    }

    #[test]
    fn it_shows_the_value_in_its_unit_the_name_or_that_there_is_none() {
        let answer = json!([{"metric": {"version": "v1.18.3"}, "value": [10, "90"]}]);
        assert_eq!(shown_of(&json!({"textMode": "auto"}), answer.clone()), expected("1.5 min", Colour::Green));
        assert_eq!(shown_of(&json!({"textMode": "name"}), answer), expected("v1.18.3", Colour::Green));
        assert_eq!(shown_of(&json!({"textMode": "auto"}), json!([])), expected("none", Colour::Text));
    }
}
