//! Juju secrets that another application has granted to us.

use std::{collections::BTreeMap, fmt};

use secrecy::{ExposeSecret, SecretString};

use super::{HookTools, ToolError};

/// The content of a secret. It does not print itself.
#[derive(Clone)]
pub(crate) struct SecretContent(BTreeMap<String, SecretString>);

impl SecretContent {
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.expose_secret()))
    }
}

#[cfg(test)]
impl From<BTreeMap<String, SecretString>> for SecretContent {
    fn from(fields: BTreeMap<String, SecretString>) -> Self {
        Self(fields)
    }
}

impl fmt::Debug for SecretContent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SecretContent").finish_non_exhaustive()
    }
}

impl HookTools {
    /// Returns the newest content of a secret, which becomes the one that this unit is pinned to; `None` while it is not
    /// granted to us, or is gone.
    pub(crate) async fn secret(&self, uri: &str) -> Result<Option<SecretContent>, ToolError> {
        match self.json::<Option<BTreeMap<String, SecretString>>>("secret-get", &["--refresh", "--", uri]).await {
            Ok(content) => Ok(content.map(SecretContent)),
            Err(ToolError::Failed { stderr, .. }) if is_out_of_reach(&stderr) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether the tool says that the secret is not granted to us, or is gone. The texts are those of Juju 3.6 and 4.0, which
/// report a missing secret backend in similar words.
fn is_out_of_reach(stderr: &str) -> bool {
    let said = stderr.trim();
    let said = said.strip_prefix("ERROR ").unwrap_or(said);
    let words: Vec<&str> = said.split_whitespace().collect();
    said == "permission denied"
        || matches!(
            words.as_slice(),
            ["secret", "not", "found"] | ["secret", _, "not", "found"] | ["secret", _, "revision", _, "not", "found"]
        )
}

#[cfg(test)]
mod tests {
    use super::super::tool::tests::ScriptedTools;

    #[tokio::test]
    async fn a_secret_that_is_not_granted_is_no_error() {
        let scripted = ScriptedTools::new(&[("secret-get", "echo 'ERROR permission denied' >&2; exit 1")]);
        assert!(scripted.tools().secret("secret:d5k2n8fq9mvc7a3t1he0").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_secret_that_is_gone_is_no_error_in_the_words_of_any_juju() {
        for said in [
            r#"secret "d5k2n8fq9mvc7a3t1he0" not found"#,
            r#"secret "secret:d5k2n8fq9mvc7a3t1he0" not found"#,
            "secret d5k2n8fq9mvc7a3t1he0 revision 2 not found",
            "secret not found",
            "secret revision not found",
        ] {
            let scripted = ScriptedTools::new(&[("secret-get", &format!("echo 'ERROR {said}' >&2; exit 1"))]);
            assert!(scripted.tools().secret("secret:d5k2n8fq9mvc7a3t1he0").await.unwrap().is_none(), "{said}");
        }
    }

    #[tokio::test]
    async fn what_keeps_a_granted_secret_from_being_read_is_an_error() {
        for said in [
            r#"external secret backend "6b0e3c52" not found, have [internal]"#,
            r#"external secret backend "6b0e3c52" not found"#,
            r#"secret backend "vault" not found"#,
            r#"model "demo" not found"#,
            "connection is shut down",
            "saving content: open /run/vault: permission denied",
        ] {
            let scripted = ScriptedTools::new(&[("secret-get", &format!("echo 'ERROR {said}' >&2; exit 1"))]);
            let error = scripted.tools().secret("secret:d5k2n8fq9mvc7a3t1he0").await.unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[tokio::test]
    async fn the_content_does_not_print_itself() {
        let scripted = ScriptedTools::new(&[("secret-get", r#"echo '{"secret-key":"s3cr3t"}'"#)]);
        let content = scripted.tools().secret("secret:d5k2n8fq9mvc7a3t1he0").await.unwrap().unwrap();
        assert!(!format!("{content:?}").contains("s3cr3t"));
        assert_eq!(content.entries().collect::<Vec<_>>(), [("secret-key", "s3cr3t")]);
    }
}
