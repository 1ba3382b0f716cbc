//! What a charm does at its boundary, under names that are the same from run to run.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

/// Parameters of a request without which it would be another one. The others are about the same answer's form or age.
const TELLING: [&str; 4] = ["watch", "labelSelector", "fieldSelector", "dryRun"];

/// The characters of which API servers make up the ends of names.
const CHANCE: &str = "bcdfghjklmnpqrstvwxz2456789";

/// How long a uid is.
const UID_LENGTH: usize = 36;

/// Where an operation passes the charm's boundary.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::storm) enum Door {
    /// A request to the Kubernetes API.
    Api,
    /// A call of a hook tool.
    Tool,
    /// A run of the Velero CLI.
    Cli,
}

/// One operation of a hook.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub(in crate::storm) struct Operation {
    /// Where it passes.
    pub door: Door,
    /// What it is: method and path of a request, a tool and what it is asked, a command of the CLI.
    pub what: String,
    /// How many of that name the hook has made with it, from 1.
    pub ordinal: u32,
}

impl Operation {
    /// Whether it reads through a watch.
    pub(in crate::storm) fn is_watch(&self) -> bool {
        self.door == Door::Api && self.what.contains("watch=true")
    }

    /// Whether it asks for something to be changed.
    pub(in crate::storm) fn is_write(&self) -> bool {
        match self.door {
            Door::Api => is_write(&self.what),
            Door::Tool => ["-set", "-add", "-remove", "-grant", "-revoke", "-delete"]
                .iter()
                .any(|verb| self.what.split(' ').next().is_some_and(|tool| tool.ends_with(verb))),
            Door::Cli => false,
        }
    }
}

/// Whether a request, as it is named here, asks for something to be changed.
pub(in crate::storm) fn is_write(what: &str) -> bool {
    !(what.starts_with("GET ") || what.contains("dryRun=") || what.contains("selfsubject"))
}

/// The name of a request.
pub(in crate::storm) fn request(method: &str, path_and_query: &str) -> String {
    let Ok(url) = Url::parse(&format!("http://server{path_and_query}")) else {
        return format!("{method} {path_and_query}");
    };
    let telling: Vec<String> = url
        .query_pairs()
        .filter(|(name, _)| TELLING.contains(&name.as_ref()))
        .map(|(name, value)| format!("{name}={}", without_chance(&value)))
        .collect();
    let mark = if telling.is_empty() { "" } else { "?" };
    format!("{method} {}{mark}{}", without_chance(url.path()), telling.join("&"))
}

/// The name of a call of a tool. Values that it is to keep or say are left out: they may hold the time.
pub(in crate::storm) fn tool(tool: &str, arguments: &[String]) -> String {
    let kept: Vec<&str> = match tool {
        "action-log" | "juju-log" | "state-set" | "relation-set" | "secret-set" | "secret-add" => Vec::new(),
        "status-set" => arguments.iter().map(String::as_str).filter(|each| !each.starts_with('-')).take(1).collect(),
        "action-set" => arguments.iter().filter_map(|each| each.split('=').next()).take(1).collect(),
        _ => arguments.iter().map(String::as_str).filter(|each| !matches!(*each, "--format" | "json")).collect(),
    };
    without_chance(&[&[tool], kept.as_slice()].concat().join(" "))
}

/// The name of a run of the CLI: its command, and neither its flags nor what they say.
pub(in crate::storm) fn cli(arguments: &[String]) -> String {
    let mut rest = arguments.iter().map(String::as_str).peekable();
    // They stand before the command, each with its value.
    while rest.next_if(|word| matches!(*word, "--kubeconfig" | "--namespace")).is_some() {
        rest.next();
    }
    let words = rest.take_while(|word| !word.starts_with('-'));
    let dry = if arguments.iter().any(|word| word == "--dry-run") { " --dry-run" } else { "" };
    format!("velero {}{dry}", without_chance(&words.collect::<Vec<_>>().join(" ")))
}

/// Replaces what is made by chance: the ends of names that a server, the CLI or the charm makes up, uids, and the names of secrets.
pub(in crate::storm) fn without_chance(text: &str) -> String {
    let is_of_name = |each: char| each.is_ascii_alphanumeric() || each == '-';
    let mut rest = text;
    let mut kept = String::with_capacity(text.len());
    while !rest.is_empty() {
        let end = rest.find(|each| !is_of_name(each)).unwrap_or(rest.len());
        kept.push_str(&name_without_chance(&rest[..end]));
        let next = rest[end..].find(is_of_name).map_or(rest.len(), |next| end + next);
        kept.push_str(&rest[end..next]);
        rest = &rest[next..];
    }
    let text = kept;
    match text.find("secret:") {
        Some(at) => {
            let end = text[at..].find(' ').map_or(text.len(), |end| at + end);
            format!("{}secret:*{}", &text[..at], &text[end..])
        }
        None => text,
    }
}

