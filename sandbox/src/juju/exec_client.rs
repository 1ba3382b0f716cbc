//! `juju-exec` as it is in a unit's pod: a link to the sandbox program, which asks the unit's agent to run commands in their turn.

use std::env;
use std::ffi::OsString;
use std::io::{self, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use super::environment::agent_directory;
use super::names::UnitName;
use super::wire::{EXEC_SOCKET, ExecAnswer, ExecRequest, JUJU_EXEC, receive, send};

/// Whether the program was called by that name.
#[must_use]
pub fn is_juju_exec(program: &OsString) -> bool {
    Path::new(program).file_name().is_some_and(|name| name == JUJU_EXEC)
}

/// Has the commands run, waits for their end and does as they did.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    let answer = match read(&arguments, env::var("JUJU_CONTEXT_ID").ok().as_deref()) {
        Ok((unit, commands)) => ask(&unit, commands),
        Err(message) => {
            eprintln!("ERROR {message}");
            return ExitCode::from(2);
        }
    };
    match answer {
        Ok(ExecAnswer { code, stdout, stderr }) => {
            let _ = io::stdout().write_all(stdout.as_bytes());
            let _ = io::stderr().write_all(stderr.as_bytes());
            ExitCode::from(code)
        }
        Err(message) => {
            eprintln!("ERROR {message}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the unit and the commands; a reason where Juju would not read the arguments.
fn read<'a>(arguments: &'a [String], context: Option<&str>) -> Result<(UnitName, &'a str), String> {
    if let Some(context) = context.filter(|context| !context.is_empty()) {
        return Err(format!("{JUJU_EXEC} cannot be called from within a hook, have context {context:?}"));
    }
    let [unit, rest @ ..] = arguments else { return Err("missing unit-name".to_owned()) };
    let unit = unit.parse().map_err(|_| format!("{unit:?} is not a valid tag"))?;
    match rest {
        [] => Err("missing commands".to_owned()),
        [commands] => Ok((unit, commands)),
        [_, more @ ..] => Err(format!("unrecognized args: {more:?}")),
    }
}

fn ask(unit: &UnitName, commands: &str) -> Result<ExecAnswer, String> {
    let directory = agent_directory(unit);
    if !Path::new(&directory).exists() {
        return Err(format!("unit {:?} not found on this machine", unit.to_string()));
    }
    let address = format!("{directory}/{EXEC_SOCKET}");
    let stream = UnixStream::connect(&address).map_err(|error| format!("dial unix {address}: connect: {error}"))?;
    let lost = |error: io::Error| format!("connection is shut down: {error}");
    send(&stream, &ExecRequest { commands: commands.to_owned() }).map_err(lost)?;
    receive(BufReader::new(&stream)).map_err(lost)?.ok_or_else(|| "connection is shut down".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_juju_does_not_read_is_refused() {
        let arguments = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let given = arguments(&["example/0", "./dispatch"]);
        assert_eq!(read(&given, None), Ok((UnitName::new("example", 0), "./dispatch")));
        assert_eq!(read(&given, Some("")), Ok((UnitName::new("example", 0), "./dispatch")));
        for (texts, context, reason) in [
            (
                &["example/0", "./dispatch"][..],
                Some("example/0-start-1"),
                "juju-exec cannot be called from within a hook",
            ),
            (&[], None, "missing unit-name"),
            (&["example", "./dispatch"], None, "is not a valid tag"),
            (&["example/0"], None, "missing commands"),
            (&["example/0", "./dispatch", "more"], None, "unrecognized args"),
        ] {
            let error = read(&arguments(texts), context).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
