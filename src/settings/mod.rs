//! How Velero's server, its node agent and its repositories are to run, as options say it in YAML.
//!
//! All of it is pure. What Velero or Kubernetes would not take is refused here, as far as it can be told without them: a server that
//! does not know the value of a flag does not start. Keys that are flags of Velero have Velero's names, and what is within an object
//! of Kubernetes has Kubernetes'.

mod node_agent;
mod pods;
mod quantity;
mod repository;
mod selector;
mod server;
mod value;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use thiserror::Error;

pub(crate) use node_agent::NodeAgentSettings;
pub(crate) use pods::PodSettings;
pub(crate) use quantity::Quantity;
pub(crate) use repository::RepositorySettings;
pub(crate) use server::ServerSettings;

/// How all of Velero is to run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Settings {
    pub server: ServerSettings,
    pub node_agent: NodeAgentSettings,
    pub repository: RepositorySettings,
}

/// Why a text says no settings.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct SettingsError(String);

/// What is said of a part of Velero.
pub(crate) trait Group: DeserializeOwned {
    /// Returns what of it contradicts something else of it, if anything does.
    fn contradiction(&self) -> Option<String>;

    /// Reads what a text says in YAML.
    ///
    /// # Errors
    ///
    /// When it is no YAML, has a key that there is not, or a value that Velero or Kubernetes would not take. The error names the key.
    fn parse(text: &str) -> Result<Self, SettingsError> {
        let group: Self = serde_yaml::from_str(text).map_err(|error| SettingsError(error.to_string()))?;
        group.contradiction().map_or(Ok(group), |contradiction| Err(SettingsError(contradiction)))
    }
}

