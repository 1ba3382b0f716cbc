//! Juju secrets that another application has granted to us.

use std::{collections::BTreeMap, fmt};

use secrecy::{ExposeSecret, SecretString};

use super::{HookTools, ToolError};

/// The content of a secret. It does not print itself.
#[derive(Clone)]
pub struct SecretContent(BTreeMap<String, SecretString>);

impl SecretContent {
    /// The fields with their values.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
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
    /// The newest content of a secret, which becomes the one that this unit is pinned to; `None` while it is not granted
    /// to us, or is gone.
    ///
    /// # Errors
    ///
    /// When the tool fails in another way.
    pub async fn secret(&self, uri: &str) -> Result<Option<SecretContent>, ToolError> {
        match self.json::<Option<BTreeMap<String, SecretString>>>("secret-get", &["--refresh", "--", uri]).await {
            Ok(content) => Ok(content.map(SecretContent)),
            Err(ToolError::Failed { stderr, .. })
                if stderr.contains("permission denied") || stderr.contains("not found") =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
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
    async fn the_content_does_not_print_itself() {
        let scripted = ScriptedTools::new(&[("secret-get", r#"echo '{"secret-key":"s3cr3t"}'"#)]);
        let content = scripted.tools().secret("secret:d5k2n8fq9mvc7a3t1he0").await.unwrap().unwrap();
        assert!(!format!("{content:?}").contains("s3cr3t"));
        assert_eq!(content.entries().collect::<Vec<_>>(), [("secret-key", "s3cr3t")]);
    }
}