fn name_without_chance(name: &str) -> Cow<'_, str> {
    let is_hash = |end: &str| end.len() == 8 && end.bytes().all(|each| matches!(each, b'0'..=b'9' | b'a'..=b'f'));
    let is_of_server = |end: &str| end.len() == 5 && end.chars().all(|each| CHANCE.contains(each));
    let mut base = name;
    if let Some(at) = name.len().checked_sub(UID_LENGTH)
        && name.get(at..).is_some_and(|end| Uuid::try_parse(end).is_ok())
    {
        base = name[..at].trim_end_matches('-');
    }
    match base.rsplit_once('-') {
        Some((front, end)) if is_hash(end) || front == "velero-operator" && is_of_server(end) => {
            Cow::Owned(format!("{front}-*"))
        }
        _ if base.len() == name.len() => Cow::Borrowed(name),
        _ if base.is_empty() => Cow::Borrowed("*"),
        _ => Cow::Owned(format!("{base}-*")),
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let door = match self.door {
            Door::Api => "api",
            Door::Tool => "tool",
            Door::Cli => "cli",
        };
        write!(formatter, "{door} {} #{}", self.what, self.ordinal)
    }
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (door, rest) = text.split_once(' ')?;
            let (what, ordinal) = rest.rsplit_once(" #")?;
            let door = match door {
                "api" => Door::Api,
                "tool" => Door::Tool,
                "cli" => Door::Cli,
                _ => return None,
            };
            Some(Self { door, what: what.to_owned(), ordinal: ordinal.parse().ok()? })
        };
        parse().ok_or_else(|| format!("{text:?} is no operation"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_request_has_the_same_name_whenever_it_is_made() {
        let watch = "/api/v1/namespaces/storm/pods?&watch=true&timeoutSeconds=290&labelSelector=component%3Dvelero\
                     &allowWatchBookmarks=true&resourceVersion=4711";
        assert_eq!(
            request("GET", watch),
            "GET /api/v1/namespaces/storm/pods?watch=true&labelSelector=component=velero"
        );
        let apply = "/api/v1/namespaces/storm/services/velero-metrics?&force=true&fieldManager=velero-operator";
        assert_eq!(request("PATCH", apply), "PATCH /api/v1/namespaces/storm/services/velero-metrics");
        let asked = "/apis/velero.io/v1/namespaces/storm/serverstatusrequests/velero-operator-x7k2p";
        assert_eq!(
            request("DELETE", asked),
            "DELETE /apis/velero.io/v1/namespaces/storm/serverstatusrequests/velero-operator-*"
        );
        assert_eq!(request("GET", "/apis/apps/v1/velero-operator-units"), "GET /apis/apps/v1/velero-operator-units");
    }

    #[test]
    fn what_is_made_by_chance_is_no_part_of_a_name() {
        let uid = "2f6d1f6e-58b1-4d27-9d0c-5f0a3c6b7e11";
        for (text, expected) in [
            (format!("nightly-{uid}"), "nightly-*"),
            (format!("ledger-backups-0a1b2c3d-{uid}"), "ledger-backups-*"),
            (format!("velero.io/backup-uid={uid}"), "velero.io/backup-uid=*"),
            ("backup describe ledger-backups-0a1b2c3d".to_owned(), "backup describe ledger-backups-*"),
            ("metadata.name=cloud-credentials".to_owned(), "metadata.name=cloud-credentials"),
            ("storm-deadbeef0/velero-1".to_owned(), "storm-deadbeef0/velero-1"),
        ] {
            assert_eq!(without_chance(&text), expected);
        }
    }

    #[test]
    fn what_a_tool_is_to_say_is_no_part_of_its_name() {
        assert_eq!(tool("status-set", &words("-- waiting for#1")), "status-set waiting");
        assert_eq!(tool("relation-get", &words("--format json -r s3:1 - s3/0")), "relation-get -r s3:1 - s3/0");
        assert_eq!(tool("secret-get", &words("secret:abc --refresh")), "secret-get secret:* --refresh");
        assert_eq!(tool("juju-log", &words("--log-level INFO text")), "juju-log");
    }

    #[test]
    fn a_run_of_the_cli_has_the_name_of_its_command() {
        assert_eq!(cli(&words("--kubeconfig /tmp/x version --client-only")), "velero version");
        assert_eq!(cli(&words("--kubeconfig /tmp/x install --dry-run -o yaml")), "velero install --dry-run");
        assert_eq!(cli(&words("backup create a --wait")), "velero backup create a");
    }

    #[test]
    fn an_operation_is_read_back_from_its_name() {
        for operation in [
            Operation { door: Door::Api, what: "GET /api/v1/nodes?watch=true".into(), ordinal: 2 },
            Operation { door: Door::Cli, what: cli(&words("install --dry-run -o yaml")), ordinal: 1 },
        ] {
            assert_eq!(operation.to_string().parse(), Ok(operation));
        }
        assert!("api GET /".parse::<Operation>().is_err());
    }

    #[test]
    fn a_trial_changes_nothing() {
        let operation = |what: &str| Operation { door: Door::Api, what: what.to_owned(), ordinal: 1 };
        assert!(operation("PATCH /api/v1/namespaces/storm/services/a").is_write());
        assert!(!operation("PATCH /api/v1/namespaces/storm/services/a?dryRun=All").is_write());
        assert!(!operation("GET /api/v1/nodes").is_write());
    }
}