/// A flag of one of Velero's programs, without the dashes, and its value.
pub(crate) type Flag = (&'static str, String);

/// Returns a flag if it has a value.
fn flag(name: &'static str, value: Option<&impl ToString>) -> Option<Flag> {
    value.map(|value| (name, value.to_string()))
}

/// Returns an object with what there is of these entries, if there is any.
fn object<const N: usize>(entries: [(&str, Option<Value>); N]) -> Option<Value> {
    let said: Map<_, _> = entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
    (!said.is_empty()).then(|| said.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a text is refused with.
    fn refusal<G: Group>(text: &str) -> String {
        match G::parse(text) {
            Ok(_) => panic!("{text} was taken"),
            Err(error) => error.to_string(),
        }
    }

    const DOCUMENT: &str = include_str!("../../docs/reference/settings.md");

    /// The part of the document on an option, from its example on.
    fn documented(option: &str) -> &'static str {
        let (_, part) = DOCUMENT.split_once(&format!("\n## {option}\n\n```yaml\n")).unwrap();
        part.split("\n## ").next().unwrap()
    }

    fn example(option: &str) -> &'static str {
        documented(option).split("```").next().unwrap()
    }

    #[test]
    fn the_examples_of_the_document_are_taken_and_have_every_key() {
        fn keys<G: Group>(option: &str) {
            let example: serde_yaml::Mapping = serde_yaml::from_str(example(option)).unwrap();
            G::parse(self::example(option)).unwrap();
            // An unknown key is refused with all that there are.
            let refusal = refusal::<G>("no-such-key: 1");
            let (_, known) = refusal.split_once("expected one of ").unwrap();
            let known: Vec<_> = known.split('`').skip(1).step_by(2).collect();
            assert_eq!(example.keys().map(|key| key.as_str().unwrap()).collect::<Vec<_>>(), known, "{option}");
            let rows = documented(option).lines().filter(|line| line.starts_with("| `"));
            let rows: Vec<_> =
                rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2)).collect();
            assert_eq!(rows, known, "{option}");
        }
        keys::<ServerSettings>("server");
        keys::<NodeAgentSettings>("node-agent");
        keys::<RepositorySettings>("repository");
    }

    #[test]
    fn every_key_that_is_a_flag_of_the_server_goes_to_it() {
        let server = ServerSettings::parse(example("server")).unwrap();
        let example: serde_yaml::Mapping = serde_yaml::from_str(example("server")).unwrap();
        let of_pods = ["resources", "node-selector", "tolerations", "priority-class"];
        let flags = example.iter().filter(|(key, _)| !of_pods.contains(&key.as_str().unwrap()));
        let written = flags.map(|(key, value)| {
            let value = serde_yaml::to_string(value).unwrap().trim().to_owned();
            (key.as_str().unwrap().to_owned(), value)
        });
        let passed = server.flags().map(|(name, value)| (name.to_owned(), value));
        assert_eq!(passed.collect::<Vec<_>>(), written.collect::<Vec<_>>());
    }

    #[test]
    fn what_is_refused_is_named_with_what_there_is_or_an_example() {
        for (text, parts) in [
            ("loglevel: debug", ["unknown field `loglevel`", "`log-level`"]),
            ("log-level: verbose", ["log-level: unknown variant `verbose`", "`debug`"]),
            ("debug", ["invalid type: string \"debug\"", "expected a map such as `log-level: debug`"]),
            ("resource-timeout: 10", ["resource-timeout:", "as 30m"]),
            ("resource-timeout: -1m", ["resource-timeout: \"-1m\"", "not more than nothing"]),
            ("concurrent-backups: 0", ["concurrent-backups:", "nonzero"]),
            ("disable-informer-cache: maybe", ["disable-informer-cache:", "expected a boolean"]),
            ("resources: {limits: {cpus: 1}}", ["resources.limits: unknown field `cpus`", "`cpu`"]),
            ("resources: {limits: {cpu: one}}", ["resources.limits.cpu: \"one\" is no quantity", "as 500m"]),
            ("resources: {requests: {cpu: 2}}", ["resources: the request of cpu, 2,", "the limit, 1"]),
            ("resources: {limits: {memory: 64Mi}}", ["resources: the request of memory, 128Mi,", "the limit, 64Mi"]),
            ("node-selector: {a b: c}", ["node-selector", "\"a b\" is no key of a label"]),
            ("node-selector: {disk: true}", ["node-selector.disk: invalid type: boolean `true`", "in quotes"]),
            ("tolerations: [{value: a}]", ["tolerations: one without a key", "operator: Exists"]),
            ("tolerations: [{key: a, operator: Exists, value: b}]", ["tolerations: Exists", "no value"]),
            ("tolerations: [{key: a, tolerationSeconds: 3}]", ["tolerations:", "effect: NoExecute"]),
            ("tolerations: {key: a}", ["tolerations: invalid type: map", "expected a sequence"]),
            ("priority-class: High_One", ["priority-class: \"High_One\" is no name", "as high-priority"]),
            ("log-level: [", ["line 1", "column"]),
        ] {
            let refusal = refusal::<ServerSettings>(text);
            assert!(parts.iter().all(|part| refusal.contains(part)), "{text}: {refusal}");
        }
        for (text, parts) in [
            ("load-concurrency: {per-node: [{number: 2}]}", ["per-node[0]: missing field `node-selector`", ""]),
            ("load-affinity: [{node-selector: {}}]", ["load-affinity", "selects nothing: as matchLabels"]),
            ("data-mover: {resources: {requests: {cpu: 2}, limits: {cpu: 1}}}", ["data-mover.resources: ", "limit, 1"]),
            (
                "load-affinity: [{node-selector: {matchExpressions: [{key: a, operator: In}]}}]",
                ["load-affinity", "operator In needs values"],
            ),
        ] {
            let refusal = refusal::<NodeAgentSettings>(text);
            assert!(parts.iter().all(|part| refusal.contains(part)), "{text}: {refusal}");
        }
        for (text, parts) in [
            ("cache-limit: 1Ki", ["cache-limit", "less than 1Mi"]),
            ("maintenance: {keep-latest: 0}", ["maintenance.keep-latest:", "nonzero"]),
            ("full-maintenance-interval: daily", ["unknown variant `daily`", "`eagerGC`"]),
        ] {
            let refusal = refusal::<RepositorySettings>(text);
            assert!(parts.iter().all(|part| refusal.contains(part)), "{text}: {refusal}");
        }
    }
}
