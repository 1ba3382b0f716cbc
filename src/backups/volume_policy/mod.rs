//! Velero's resource policies, as far as they are about volumes: what is to become of those that fit conditions.
//!
//! Reference: `internal/resourcepolicies` of Velero 1.18. Its other policies select kinds of objects. Velero refuses them with each
//! backup that does so itself, as those of most applications do, and so they are refused here.

mod capacity;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, de::IgnoredAny};
use thiserror::Error;

use capacity::Capacity;

/// The version of the form that Velero reads.
const VERSION: &str = "v1";

/// What is to become of volumes, in the order in which conditions are tried.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct VolumePolicies {
    text: String,
    policies: Vec<Policy>,
}

/// What becomes of a volume.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum VolumeAction {
    /// Its data is left out.
    Skip,
    /// Its files are read.
    Files,
    /// A snapshot is made of it.
    Snapshot,
    /// Somebody else's plugin has to do with it.
    Custom,
}

/// What conditions are about.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct VolumeTraits {
    /// Its size, as Kubernetes writes it.
    pub capacity: String,
    pub storage_class: String,
    /// The field of the volume's spec that says what it is: `nfs`, `csi`, `hostPath`.
    pub kind: String,
    /// The server and the path, of one by NFS.
    pub nfs: Option<(String, String)>,
    /// The driver and its attributes, of one by CSI.
    pub csi: Option<(String, BTreeMap<String, String>)>,
    /// Of its claim, as all that follow.
    pub labels: BTreeMap<String, String>,
    pub phase: String,
    pub mode: String,
    pub access_modes: BTreeSet<String>,
}

/// Why a text is no policy, where it can be in Velero's own words.
#[derive(Debug, Error)]
pub(crate) enum PolicyError {
    #[error("incompatible version number {version} with supported version {VERSION}")]
    Version { version: String },
    #[error("invalid action type {action}")]
    Action { action: String },
    #[error("wrong format of Capacity {capacity}")]
    CapacityForm { capacity: String },
    #[error("illegal values for capacity {capacity}")]
    CapacityRange { capacity: String },
    #[error("csi driver should not be empty when filtering by volume attributes")]
    NoDriver,
    #[error("{policy} cannot be used with backups that name kinds of resources, as those of applications do")]
    NotOfVolumes { policy: &'static str },
    #[error("{0}")]
    Form(#[from] serde_yaml::Error),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    #[serde(default)]
    version: String,
    #[serde(default)]
    volume_policies: Option<Vec<Written>>,
    include_exclude_policy: Option<IgnoredAny>,
    cluster_scoped_filter_policy: Option<IgnoredAny>,
    namespaced_filter_policies: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    conditions: Option<Conditions>,
    action: WrittenAction,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAction {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, rename = "parameters")]
    _parameters: Option<IgnoredAny>,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Conditions {
    capacity: String,
    storage_class: Vec<String>,
    nfs: Option<Nfs>,
    csi: Option<Csi>,
    volume_types: Vec<String>,
    pvc_labels: BTreeMap<String, String>,
    pvc_phase: Vec<String>,
    pvc_volume_mode: String,
    pvc_access_modes: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Nfs {
    server: String,
    path: String,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Csi {
    driver: String,
    volume_attributes: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Policy {
    conditions: Conditions,
    capacity: Capacity,
    action: VolumeAction,
}

impl VolumePolicies {
    /// Reads them as Velero does.
    pub(crate) fn parse(text: &str) -> Result<Self, PolicyError> {
        let document: Document = serde_yaml::from_str(text)?;
        if document.version != VERSION {
            return Err(PolicyError::Version { version: document.version });
        }
        for (policy, written) in [
            ("includeExcludePolicy", &document.include_exclude_policy),
            ("clusterScopedFilterPolicy", &document.cluster_scoped_filter_policy),
            ("namespacedFilterPolicies", &document.namespaced_filter_policies),
        ] {
            if written.is_some() {
                return Err(PolicyError::NotOfVolumes { policy });
            }
        }
        let policies = document.volume_policies.unwrap_or_default().into_iter().map(Policy::read);
        Ok(Self { text: format!("{}\n", text.trim()), policies: policies.collect::<Result<_, _>>()? })
    }

    /// Returns the text that they were read from.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns what is to become of a volume, if one of them is about it.
    pub(crate) fn action(&self, volume: &VolumeTraits) -> Option<VolumeAction> {
        self.policies.iter().find(|policy| policy.fits(volume)).map(|policy| policy.action)
    }
}

impl Policy {
    fn read(written: Written) -> Result<Self, PolicyError> {
        let action = match written.action.kind.as_str() {
            "skip" => VolumeAction::Skip,
            "fs-backup" => VolumeAction::Files,
            "snapshot" => VolumeAction::Snapshot,
            "custom" => VolumeAction::Custom,
            other => return Err(PolicyError::Action { action: other.to_owned() }),
        };
        let conditions = written.conditions.unwrap_or_default();
        if conditions.csi.as_ref().is_some_and(|csi| csi.driver.is_empty() && !csi.volume_attributes.is_empty()) {
            return Err(PolicyError::NoDriver);
        }
        Ok(Self { capacity: Capacity::parse(&conditions.capacity)?, conditions, action })
    }

    /// Whether all conditions are met.
    fn fits(&self, volume: &VolumeTraits) -> bool {
        let Conditions { storage_class, nfs, csi, volume_types, .. } = &self.conditions;
        let Conditions { pvc_labels, pvc_phase, pvc_volume_mode, pvc_access_modes, .. } = &self.conditions;
        let is_among = |wanted: &[String], found: &str| wanted.is_empty() || wanted.iter().any(|each| each == found);
        self.capacity.holds(&volume.capacity)
            && is_among(storage_class, &volume.storage_class)
            && nfs.as_ref().is_none_or(|nfs| volume.nfs.as_ref().is_some_and(|found| nfs.fits(found)))
            && csi.as_ref().is_none_or(|csi| volume.csi.as_ref().is_some_and(|found| csi.fits(found)))
            && is_among(volume_types, &volume.kind)
            && pvc_labels.iter().all(|(key, value)| volume.labels.get(key) == Some(value))
            && is_among(pvc_phase, &volume.phase)
            && (pvc_volume_mode.is_empty() || *pvc_volume_mode == volume.mode)
            && (pvc_access_modes.is_empty()
                || pvc_access_modes.len() == volume.access_modes.len()
                    && pvc_access_modes.iter().cloned().collect::<BTreeSet<_>>() == volume.access_modes)
    }
}

impl Nfs {
    fn fits(&self, (server, path): &(String, String)) -> bool {
        let fits = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        fits(&self.server, server) && fits(&self.path, path)
    }
}

impl Csi {
    fn fits(&self, (driver, attributes): &(String, BTreeMap<String, String>)) -> bool {
        self.driver.is_empty()
            || self.driver == *driver
                && self.volume_attributes.iter().all(|(key, value)| attributes.get(key) == Some(value))
    }
}

#[cfg(test)]
mod tests;
