//! The Schedule that comes of what an application has declared.

use std::{borrow::Cow, collections::BTreeMap};

use kube::api::{DynamicObject, ObjectMeta, TypeMeta};
use serde_json::{Value, json};

use super::{
    label_value::{hashed_name, label_value, short_hash},
    manifests::finish,
    policies::reference,
};
use crate::{
    backups::{BackupSpec, ScheduledBackup, SpecId, Target, Ttl},
    velero::names::{LOCATION, SPEC, velero_kind},
};

/// Velero calls backups after their Schedule, with a time of 15 characters behind it, and takes that for the value of a label.
const LONGEST_NAME: usize = 63 - 15;
/// The label by which the Python charm knew its Schedules, and their backups.
pub(crate) const SCHEDULED_BY: (&str, &str) = ("managed-by", "velero-operator");
/// The labels of an application's Schedule and its backups: its name, the name of its endpoint, and its model's.
pub(crate) const TARGET_LABELS: [&str; 3] = ["app", "endpoint", "model"];

/// What all Schedules of an installation, and the backups that are made by hand, have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScheduleSettings<'a> {
    /// The application of the charm.
    pub application: &'a str,
    pub namespace: &'a str,
    /// Whether volumes are backed up by their files unless something says otherwise.
    pub default_volumes_to_fs_backup: bool,
    /// Whether there is a place for snapshots of volumes.
    pub has_snapshot_location: bool,
    /// The name of the ConfigMap with the policies for volumes, if there are any.
    pub policies: Option<&'a str>,
}

impl ScheduleSettings<'_> {
    /// Returns the Schedule of a spec, without a name. It skips nothing.
    pub(crate) fn schedule(&self, id: SpecId, target: &Target, backup: &ScheduledBackup) -> DynamicObject {
        let (labels, annotations) = self.marks(id, target);
        let mut schedule = DynamicObject {
            types: Some(velero_kind("v1", "Schedule")),
            metadata: ObjectMeta {
                namespace: Some(self.namespace.to_owned()),
                labels: Some(labels.clone()),
                annotations: Some(annotations),
                ..ObjectMeta::default()
            },
            data: json!({"spec": {
                "schedule": backup.cron.as_str(),
                "paused": backup.spec.paused.unwrap_or_default(),
                // Where it is left out, Velero 1.18 changes what it goes by for all others.
                "skipImmediately": false,
                "useOwnerReferencesInBackup": backup.spec.use_owner_references_in_backup,
                "template": self.template(&backup.spec, backup.ttl.as_ref(), &labels),
            }}),
        };
        finish(&mut schedule, self.application);
        schedule
    }

    /// Returns a name for a new Schedule of a spec that nobody has taken.
    pub(crate) fn new_name(&self, id: SpecId, target: &Target, is_taken: impl Fn(&str) -> bool) -> String {
        let named = |attempt: u32| self.name(&written(id), &target.application, &target.endpoint, attempt);
        (0..u32::MAX).map(named).find(|name| !is_taken(name)).unwrap_or_default()
    }

    /// Whether a Schedule of that name was the application's, of the spec that `spec` and `target` tell of. Of a name that it had only
    /// because others were taken, that is not known.
    pub(crate) fn gave_name(&self, name: &str, spec: &str, target: &[String; 3]) -> bool {
        let [application, endpoint, _] = target;
        name == self.name(spec, application, endpoint, 0)
    }

    fn name(&self, spec: &str, application: &str, endpoint: &str, attempt: u32) -> String {
        let text = format!("{application}-{endpoint}").to_lowercase();
        // Backups are named after it, and those of other clusters may be in the same bucket.
        let hash = short_hash(&[self.namespace, self.application, spec, &text, &attempt.to_string()]);
        hashed_name(&text, &hash, LONGEST_NAME)
    }

    /// Returns what the labels of a target's Schedule say.
    pub(crate) fn target_labels<'a>(
        &'a self,
        target: &'a Target,
    ) -> impl Iterator<Item = (&'static str, Cow<'a, str>)> {
        self.target_texts(target).into_iter().map(|(key, text)| (key, label_value(text)))
    }

    fn target_texts<'a>(&'a self, target: &'a Target) -> [(&'static str, &'a str); 3] {
        let [application, endpoint, model] = TARGET_LABELS;
        // The namespace of a model has its name.
        let of_model = target.model.as_deref().unwrap_or(self.namespace);
        [(application, target.application.as_str()), (endpoint, target.endpoint.as_str()), (model, of_model)]
    }

    /// Returns the labels and annotations that tell of what spec something is.
    pub(super) fn marks(&self, id: SpecId, target: &Target) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
        let labels = self.target_labels(target).chain([(SCHEDULED_BY.0, SCHEDULED_BY.1.into())]);
        let labels: BTreeMap<_, _> = labels.map(|(key, value)| (key.to_owned(), value.into_owned())).collect();
        let mut annotations = BTreeMap::from([(SPEC.to_owned(), written(id))]);
        // What a label does not tell.
        for (key, text) in self.target_texts(target) {
            if labels[key] != text {
                annotations.insert(target_annotation(key), text.to_owned());
            }
        }
        (labels, annotations)
    }

    /// Returns the spec of the backups that are made.
    pub(super) fn template(&self, spec: &BackupSpec, ttl: Option<&Ttl>, labels: &BTreeMap<String, String>) -> Value {
        let selector = spec.label_selector.as_ref().filter(|labels| !labels.is_empty());
        let excluded = |names: &Option<Vec<String>>| names.clone().filter(|names| !names.is_empty());
        json!({
            // The backups have just these, and not those of the Schedule that say whose it is.
            "metadata": {"labels": labels},
            "storageLocation": LOCATION,
            "volumeSnapshotLocations": self.has_snapshot_location.then_some([LOCATION]),
            "includedNamespaces": spec.include_namespaces,
            "excludedNamespaces": excluded(&spec.exclude_namespaces),
            "includedResources": spec.include_resources,
            "excludedResources": excluded(&spec.exclude_resources),
            "includeClusterResources": spec.include_cluster_resources,
            "labelSelector": selector.map(|labels| json!({"matchLabels": labels})),
            "ttl": ttl.map(Ttl::as_str),
            "defaultVolumesToFsBackup": self.default_volumes_to_fs_backup,
            "resourcePolicy": self.policies.map(reference),
        })
    }
}

/// Returns whose a Schedule or a backup is, in whole texts: those of the labels of [`TARGET_LABELS`], unless one could not hold its text.
pub(crate) fn target_of(labels: &BTreeMap<String, String>, annotations: &BTreeMap<String, String>) -> [String; 3] {
    TARGET_LABELS.map(|label| {
        annotations.get(&target_annotation(label)).or_else(|| labels.get(label)).cloned().unwrap_or_default()
    })
}

/// Returns the annotation with the text that a label of [`TARGET_LABELS`] could not hold.
fn target_annotation(label: &str) -> String {
    format!("velero-operator/{label}")
}

/// Returns the kind of Schedules.
pub(crate) fn schedule_kind() -> TypeMeta {
    velero_kind("v1", "Schedule")
}

/// Returns the spec that a Schedule of the charm's is of, as far as it says so.
pub(crate) fn spec_of(schedule: &DynamicObject) -> Option<SpecId> {
    let (relation, position) = schedule.metadata.annotations.as_ref()?.get(SPEC)?.split_once('/')?;
    Some(SpecId { relation: relation.parse().ok()?, position: position.parse().ok()? })
}

fn written(SpecId { relation, position }: SpecId) -> String {
    format!("{relation}/{position}")
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
