//! Which commands of the Velero CLI the action `run` lets through: a decision without I/O.

use thiserror::Error;

/// The commands that are allowed, with their subcommands.
const ALLOWED: &[(&str, &[&str])] = &[
    ("backup", &["create", "get", "describe", "logs", "delete"]),
    ("restore", &["create", "get", "describe", "logs", "delete"]),
    ("schedule", &["create", "get", "describe", "delete", "pause", "unpause"]),
];

/// Flags that would lead the CLI to another Velero or to files of the unit, in their long form.
const REFUSED_FLAGS: &[&str] = &[
    "kubeconfig",
    "kubecontext",
    "namespace",
    "cacert",
    "log-file",
    "log-dir",
    "log-file-max-size",
    "log-backtrace-at",
    "colorized",
];

/// The short form of `--namespace`.
const REFUSED_SHORT_FLAG: char = 'n';

/// The short flags of the CLI that take a value: what follows one of them in the same word is its value.
const SHORT_FLAGS_WITH_VALUE: &[char] = &['l', 'L', 'o', 'v'];

/// Why a command is not run.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum Refusal {
    /// A shell could not read it either.
    #[error("the command has a quote that is not closed")]
    Quotes,
    /// It is none of those that are allowed.
    #[error("{what}; allowed are {}", allowed())]
    NotAllowed {
        /// What it is instead.
        what: String,
    },
    /// It has a flag that would leave the unit's own Velero, or touch its files.
    #[error(
        "the flag {flag} is not allowed here: the charm runs the CLI on its own Velero, and on no files of the unit"
    )]
    Flag {
        /// The flag as it was given.
        flag: String,
    },
    /// It would write to a file that the user cannot reach.
    #[error("backup download is not allowed: the file would be written in the unit's pod and not where you are")]
    Download,
    /// It would ask, and nobody can answer.
    #[error("{0} asks for a confirmation, which nobody can give here: add --confirm to the command")]
    Unconfirmed(String),
}

fn allowed() -> String {
    let commands: Vec<_> =
        ALLOWED.iter().map(|(command, subcommands)| format!("{command} ({})", subcommands.join(", "))).collect();
    commands.join(", ")
}

/// Splits a command as a shell would, and lets it through or not. A leading `velero` is left out.
///
/// # Errors
///
/// When it is not to be run; the text says why, and what would be.
pub fn parse(text: &str) -> Result<Vec<String>, Refusal> {
    let mut words = shell_words::split(text).map_err(|_| Refusal::Quotes)?;
    if words.first().is_some_and(|word| word == "velero") {
        words.remove(0);
    }
    check_command(&words)?;
    check_flags(&words)?;
    check_confirmation(&words)?;
    Ok(words)
}

fn is_help(word: &str) -> bool {
    matches!(word, "--help" | "-h")
}

fn check_command(words: &[String]) -> Result<(), Refusal> {
    let refuse = |what: String| Err(Refusal::NotAllowed { what });
    let Some(command) = words.first() else {
        return refuse("the command is empty".to_owned());
    };
    let Some((_, subcommands)) = ALLOWED.iter().find(|(allowed, _)| allowed == command) else {
        return refuse(format!("velero {command} is not allowed"));
    };
    match words.get(1) {
        None => refuse(format!("velero {command} needs a subcommand")),
        Some(word) if is_help(word) || subcommands.contains(&word.as_str()) => Ok(()),
        Some(word) if command == "backup" && word == "download" => Err(Refusal::Download),
        Some(word) => refuse(format!("velero {command} {word} is not allowed")),
    }
}

