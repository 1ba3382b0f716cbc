//! Which commands of the Velero CLI the action `run` lets through: a decision without I/O.

use thiserror::Error;

use super::flags::{CONFIRM, Flag, HELP, SUBCOMMANDS, Subcommand};

/// How much alike a wrong flag and a right one must be for the right one to be what was meant.
const ALIKE: f64 = 0.8;

/// Why a command is not run.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum Refusal {
    /// A shell could not read it either.
    #[error("the command has a quote that is not closed")]
    Quotes,
    /// No program could be given it.
    #[error("the command has a NUL character, which no program takes")]
    Nul,
    /// It is not an allowed command.
    #[error("{what}; allowed are {}", allowed())]
    NotAllowed {
        /// What it is instead.
        what: String,
    },
    /// Its subcommand has no such flag. The CLI's global flags count as unknown too.
    #[error("the flag {flag} is not allowed with {command}{}", hint(.meant.as_deref(), .has))]
    Flag {
        /// The flag as it was given, without its value.
        flag: String,
        /// The command with its subcommand.
        command: String,
        /// The flag that was probably meant.
        meant: Option<String>,
        /// The flags that there are.
        has: String,
    },
    /// It has a flag of its subcommand that is useless or harmful here.
    #[error("the flag --{flag} is not allowed here: {reason}")]
    FlagHere {
        /// The flag's name.
        flag: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// It would write to a file that the user cannot reach.
    #[error("backup download is not allowed: the file would be written in the unit's pod and not where you are")]
    Download,
    /// It would ask for a confirmation, which nobody can give.
    #[error("{0} asks for a confirmation, which nobody can give here: add --confirm to the command")]
    Unconfirmed(String),
}

fn allowed() -> String {
    let mut commands: Vec<(&str, Vec<&str>)> = Vec::new();
    for subcommand in SUBCOMMANDS {
        match commands.last_mut() {
            Some((command, names)) if *command == subcommand.command => names.push(subcommand.name),
            _ => commands.push((subcommand.command, vec![subcommand.name])),
        }
    }
    let commands: Vec<_> =
        commands.iter().map(|(command, subcommands)| format!("{command} ({})", subcommands.join(", "))).collect();
    commands.join(", ")
}

fn hint(meant: Option<&str>, has: &str) -> String {
    match meant {
        Some(flag) => format!("; did you mean {flag}?"),
        None => format!("; global flags are the charm's to set, and its own are {has}"),
    }
}

/// Splits a command as a shell would, and checks it. Returns its words without a leading `velero`.
///
/// # Errors
///
/// When it is not allowed; the text says why, and what is.
pub fn parse(text: &str) -> Result<Vec<String>, Refusal> {
    if text.contains('\0') {
        return Err(Refusal::Nul);
    }
    let mut words = shell_words::split(text).map_err(|_| Refusal::Quotes)?;
    if words.first().is_some_and(|word| word == "velero") {
        words.remove(0);
    }
    if let Some(subcommand) = subcommand(&words)? {
        let given = read_flags(subcommand, &words[2..])?;
        if given.is_on(&CONFIRM) == Some(false) && given.is_on(&HELP) != Some(true) {
            return Err(Refusal::Unconfirmed(words[..2].join(" ")));
        }
    }
    Ok(words)
}

/// Returns the subcommand to run; `None` where only the help of a command is asked for.
fn subcommand(words: &[String]) -> Result<Option<&'static Subcommand>, Refusal> {
    let refuse = |what: String| Err(Refusal::NotAllowed { what });
    let Some(command) = words.first() else {
        return refuse("the command is empty".to_owned());
    };
    if !SUBCOMMANDS.iter().any(|subcommand| subcommand.command == command) {
        return refuse(format!("velero {command} is not allowed"));
    }
    let Some(name) = words.get(1) else {
        return refuse(format!("velero {command} needs a subcommand"));
    };
    if let Some(subcommand) = Subcommand::find(command, name) {
        return Ok(Some(subcommand));
    }
    if matches!(name.as_str(), "--help" | "-h") {
        // The CLI looks for a subcommand behind it too.
        return if words.len() == 2 {
            Ok(None)
        } else {
            refuse(format!("velero {command} {name} takes no more words"))
        };
    }
    if command == "backup" && name == "download" {
        return Err(Refusal::Download);
    }
    refuse(format!("velero {command} {name} is not allowed"))
}

