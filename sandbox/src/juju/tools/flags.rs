//! The command line of a hook tool, read as Juju's own parser does.

use std::collections::{BTreeMap, VecDeque};

/// What a flag takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Takes {
    /// Nothing, or a boolean after `=` for its long form.
    Nothing,
    /// A value.
    Value,
}

/// A flag with all its names.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Its names without dashes; one letter is the short form. The first is its key in [`Parsed`].
    pub names: &'static [&'static str],
    /// What it takes.
    pub takes: Takes,
}

/// A flag that is there or not.
#[must_use]
pub const fn switch(names: &'static [&'static str]) -> Flag {
    Flag { names, takes: Takes::Nothing }
}

/// A flag with a value.
#[must_use]
pub const fn value(names: &'static [&'static str]) -> Flag {
    Flag { names, takes: Takes::Value }
}

/// A flag's value, with the name that it was given by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Given {
    /// `-r` or `--relation`.
    pub written: String,
    /// What was given; `true` or `false` for a switch.
    pub value: String,
}

/// A command line, taken apart.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Parsed {
    flags: BTreeMap<&'static str, Given>,
    /// What is not a flag, in order.
    pub positional: Vec<String>,
}

impl Parsed {
    /// Whether the switch is on.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.flags.get(name).is_some_and(|given| given.value == "true")
    }

    /// The value of the flag, if given.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.flags.get(name).map(|given| given.value.as_str())
    }

    /// The value of the flag and the name that it was given by.
    #[must_use]
    pub fn given(&self, name: &str) -> Option<&Given> {
        self.flags.get(name)
    }
}

/// Why a command line was refused, or that it asked for help.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refused {
    /// `-h` or `--help`.
    Help,
    /// The text for standard error.
    Usage(String),
}

/// Takes the arguments apart: flags may stand anywhere, `--` ends them.
///
/// # Errors
/// For a flag that the tool does not have, a missing value, a value that is no boolean, or `--help`.
pub fn parse(flags: &[Flag], arguments: &[String]) -> Result<Parsed, Refused> {
    let mut parsed = Parsed::default();
    let mut rest: VecDeque<&str> = arguments.iter().map(String::as_str).collect();
    while let Some(argument) = rest.pop_front() {
        if argument == "--" {
            parsed.positional.extend(rest.drain(..).map(str::to_owned));
        } else if let Some(long) = argument.strip_prefix("--") {
            let (name, attached) = match long.split_once('=') {
                Some((name, attached)) => (name, Some(attached)),
                None => (long, None),
            };
            if name.is_empty() {
                return Err(Refused::Usage(format!("empty option in argument {argument:?}")));
            }
            take(&mut parsed, flags, name, attached, &mut rest)?;
        } else if argument.len() > 1 && argument.starts_with('-') {
            let mut letters = &argument[1..];
            while let Some(letter) = letters.chars().next() {
                let (name, behind) = letters.split_at(letter.len_utf8());
                letters = behind;
                let attached = Some(behind).filter(|behind| !behind.is_empty());
                if take_short(&mut parsed, flags, name, attached, &mut rest)? {
                    break;
                }
            }
        } else {
            parsed.positional.push(argument.to_owned());
        }
    }
    Ok(parsed)
}

fn find<'a>(flags: &'a [Flag], name: &str, written: &str) -> Result<&'a Flag, Refused> {
    match flags.iter().find(|flag| flag.names.contains(&name)) {
        Some(flag) => Ok(flag),
        None if name == "help" || name == "h" => Err(Refused::Help),
        None => Err(Refused::Usage(format!("option provided but not defined: {written}"))),
    }
}