fn check_flags(words: &[String]) -> Result<(), Refusal> {
    for word in words.iter().take_while(|word| *word != "--") {
        let refused = match word.strip_prefix("--") {
            // The CLI's logging library has its flags with underscores.
            Some(long) => {
                let name = long.split('=').next().unwrap_or_default().replace('_', "-");
                REFUSED_FLAGS.contains(&name.as_str())
            }
            None => word.strip_prefix('-').is_some_and(|cluster| {
                cluster
                    .chars()
                    .take_while(|flag| !SHORT_FLAGS_WITH_VALUE.contains(flag))
                    .any(|flag| flag == REFUSED_SHORT_FLAG)
            }),
        };
        if refused {
            let flag = word.split('=').next().unwrap_or_default().to_owned();
            return Err(Refusal::Flag { flag });
        }
    }
    Ok(())
}

fn check_confirmation(words: &[String]) -> Result<(), Refusal> {
    let given = |wanted: fn(&str) -> bool| words.iter().take_while(|word| *word != "--").any(|word| wanted(word));
    let asks = words.get(1).is_some_and(|word| word == "delete");
    if asks && !given(is_help) && !given(|word| matches!(word, "--confirm" | "--confirm=true")) {
        return Err(Refusal::Unconfirmed(words[..2].join(" ")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does_and_nothing_is_expanded() {
        assert_eq!(
            parse(r#"velero backup create "two words" --labels 'a=$(id)' --selector a\ b"#).unwrap(),
            ["backup", "create", "two words", "--labels", "a=$(id)", "--selector", "a b"]
        );
        // Without a shell the semicolon is a letter like any other.
        assert!(matches!(parse("backup get; rm -rf /"), Err(Refusal::NotAllowed { .. })));
        assert_eq!(parse("backup create 'x"), Err(Refusal::Quotes));
    }

    #[test]
    fn the_everyday_commands_pass() {
        for command in [
            "backup get",
            "backup get nightly -o json",
            "backup create nightly --wait --include-namespaces a,b -l app=shop",
            "backup logs nightly",
            "backup --help",
            "restore create --from-backup nightly --wait",
            "restore describe nightly --details",
            "schedule create daily --schedule \"0 3 * * *\" --ttl 72h",
            "schedule pause daily",
            "backup delete nightly --confirm",
            "backup create -- --namespace",
            "backup get -lname=x",
        ] {
            assert!(parse(command).is_ok(), "{command}: {:?}", parse(command));
        }
    }

    #[test]
    fn everything_else_is_refused_with_a_list_of_what_is_allowed() {
        for command in [
            "",
            "   ",
            "velero",
            "install",
            "uninstall --force",
            "plugin add x",
            "backup-location delete default",
            "backup",
            "backup frobnicate",
            "--help",
            "get backups",
        ] {
            let refusal = parse(command).unwrap_err();
            assert!(
                refusal.to_string().contains("allowed are backup (create, get, describe, logs, delete), restore ("),
                "{command}: {refusal}"
            );
        }
    }

    #[test]
    fn flags_that_lead_elsewhere_are_refused_in_every_form() {
        for flag in [
            "--kubeconfig /x",
            "--kubeconfig=/x",
            "--kubecontext=other",
            "--namespace other",
            "--namespace=other",
            "-n other",
            "-n=other",
            "-nother",
            "-hn other",
            "--log_file=/x",
            "--log-file /x",
            "--log_dir=/x",
            "--cacert /etc/shadow",
            "--colorized",
        ] {
            let refusal = parse(&format!("backup get {flag}")).unwrap_err();
            assert!(matches!(refusal, Refusal::Flag { .. }), "{flag}: {refusal}");
            assert!(!refusal.to_string().contains("/x"), "{refusal}");
        }
        assert_eq!(parse("backup download nightly -o /tmp/x"), Err(Refusal::Download));
    }

    #[test]
    fn what_would_ask_needs_its_answer_beforehand() {
        for command in [
            "backup delete nightly",
            "restore delete --all",
            "schedule delete x --confirm=false",
            "backup delete x -- --confirm",
        ] {
            let refusal = parse(command).unwrap_err();
            assert!(refusal.to_string().contains("--confirm"), "{refusal}");
        }
        assert!(parse("backup delete --help").is_ok());
    }
}
