//! The VolumeSnapshotClasses of a cluster, by which CSI drivers make snapshots.

use std::collections::BTreeMap;

use kube::{ResourceExt, api::ListParams};

use crate::cluster::{Cluster, ClusterError, call, found, named};

/// The label of the class that Velero takes of a driver, whatever its value is.
const CHOSEN: &str = "velero.io/csi-volumesnapshot-class";
/// The annotation of the class that Kubernetes takes of a driver, whatever its value is for Velero.
const DEFAULT: &str = "snapshot.storage.kubernetes.io/is-default-class";

/// The classes, as far as Velero's choice among them goes.
///
/// Reference: `GetVolumeSnapshotClassForStorageClass` in `pkg/util/csi/volume_snapshot.go` of Velero 1.18.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum SnapshotClasses {
    /// The cluster does not know snapshots.
    Undefined,
    /// For each driver, whether Velero finds the one to take.
    Defined(BTreeMap<String, bool>),
}

/// Reads the classes.
pub(crate) async fn read(cluster: &Cluster) -> Result<SnapshotClasses, ClusterError> {
    let kind = named("snapshot.storage.k8s.io/v1", "VolumeSnapshotClass", "").types.unwrap_or_default();
    let (api, parameters) = (cluster.everywhere(&kind), ListParams::default());
    let Some(classes) = found(call("list", "VolumeSnapshotClasses".to_owned(), || api.list(&parameters)).await)? else {
        return Ok(SnapshotClasses::Undefined);
    };
    let classes = classes.items.iter().map(|class| {
        let is_chosen = class.labels().contains_key(CHOSEN) || class.annotations().contains_key(DEFAULT);
        (class.data["driver"].as_str().unwrap_or_default(), is_chosen)
    });
    Ok(SnapshotClasses::of(classes))
}

impl SnapshotClasses {
    /// Returns what Velero finds among classes: for each the driver, and whether it is marked as the one to take.
    fn of<'a>(classes: impl Iterator<Item = (&'a str, bool)>) -> Self {
        let mut of_drivers = BTreeMap::<_, Vec<bool>>::new();
        classes.for_each(|(driver, is_chosen)| of_drivers.entry(driver.to_owned()).or_default().push(is_chosen));
        // A single one is taken, marked or not.
        let is_found = |marks: Vec<bool>| marks.len() == 1 || marks.contains(&true);
        Self::Defined(of_drivers.into_iter().map(|(driver, marks)| (driver, is_found(marks))).collect())
    }

    /// Whether Velero makes snapshots of a driver's volumes.
    pub(crate) fn are_for(&self, driver: &str) -> bool {
        match self {
            Self::Undefined => false,
            Self::Defined(drivers) => drivers.get(driver).copied().unwrap_or_default(),
        }
    }

    /// Returns what keeps Velero from making snapshots.
    pub(crate) fn lack(&self) -> Option<String> {
        let Self::Defined(drivers) = self else {
            return Some("the cluster has no VolumeSnapshots: install their definitions and controller".to_owned());
        };
        if drivers.is_empty() {
            return Some("there is no VolumeSnapshotClass: make one for the driver of the volumes".to_owned());
        }
        let unclear: Vec<_> =
            drivers.iter().filter(|(_, is_found)| !**is_found).map(|(driver, _)| driver.as_str()).collect();
        (!unclear.is_empty()).then(|| {
            let drivers = unclear.join(", ");
            format!("none of the VolumeSnapshotClasses of {drivers} has the label {CHOSEN}: label the one to use")
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::test_api::TestApi;

    fn classes(classes: &[(&str, bool)]) -> SnapshotClasses {
        SnapshotClasses::of(classes.iter().copied())
    }

    #[test]
    fn velero_takes_the_marked_class_or_the_only_one_of_a_driver() {
        for marked in [0, 1] {
            let several = classes(&[("disk", marked == 0), ("disk", marked == 1), ("files", false)]);
            assert!(several.are_for("disk") && several.are_for("files") && !several.are_for("other"));
            assert_eq!(several.lack(), None);
        }
        let unclear = classes(&[("disk", false), ("disk", false), ("disk", false), ("files", false)]);
        assert!(!unclear.are_for("disk") && unclear.are_for("files"));
        let told = unclear.lack().unwrap();
        assert!(told.starts_with("none of the VolumeSnapshotClasses of disk has the label "), "{told}");
    }

    #[tokio::test]
    async fn a_cluster_without_the_kind_is_told_from_one_without_a_class() {
        let api = TestApi::new();
        assert_eq!(read(&api.cluster("velero")).await.unwrap(), SnapshotClasses::Undefined);
        let class = |name: &str, labels: serde_json::Value| {
            json!({"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass", "driver": "disk",
                "metadata": {"name": name, "labels": labels}})
        };
        api.put(&json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "volumesnapshotclasses.snapshot.storage.k8s.io"}}));
        let none = read(&api.cluster("velero")).await.unwrap();
        assert!(none.lack().unwrap().starts_with("there is no VolumeSnapshotClass"));
        api.put_all(&[class("a", json!({})), class("b", json!({CHOSEN: ""}))]);
        let found = read(&api.cluster("velero")).await.unwrap();
        assert_eq!(found, SnapshotClasses::Defined([("disk".to_owned(), true)].into()));
    }
}
