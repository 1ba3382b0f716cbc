//! The kept inputs, and others made of them, against the properties.

use std::{collections::BTreeSet, fmt, fs, panic, path::PathBuf};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::{Oracle, TARGETS, Target};
use crate::test_readers::Readers;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The kept inputs of a target, with their names.
fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = folder().join("corpus").join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no input", target.name);
    files.into_iter().map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect()
}

#[test]
fn every_kept_input_is_as_its_target_says() {
    let mut readers = Readers::start();
    for target in TARGETS {
        for (name, data) in corpus(target) {
            let checked =
                panic::catch_unwind(panic::AssertUnwindSafe(|| target.check(&data, &mut Oracle(Some(&mut readers)))));
            assert!(checked.is_ok(), "{name} is against what {} says", target.name);
        }
    }
}

#[test]
fn every_target_is_built_for_the_fuzzer_and_has_a_folder() {
    let known: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(known.len(), TARGETS.len());
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    let built = manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\""));
    assert_eq!(built.map(str::to_owned).collect::<BTreeSet<_>>(), known);
    for name in &known {
        let program = fs::read_to_string(folder().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("check(\"{name}\", data)")), "{name}");
    }
    let folders = fs::read_dir(folder().join("corpus")).unwrap();
    let folders: BTreeSet<_> = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(folders, known);
}

/// An input that prints itself as a text.
#[derive(Clone)]
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// A change of an input.
#[derive(Clone, Debug)]
enum Edit {
    Remove(prop::sample::Index, usize),
    Insert(prop::sample::Index, &'static str),
    /// A part of another input.
    Splice(prop::sample::Index, prop::sample::Index, usize),
}

/// What the formats that are read are made of.
const PIECES: &[&str] = &[
    " ",
    "\n",
    "\r\n",
    "\t",
    "\0",
    "\u{1b}",
    "\u{85}",
    "\u{a0}",
    "\u{2028}",
    "\u{feff}",
    "é",
    "\"",
    "'",
    "\\",
    ",",
    ":",
    ";",
    "=",
    "#",
    " #",
    "$",
    "/",
    "//",
    ".",
    "..",
    "-",
    "--",
    "_",
    "%",
    "@",
    "*",
    "&",
    "<",
    "[",
    "]",
    "{",
    "}",
    "null",
    "true",
    "0",
    "9",
    "1e9",
    "18446744073709551616",
    "\u{1e}",
    "\"\"",
    "[]",
    "{}",
    "...",
    "\\u0000",
    "-----BEGIN CERTIFICATE-----",
];

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), 1..9_usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        (at(), prop::sample::select(PIECES)).prop_map(|(at, piece)| Edit::Insert(at, piece)),
        (at(), at(), 1..24_usize).prop_map(|(at, from, length)| Edit::Splice(at, from, length)),
    ]
}

fn edited(mut data: Vec<u8>, other: &[u8], edits: Vec<Edit>) -> Vec<u8> {
    for edit in edits {
        match edit {
            Edit::Remove(at, length) => {
                let at = at.index(data.len() + 1);
                data.drain(at..(at + length).min(data.len()));
            }
            Edit::Insert(at, piece) => {
                let at = at.index(data.len() + 1);
                data.splice(at..at, piece.bytes());
            }
            Edit::Splice(at, from, length) => {
                let (at, from) = (at.index(data.len() + 1), from.index(other.len() + 1));
                data.splice(at..at, other[from..(from + length).min(other.len())].iter().copied());
            }
        }
    }
    data
}

#[test]
fn what_is_made_of_the_kept_inputs_is_as_their_target_says() {
    let readers = std::cell::RefCell::new(Readers::start());
    for target in TARGETS {
        let inputs: Vec<_> = corpus(target).into_iter().map(|(_, data)| data).collect();
        let input = || prop::sample::select(inputs.clone());
        let made = (input(), input(), prop::collection::vec(edit(), 1..6))
            .prop_map(|(data, other, edits)| Input(edited(data, &other, edits)));
        // 64, unless the variable PROPTEST_CASES says otherwise.
        let usual = Config::default();
        let config = Config { cases: usual.cases / 4, failure_persistence: None, ..usual };
        // The same ones each time.
        let mut runner = TestRunner::new_with_rng(
            config,
            proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
        );
        let property = |Input(data): Input| {
            target.check(&data, &mut Oracle(Some(&mut readers.borrow_mut())));
            Ok(())
        };
        runner.run(&made, property).unwrap_or_else(|error| panic!("{}: {error}", target.name));
    }
}
