//! The action `run`: a command of the Velero CLI, on the Velero of this unit.

use std::time::Duration;

use super::{ActionError, SUCCESS, command, connect, failed, output::Output, progress::show};
use crate::{
    contract::parameter,
    error_chain::ErrorChain,
    juju::{Environment, HookTools},
    process::ProcessError,
    velero::{Finish, LineSink},
};

/// How long a command may run; while it does, no hook of the unit can.
const TIME_LIMIT: Duration = Duration::from_mins(30);

/// Runs the command in the action's parameter. Its lines go to the action's log as they come, and all of them into its results.
///
/// # Errors
///
/// When Juju cannot be talked to, or the action has failed.
pub(super) async fn run(tools: &HookTools, environment: &Environment) -> Result<(), ActionError> {
    let parameters = tools.action_parameters().await?;
    let arguments = command::parse(parameters.text(parameter::COMMAND.name).unwrap_or_default()).map_err(failed)?;
    let velero = connect(environment)?;
    let mut progress = Progress { tools, output: Output::default() };
    let finish = velero.cli().command(velero.namespace(), &arguments, TIME_LIMIT, &mut progress).await;
    let output = progress.output;
    keep(tools, &output).await;
    match failure(&arguments, &finish, &output, environment.application()) {
        Some(message) => Err(failed(message)),
        None => Ok(tools.set_action_result(SUCCESS.0, SUCCESS.1).await?),
    }
}

/// Puts the output into the results. The command is done by now, and must not fail because its output cannot be stored.
async fn keep(tools: &HookTools, output: &Output) {
    let printed = output.to_string();
    if printed.is_empty() {
        return;
    }
    if let Err(error) = tools.set_action_result("output", &printed).await {
        let message = format!("cannot put the output into the results: {}", ErrorChain(&error));
        tracing::warn!("{message}");
        show(tools, &message).await;
    }
}

/// Returns what the action fails with, if it does.
fn failure(
    arguments: &[String],
    finish: &Result<Finish, ProcessError>,
    output: &Output,
    application: &str,
) -> Option<String> {
    match finish {
        Ok(Finish::Exited(Some(0))) => failed_wait(arguments, output),
        Ok(Finish::Exited(code)) => {
            let words = output.last_words().unwrap_or_else(|| match code {
                Some(code) => format!("velero ended with exit code {code} and without a word"),
                None => "velero was ended by a signal".to_owned(),
            });
            let hint = if words.contains("is forbidden") {
                format!("; if the application is not trusted: juju trust {application} --scope=cluster")
            } else {
                String::new()
            };
            Some(words + &hint)
        }
        Ok(Finish::TimedOut) => Some(format!(
            "stopped after {} minutes; what the server was asked to do goes on: look with get or describe",
            TIME_LIMIT.as_secs() / 60
        )),
        Err(error @ ProcessError::Start { .. }) => Some(ErrorChain(error).to_string()),
        Err(error) => Some(format!(
            "{}; whether the command did its work is not known: look with get or describe",
            ErrorChain(error)
        )),
    }
}

/// Returns the line with which a `create` says that what it waited for did not end well: it exits with 0 all the same.
fn failed_wait(arguments: &[String], output: &Output) -> Option<String> {
    if arguments.get(1).is_none_or(|name| name != "create") {
        return None;
    }
    // What goes to standard error may come behind it.
    output
        .lines()
        .rev()
        .find_map(|line| match final_phase(line) {
            Some(phase) => Some((line, phase != "Completed")),
            None => line.starts_with("Error waiting:").then_some((line, true)),
        })
        .filter(|(_, failed)| *failed)
        .map(|(line, _)| line.to_owned())
}

/// Returns the phase in which a backup or restore ended, if that is what a line tells.
fn final_phase(line: &str) -> Option<&str> {
    let (what, rest) = line.split_once(" completed with status: ")?;
    matches!(what, "Backup" | "Restore").then(|| rest.split_once('.').map_or(rest, |(phase, _)| phase))
}

/// Shows the user each line as it comes.
struct Progress<'a> {
    tools: &'a HookTools,
    output: Output,
}

impl LineSink for Progress<'_> {
    async fn lines(&mut self, lines: Vec<String>) {
        let shown = self.output.add(lines);
        if shown.is_empty() {
            return;
        }
        show(self.tools, &shown.join("\n")).await;
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::juju::ScriptedTools;

    fn output(lines: &[&str]) -> Output {
        let mut output = Output::default();
        output.add(lines.iter().map(ToString::to_string).collect());
        output
    }

    fn failure_of(command: &str, finish: &Result<Finish, ProcessError>, lines: &[&str]) -> Option<String> {
        let arguments: Vec<_> = command.split(' ').map(str::to_owned).collect();
        failure(&arguments, finish, &output(lines), "velero-operator")
    }

    #[test]
    fn a_failing_command_fails_the_action_with_its_own_words() {
        assert_eq!(failure_of("backup get", &Ok(Finish::Exited(Some(0))), &["fine"]), None);
        assert_eq!(
            failure_of("backup get", &Ok(Finish::Exited(Some(1))), &["line", "velero: no such backup", "more"])
                .unwrap(),
            "velero: no such backup more"
        );
        assert_eq!(
            failure_of("backup get", &Ok(Finish::Exited(Some(3))), &[]).unwrap(),
            "velero ended with exit code 3 and without a word"
        );
    }

    #[test]
    fn a_backup_that_did_not_end_well_fails_the_action_that_waited_for_it() {
        for (words, fails) in [
            ("Backup completed with status: Completed. You may check for more information", false),
            ("Backup completed with status: FailedValidation. You may check for more information", true),
            ("Restore completed with status: PartiallyFailed. You may check for more information", true),
            ("Error waiting: unable to watch backups.", true),
            ("Phase: Failed", false),
        ] {
            let failure =
                failure_of("backup create x --wait", &Ok(Finish::Exited(Some(0))), &[words, "W1125 a warning"]);
            assert_eq!(failure, fails.then(|| words.to_owned()));
        }
        // Somebody's annotation, for example.
        let words = "Backup completed with status: Failed.";
        assert_eq!(failure_of("backup describe x", &Ok(Finish::Exited(Some(0))), &[words]), None);
    }

    #[test]
    fn who_is_not_trusted_is_told_how_to_be() {
        let finish = Ok(Finish::Exited(Some(1)));
        let message = failure_of("backup get", &finish, &["backups.velero.io is forbidden: User"]).unwrap();
        assert!(message.ends_with("juju trust velero-operator --scope=cluster"), "{message}");
    }

    #[test]
    fn an_output_that_could_not_be_read_is_no_success() {
        let source = io::Error::from(io::ErrorKind::BrokenPipe);
        let finish = Err(ProcessError::Talk { program: "velero".into(), source });
        let message =
            failure_of("backup create x", &finish, &["Backup request \"x\" submitted successfully."]).unwrap();
        assert!(message.starts_with("cannot read the output of velero: broken pipe; whether"), "{message}");
    }

    #[tokio::test]
    async fn an_output_that_juju_does_not_take_is_told_of_and_fails_nothing() {
        let scripted =
            ScriptedTools::new(&[("action-set", "echo 'ERROR no room' >&2; exit 1"), ("action-log", "true")]);
        keep(&scripted.tools(), &output(&["done"])).await;
        let told = "cannot put the output into the results: the hook tool action-set failed: ERROR no room";
        assert_eq!(scripted.calls("action-log"), format!("--\n{told}\n"));
    }
}
