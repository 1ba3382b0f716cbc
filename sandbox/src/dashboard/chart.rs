//! A panel with values over time.

use std::ops::Range;

use jiff::Timestamp;

use super::{
    canvas::{Anchor, Area, Canvas, Style, count, rounded},
    colour::{self, Colour},
    field::Field,
    panel::Answered,
    series::{Point, Series},
};

/// How long there may be no value without a gap in the line, in seconds: twice as long as from one point to the next.
const GAP: f64 = 2.0 * super::STEP.as_secs_f64();

/// The room for the values beside the chart, and for the times below it.
const VALUES: f64 = 72.0;
const TIMES: f64 = 20.0;

/// How many columns a legend has, and how high a line of it is.
const LEGEND_COLUMNS: usize = 2;
const LEGEND_LINE: f64 = 17.0;

/// From how many minutes to how many more there is a time below the chart.
const MINUTES: [i64; 8] = [1, 2, 5, 10, 15, 30, 60, 120];

/// How many times there are below the chart at most.
const MOST_TIMES: i64 = 8;

/// Where values and times are in an area.
struct Scale {
    area: Area,
    time: Range<f64>,
    most: f64,
}

impl Scale {
    fn left(&self, time: f64) -> f64 {
        self.area.left + (time - self.time.start) / (self.time.end - self.time.start) * self.area.width
    }

    fn height(&self, value: f64) -> f64 {
        self.area.bottom() - value / self.most * self.area.height
    }
}

/// Draws the chart below its title, and the legend below the chart.
pub(super) fn draw(
    canvas: &mut Canvas,
    area: Area,
    answered: &Answered<'_>,
    time: &Range<Timestamp>,
) -> Result<(), serde_json::Error> {
    let field = answered.panel.field()?;
    let series: Vec<_> =
        answered.series().map(|(target, series)| (series.name(&target.legend_format), series)).collect();
    if series.is_empty() {
        let style = Style::new(13.0, colour::FAINT).at(Anchor::Middle);
        canvas.write(area.left + area.width / 2.0, area.top + area.height / 2.0, "no data yet", style);
        return Ok(());
    }
    let lines_of_legend = count(series.len().div_ceil(LEGEND_COLUMNS));
    let legend = area.within(0.0, area.height - lines_of_legend * LEGEND_LINE, 0.0, 0.0);
    let chart = area.within(VALUES, 4.0, 4.0, legend.height + TIMES + 4.0);
    let limits = field.limits();
    let values = series.iter().flat_map(|(_, series)| series.points.iter().map(|point| point.value));
    let most = values.chain(limits.iter().map(|(limit, _)| *limit)).fold(0.0, f64::max);
    let ticks = field.unit.ticks(most);
    let most = ticks.last().copied().unwrap_or(1.0);
    let scale = Scale { area: chart, time: seconds(time.start)..seconds(time.end), most };
    draw_axes(canvas, &scale, &field, &ticks, time);
    for (limit, colour) in limits {
        let height = scale.height(limit);
        canvas.line((chart.left, height), (chart.right(), height), colour.code(), true);
    }
    for (number, (_, series)) in series.iter().enumerate() {
        for points in stretches(&series.points) {
            let course = course(points, &scale);
            let ground = ground(&course, points, &scale);
            canvas.course(&course, ground.as_deref(), colour::of_line(number));
        }
    }
    draw_legend(canvas, legend, &field, &series);
    Ok(())
}

fn draw_axes(canvas: &mut Canvas, scale: &Scale, field: &Field, ticks: &[f64], time: &Range<Timestamp>) {
    let (area, style) = (scale.area, Style::new(11.0, colour::FAINT));
    for tick in ticks {
        let height = scale.height(*tick);
        canvas.line((area.left, height), (area.right(), height), colour::GRID, false);
        if let Some(text) = field.show_tick(*tick) {
            canvas.write(area.left - 6.0, height + 4.0, &text, style.at(Anchor::End));
        }
    }
    for moment in moments(time) {
        let left = scale.left(seconds(moment));
        canvas.line((left, area.top), (left, area.bottom()), colour::GRID, false);
        let text = moment.strftime("%H:%M").to_string();
        canvas.write(left, area.bottom() + 15.0, &text, style.at(Anchor::Middle));
    }
}

