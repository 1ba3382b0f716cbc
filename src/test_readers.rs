//! What Velero itself reads of what the charm writes, asked of Velero's own code: the program of `tools/readers`.

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use sandbox::{
    progress::Progress,
    tools::{self, READERS},
};

pub(crate) use crate::fuzzing::Readers;

impl Readers {
    /// Starts the program, which is built where it is not yet.
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let progress = Progress::to_stderr();
        Self::of_program(&runtime.block_on(tools::program(&READERS, "readers", &progress)).unwrap())
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
