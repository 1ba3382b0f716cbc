//! The whole page.

use std::ops::Range;

use jiff::Timestamp;

use super::{
    canvas::{Anchor, Area, Canvas, Style},
    chart, colour,
    colour::Colour,
    definition::{COLUMNS, Dashboard, Kind, Place},
    panel::Answered,
    series::Series,
    stat, table,
};

/// The size of a column and of a row of the grid that panels are in, and what is free between panels.
const COLUMN: f64 = 45.0;
const ROW: f64 = 31.0;
const GAP: f64 = 8.0;

/// What is free around the page, and how high its head is.
const MARGIN: f64 = 10.0;
const HEAD: f64 = 46.0;

/// Draws a dashboard with what its expressions are answered, panel by panel, for that time.
pub(super) fn draw(
    dashboard: &Dashboard,
    answers: &[Vec<Vec<Series>>],
    time: &Range<Timestamp>,
) -> Result<String, serde_json::Error> {
    let rows = dashboard.panels.iter().map(|panel| panel.grid_pos.y + panel.grid_pos.height).max().unwrap_or_default();
    let width = 2.0 * MARGIN + f64::from(COLUMNS) * COLUMN;
    let mut canvas = Canvas::new(width, HEAD + f64::from(rows) * ROW + MARGIN, &dashboard.title);
    let title = Style::new(19.0, Colour::Text.code()).bold();
    canvas.write(MARGIN + GAP, 30.0, &dashboard.title, title);
    let (date, from, to) = (time.end.strftime("%F"), time.start.strftime("%H:%M"), time.end.strftime("%H:%M"));
    let when = format!("{date}, {from} to {to} UTC; drawn from the dashboard's queries, not by Grafana");
    canvas.write(width - MARGIN - GAP, 30.0, &when, Style::new(12.0, colour::FAINT).at(Anchor::End));
    for (panel, answers) in dashboard.panels.iter().zip(answers) {
        draw_panel(&mut canvas, area(panel.grid_pos), &Answered { panel, answers }, time)?;
    }
    Ok(canvas.finish())
}

fn draw_panel(
    canvas: &mut Canvas,
    area: Area,
    answered: &Answered<'_>,
    time: &Range<Timestamp>,
) -> Result<(), serde_json::Error> {
    let kind = answered.panel.kind;
    let title = &answered.panel.title;
    match kind {
        Kind::Stat => return stat::draw(canvas, area, answered),
        Kind::Row => {
            canvas.write(area.left + 4.0, area.bottom() - 4.0, title, Style::new(15.0, Colour::Text.code()).bold());
            return Ok(());
        }
        Kind::Table | Kind::Timeseries => {}
    }
    canvas.card(area, colour::PANEL, colour::GRID);
    canvas.write(area.left + 12.0, area.top + 22.0, title, Style::new(13.0, Colour::Text.code()).bold());
    let below = area.within(12.0, 34.0, 10.0, 8.0);
    if kind == Kind::Table { table::draw(canvas, below, answered) } else { chart::draw(canvas, below, answered, time) }
}

/// Where a panel is on the page.
fn area(place: Place) -> Area {
    let of = |columns: u16| f64::from(columns) * COLUMN;
    let rows = |rows: u16| f64::from(rows) * ROW;
    let (left, top) = (MARGIN + of(place.x), HEAD + rows(place.y));
    Area { left, top, width: of(place.width), height: rows(place.height) }.within(GAP / 2.0, 0.0, GAP / 2.0, GAP)
}

#[cfg(test)]
mod tests {
    use super::{super::definition_of_charm, *};

    #[test]
    fn every_panel_of_the_charms_dashboard_can_be_drawn_though_nothing_is_answered() {
        let dashboard = definition_of_charm().unwrap();
        let answers: Vec<_> = dashboard.panels.iter().map(|panel| vec![vec![]; panel.targets.len()]).collect();
        let end = Timestamp::from_second(1_800_000_000).unwrap();
        let time = Timestamp::from_second(end.as_second() - 900).unwrap()..end;
        let picture = draw(&dashboard, &answers, &time).unwrap();
        assert!(picture.contains("2027-01-15, 07:45 to 08:00 UTC"), "{picture}");
        for panel in dashboard.panels {
            // The title of a small panel is in several lines.
            let words = panel.title.split(' ').next().unwrap();
            assert!(picture.contains(words), "{words}");
        }
    }
}
