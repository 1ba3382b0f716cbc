//! The model's log: what charms and their agents said.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How grave a line is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// The finest.
    Trace,
    /// For who looks for a fault; also what a charm writes to its standard output.
    Debug,
    /// For everybody.
    Info,
    /// Something is odd; also what a charm writes to its standard error.
    Warning,
    /// Something failed.
    Error,
    /// All is lost.
    Critical,
}

impl Level {
    /// The level of that name, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "TRACE" => Self::Trace,
            "DEBUG" => Self::Debug,
            "INFO" => Self::Info,
            "WARN" | "WARNING" => Self::Warning,
            "ERROR" => Self::Error,
            "CRITICAL" => Self::Critical,
            _ => return None,
        })
    }

    /// The level's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }
}

/// One line of the log.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct LogLine {
    /// When it was said.
    pub time: Timestamp,
    /// Who said it: `unit-velero-operator-0`.
    pub entity: String,
    /// How grave it is.
    pub level: Level,
    /// The part of the agent or charm: `unit.velero-operator/0.juju-log`.
    pub module: String,
    /// The text.
    pub message: String,
}

/// The log of a model, a file to which lines are added.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: Mutex<File>,
}

impl Log {
    /// Opens the log, which is made if it is not there.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        Ok(Self { path: path.to_owned(), file: Mutex::new(file) })
    }

    /// Adds a line. That a log cannot be written stops nothing.
    pub fn write(&self, entity: &str, level: Level, module: &str, message: &str) {
        let line = LogLine {
            time: Timestamp::now(),
            entity: entity.to_owned(),
            level,
            module: module.to_owned(),
            message: message.to_owned(),
        };
        if let (Ok(mut text), Ok(mut file)) = (serde_json::to_vec(&line), self.file.lock()) {
            text.push(b'\n');
            let _ = file.write_all(&text);
        }
    }

    /// All lines so far.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn lines(&self) -> io::Result<Vec<LogLine>> {
        let lines = BufReader::new(File::open(&self.path)?).lines();
        // A last line that is still being written is left for the next time.
        lines.filter_map(|line| line.map(|line| serde_json::from_str(&line).ok()).transpose()).collect()
    }
}
