//! The table of the flags that the action `run` knows, against the CLI that the charm bundles.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    process::Command,
};

use sandbox::{
    progress::Progress,
    tools::{self, READERS},
};
use serde_json::{Value, json};
use tokio::runtime::Builder;
use velero_operator::actions::{
    command::{self, Refusal},
    flags::{SUBCOMMANDS, Subcommand},
};

use crate::project;

/// A flag as the help of the CLI has it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Printed {
    name: String,
    short: Option<char>,
    takes_value: bool,
}

fn help(subcommand: &Subcommand) -> String {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let program = runtime.block_on(tools::velero(&Progress::to_stderr())).unwrap();
    let output = Command::new(program).args([subcommand.command, subcommand.name, "--help"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Reads a section of a help: `  -l, --selector labelSelector   Only …`, `      --wait   …` or `      --x bool[="true"]   …`.
fn section(help: &str, title: &str) -> BTreeSet<Printed> {
    let flag = |line: &str| {
        let (before, after) = line.split_once("--").unwrap();
        let declared = after.split("  ").next().unwrap();
        Printed {
            name: declared.split([' ', '[']).next().unwrap().to_owned(),
            short: before.trim().strip_prefix('-').and_then(|short| short.chars().next()),
            // What has a value for when none is given takes no other word.
            takes_value: declared.contains(' ') && !declared.contains("[="),
        }
    };
    help.lines()
        .skip_while(|line| *line != title)
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.trim_start().starts_with('-'))
        .map(flag)
        .collect()
}

#[test]
fn every_flag_of_the_cli_is_known_as_it_is_and_no_other() {
    for subcommand in SUBCOMMANDS {
        let known: BTreeSet<_> = subcommand
            .flags()
            .map(|flag| Printed { name: flag.name.to_owned(), short: flag.short, takes_value: flag.takes_value })
            .collect();
        assert_eq!(known.len(), subcommand.flags().count(), "a flag stands there twice");
        let printed = section(&help(subcommand), "Flags:");
        let (command, name) = (subcommand.command, subcommand.name);
        let missing: Vec<_> = printed.difference(&known).collect();
        let invented: Vec<_> = known.difference(&printed).collect();
        assert!(
            missing.is_empty() && invented.is_empty(),
            "velero {command} {name}: not in the table as they are: {missing:?}; not in the CLI: {invented:?}"
        );
    }
}

#[test]
fn no_global_flag_of_the_cli_is_let_through() {
    for subcommand in SUBCOMMANDS {
        let global = section(&help(subcommand), "Global Flags:");
        assert!(global.iter().any(|flag| flag.name == "vmodule"), "{global:?}");
        let forms = global.iter().flat_map(|flag| {
            let short = flag.short.map(|short| format!("-{short}"));
            [format!("--{}", flag.name)].into_iter().chain(short)
        });
        for form in forms {
            let refusal = command::parse(&format!("{} {} {form}=1", subcommand.command, subcommand.name)).unwrap_err();
            assert!(matches!(&refusal, Refusal::Flag { flag, .. } if *flag == form), "{form}: {refusal}");
        }
    }
}

/// Commands of two words of flags each: those of the CLI in each of their forms, and what may stand before or behind them.
fn commands(subcommand: &Subcommand, flags: &BTreeSet<Printed>) -> Vec<String> {
    let forms = flags.iter().flat_map(|Printed { name, short, .. }| {
        let short = short.map(|short| [format!("-{short}"), format!("-{short}x"), format!("-{short}=true")]);
        [format!("--{name}"), format!("--{name}=true")].into_iter().chain(short.into_iter().flatten())
    });
    let words: Vec<_> = forms.chain(["--", "-", "x", "--x=--", "-w=", "-wh"].map(str::to_owned)).collect();
    let pairs = words.iter().flat_map(|first| words.iter().map(move |second| (first, second)));
    // Each word comes in both places.
    let pairs = pairs.enumerate().filter(|(number, _)| number % 7 == 0);
    pairs.map(|(_, (first, second))| format!("{} {} {first} {second}", subcommand.command, subcommand.name)).collect()
}

/// What the CLI's own library finds in words, where these flags are known: their names, or why it stops.
fn found(questions: &[Value]) -> Vec<Result<Vec<String>, String>> {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let program = runtime.block_on(tools::program(&READERS, "readers", &Progress::to_stderr())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let asked = folder.path().join("questions");
    let lines = questions.iter().map(|question| json!({"reader": "flags", "text": question.to_string()}).to_string());
    fs::write(&asked, lines.collect::<Vec<_>>().join("\n")).unwrap();
    let output = Command::new(program).arg(folder.path()).stdin(File::open(asked).unwrap()).output().unwrap();
    let answers: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), questions.len());
    let read = |answer: Value| match answer["error"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => Ok(answer["values"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()),
    };
    answers.into_iter().map(read).collect()
}

#[test]
fn a_command_that_is_let_through_has_no_flag_to_the_cli_that_is_refused() {
    let kept: Vec<_> = fs::read_dir(project().join("fuzz/corpus/run_command"))
        .unwrap()
        .map(|entry| String::from_utf8_lossy(&fs::read(entry.unwrap().path()).unwrap()).into_owned())
        .collect();
    let (mut accepted, mut questions) = (Vec::new(), Vec::new());
    for subcommand in SUBCOMMANDS {
        let help = help(subcommand);
        let (own, global) = (section(&help, "Flags:"), section(&help, "Global Flags:"));
        let all: BTreeSet<_> = own.union(&global).cloned().collect();
        let declared = |flag: &Printed| {
            let short = flag.short.map(String::from).unwrap_or_default();
            json!({"name": flag.name, "short": short, "takesValue": flag.takes_value})
        };
        let declared: Vec<_> = all.iter().map(declared).collect();
        for command in commands(subcommand, &all).iter().chain(&kept) {
            let Ok(words) = command::parse(command) else { continue };
            if (words[0].as_str(), words[1].as_str()) == (subcommand.command, subcommand.name) {
                questions.push(json!({"flags": declared, "words": words[2..]}));
                accepted.push((subcommand, global.clone(), words));
            }
        }
    }
    assert!(accepted.len() > 1_000, "{}", accepted.len());
    for ((subcommand, global, words), found) in accepted.iter().zip(found(&questions)) {
        let names = match found {
            Ok(names) => names,
            Err(error) => {
                assert!(error.contains("flag needs an argument"), "{words:?}: {error}");
                continue;
            }
        };
        for name in names {
            assert!(global.iter().all(|flag| flag.name != name), "{words:?} has --{name}");
            let refused = subcommand.flags().find(|flag| flag.name == name).unwrap().refused;
            assert_eq!(refused, None, "{words:?} has --{name}");
        }
    }
}
