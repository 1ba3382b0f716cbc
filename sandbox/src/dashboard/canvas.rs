//! A canvas, on which a picture is drawn.

use svg::{
    Document, Node,
    node::element::{Path, Rectangle, Text, Title},
};

use super::colour;

/// The fonts, of which the first is taken that there is.
const FONTS: &str = "Inter, Helvetica Neue, Helvetica, Arial, DejaVu Sans, sans-serif";

/// How wide a letter is, of its height: in wide fonts, and in the mean. Bold ones are wider.
const LETTER: f64 = 0.57;
const BOLD_LETTER: f64 = 0.63;

/// A part of a canvas, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Area {
    pub(super) fn right(self) -> f64 {
        self.left + self.width
    }

    pub(super) fn bottom(self) -> f64 {
        self.top + self.height
    }

    /// The part that is left of it at that distance from its sides.
    pub(super) fn within(self, left: f64, top: f64, right: f64, bottom: f64) -> Self {
        Self {
            left: self.left + left,
            top: self.top + top,
            width: self.width - left - right,
            height: self.height - top - bottom,
        }
    }
}

/// How a text is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) size: f64,
    pub(super) colour: &'static str,
    pub(super) bold: bool,
    pub(super) at: Anchor,
}

/// Which point of a text is where it is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Style {
    /// Letters of that height, from left to right.
    pub(super) fn new(size: f64, colour: &'static str) -> Self {
        Self { size, colour, bold: false, at: Anchor::Start }
    }

    pub(super) fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(super) fn at(self, at: Anchor) -> Self {
        Self { at, ..self }
    }

    /// About how wide a text is.
    pub(super) fn width(self, text: &str) -> f64 {
        count(text.chars().count()) * self.letter()
    }

    fn letter(self) -> f64 {
        self.size * if self.bold { BOLD_LETTER } else { LETTER }
    }

    /// The lines of a text in that width, broken between words.
    pub(super) fn lines(self, text: &str, width: f64) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in text.split(' ') {
            match lines.last_mut() {
                Some(line) if self.width(line) + self.letter() + self.width(word) <= width => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
        }
        lines
    }
}

/// What is drawn so far.
#[derive(Clone, Debug)]
pub(super) struct Canvas {
    document: Document,
}

impl Canvas {
    /// An empty canvas with a title for those who do not see it.
    pub(super) fn new(width: f64, height: f64, title: &str) -> Self {
        let document = Document::new()
            .set("viewBox", (0, 0, rounded(width), rounded(height)))
            .set("width", rounded(width))
            .set("height", rounded(height))
            .set("role", "img")
            .set("font-family", FONTS)
            .add(Title::new(title));
        let mut canvas = Self { document };
        canvas.fill(Area { left: 0.0, top: 0.0, width, height }, colour::PAGE);
        canvas
    }

    pub(super) fn fill(&mut self, area: Area, colour: &str) {
        self.add(rectangle(area).set("fill", colour));
    }

    /// Fills an area with round corners and a border.
    pub(super) fn card(&mut self, area: Area, colour: &str, border: &str) {
        self.add(rectangle(area).set("fill", colour).set("stroke", border).set("rx", 3));
    }

    /// Writes a text whose letters stand at that height.
    pub(super) fn write(&mut self, left: f64, bottom: f64, text: &str, style: Style) {
        let mut written = Text::new(text)
            .set("x", rounded(left))
            .set("y", rounded(bottom))
            .set("font-size", rounded(style.size))
            .set("fill", style.colour);
        if style.bold {
            written = written.set("font-weight", 600);
        }
        match style.at {
            Anchor::Start => {}
            Anchor::Middle => written = written.set("text-anchor", "middle"),
            Anchor::End => written = written.set("text-anchor", "end"),
        }
        self.add(written);
    }

    /// Draws a straight line, which has gaps if it is dashed.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, dashed: bool) {
        let course = format!("M{} {}L{} {}", rounded(from.0), rounded(from.1), rounded(to.0), rounded(to.1));
        let mut line = Path::new().set("d", course).set("stroke", colour);
        if dashed {
            line = line.set("stroke-dasharray", "6 4");
        }
        self.add(line);
    }

    /// Draws along a course, and tints the `ground` below it.
    pub(super) fn course(&mut self, course: &str, ground: Option<&str>, colour: &str) {
        if let Some(ground) = ground {
            self.add(Path::new().set("d", ground).set("fill", colour).set("fill-opacity", 0.08));
        }
        self.add(Path::new().set("d", course).set("fill", "none").set("stroke", colour).set("stroke-width", 2));
    }

    fn add(&mut self, element: impl Into<Box<dyn Node>>) {
        self.document.append(element);
    }

    /// The picture as SVG.
    pub(super) fn finish(self) -> String {
        let mut text = self.document.to_string();
        text.push('\n');
        text
    }
}

fn rectangle(area: Area) -> Rectangle {
    Rectangle::new()
        .set("x", rounded(area.left))
        .set("y", rounded(area.top))
        .set("width", rounded(area.width))
        .set("height", rounded(area.height))
}

/// A length as finely as it is seen.
pub(super) fn rounded(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}

/// How many there are, as a length is counted.
pub(super) fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_broken_between_words_where_it_is_too_wide() {
        let style = Style::new(10.0, colour::FAINT);
        let lines = |width| style.lines("Volumes without data", width);
        assert_eq!(lines(200.0), ["Volumes without data"]);
        assert_eq!(lines(100.0), ["Volumes without", "data"]);
        assert_eq!(lines(1.0), ["Volumes", "without", "data"]);
    }

    #[test]
    fn a_picture_is_one_element_in_which_texts_are_no_markup() {
        let mut canvas = Canvas::new(100.0, 50.0, "a & b");
        canvas.write(1.04, 2.0, "<c>", Style::new(12.0, colour::FAINT).bold().at(Anchor::End));
        let svg = canvas.finish();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
        assert!(svg.contains("a &amp; b") && svg.contains("&lt;c&gt;") && svg.contains(r#"x="1""#), "{svg}");
    }
}