fn take(
    parsed: &mut Parsed,
    flags: &[Flag],
    name: &str,
    attached: Option<&str>,
    rest: &mut VecDeque<&str>,
) -> Result<(), Refused> {
    let written = if name.chars().count() == 1 { format!("-{name}") } else { format!("--{name}") };
    let flag = find(flags, name, &written)?;
    let value = match (flag.takes, attached) {
        (Takes::Nothing, None) => "true".to_owned(),
        (Takes::Nothing, Some(text)) => match super::super::charm::parse_bool(text) {
            Some(on) => on.to_string(),
            None => {
                return Err(Refused::Usage(format!(
                    "invalid boolean value {text:?} for  {written}: strconv.ParseBool: parsing {text:?}: invalid syntax"
                )));
            }
        },
        (Takes::Value, Some(text)) => text.to_owned(),
        (Takes::Value, None) => needed(rest, &written)?,
    };
    parsed.flags.insert(flag.names[0], Given { written, value });
    Ok(())
}

/// Takes one letter; returns whether it used up all that stands behind it.
fn take_short(
    parsed: &mut Parsed,
    flags: &[Flag],
    name: &str,
    attached: Option<&str>,
    rest: &mut VecDeque<&str>,
) -> Result<bool, Refused> {
    let written = format!("-{name}");
    let flag = find(flags, name, &written)?;
    let (value, used_up) = match (flag.takes, attached) {
        (Takes::Nothing, _) => ("true".to_owned(), false),
        // A `=` after a short flag is part of the value.
        (Takes::Value, Some(text)) => (text.to_owned(), true),
        (Takes::Value, None) => (needed(rest, &written)?, true),
    };
    parsed.flags.insert(flag.names[0], Given { written, value });
    Ok(used_up)
}

fn needed(rest: &mut VecDeque<&str>, written: &str) -> Result<String, Refused> {
    rest.pop_front().map(str::to_owned).ok_or_else(|| Refused::Usage(format!("option needs an argument: {written}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] =
        &[value(&["r", "relation"]), switch(&["app"]), switch(&["a", "all"]), value(&["o", "output"])];

    fn parsed(line: &str) -> Result<Parsed, Refused> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(FLAGS, &arguments)
    }

    fn usage(line: &str) -> String {
        match parsed(line) {
            Err(Refused::Usage(text)) => text,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn flags_stand_anywhere() {
        let parsed = parsed("- -r 7 name --app").expect("parsed");
        assert_eq!(parsed.positional, ["-", "name"]);
        assert_eq!(parsed.get("r"), Some("7"));
        assert!(parsed.is_set("app"));
    }

    #[test]
    fn long_and_attached_forms_are_the_same_flag() {
        for line in ["-r7", "-r 7", "--relation 7", "--relation=7"] {
            assert_eq!(parsed(line).expect(line).get("r"), Some("7"), "{line}");
        }
    }

    #[test]
    fn a_short_flag_keeps_the_equals_sign() {
        assert_eq!(parsed("-r=7").expect("parsed").get("r"), Some("=7"));
        assert_eq!(usage("-a=true"), "option provided but not defined: -=");
    }

    #[test]
    fn a_long_switch_takes_a_value_only_with_equals() {
        assert!(!parsed("--app=false").expect("parsed").is_set("app"));
        assert_eq!(parsed("--app false").expect("parsed").positional, ["false"]);
        assert!(usage("--app=perhaps").starts_with("invalid boolean value \"perhaps\""));
    }

    #[test]
    fn a_value_with_a_dash_is_a_flag_unless_behind_two_dashes() {
        assert_eq!(usage("blocked -xyz"), "option provided but not defined: -x");
        assert_eq!(usage("--oops"), "option provided but not defined: --oops");
        assert_eq!(parsed("blocked -- -oops --app").expect("parsed").positional, ["blocked", "-oops", "--app"]);
        assert_eq!(parsed("-oFILE").expect("parsed").get("o"), Some("FILE"));
    }

    #[test]
    fn a_missing_value_and_help_end_it() {
        assert_eq!(usage("-r"), "option needs an argument: -r");
        assert_eq!(parsed("x --help"), Err(Refused::Help));
        assert_eq!(parsed("-h"), Err(Refused::Help));
    }
}
