//! The table of the flags that the action `run` knows, against the CLI that the charm bundles.

use std::{collections::BTreeSet, process::Command};

use sandbox::{progress::Progress, tools};
use tokio::runtime::Builder;
use velero_operator::actions::{
    command::{self, Refusal},
    flags::{SUBCOMMANDS, Subcommand},
};

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
