//! The action `run`: a command of the Velero CLI, on the Velero of this unit.

use std::time::Duration;

use super::{ActionError, command, output::Output};
use crate::{
    contract::action,
    error_chain::ErrorChain,
    juju::{Environment, HookTools},
    velero::{Cli, CliError, Finish, LineSink},
};

/// How long a command may run; while it does, no hook of the unit can.
const TIME_LIMIT: Duration = Duration::from_mins(30);

/// Where the namespace of a pod stands.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Runs the command of the action's parameter, with its lines in the action's log as they come and all of them in its results.
///
/// # Errors
///
/// When Juju cannot be talked to. Whatever else goes wrong is the action's own failure.
pub async fn run(tools: &HookTools, environment: &Environment) -> Result<(), ActionError> {
    let text = tools.action_parameter(action::COMMAND).await?.unwrap_or_default();
    let arguments = match command::parse(&text) {
        Ok(arguments) => arguments,
        Err(refusal) => return Ok(tools.fail_action(&refusal.to_string()).await?),
    };
    let namespace = match std::fs::read_to_string(NAMESPACE_FILE) {
        Ok(namespace) => namespace.trim().to_owned(),
        Err(error) => {
            let message = format!("cannot find out the namespace of this unit: {error}");
            return Ok(tools.fail_action(&message).await?);
        }
    };
    let mut progress = Progress { tools, output: Output::default() };
    let finish =
        Cli::in_charm(&environment.charm_directory).command(&namespace, &arguments, TIME_LIMIT, &mut progress).await;
    let output = progress.output;
    let printed = output.to_string();
    if !printed.is_empty() {
        tools.set_action_result("output", &printed).await?;
    }
    if let Some(message) = failure(&finish, &output, environment.application()) {
        tools.fail_action(&message).await?;
    }
    Ok(())
}

/// What the action fails with, if it does.
fn failure(finish: &Result<Finish, CliError>, output: &Output, application: &str) -> Option<String> {
    match finish {
        // With --wait the CLI exits with 0 whatever became of the backup or restore.
        Ok(Finish::Exited(Some(0))) => output.last_words().filter(|words| tells_of_failure(words)),
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
        Err(error) => Some(ErrorChain(error).to_string()),
    }
}

/// Whether the CLI's last words are that a backup or restore, for which it waited, did not end well.
fn tells_of_failure(words: &str) -> bool {
    words
        .split_once(" completed with status: ")
        .is_some_and(|(what, status)| matches!(what, "Backup" | "Restore") && !status.starts_with("Completed"))
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
        if let Err(error) = self.tools.log_to_action(&shown.join("\n")).await {
            tracing::warn!("cannot show progress: {}", ErrorChain(&error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(lines: &[&str]) -> Output {
        let mut output = Output::default();
        output.add(lines.iter().map(ToString::to_string).collect());
        output
    }

    fn failure_of(finish: Finish, lines: &[&str]) -> Option<String> {
        failure(&Ok(finish), &output(lines), "velero-operator")
    }

    #[test]
    fn a_failing_command_fails_the_action_with_its_own_words() {
        assert_eq!(failure_of(Finish::Exited(Some(0)), &["fine"]), None);
        assert_eq!(
            failure_of(Finish::Exited(Some(1)), &["line", "An error occurred: no such backup"]).unwrap(),
            "An error occurred: no such backup"
        );
        assert_eq!(
            failure_of(Finish::Exited(Some(3)), &[]).unwrap(),
            "velero ended with exit code 3 and without a word"
        );
    }

    #[test]
    fn a_backup_that_did_not_end_well_fails_the_action_that_waited_for_it() {
        for (words, fails) in [
            ("Backup completed with status: Completed. You may check for more information", false),
            ("Backup completed with status: FailedValidation. You may check for more information", true),
            ("Restore completed with status: PartiallyFailed. You may check for more information", true),
            ("Phase: Failed", false),
        ] {
            assert_eq!(failure_of(Finish::Exited(Some(0)), &[words]).is_some(), fails, "{words}");
        }
    }

    #[test]
    fn who_is_not_trusted_is_told_how_to_be() {
        let message = failure_of(Finish::Exited(Some(1)), &["backups.velero.io is forbidden: User"]).unwrap();
        assert!(message.ends_with("juju trust velero-operator --scope=cluster"), "{message}");
    }
}
