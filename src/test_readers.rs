//! What Velero itself reads of what the charm writes, asked of Velero's own code: the program of `tools/readers`.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use sandbox::{
    progress::Progress,
    tools::{self, READERS},
};
use serde::Deserialize;
use serde_json::json;

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
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let progress = Progress::to_stderr();
        let program = runtime.block_on(tools::program(&READERS, "readers", &progress)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut child =
            Command::new(program).arg(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (questions, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, questions, answers, _folder: folder }
    }

    /// Returns what the reader makes of the text, or why it makes nothing of it.
    pub(crate) fn read(&mut self, reader: &str, text: &str) -> Result<BTreeMap<String, String>, String> {
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

/// Returns a runner for so many cases that each rule of a reader is met. A failure prints the smallest text that it found.
pub(crate) fn runner() -> TestRunner {
    TestRunner::new(Config { cases: 1024, failure_persistence: None, ..Config::default() })
}

/// Texts of what usual keys are made of and of what the readers take for something else.
pub(crate) fn credential() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        " ",
        "#",
        ";",
        " #",
        " ;",
        "\"",
        "'",
        "=",
        "[",
        "]",
        "[default]",
        ":",
        "\\",
        "\\n",
        "$",
        "${HOME}",
        "export ",
        "\t",
        "\u{a0}",
        "\u{3000}",
        "\u{feff}",
        "é",
        "\n",
        "\r",
        "\u{0}",
        "\u{85}",
        "%",
        "`",
        ",",
    ]);
    let part = prop_oneof![3 => special.prop_map(str::to_owned), 2 => "[A-Za-z0-9+/]{1,6}"];
    prop::collection::vec(part, 1..7).prop_map(|parts| parts.concat())
}
