//! `debug-log`.

use clap::Args;
use sandbox::juju::{Level, LogLine, UnitName};

use super::Failure;
use super::globals::Globals;

#[derive(Args)]
pub struct DebugLog {
    /// Only of this unit or application
    #[arg(short, long, value_name = "UNIT")]
    include: Vec<String>,
    /// Not of this unit or application
    #[arg(short = 'x', long, value_name = "UNIT")]
    exclude: Vec<String>,
    /// Only lines as grave as this: TRACE, DEBUG, INFO, WARNING, ERROR; as in Juju, what a charm prints is at DEBUG
    #[arg(short, long, default_value = "INFO", value_parser = level)]
    level: Level,
    /// Only the last lines
    #[arg(short = 'n', long, value_name = "COUNT")]
    lines: Option<usize>,
    /// Accepted as by juju: the log is always shown from its beginning
    #[arg(long)]
    replay: bool,
    /// Accepted as by juju: the log is shown as it is now, and not followed
    #[arg(long)]
    no_tail: bool,
}

fn level(text: &str) -> Result<Level, String> {
    Level::named(text).ok_or_else(|| format!("{text:?} is no level of the log"))
}

impl DebugLog {
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        let shown: Vec<LogLine> = globals
            .model()?
            .log()?
            .into_iter()
            .filter(|line| line.level >= self.level)
            .filter(|line| self.include.is_empty() || names(&self.include, line))
            .filter(|line| !names(&self.exclude, line))
            .collect();
        let from = self.lines.map_or(0, |lines| shown.len().saturating_sub(lines));
        for line in &shown[from..] {
            let time = line.time.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string();
            println!("{}: {time} {} {} {}", line.entity, line.level.name(), line.module, line.message);
        }
        Ok(())
    }
}

/// Whether the line is of one of these, each a unit (`velero-operator/0`, `unit-velero-operator-0`) or an application.
fn names(wanted: &[String], line: &LogLine) -> bool {
    wanted.iter().any(|wanted| {
        let tag = wanted.parse::<UnitName>().map_or_else(|_| wanted.clone(), |unit| unit.tag());
        let of_application = line.entity.strip_prefix(&format!("unit-{wanted}-"));
        line.entity == tag || of_application.is_some_and(|number| number.parse::<u32>().is_ok())
    })
}