/// The flags of a command, in their order, with the value that stands in the same word.
struct Given<'a> {
    subcommand: &'static Subcommand,
    flags: Vec<(&'static Flag, Option<&'a str>)>,
}

impl<'a> Given<'a> {
    /// Returns whether a switch is on: the last of its values counts, as in the CLI. `None` if the subcommand has no such
    /// switch.
    fn is_on(&self, switch: &Flag) -> Option<bool> {
        if !self.subcommand.flags().any(|flag| flag == switch) {
            return None;
        }
        let last = self.flags.iter().rev().find(|(flag, _)| *flag == switch);
        Some(last.is_some_and(|(_, value)| value.is_none_or(is_true)))
    }

    fn add(&mut self, flag: Option<&'static Flag>, as_given: &str, value: Option<&'a str>) -> Result<(), Refusal> {
        let flag = flag.ok_or_else(|| unknown(self.subcommand, as_given))?;
        if let Some(reason) = flag.refused {
            return Err(Refusal::FlagHere { flag: flag.name, reason });
        }
        self.flags.push((flag, value));
        Ok(())
    }
}

/// Whether Go reads a value as true.
fn is_true(value: &str) -> bool {
    matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

/// Reads flags word by word as pflag, the CLI's library, does: a word that is a value here is one there, and none can pass as
/// the value of another.
fn read_flags<'a>(subcommand: &'static Subcommand, words: &'a [String]) -> Result<Given<'a>, Refusal> {
    let mut given = Given { subcommand, flags: Vec::new() };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        // All words behind it are names. As the value of a flag, it is skipped like any value.
        if word == "--" {
            break;
        }
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let flag = subcommand.flags().find(|flag| flag.name == name);
            given.add(flag, &format!("--{name}"), value)?;
            if value.is_none() && flag.is_some_and(|flag| flag.takes_value) {
                words.next();
            }
            continue;
        }
        let mut letters = word.strip_prefix('-').unwrap_or_default();
        while let Some(letter) = letters.chars().next() {
            letters = &letters[letter.len_utf8()..];
            let flag = subcommand.flags().find(|flag| flag.short == Some(letter));
            let takes_value = flag.is_some_and(|flag| flag.takes_value);
            let value = letters.strip_prefix('=').filter(|value| !value.is_empty());
            given.add(flag, &format!("-{letter}"), value)?;
            if takes_value && letters.is_empty() {
                words.next();
            }
            if takes_value || value.is_some() {
                break;
            }
        }
    }
    Ok(given)
}

fn unknown(subcommand: &'static Subcommand, flag: &str) -> Refusal {
    let allowed = || subcommand.flags().filter(|flag| flag.refused.is_none());
    let meant = flag.strip_prefix("--").and_then(|name| {
        allowed()
            .map(|flag| (flag.name, strsim::jaro_winkler(flag.name, &name.to_lowercase().replace('_', "-"))))
            .filter(|(_, likeness)| *likeness > ALIKE)
            .max_by(|(_, one), (_, other)| one.total_cmp(other))
            .map(|(name, _)| format!("--{name}"))
    });
    let has: Vec<_> = allowed()
        .map(|flag| match flag.short {
            Some(short) => format!("--{} (-{short})", flag.name),
            None => format!("--{}", flag.name),
        })
        .collect();
    Refusal::Flag {
        flag: flag.to_owned(),
        command: format!("{} {}", subcommand.command, subcommand.name),
        meant,
        has: has.join(", "),
    }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
