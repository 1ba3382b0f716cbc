//! What of an application is to be backed up, and how: the value `spec` of both interfaces.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use thiserror::Error;

use super::{
    cron::{Cron, CronError},
    label::{is_label_key, is_label_value},
    resource::ResourceKind,
    ttl::{Ttl, TtlError},
};

/// What an application has declared; `None` where it leaves it to the charm or to Velero.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct BackupSpec {
    pub include_namespaces: Option<Vec<String>>,
    pub exclude_namespaces: Option<Vec<String>>,
    pub include_resources: Option<Vec<String>>,
    pub exclude_resources: Option<Vec<String>>,
    pub label_selector: Option<BTreeMap<String, String>>,
    /// `None` for those that belong to what is selected.
    pub include_cluster_resources: Option<bool>,
    pub ttl: Option<Ttl>,
    pub schedule: Option<Cron>,
    pub paused: Option<bool>,
    /// Whether no backup that is due already is made when the schedule is new or goes on.
    pub skip_immediately: Option<bool>,
    /// Whether the records of the backups are gone once the schedule is.
    pub use_owner_references_in_backup: Option<bool>,
}

/// What is wrong with a spec.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub(crate) enum SpecError {
    #[error("spec is not JSON, at line {line}, column {column}")]
    NotJson {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    #[error("spec is not a JSON object")]
    NotAnObject,
    #[error("{key} is not {wanted}")]
    WrongType { key: &'static str, wanted: &'static str },
    #[error("{key} is an empty list, which Velero takes for everything: name some, or leave it out")]
    MeansEverything { key: &'static str },
    #[error("{key} has an entry that is empty")]
    EmptyEntry { key: &'static str },
    #[error("{key} has \"*\" beside others, of which Velero takes one or the other")]
    EverythingAndMore { key: &'static str },
    #[error("{key} has \"*\", which leaves nothing")]
    ExcludesEverything { key: &'static str },
    #[error("{name:?} is in {included} and in {excluded}")]
    Contradiction {
        included: &'static str,
        excluded: &'static str,
        /// What is in both.
        name: String,
    },
    #[error("{key} has {label:?}, which cannot be a label")]
    NoLabel {
        key: &'static str,
        /// The key or the value.
        label: String,
    },
    #[error("schedule {0}")]
    Schedule(CronError),
    #[error("ttl {0}")]
    Ttl(TtlError),
}

impl BackupSpec {
    /// Reads a spec that is the text of a JSON object.
    ///
    /// # Errors
    ///
    /// As [`Self::from_value`], and when it is not JSON.
    pub(crate) fn from_text(text: &str) -> Result<Self, SpecError> {
        let value = serde_json::from_str(text)
            .map_err(|error| SpecError::NotJson { line: error.line(), column: error.column() })?;
        Self::from_value(&value)
    }

    /// Reads a spec. Unknown keys are no error, as newer applications may have more of them.
    ///
    /// # Errors
    ///
    /// When a value is not of its type, or Velero would not read it, or would take it for something else.
    pub(crate) fn from_value(value: &Value) -> Result<Self, SpecError> {
        let fields = Fields(value.as_object().ok_or(SpecError::NotAnObject)?);
        let (include_namespaces, exclude_namespaces) = fields.choice("include_namespaces", "exclude_namespaces")?;
        let (include_resources, exclude_resources) = fields.choice("include_resources", "exclude_resources")?;
        Ok(Self {
            include_namespaces,
            exclude_namespaces,
            include_resources,
            exclude_resources,
            label_selector: fields.labels("label_selector")?,
            include_cluster_resources: fields.boolean("include_cluster_resources")?,
            ttl: fields.text("ttl")?.map(Ttl::parse).transpose().map_err(SpecError::Ttl)?,
            schedule: fields.text("schedule")?.map(Cron::parse).transpose().map_err(SpecError::Schedule)?,
            paused: fields.boolean("paused")?,
            skip_immediately: fields.boolean("skip_immediately")?,
            use_owner_references_in_backup: fields.boolean("use_owner_references_in_backup")?,
        })
    }
}

impl BackupSpec {
    /// Returns the spec with pods and PersistentVolumes among what it includes, where it includes claims and excludes neither.
    ///
    /// The claims bring the pods that use them, with which Velero reads the files of their volumes. They bring their PersistentVolumes,
    /// too: Velero restores a claim without it as bound to the volume that it had, and it waits for that one for ever.
    pub(crate) fn with_pods(mut self) -> Self {
        let excluded = self.exclude_resources.as_deref().unwrap_or_default();
        if let Some(included) = &mut self.include_resources
            && ResourceKind::CLAIMS.is_among(included)
        {
            for kind in [ResourceKind::VOLUMES, ResourceKind::PODS] {
                if !kind.is_among(included) && !kind.is_among(excluded) {
                    included.push(kind.name().to_owned());
                }
            }
        }
        self
    }
}

/// Names, if there are any.
type Names = Option<Vec<String>>;

/// The fields of a spec, of which `null` is the same as none.
struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn read<T>(
        &self,
        key: &'static str,
        wanted: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, SpecError> {
        let value = self.get(key).map(|value| read(value).ok_or(SpecError::WrongType { key, wanted }));
        value.transpose()
    }

    fn boolean(&self, key: &'static str) -> Result<Option<bool>, SpecError> {
        self.read(key, "true, false or null", Value::as_bool)
    }

    /// Returns a text; an empty one is none.
    fn text(&self, key: &'static str) -> Result<Option<&'a str>, SpecError> {
        Ok(self.read(key, "a text", Value::as_str)?.filter(|text| !text.is_empty()))
    }

    fn names(&self, key: &'static str) -> Result<Names, SpecError> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let names: Names = self.read(key, "a list of texts", |value| value.as_array()?.iter().map(text).collect())?;
        if names.iter().flatten().any(String::is_empty) {
            return Err(SpecError::EmptyEntry { key });
        }
        Ok(names)
    }

    /// Returns the names of what is included. Velero would take none of them for all.
    fn inclusion(&self, key: &'static str) -> Result<Names, SpecError> {
        match self.names(key)? {
            Some(names) if names.is_empty() => Err(SpecError::MeansEverything { key }),
            names => Ok(names),
        }
    }

    /// Returns the names of what is included and of what is excluded, if they can go together.
    fn choice(&self, included: &'static str, excluded: &'static str) -> Result<(Names, Names), SpecError> {
        let (include, exclude) = (self.inclusion(included)?, self.names(excluded)?);
        let (inside, outside) = (include.as_deref().unwrap_or_default(), exclude.as_deref().unwrap_or_default());
        let is_all = |name: &String| name == "*";
        if inside.iter().any(is_all) && !inside.iter().all(is_all) {
            return Err(SpecError::EverythingAndMore { key: included });
        }
        if outside.iter().any(is_all) {
            return Err(SpecError::ExcludesEverything { key: excluded });
        }
        match inside.iter().find(|name| outside.contains(name)) {
            Some(name) => Err(SpecError::Contradiction { included, excluded, name: name.clone() }),
            None => Ok((include, exclude)),
        }
    }

    fn labels(&self, key: &'static str) -> Result<Option<BTreeMap<String, String>>, SpecError> {
        let label = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        let labels: Option<BTreeMap<String, String>> =
            self.read(key, "a map of texts", |value| value.as_object()?.iter().map(label).collect())?;
        let of = |text: &String| SpecError::NoLabel { key, label: text.clone() };
        for (name, value) in labels.iter().flatten() {
            if !is_label_key(name) {
                return Err(of(name));
            }
            if !is_label_value(value) {
                return Err(of(value));
            }
        }
        Ok(labels)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_real_applications_send_is_read() {
        let spec = BackupSpec::from_text(
            r#"{"include_namespaces":["team-a","team-b"],"include_resources":null,"exclude_namespaces":null,
            "exclude_resources":["events"],"label_selector":{"tier":"data"},"ttl":"72h0m0s","include_cluster_resources":null,
            "schedule":"30 1 * * *","paused":false,"skip_immediately":true,"use_owner_references_in_backup":false}"#,
        )
        .unwrap();
        let expected = BackupSpec {
            include_namespaces: Some(vec!["team-a".into(), "team-b".into()]),
            exclude_resources: Some(vec!["events".into()]),
            label_selector: Some([("tier".into(), "data".into())].into()),
            ttl: Some(Ttl::parse("72h0m0s").unwrap()),
            schedule: Some(Cron::parse("30 1 * * *").unwrap()),
            paused: Some(false),
            skip_immediately: Some(true),
            use_owner_references_in_backup: Some(false),
            ..BackupSpec::default()
        };
        assert_eq!(spec, expected);
    }

    #[test]
    fn what_claims_need_is_added_where_they_are_named() {
        let with_pods = |value: &Value| BackupSpec::from_value(value).unwrap().with_pods().include_resources;
        let names = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(with_pods(&json!({"include_resources": ["pvc", "pv"]})), names(&["pvc", "pv", "pods"]));
        assert_eq!(with_pods(&json!({"include_resources": ["pvc"]})), names(&["pvc", "persistentvolumes", "pods"]));
        let without_pods = json!({"include_resources": ["pvc"], "exclude_resources": ["pods"]});
        assert_eq!(with_pods(&without_pods), names(&["pvc", "persistentvolumes"]));
        for unchanged in [
            json!({"include_resources": ["persistentvolumeclaims", "PersistentVolume", "Pod"]}),
            json!({"include_resources": ["*"]}),
            json!({"include_resources": ["profiles.kubeflow.org"]}),
            json!({}),
        ] {
            let spec = BackupSpec::from_value(&unchanged).unwrap();
            assert_eq!(spec.clone().with_pods(), spec, "{unchanged}");
        }
    }

    #[test]
    fn unknown_keys_unknown_resources_and_nothing_at_all_are_no_error() {
        assert_eq!(BackupSpec::from_text("{}"), Ok(BackupSpec::default()));
        let spec = BackupSpec::from_value(
            &json!({"include_resources": ["profiles.kubeflow.org", "no.such"], "newer": [1], "schedule": "", "ttl": null,
                "exclude_namespaces": []}),
        );
        assert_eq!(spec.unwrap().include_resources.unwrap().len(), 2);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_key() {
        for (value, told) in [
            (
                json!({"include_namespaces": []}),
                "include_namespaces is an empty list, which Velero takes for everything",
            ),
            (json!({"include_resources": []}), "include_resources is an empty list, which Velero takes for everything"),
            (json!({"include_namespaces": "team-a"}), "include_namespaces is not a list of texts"),
            (json!({"exclude_resources": [1]}), "exclude_resources is not a list of texts"),
            (json!({"exclude_namespaces": [""]}), "exclude_namespaces has an entry that is empty"),
            (json!({"include_resources": ["pods", "*"]}), "include_resources has \"*\" beside others"),
            (json!({"exclude_namespaces": ["*"]}), "exclude_namespaces has \"*\", which leaves nothing"),
            (
                json!({"include_namespaces": ["a", "b"], "exclude_namespaces": ["b"]}),
                "\"b\" is in include_namespaces and in exclude_namespaces",
            ),
            (json!({"label_selector": {"tier": 1}}), "label_selector is not a map of texts"),
            (json!({"label_selector": {"": "data"}}), "label_selector has \"\", which cannot be a label"),
            (json!({"label_selector": {"tier": "a/b"}}), "label_selector has \"a/b\", which cannot be a label"),
            (json!({"paused": "true"}), "paused is not true, false or null"),
            (json!({"ttl": 72}), "ttl is not a text"),
            (json!({"ttl": "30d"}), "ttl \"30d\" is no duration that Velero reads"),
            (json!({"schedule": "every day"}), "schedule \"every day\" is no cron expression"),
            (json!([]), "spec is not a JSON object"),
        ] {
            let error = BackupSpec::from_value(&value).unwrap_err().to_string();
            assert!(error.starts_with(told), "{value}: {error}");
        }
        let error = BackupSpec::from_text("{\"include_namespaces\": [oops").unwrap_err().to_string();
        assert_eq!(error, "spec is not JSON, at line 1, column 25");
    }
}
