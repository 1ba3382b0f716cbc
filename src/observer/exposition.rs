//! Prometheus' text format, as far as it is needed.

use std::fmt::{Display, Write};

/// A page of metrics.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
}

impl Exposition {
    /// Adds a gauge with all its series, each with its labels. Nothing is added where there are none.
    pub(super) fn gauge<'a, Value: Display>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Vec<(&'a str, &'a str)>, Value)>,
    ) {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return;
        }
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} gauge\n"));
        for (labels, value) in series {
            self.text.push_str(name);
            for (number, (label, text)) in labels.iter().enumerate() {
                self.write(format_args!("{}{label}=\"", if number == 0 { '{' } else { ',' }));
                for character in text.chars() {
                    match character {
                        '\\' => self.text.push_str(r"\\"),
                        '"' => self.text.push_str("\\\""),
                        '\n' => self.text.push_str(r"\n"),
                        other => self.text.push(other),
                    }
                }
                self.text.push('"');
            }
            if !labels.is_empty() {
                self.text.push('}');
            }
            self.write(format_args!(" {value}\n"));
        }
    }

    /// Returns the page.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // A text takes whatever is written.
        let _ = self.text.write_fmt(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_stand_behind_what_they_are_of() {
        let mut page = Exposition::default();
        page.gauge("up", "Whether it runs.", [(Vec::new(), 1)]);
        page.gauge("none", "Nothing.", std::iter::empty::<(Vec<(&str, &str)>, u8)>());
        page.gauge("of", "What.", [(vec![("app", "a\"b\\c\nd"), ("model", "")], 1.5), (vec![("app", "e")], 2.0)]);
        let expected = "# HELP up Whether it runs.\n# TYPE up gauge\nup 1\n# HELP of What.\n# TYPE of gauge\n\
                        of{app=\"a\\\"b\\\\c\\nd\",model=\"\"} 1.5\nof{app=\"e\"} 2\n";
        assert_eq!(page.into_text(), expected);
    }
}
