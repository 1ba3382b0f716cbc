//! What only the store has of a backup or a restore: its errors and warnings in words, and the list of what is in it.

use std::{collections::BTreeSet, time::Duration};

use super::run::RunKind;
use crate::{
    process::ProcessError,
    velero::wanted::{Cli, Finish, LineSink},
};

/// The CLI itself waits half a minute for each of some files.
const TIME_LIMIT: Duration = Duration::from_mins(3);
/// How many errors are kept.
const ERRORS: usize = 100;
/// What a list of resources has above the claims of volumes.
const CLAIMS: &str = "v1/PersistentVolumeClaim:";

/// What the CLI describes of a run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Details {
    pub first_error: Option<String>,
    /// The first errors.
    pub errors: Vec<String>,
    pub first_warning: Option<String>,
    /// The claims in it, as `namespace/name`; `None` where there is no list.
    pub claims: Option<BTreeSet<String>>,
    section: Section,
    is_in_claims: bool,
}

/// The part of the description that is being read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Section {
    Errors,
    Warnings,
    Resources,
    #[default]
    Other,
}

/// Returns the message in a line of a result.
fn message(text: &str) -> Option<String> {
    let (head, rest) = text.split_once(':').map_or(("", text), |(head, rest)| (head.trim(), rest.trim()));
    // The parts of a result, and the namespaces, are each followed by their first message or by nothing.
    match head {
        _ if rest == "<none>" => None,
        "Velero" | "Cluster" if !rest.is_empty() => Some(rest.to_owned()),
        _ if rest.is_empty() => None,
        _ => Some(text.split_whitespace().collect::<Vec<_>>().join(" ")),
    }
}

impl LineSink for Details {
    async fn lines(&mut self, lines: Vec<String>) {
        for line in lines {
            self.read(&line);
        }
    }
}

impl Details {
    /// Asks the CLI, which fetches from the store. What it does not tell stays unknown.
    pub(crate) async fn ask(cli: &Cli, namespace: &str, kind: RunKind, name: &str) -> Result<Self, ProcessError> {
        let arguments = [kind.word(), "describe", name, "--details"].map(str::to_owned);
        let mut details = Self::default();
        let finish = cli.command(namespace, &arguments, TIME_LIMIT, &mut details).await?;
        if finish != Finish::Exited(Some(0)) {
            tracing::debug!("velero describes {} {name} no further: {finish:?}", kind.word());
        }
        Ok(details)
    }

    fn read(&mut self, line: &str) {
        let text = line.trim();
        if !line.starts_with([' ', '\t']) {
            self.section = match text.split_whitespace().collect::<Vec<_>>().join(" ").as_str() {
                "Errors:" => Section::Errors,
                "Warnings:" => Section::Warnings,
                "Resource List:" => {
                    self.claims = Some(BTreeSet::new());
                    Section::Resources
                }
                _ => Section::Other,
            };
            self.is_in_claims = false;
            return;
        }
        match self.section {
            Section::Errors | Section::Warnings => self.read_result(text),
            Section::Resources => match text.strip_prefix("- ") {
                Some(name) if self.is_in_claims => {
                    // A restore's says in brackets what became of it.
                    let name = name.split('(').next().unwrap_or_default().trim();
                    self.claims.get_or_insert_default().insert(name.to_owned());
                }
                Some(_) => {}
                None => self.is_in_claims = text == CLAIMS,
            },
            Section::Other => {}
        }
    }

    fn read_result(&mut self, text: &str) {
        let Some(message) = message(text) else { return };
        if self.section != Section::Errors {
            self.first_warning.get_or_insert(message);
            return;
        }
        self.first_error.get_or_insert_with(|| message.clone());
        if self.errors.len() < ERRORS {
            self.errors.push(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Details {
        let mut details = Details::default();
        text.lines().for_each(|line| details.read(line));
        details
    }

    #[test]
    fn the_first_error_and_warning_are_told_and_the_claims_found() {
        let details = read(
            "\
Name:         nightly
Phase:  PartiallyFailed (run 'velero backup logs nightly' for more information)

Warnings:
  Velero:     <none>
  Cluster:    <none>
  Namespaces:
    shop:   resource: /pods name: /web message: /skipped
            another one

Errors:
  Velero:    name: /web-0 message: /Error backing up item
             another one
  Cluster:    <none>
  Namespaces: <none>

Namespaces:
  Included:  shop

Resource List:
  apps/v1/Deployment:
    - shop/web
  v1/PersistentVolumeClaim:
    - shop/data
    - shop/logs
  v1/Pod:
    - shop/web-0

Backup Volumes:
  Pod Volume Backups: <none included>
",
        );
        assert_eq!(details.first_error.as_deref(), Some("name: /web-0 message: /Error backing up item"));
        assert_eq!(details.first_warning.as_deref(), Some("shop: resource: /pods name: /web message: /skipped"));
        let claims: BTreeSet<_> = ["shop/data", "shop/logs"].map(str::to_owned).into();
        assert_eq!(details.claims, Some(claims));
    }

    #[test]
    fn a_message_without_a_head_is_told_as_it_is() {
        assert_eq!(message("another  one").as_deref(), Some("another one"));
        assert_eq!(message("Velero:   timed out").as_deref(), Some("timed out"));
        assert_eq!(message("shop:  timed   out").as_deref(), Some("shop: timed out"));
        for nothing in ["", "Velero:", "Namespaces:", "Cluster:  <none>"] {
            assert_eq!(message(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn what_was_restored_of_claims_is_found() {
        let details =
            read("Resource List:\n  v1/PersistentVolumeClaim:\n    - shop/data(created)\n    - shop/logs(failed)\n");
        assert_eq!(details.claims.unwrap().len(), 2);
        assert_eq!(read("Resource List:  <backup resource list not found>\n").claims, None);
    }

    #[test]
    fn of_namespaces_their_first_message_alone_is_told() {
        assert_eq!(message("Namespaces:"), None);
        assert_eq!((message("Velero:"), message("Velero:  no  store")), (None, Some("no  store".to_owned())));
        assert_eq!(message("shop:  resource: /pods"), Some("shop: resource: /pods".to_owned()));
    }

    #[test]
    fn no_more_errors_are_kept_than_anybody_reads() {
        let lines: Vec<_> = (0..=ERRORS).map(|number| format!("  Velero: error {number}\n")).collect();
        let details = read(&format!("Errors:\n{}", lines.concat()));
        assert_eq!((details.errors.len(), details.errors[99].as_str()), (ERRORS, "error 99"));
    }
}
