//! A PersistentVolume of a list.

use std::collections::BTreeMap;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use crate::{
    backups::VolumeTraits,
    cluster::{Head, Listed},
};

/// The fields of a volume's spec that say what it is, beside those that are read, and what policies call them.
const KINDS: [(&str, &str); 16] = [
    ("azureFile", "azureFile"),
    ("cephfs", "cephfs"),
    ("cinder", "cinder"),
    ("fc", "fc"),
    ("flocker", "flocker"),
    ("flexVolume", "flexVolume"),
    ("glusterfs", "glusterfs"),
    ("iscsi", "iscsi"),
    ("local", "local"),
    ("photonPersistentDisk", "photonPersistentDisk"),
    ("portworxVolume", "portworxVolume"),
    ("quobyte", "quobyte"),
    ("rbd", "rbd"),
    ("scaleIO", "scaleIO"),
    ("storageos", "storageOS"),
    ("vsphereVolume", "vsphereVolume"),
];

/// What a volume is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum VolumeKind {
    /// A folder of a node.
    HostPath,
    /// What a provider can make a snapshot of, by Velero's plugin for it.
    Disk { provider: &'static str },
    #[default]
    Other,
}

#[derive(Deserialize)]
pub(super) struct SeenVolume {
    pub(super) metadata: Head,
    #[serde(default)]
    spec: SeenVolumeSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SeenVolumeSpec {
    host_path: Option<IgnoredAny>,
    csi: Option<Csi>,
    aws_elastic_block_store: Option<IgnoredAny>,
    gce_persistent_disk: Option<IgnoredAny>,
    azure_disk: Option<IgnoredAny>,
    nfs: Option<Nfs>,
    capacity: Size,
    storage_class_name: String,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Csi {
    driver: String,
    #[serde(default)]
    volume_attributes: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Nfs {
    server: String,
    path: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Size {
    storage: String,
}

impl Listed for SeenVolume {}

impl SeenVolume {
    /// Returns its name with its CSI driver, if it has one.
    pub(super) fn into_driver(self) -> Option<(String, String)> {
        Some((self.metadata.name, self.spec.csi?.driver))
    }

    /// Returns what policies may ask for of the volume itself.
    pub(super) fn traits(&self) -> VolumeTraits {
        let spec = &self.spec;
        let known = [
            ("hostPath", spec.host_path.is_some()),
            ("csi", spec.csi.is_some()),
            ("awsElasticBlockStore", spec.aws_elastic_block_store.is_some()),
            ("gcePersistentDisk", spec.gce_persistent_disk.is_some()),
            ("azureDisk", spec.azure_disk.is_some()),
            ("nfs", spec.nfs.is_some()),
        ];
        let known = known.into_iter().find(|(_, is_it)| *is_it).map(|(kind, _)| kind);
        let other = || KINDS.into_iter().find(|(field, _)| spec.others.contains_key(*field)).map(|(_, kind)| kind);
        VolumeTraits {
            capacity: spec.capacity.storage.clone(),
            storage_class: spec.storage_class_name.clone(),
            kind: known.or_else(other).unwrap_or_default().to_owned(),
            nfs: spec.nfs.as_ref().map(|nfs| (nfs.server.clone(), nfs.path.clone())),
            csi: spec.csi.as_ref().map(|csi| (csi.driver.clone(), csi.volume_attributes.clone())),
            ..VolumeTraits::default()
        }
    }

    /// Reference: `GetVolumeID` of Velero's plugins for AWS 1.14, GCP 1.14 and Azure 1.9.
    pub(super) fn kind(&self) -> VolumeKind {
        let spec = &self.spec;
        let driver = spec.csi.as_ref().map(|csi| csi.driver.as_str());
        if spec.host_path.is_some() {
            VolumeKind::HostPath
        } else if spec.aws_elastic_block_store.is_some() || driver == Some("ebs.csi.aws.com") {
            VolumeKind::Disk { provider: "aws" }
        } else if spec.gce_persistent_disk.is_some()
            || matches!(driver, Some("pd.csi.storage.gke.io" | "gcp.csi.confidential.cloud"))
        {
            VolumeKind::Disk { provider: "gcp" }
        } else if spec.azure_disk.is_some() || driver == Some("disk.csi.azure.com") {
            VolumeKind::Disk { provider: "azure" }
        } else {
            VolumeKind::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn volume(spec: &Value) -> SeenVolume {
        serde_json::from_value(json!({"metadata": {"name": "data"}, "spec": spec})).unwrap()
    }

    #[test]
    fn of_what_disks_velero_can_make_a_snapshot_is_told_by_their_field_or_their_driver() {
        let disk = |provider| VolumeKind::Disk { provider };
        for (spec, kind) in [
            (json!({"hostPath": {}}), VolumeKind::HostPath),
            (json!({"awsElasticBlockStore": {}}), disk("aws")),
            (json!({"csi": {"driver": "ebs.csi.aws.com"}}), disk("aws")),
            (json!({"gcePersistentDisk": {}}), disk("gcp")),
            (json!({"csi": {"driver": "pd.csi.storage.gke.io"}}), disk("gcp")),
            (json!({"csi": {"driver": "gcp.csi.confidential.cloud"}}), disk("gcp")),
            (json!({"azureDisk": {}}), disk("azure")),
            (json!({"csi": {"driver": "disk.csi.azure.com"}}), disk("azure")),
            (json!({"csi": {"driver": "file.csi.azure.com"}}), VolumeKind::Other),
            (json!({"nfs": {}}), VolumeKind::Other),
            (json!({}), VolumeKind::Other),
        ] {
            assert_eq!(volume(&spec).kind(), kind, "{spec}");
        }
    }

    #[test]
    fn policies_are_told_what_a_volume_is() {
        let traits = volume(&json!({"nfs": {"server": "a", "path": "/b"}})).traits();
        assert_eq!((traits.kind.as_str(), traits.nfs), ("nfs", Some(("a".to_owned(), "/b".to_owned()))));
        let csi = json!({"csi": {"driver": "disk", "volumeAttributes": {"tier": "gold"}},
            "capacity": {"storage": "1Gi"}, "storageClassName": "fast"});
        let expected = VolumeTraits {
            capacity: "1Gi".to_owned(),
            storage_class: "fast".to_owned(),
            kind: "csi".to_owned(),
            csi: Some(("disk".to_owned(), [("tier".to_owned(), "gold".to_owned())].into())),
            ..VolumeTraits::default()
        };
        assert_eq!(volume(&csi).traits(), expected);
        assert_eq!(volume(&json!({"storageos": {}})).traits().kind, "storageOS");
    }
}
