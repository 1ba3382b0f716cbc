//! What programs in Go read of what the charm writes, asked of their own code: the program of `tools/readers`.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde::Deserialize;
use serde_json::json;

/// What a reader makes of a text, or why it makes nothing of it.
pub(crate) type Read = Result<BTreeMap<String, String>, String>;

/// One run of the program, which answers any number of questions.
pub(crate) struct Readers {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    _folder: tempfile::TempDir,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    values: BTreeMap<String, String>,
    error: Option<String>,
}

impl Readers {
    /// Starts the program.
    pub(crate) fn of_program(program: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child =
            Command::new(program).arg(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (questions, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, questions, answers, _folder: folder }
    }

    /// Returns what the reader makes of the text.
    pub(crate) fn read(&mut self, reader: &str, text: &str) -> Read {
        writeln!(self.questions, "{}", json!({"reader": reader, "text": text})).unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let answer: Answer = serde_json::from_str(&line).unwrap();
        answer.error.map_or(Ok(answer.values), Err)
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