fn draw_legend(canvas: &mut Canvas, area: Area, field: &Field, series: &[(String, &Series)]) {
    let style = Style::new(11.0, Colour::Text.code());
    let width = area.width / count(LEGEND_COLUMNS);
    for (number, (name, series)) in series.iter().enumerate() {
        let left = area.left + count(number % LEGEND_COLUMNS) * width;
        let middle = area.top + (count(number / LEGEND_COLUMNS) + 0.5) * LEGEND_LINE;
        let dash = Area { left: left + 2.0, top: middle - 2.0, width: 14.0, height: 4.0 };
        canvas.fill(dash, colour::of_line(number));
        canvas.write(left + 22.0, middle + 4.0, name, style);
        let last = series.last().map_or(String::new(), |value| field.show(value).text);
        canvas.write(left + width - 14.0, middle + 4.0, &last, style.bold().at(Anchor::End));
    }
}

/// The points without those from which on there is a gap, each stretch for itself.
fn stretches(points: &[Point]) -> impl Iterator<Item = &[Point]> {
    points.chunk_by(|one, next| next.time - one.time <= GAP)
}

/// The way along those points: each value stays until the next one is there.
fn course(points: &[Point], scale: &Scale) -> String {
    let mut parts = Vec::new();
    let mut last = String::new();
    for (number, point) in points.iter().enumerate() {
        let (left, height) = (rounded(scale.left(point.time)), rounded(scale.height(point.value)).to_string());
        if number == 0 {
            parts.push(format!("M{left} {height}"));
        } else if height != last {
            parts.push(format!("H{left}V{height}"));
        } else if number + 1 == points.len() {
            parts.push(format!("H{left}"));
        }
        last = height;
    }
    parts.concat()
}

/// What is between a course and 0.
fn ground(course: &str, points: &[Point], scale: &Scale) -> Option<String> {
    let first = points.first()?;
    Some(format!("{course}V{}H{}Z", rounded(scale.area.bottom()), rounded(scale.left(first.time))))
}

/// The round times of that time, few enough to be read.
fn moments(time: &Range<Timestamp>) -> Vec<Timestamp> {
    let (start, end) = (time.start.as_second(), time.end.as_second());
    let fits = |minutes: &i64| (end - start) / (minutes * 60) < MOST_TIMES;
    let step = MINUTES.into_iter().find(fits).unwrap_or(MINUTES[MINUTES.len() - 1]) * 60;
    let first = start + (-start).rem_euclid(step);
    let mut moments = Vec::new();
    let mut second = first;
    while second <= end {
        moments.extend(Timestamp::from_second(second));
        second += step;
    }
    moments
}

/// Seconds since 1970, as a Prometheus counts.
fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[(f64, f64)]) -> Vec<Point> {
        values.iter().map(|(time, value)| Point { time: *time, value: *value }).collect()
    }

    fn scale() -> Scale {
        Scale { area: Area { left: 10.0, top: 0.0, width: 100.0, height: 50.0 }, time: 0.0..50.0, most: 5.0 }
    }

    #[test]
    fn a_value_stays_until_the_next_one_and_is_said_once() {
        let points = points(&[(0.0, 1.0), (5.0, 1.0), (10.0, 1.0), (15.0, 5.0), (20.0, 5.0)]);
        assert_eq!(course(&points, &scale()), "M10 40H40V0H50");
        assert_eq!(ground("M10 40H40V0H50", &points, &scale()).unwrap(), "M10 40H40V0H50V50H10Z");
    }

    #[test]
    fn where_values_are_missing_there_is_a_gap() {
        let points = points(&[(0.0, 1.0), (5.0, 1.0), (40.0, 2.0), (45.0, 2.0)]);
        assert_eq!(stretches(&points).map(<[_]>::len).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(stretches(&[]).count(), 0);
    }

    #[test]
    fn there_are_a_few_round_times() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let range = time("2026-01-31T11:58:40Z")..time("2026-01-31T12:13:40Z");
        let found: Vec<_> = moments(&range).iter().map(|moment| moment.strftime("%H:%M:%S").to_string()).collect();
        assert_eq!(found, ["12:00:00", "12:02:00", "12:04:00", "12:06:00", "12:08:00", "12:10:00", "12:12:00"]);
    }
}
