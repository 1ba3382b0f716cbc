//! What a unit keeps with Juju between its hooks.

use std::collections::BTreeMap;

use super::{HookTools, ToolError, relation::flat_map};

impl HookTools {
    /// Returns all that this unit keeps.
    pub(crate) async fn state(&self) -> Result<BTreeMap<String, String>, ToolError> {
        let state: Option<BTreeMap<String, String>> = self.json("state-get", &[]).await?;
        Ok(state.unwrap_or_default())
    }

    /// Keeps values under their keys, once the hook has ended well. A value has at most 65,536 bytes.
    pub(crate) async fn keep(&self, values: &BTreeMap<&str, &str>) -> Result<(), ToolError> {
        let input = flat_map(values);
        self.run("state-set", &["--file", "-"], Some(input.as_bytes())).await.map(drop)
    }

    /// Forgets a key, known or not, once the hook has ended well.
    pub(crate) async fn forget(&self, key: &str) -> Result<(), ToolError> {
        self.run("state-delete", &[key], None).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tool::tests::ScriptedTools, *};

    #[tokio::test]
    async fn nothing_kept_is_an_empty_map() {
        let scripted = ScriptedTools::new(&[("state-get", "echo null")]);
        assert_eq!(scripted.tools().state().await.unwrap(), BTreeMap::new());
        assert_eq!(scripted.calls("state-get"), "--format\njson\n");
    }

    #[tokio::test]
    async fn values_are_kept_by_standard_input() {
        let scripted = ScriptedTools::new(&[("state-set", "true"), ("state-delete", "true")]);
        scripted.tools().keep(&BTreeMap::from([("a", " {\"b\":1}\n")])).await.unwrap();
        assert_eq!(scripted.calls("state-set"), "--file\n-\n{\"a\":\" {\\\"b\\\":1}\\n\"}");
        scripted.tools().forget("a").await.unwrap();
        assert_eq!(scripted.calls("state-delete"), "a\n");
    }
}
