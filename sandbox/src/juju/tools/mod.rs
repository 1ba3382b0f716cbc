//! The hook tools, as the unit's agent answers them.

mod action;
mod config;
mod flags;
mod format;
mod goal;
mod key_values;
mod log;
mod network;
mod relation;
mod relation_id;
mod secret;
mod secret_manage;
mod state;
mod status;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::context::{Context, DISCONNECTED};
use super::wire::{FileContent, Response};
use flags::{Flag, Parsed, Refused, parse, value};
use format::Format;

/// Why a tool did not do what it was asked.
#[derive(Debug, Eq, PartialEq)]
enum ToolError {
    /// Wrong flags or arguments: exit code 2.
    Usage(String),
    /// The operation failed: exit code 1.
    Failed(String),
    /// A file is needed first.
    Read(PathBuf),
    /// Help was asked for.
    Help,
}

impl From<Refused> for ToolError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Help => Self::Help,
            Refused::Usage(text) => Self::Usage(text),
        }
    }
}

fn usage<T>(text: impl Into<String>) -> Result<T, ToolError> {
    Err(ToolError::Usage(text.into()))
}

fn failed<T>(text: impl Into<String>) -> Result<T, ToolError> {
    Err(ToolError::Failed(text.into()))
}

/// What a tool prints.
#[derive(Debug, Default, Eq, PartialEq)]
struct Answer {
    stdout: String,
    stderr: String,
    output: Option<PathBuf>,
}

impl Answer {
    /// Nothing.
    fn silent() -> Self {
        Self::default()
    }
}

/// A call of a tool.
struct Call<'a> {
    arguments: &'a [String],
    files: &'a BTreeMap<PathBuf, FileContent>,
}

impl Call<'_> {
    fn parse(&self, flags: &[Flag]) -> Result<Parsed, ToolError> {
        Ok(parse(flags, self.arguments)?)
    }

    /// The command line of a tool that answers in one of Juju's formats.
    fn parse_reading(&self, flags: &[Flag]) -> Result<(Parsed, Writer), ToolError> {
        self.parse_formats(flags, &["smart", "yaml", "json"], Format::Smart)
    }

    fn parse_formats(&self, flags: &[Flag], names: &[&str], default: Format) -> Result<(Parsed, Writer), ToolError> {
        let mut all = flags.to_vec();
        all.extend([value(&["format"]), value(&["o", "output"])]);
        let parsed = self.parse(&all)?;
        let format = match parsed.given("format") {
            None => default,
            Some(given) => match Format::named(&given.value).filter(|_| names.contains(&given.value.as_str())) {
                Some(format) => format,
                None => {
                    return usage(format!(
                        "invalid value {:?} for option {}: unknown format {:?}",
                        given.value, given.written, given.value
                    ));
                }
            },
        };
        let output = parsed.get("o").filter(|path| !path.is_empty()).map(PathBuf::from);
        Ok((parsed, Writer { format, output }))
    }

    /// The content of a file in the charm's file system, or of its standard input (`-`).
    fn read(&self, path: &str) -> Result<&str, ToolError> {
        match self.files.get(&PathBuf::from(path)) {
            None => Err(ToolError::Read(PathBuf::from(path))),
            Some(Ok(content)) => Ok(content),
            Some(Err(reason)) => failed(reason.clone()),
        }
    }
}

/// How and where an answer is written.
struct Writer {
    format: Format,
    output: Option<PathBuf>,
}

impl Writer {
    fn write(self, value: &Value) -> Answer {
        Answer { stdout: self.format.write(value), output: self.output, ..Answer::default() }
    }
}

/// Refuses positional arguments that are left over.
fn no_more(rest: &[String]) -> Result<(), ToolError> {
    if rest.is_empty() {
        return Ok(());
    }
    usage(format!("unrecognized args: [{}]", rest.iter().map(|each| format!("{each:?}")).collect::<Vec<_>>().join(" ")))
}

type Tool = fn(&mut Context<'_>, &Call<'_>) -> Result<Answer, ToolError>;

fn tool(name: &str) -> Option<Tool> {
    Some(match name {
        "action-fail" => action::fail,
        "action-get" => action::get,
        "action-log" => action::log,
        "action-set" => action::set,
        "application-version-set" => status::application_version_set,
        "close-port" => network::close_port,
        "config-get" => config::get,
        "goal-state" => goal::get,
        "is-leader" => config::is_leader,
        "juju-log" => log::write,
        "network-get" => network::get,
        "open-port" => network::open_port,
        "opened-ports" => network::opened_ports,
        "relation-get" => relation::get,
        "relation-ids" => relation::ids,
        "relation-list" => relation::list,
        "relation-model-get" => relation::model_get,
        "relation-set" => relation::set,
        "secret-add" => secret_manage::add,
        "secret-get" => secret::get,
        "secret-grant" => secret_manage::grant,
        "secret-ids" => secret::ids,
        "secret-info-get" => secret::info_get,
        "secret-remove" => secret_manage::remove,
        "secret-revoke" => secret_manage::revoke,
        "secret-set" => secret_manage::set,
        "state-delete" => state::delete,
        "state-get" => state::get,
        "state-set" => state::set,
        "status-get" => status::get,
        "status-set" => status::set,
        "unit-get" => network::unit_get,
        _ => return None,
    })
}

/// What a tool says that needs the controller where the agent does not reach it; `None` for tools that the agent answers of
/// itself.
fn without_controller(name: &str) -> Option<String> {
    let what = match name {
        "juju-log" | "relation-ids" | "relation-list" | "relation-get" | "relation-set" | "open-port"
        | "close-port" | "opened-ports" | "unit-get" => return None,
        "is-leader" => "leadership status unknown: ",
        "status-get" => "finding workload status: ",
        "state-get" | "state-set" | "state-delete" => "loading unit state from database: ",
        _ => "",
    };
    Some(format!("{what}{DISCONNECTED}"))
}

/// Answers a call. `files` holds what the tool was asked to read so far.
pub(super) fn answer(
    context: &mut Context<'_>,
    name: &str,
    arguments: &[String],
    files: &BTreeMap<PathBuf, FileContent>,
) -> Response {
    let done = |code, stdout: String, stderr: String, output| Response::Done { code, stdout, stderr, output };
    let Some(tool) = tool(name) else {
        return done(1, String::new(), format!("ERROR bad request: unknown command {name:?}\n"), None);
    };
    let result = match without_controller(name) {
        Some(words) if !context.is_connected() => failed(words),
        _ => tool(context, &Call { arguments, files }),
    };
    match result {
        Ok(Answer { stdout, stderr, output }) => done(0, stdout, stderr, output),
        Err(ToolError::Usage(text)) => done(2, String::new(), format!("ERROR {text}\n"), None),
        Err(ToolError::Failed(text)) => done(1, String::new(), format!("ERROR {text}\n"), None),
        Err(ToolError::Read(path)) => Response::Read(path),
        Err(ToolError::Help) => done(0, format!("Usage: {name} [options]\n"), String::new(), None),
    }
}
