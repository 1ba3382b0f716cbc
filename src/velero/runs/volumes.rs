//! The volumes of a backup or a restore: how much of them is done, and which of them have their data.

use std::collections::{BTreeMap, BTreeSet};

use kube::{ResourceExt, api::DynamicObject};
use serde::Deserialize;

use super::run::Run;

/// The annotation of a `PodVolumeBackup` with the name of the claim, where its volume has one.
const CLAIM: &str = "velero.io/pvc-name";

/// The volumes whose files are read or written, by the names of their objects.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Volumes(BTreeMap<String, Volume>);

/// A volume whose files are read or written.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Volume {
    claim: Option<String>,
    phase: String,
    done: u64,
    total: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    spec: Spec,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    pod: Pod,
    /// Of a `DataUpload`.
    source_namespace: String,
    #[serde(rename = "sourcePVC")]
    source_claim: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pod {
    namespace: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: String,
    progress: Bytes,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Bytes {
    total_bytes: u64,
    bytes_done: u64,
}

impl Volume {
    fn of(object: &DynamicObject) -> Self {
        let Data { spec, status } = Data::deserialize(&object.data).unwrap_or_default();
        let claim = match object.annotations().get(CLAIM) {
            Some(claim) => Some(format!("{}/{claim}", spec.pod.namespace)),
            None if spec.source_claim.is_empty() => None,
            None => Some(format!("{}/{}", spec.source_namespace, spec.source_claim)),
        };
        let Bytes { total_bytes: total, bytes_done: done } = status.progress;
        Self { claim, phase: status.phase, done, total }
    }

    fn is_completed(&self) -> bool {
        self.phase == "Completed"
    }
}

impl Volumes {
    /// Puts in what is known of a volume now.
    pub(super) fn put(&mut self, object: &DynamicObject) {
        self.0.insert(object.name_any(), Volume::of(object));
    }

    pub(super) fn remove(&mut self, object: &DynamicObject) {
        self.0.remove(&object.name_any());
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns how many are done as a whole.
    pub(crate) fn completed(&self) -> usize {
        self.0.values().filter(|volume| volume.is_completed()).count()
    }

    /// Returns how many bytes are done, and how many there are as far as is known.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        self.0.values().fold((0, 0), |(done, total), volume| (done + volume.done, total + volume.total))
    }

    /// Returns the claims of those volumes for which `wanted` holds.
    fn claims(&self, wanted: impl Fn(&Volume) -> bool) -> impl Iterator<Item = String> {
        self.0.values().filter(move |volume| wanted(volume)).filter_map(|volume| volume.claim.clone())
    }
}

impl<'a> FromIterator<&'a DynamicObject> for Volumes {
    fn from_iter<I: IntoIterator<Item = &'a DynamicObject>>(objects: I) -> Self {
        let mut volumes = Self::default();
        objects.into_iter().for_each(|object| volumes.put(object));
        volumes
    }
}

/// The claims of a backup, as `namespace/name`, and which of them it has the data of.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Coverage {
    pub claims: BTreeSet<String>,
    /// How many have their data in it.
    pub with_data: usize,
    /// Those that have not, where it is known which.
    pub without_data: Vec<String>,
}

impl Coverage {
    /// Finds out what a backup holds. `claims` are those that are in it as objects, `volumes` those of which it has the files, and
    /// `moved` those whose snapshots were copied into the store.
    pub(super) fn of(run: &Run, mut claims: BTreeSet<String>, volumes: &Volumes, moved: &Volumes) -> Self {
        claims.extend(volumes.claims(|_| true).chain(moved.claims(|_| true)));
        let is_completed = |volume: &Volume| volume.is_completed();
        let known: BTreeSet<_> = volumes.claims(is_completed).chain(moved.claims(is_completed)).collect();
        let csi = if moved.count() == 0 { run.status.csi_volume_snapshots_completed } else { 0 };
        let snapshots = usize::try_from(run.status.volume_snapshots_completed + csi).unwrap_or(usize::MAX);
        let with_data = known.len().saturating_add(snapshots).min(claims.len());
        // Of a snapshot it is not told whose it is.
        let tells = snapshots == 0;
        let without_data = claims.difference(&known).filter(|_| tells).cloned().collect();
        Self { claims, with_data, without_data }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::named;

    fn volume(name: &str, claim: Option<&str>, phase: &str, done: u64) -> DynamicObject {
        let mut object = named("velero.io/v1", "PodVolumeBackup", name);
        if let Some(claim) = claim {
            object.annotations_mut().insert(CLAIM.to_owned(), claim.to_owned());
        }
        object.data = json!({"spec": {"pod": {"namespace": "shop"}},
            "status": {"phase": phase, "progress": {"totalBytes": 100, "bytesDone": done}}});
        object
    }

    fn volumes(objects: &[DynamicObject]) -> Volumes {
        objects.iter().collect()
    }

    fn claims(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_volume_counts_once_and_as_it_is_now() {
        let seen = volumes(&[volume("a", Some("data"), "InProgress", 40), volume("a", Some("data"), "Completed", 100)]);
        assert_eq!((seen.count(), seen.completed(), seen.bytes()), (1, 1, (100, 100)));
        let several = volumes(&[volume("a", None, "Completed", 100), volume("b", None, "Completed", 0)]);
        assert_eq!((several.completed(), Volumes::default().completed()), (2, 0));
    }

    #[test]
    fn a_claim_has_its_data_once_its_volume_was_read_as_a_whole() {
        let seen = volumes(&[
            volume("a", Some("data"), "Completed", 100),
            volume("b", Some("logs"), "Failed", 10),
            volume("c", None, "Completed", 100),
        ]);
        let coverage = Coverage::of(&Run::default(), claims(&["shop/data", "shop/more"]), &seen, &Volumes::default());
        assert_eq!(coverage.claims, claims(&["shop/data", "shop/logs", "shop/more"]));
        assert_eq!((coverage.with_data, coverage.without_data), (1, vec!["shop/logs".into(), "shop/more".into()]));
    }

    #[test]
    fn snapshots_count_and_name_no_claim() {
        let mut run = Run::default();
        run.status.volume_snapshots_completed = 1;
        run.status.csi_volume_snapshots_completed = 1;
        let all = claims(&["shop/a", "shop/b", "shop/c"]);
        let none = Volumes::default();
        let coverage = Coverage::of(&run, all.clone(), &none, &none);
        assert_eq!((coverage.with_data, coverage.without_data.len()), (2, 0));
        // One whose snapshot was copied is not counted twice.
        let mut moved = named("velero.io/v2alpha1", "DataUpload", "a");
        moved.data = json!({"spec": {"sourceNamespace": "shop", "sourcePVC": "a"}, "status": {"phase": "Completed"}});
        assert_eq!(Coverage::of(&run, all, &none, &volumes(&[moved])).with_data, 2);
    }
}
