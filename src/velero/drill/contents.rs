//! What the store has of a backup: its list of resources, and its archive.

use std::{
    io::{PipeReader, Read},
    time::Duration,
};

use serde_json::Value;
use thiserror::Error;
use tokio::process::Command;

use super::archive::{Archive, ArchiveError, Objects};
use crate::{
    process::{self, Finished, ProcessError},
    velero::wanted::Cli,
};

/// How long the description of a backup may take, of which the CLI fetches some parts from the store.
const DESCRIPTION: Duration = Duration::from_mins(3);
/// How long the archive may take.
const DOWNLOAD: Duration = Duration::from_mins(30);
/// Standard output by a name that cannot be removed. When a download fails, the CLI removes the file that it writes: of `/dev/stdout` there
/// would be a file of that name the next time.
const OUTPUT: &str = "/proc/self/fd/1";
/// What the CLI says of an object that the store has not.
const NOT_FOUND: &str = "file not found";
/// How much of a description is read.
const LONGEST_DESCRIPTION: u64 = 256 * 1024 * 1024;

/// Why it is not known what is in a backup.
#[derive(Debug, Error)]
pub(super) enum ContentsError {
    #[error("the velero CLI did not run")]
    Process(#[from] ProcessError),
    #[error("cannot read it from the store: {0}")]
    Cli(String),
    #[error("the store has no list of what is in it: {0}")]
    NoList(String),
    #[error("its archive cannot be read")]
    Archive(#[from] ArchiveError),
}

impl ContentsError {
    /// Whether it was the way to the store that failed, which says nothing of the backup: Velero itself may have another one.
    pub(super) fn is_of_the_way(&self) -> bool {
        match self {
            Self::Process(_) => true,
            Self::Cli(told) => !told.contains(NOT_FOUND),
            Self::NoList(told) => told.contains("error getting backup resource list"),
            Self::Archive(_) => false,
        }
    }
}

/// Returns the objects that a backup has by its own list.
pub(super) async fn list(cli: &Cli, namespace: &str, backup: &str) -> Result<Objects, ContentsError> {
    let arguments = ["backup", "describe", backup, "--details", "--output", "json"];
    let read = |output: PipeReader| {
        let mut text = Vec::new();
        output.take(LONGEST_DESCRIPTION).read_to_end(&mut text).map(|_| text)
    };
    let (text, finished) = process::pipe(command(cli, namespace, &arguments), DESCRIPTION, read).await?;
    check(&finished)?;
    let described: Value = text.ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let status = &described["status"];
    serde_json::from_value(status["resourceList"].clone()).map_err(|_| {
        let why = status["errorGettingResourceList"].as_str().unwrap_or("the CLI describes none");
        ContentsError::NoList(without_queries(why))
    })
}

/// Reads the archive of a backup. Nothing of it is kept but names, and none of it lies on disk: there are Secrets in it.
pub(super) async fn archive(cli: &Cli, namespace: &str, backup: &str) -> Result<Archive, ContentsError> {
    let time = format!("{}s", DOWNLOAD.as_secs());
    let arguments = ["backup", "download", backup, "--force", "--timeout", &time, "--output", OUTPUT];
    // What the CLI says behind the archive is read, too, or it would wait.
    let read = |mut output: PipeReader| {
        let archive = Archive::read(&mut output);
        std::io::copy(&mut output, &mut std::io::sink()).ok();
        archive
    };
    let (archive, finished) = process::pipe(command(cli, namespace, &arguments), DOWNLOAD, read).await?;
    check(&finished)?;
    Ok(archive?)
}

fn command(cli: &Cli, namespace: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(cli.program());
    command.args(["--namespace", namespace, "--colorized=false"]).args(arguments);
    command
}

fn check(finished: &Finished) -> Result<(), ContentsError> {
    if finished.status.success() {
        return Ok(());
    }
    Err(ContentsError::Cli(without_queries(&finished.stderr_text())))
}

/// Returns a text without the queries of addresses, which for a while let anybody read from the store.
pub(super) fn without_queries(text: &str) -> String {
    let mut rest = text;
    let mut clean = String::new();
    while let Some((before, query)) = rest.split_once('?') {
        clean.push_str(before);
        let end = query.find([' ', '"', '\'', '\n', ')', '>']).unwrap_or(query.len());
        if end == 0 {
            clean.push('?');
        }
        rest = &query[end..];
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_not_reached_says_nothing_of_a_backup() {
        let unknown =
            "<error getting backup resource list: Get \"https://store/b\": tls: failed to verify certificate>";
        assert!(ContentsError::NoList(unknown.into()).is_of_the_way());
        assert!(ContentsError::Cli("Get \"https://store/b\": dial tcp: i/o timeout".into()).is_of_the_way());
        assert!(!ContentsError::NoList("<backup resource list not found>".into()).is_of_the_way());
        assert!(!ContentsError::Cli("velero: file not found".into()).is_of_the_way());
        assert!(!ContentsError::Archive(ArchiveError::Empty).is_of_the_way());
    }

    #[test]
    fn what_lets_others_read_is_not_told() {
        for (told, clean) in [
            (
                "Get \"https://store/b/o.gz?X-Amz-Signature=abc&X-Amz-Credential=k\": dial tcp: i/o timeout",
                "Get \"https://store/b/o.gz\": dial tcp: i/o timeout",
            ),
            ("why? nobody knows?", "why? nobody knows?"),
            ("https://store/o?sig=abc", "https://store/o"),
        ] {
            assert_eq!(without_queries(told), clean);
        }
    }
}
