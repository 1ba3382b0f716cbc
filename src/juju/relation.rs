//! Relations and their databags.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

use serde::{Deserialize, Serialize};

use super::{HookTools, ToolError};

/// Juju's id of a relation in the form `endpoint:7`, which newer agents check against the endpoint.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct RelationId(String);

impl RelationId {
    /// Returns the id as Juju prints it.
    pub(crate) fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// Returns the id as the tools' `-r` takes it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the endpoint before the colon.
    pub(crate) fn endpoint(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// Returns the number behind the colon, which is unique in the model.
    pub(crate) fn number(&self) -> &str {
        self.0.rsplit(':').next().unwrap_or_default()
    }
}

impl fmt::Display for RelationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Which of its own databags a unit writes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bag {
    /// That of the application, which is the leader's.
    Application,
    /// Its own.
    Unit,
}

/// What one side of a relation has published. Every value is text; some are credentials, so that printing a databag for
/// debugging shows its keys alone.
#[derive(Clone, Default, Deserialize, Eq, PartialEq)]
pub(crate) struct Databag(BTreeMap<String, String>);

impl Databag {
    /// Returns the value of a key; an empty one counts as absent, as `relation-set` deletes a key by an empty value.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Returns those of `wanted` that are not published yet with just that value.
    pub(crate) fn missing_from(&self, wanted: &BTreeMap<&'static str, String>) -> BTreeMap<&'static str, String> {
        wanted
            .iter()
            .filter(|(key, value)| self.0.get(**key) != Some(value))
            .map(|(key, value)| (*key, value.clone()))
            .collect()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Databag {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl fmt::Debug for Databag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl HookTools {
    /// Returns the relations of an endpoint. In a `-relation-broken` hook the broken one is not among them. Of an endpoint without
    /// any, Juju says `[]`: that there is none is never taken from nothing said, as a storage would be given up by it.
    pub(crate) async fn relation_ids(&self, endpoint: &str) -> Result<Vec<RelationId>, ToolError> {
        let ids: Vec<String> = self.json("relation-ids", &[endpoint]).await?;
        Ok(ids.into_iter().map(RelationId).collect())
    }

    /// Returns the application on the other side, if Juju still knows it.
    pub(crate) async fn remote_application(&self, relation: &RelationId) -> Result<Option<String>, ToolError> {
        let name: Option<String> = self.json_or_nothing("relation-list", &["--app", "-r", relation.as_str()]).await?;
        Ok(name.filter(|name| !name.is_empty()))
    }

    /// Returns the databag of an application; of our own only where the unit is the leader.
    pub(crate) async fn application_databag(
        &self,
        relation: &RelationId,
        application: &str,
    ) -> Result<Databag, ToolError> {
        self.databag(&["-r", relation.as_str(), "--app", "-", application]).await
    }

    /// Returns the databag of a unit.
    pub(crate) async fn unit_databag(&self, relation: &RelationId, unit: &str) -> Result<Databag, ToolError> {
        self.databag(&["-r", relation.as_str(), "-", unit]).await
    }

    async fn databag(&self, arguments: &[&str]) -> Result<Databag, ToolError> {
        Ok(self.json_or_nothing("relation-get", arguments).await?.unwrap_or_default())
    }

    /// Publishes values in one of our own databags; an empty value deletes its key. Only the leader may write to that of the
    /// application: a unit that has just lost the leadership leaves it to the next leader, which publishes the same.
    ///
    /// They go by standard input: as arguments they would be trimmed and visible to other processes.
    pub(crate) async fn publish(
        &self,
        relation: &RelationId,
        bag: Bag,
        values: &BTreeMap<&'static str, String>,
    ) -> Result<(), ToolError> {
        let input = flat_map(values);
        let mut arguments = vec!["-r", relation.as_str()];
        if bag == Bag::Application {
            arguments.push("--app");
        }
        arguments.extend(["--file", "-"]);
        match self.run("relation-set", &arguments, Some(input.as_bytes())).await {
            Err(ToolError::Failed { stderr, .. }) if bag == Bag::Application && is_for_leaders(&stderr) => {
                tracing::info!("another unit has become the leader, and publishes in {relation}");
                Ok(())
            }
            outcome => outcome.map(drop),
        }
    }
}

/// Whether the tool says that only the leader may: in the words of Juju 3.6 and 4.0, the second of which name the lost lease.
fn is_for_leaders(stderr: &str) -> bool {
    ["cannot write relation settings", "not the leader", "leadership status unknown"]
        .iter()
        .any(|words| stderr.contains(words))
}

/// Returns a map as the tools' YAML reader takes it: JSON, with the characters escaped that it refuses in the raw, or takes for a line
/// break or for nothing.
pub(crate) fn flat_map(values: &impl Serialize) -> String {
    let json = serde_json::json!(values).to_string();
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if matches!(character, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') {
            // Writing to a String does not fail.
            let _ = write!(text, "\\u{:04x}", u32::from(character));
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{super::tool::tests::ScriptedTools, *};

    #[tokio::test]
    async fn relations_that_juju_does_not_tell_are_not_taken_for_none() {
        for silence in ["true", "echo null"] {
            let scripted = ScriptedTools::new(&[("relation-ids", silence)]);
            assert!(scripted.tools().relation_ids("s3-credentials").await.is_err(), "{silence}");
        }
        let scripted = ScriptedTools::new(&[("relation-ids", "echo '[]'")]);
        assert_eq!(scripted.tools().relation_ids("s3-credentials").await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_databag_keeps_texts_that_look_like_numbers_and_prints_only_its_keys() {
        let scripted =
            ScriptedTools::new(&[("relation-get", r#"echo '{"bucket":"2024","secret-key":"1e10","empty":""}'"#)]);
        let relation = RelationId::new("s3-credentials:7");
        let bag = scripted.tools().application_databag(&relation, "s3-integrator").await.unwrap();
        assert_eq!(bag.get("bucket"), Some("2024"));
        assert_eq!(bag.get("secret-key"), Some("1e10"));
        assert_eq!(bag.get("empty"), None);
        assert_eq!(format!("{bag:?}"), r#"{"bucket", "empty", "secret-key"}"#);
        assert_eq!(scripted.calls("relation-get"), "--format\njson\n-r\ns3-credentials:7\n--app\n-\ns3-integrator\n");
    }

    #[tokio::test]
    async fn that_a_databag_is_nothing_is_not_believed_at_the_first_word() {
        let once = r#"if [ -e "$0.asked" ]; then echo '{"bucket":"backups"}'; else touch "$0.asked"; echo null; fi"#;
        let relation = RelationId::new("s3-credentials:7");
        for (script, said) in [(once, Some("backups")), ("echo null", None), ("echo '{}'", None)] {
            let scripted = ScriptedTools::new(&[("relation-get", script)]);
            let bag = scripted.tools().application_databag(&relation, "s3-integrator").await.unwrap();
            assert_eq!(bag.get("bucket"), said, "{script}");
        }
        let silent = ScriptedTools::new(&[("relation-get", "true")]);
        assert!(silent.tools().application_databag(&relation, "s3-integrator").await.is_err());
    }

    #[tokio::test]
    async fn values_are_published_by_standard_input() {
        let scripted = ScriptedTools::new(&[("relation-set", "true")]);
        let values =
            BTreeMap::from([("requested-secrets", "[\"access-key\"]".to_owned()), ("odd", "-x\n\u{7f}".to_owned())]);
        scripted.tools().publish(&RelationId::new("s3-credentials:7"), Bag::Application, &values).await.unwrap();
        assert_eq!(
            scripted.calls("relation-set"),
            "-r\ns3-credentials:7\n--app\n--file\n-\n{\"odd\":\"-x\\n\\u007f\",\"requested-secrets\":\"[\\\"access-key\\\"]\"}"
        );
    }

    #[tokio::test]
    async fn a_unit_reads_and_writes_what_is_its_own() {
        let scripted =
            ScriptedTools::new(&[("relation-get", r#"echo '{"address":"10.1.42.30"}'"#), ("relation-set", "true")]);
        let relation = RelationId::new("metrics-endpoint:12");
        let bag = scripted.tools().unit_databag(&relation, "velero-operator/1").await.unwrap();
        assert_eq!(bag.get("address"), Some("10.1.42.30"));
        let read = "--format\njson\n-r\nmetrics-endpoint:12\n-\nvelero-operator/1\n";
        assert_eq!(scripted.calls("relation-get"), read);
        let values = BTreeMap::from([("address", "10.1.42.31".to_owned())]);
        scripted.tools().publish(&relation, Bag::Unit, &values).await.unwrap();
        let written = "-r\nmetrics-endpoint:12\n--file\n-\n{\"address\":\"10.1.42.31\"}";
        assert_eq!(scripted.calls("relation-set"), written);
    }

    #[tokio::test]
    async fn a_unit_that_has_lost_the_leadership_leaves_it_to_the_leader() {
        let values = BTreeMap::from([("bucket", "backups".to_owned())]);
        let relation = RelationId::new("s3-credentials:7");
        for (said, is_well) in [
            ("ERROR cannot write relation settings", true),
            ("ERROR this unit is not the leader", true),
            ("ERROR leadership status unknown: connection is shut down", true),
            ("ERROR relation settings too large", false),
        ] {
            let scripted = ScriptedTools::new(&[("relation-set", &format!("echo '{said}' >&2; exit 1"))]);
            assert_eq!(scripted.tools().publish(&relation, Bag::Application, &values).await.is_ok(), is_well, "{said}");
        }
    }

    #[test]
    fn only_what_differs_is_to_be_published() {
        let bag: Databag = [("a", "1"), ("b", "2")].into_iter().collect();
        let wanted = BTreeMap::from([("a", "1".to_owned()), ("b", "3".to_owned()), ("c", "4".to_owned())]);
        assert_eq!(bag.missing_from(&wanted), BTreeMap::from([("b", "3".to_owned()), ("c", "4".to_owned())]));
    }

    #[test]
    fn what_yaml_refuses_in_the_raw_or_takes_for_a_line_break_is_escaped() {
        let values = BTreeMap::from([("odd", "\u{85}\u{2028}\u{2029}\u{feff}\u{fffe}\u{ffff}é😀")]);
        assert_eq!(flat_map(&values), r#"{"odd":"\u0085\u2028\u2029\ufeff\ufffe\uffffé😀"}"#);
    }
}
