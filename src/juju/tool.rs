//! The one runner that every hook tool goes through.

use std::{path::PathBuf, time::Duration};

use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::process::Command;

use crate::process::{self, Limits, ProcessError};

/// A tool is one round trip to the agent, some also to the controller. One that takes longer than this hangs.
const LIMITS: Limits = Limits { time: Duration::from_mins(1), output: 16 * 1024 * 1024 };

/// Runs Juju's hook tools, which live on the `PATH` that Juju sets.
#[derive(Clone, Debug, Default)]
pub(crate) struct HookTools {
    directory: Option<PathBuf>,
}

/// Why a hook tool gave no result.
#[derive(Debug, Error)]
pub(crate) enum ToolError {
    #[error("the hook tool {tool} did not run")]
    Process {
        tool: &'static str,
        #[source]
        source: ProcessError,
    },
    #[error("the hook tool {tool} failed: {stderr}")]
    Failed {
        tool: &'static str,
        /// Its exit code: 1 when the operation failed, 2 for wrong arguments.
        code: Option<i32>,
        stderr: String,
    },
    /// The tool's output is not what the contract with Juju says. The output itself may hold credentials and stays out.
    #[error("the hook tool {tool} printed something unexpected in line {line}, column {column}")]
    Output {
        tool: &'static str,
        /// Where reading stopped, counted from 1.
        line: usize,
        /// Where reading stopped, counted from 1.
        column: usize,
    },
}

impl HookTools {
    /// Returns the tools on the `PATH` of this process.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Returns the tools in a directory.
    #[cfg(test)]
    pub(crate) fn in_directory(directory: PathBuf) -> Self {
        Self { directory: Some(directory) }
    }

    /// Runs a tool and returns what it printed, without white space at the end.
    ///
    /// A value that may start with a dash has to stand behind a `"--"`, or the tool takes it for a flag; `input` goes to
    /// standard input, which a tool reads only where told so with `--file -`.
    ///
    /// # Errors
    ///
    /// When the tool cannot be run, takes too long or ends with another exit code than 0.
    pub(crate) async fn run(
        &self,
        tool: &'static str,
        arguments: &[&str],
        input: Option<&[u8]>,
    ) -> Result<String, ToolError> {
        let mut command = match &self.directory {
            Some(directory) => Command::new(directory.join(tool)),
            None => Command::new(tool),
        };
        command.args(arguments);
        let finished =
            process::run(command, input, LIMITS).await.map_err(|source| ToolError::Process { tool, source })?;
        if !finished.status.success() {
            return Err(ToolError::Failed { tool, code: finished.status.code(), stderr: finished.stderr_text() });
        }
        Ok(String::from_utf8_lossy(&finished.stdout).trim_end().to_owned())
    }

    /// Runs a tool with `--format json` and reads its output. Of nothing, Juju says `null`: it never says nothing.
    ///
    /// # Errors
    ///
    /// As [`HookTools::run`], and when the output is not the expected JSON.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        tool: &'static str,
        arguments: &[&str],
    ) -> Result<T, ToolError> {
        let mut all = vec!["--format", "json"];
        all.extend_from_slice(arguments);
        read(tool, &self.run(tool, &all, None).await?)
    }

    /// As [`HookTools::json`], where there may be nothing, which is `null` in some releases. That is not believed at the first word:
    /// what another application has declared would be given up by it.
    ///
    /// # Errors
    ///
    /// As [`HookTools::json`].
    pub(crate) async fn json_or_nothing<T: DeserializeOwned>(
        &self,
        tool: &'static str,
        arguments: &[&str],
    ) -> Result<Option<T>, ToolError> {
        match self.json(tool, arguments).await? {
            Some(value) => Ok(Some(value)),
            None => self.json(tool, arguments).await,
        }
    }
}

/// Reads the JSON that a tool printed. Its error does not repeat any of it.
pub(crate) fn read<T: DeserializeOwned>(tool: &'static str, printed: &str) -> Result<T, ToolError> {
    serde_json::from_str(printed).map_err(|error| ToolError::Output {
        tool,
        line: error.line(),
        column: error.column(),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    /// Hook tools that are shell scripts, each appending its arguments (one a line) and input to `<tool>.calls`.
    pub(crate) struct ScriptedTools {
        directory: TempDir,
    }

    impl ScriptedTools {
        pub(crate) fn new(scripts: &[(&str, &str)]) -> Self {
            let directory = TempDir::new().unwrap();
            for (tool, script) in scripts {
                let path = directory.path().join(tool);
                let calls = directory.path().join(format!("{tool}.calls"));
                let script = format!(
                    "for a in \"$@\"; do printf '%s\\n' \"$a\"; done >>'{0}'\ncat >>'{0}'\n{script}",
                    calls.display()
                );
                process::tests::write_program(&path, &script);
            }
            Self { directory }
        }

        pub(crate) fn tools(&self) -> HookTools {
            HookTools::in_directory(self.directory.path().to_owned())
        }

        pub(crate) fn calls(&self, tool: &str) -> String {
            fs::read_to_string(self.directory.path().join(format!("{tool}.calls"))).unwrap_or_default()
        }

        /// How many lines the scripts have written to a file beside them.
        pub(crate) fn lines(&self, file: &str) -> usize {
            fs::read_to_string(self.directory.path().join(file)).unwrap_or_default().lines().count()
        }
    }

    #[tokio::test]
    async fn the_error_of_a_tool_carries_all_that_it_wrote() {
        let scripted = ScriptedTools::new(&[(
            "relation-set",
            "echo 'ERROR cannot write' >&2; echo 'relation settings' >&2; exit 1",
        )]);
        let error = scripted.tools().run("relation-set", &["a=b"], None).await.unwrap_err();
        assert_eq!(error.to_string(), "the hook tool relation-set failed: ERROR cannot write\nrelation settings");
    }

    #[tokio::test]
    async fn unexpected_output_is_an_error_that_does_not_repeat_it() {
        let scripted = ScriptedTools::new(&[("secret-get", r#"echo '{"access-key": 5, "secret-key": "x"}'"#)]);
        let error =
            scripted.tools().json::<std::collections::BTreeMap<String, String>>("secret-get", &[]).await.unwrap_err();
        assert_eq!(error.to_string(), "the hook tool secret-get printed something unexpected in line 1, column 16");
    }

    #[tokio::test]
    async fn nothing_printed_is_an_error_and_not_nothing() {
        for (script, is_read) in [("true", false), ("echo null", true)] {
            let scripted = ScriptedTools::new(&[("config-get", script)]);
            let value: Result<Option<String>, _> = scripted.tools().json("config-get", &["key"]).await;
            assert_eq!(value.is_ok_and(|value| value.is_none()), is_read, "{script}");
        }
    }
}
