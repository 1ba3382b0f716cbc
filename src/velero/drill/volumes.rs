//! The volumes of a backup beside those that were restored of it: by their snapshots, which both name.

use std::collections::{BTreeMap, BTreeSet};

use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;

use super::report::Finding;

/// The annotation of a `PodVolumeBackup` with its claim.
const CLAIM: &str = "velero.io/pvc-name";
/// What kopia says where another password was used for the files. Reference: `repo/format/format_manager.go` of kopia.
const WRONG_PASSWORD: &str = "invalid repository password";

/// A volume that was backed up, or restored, as Velero tells it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Moved {
    /// As `namespace/claim`, or `namespace/pod, volume NAME` for one that has no claim.
    name: String,
    is_claim: bool,
    snapshot: String,
    phase: String,
    message: String,
    bytes: u64,
    /// The pod that it is of, as `namespace/name`.
    pod: String,
}

/// What a comparison of volumes has shown.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Compared {
    /// How many volumes are there again, byte for byte by Velero's own count.
    pub volumes: usize,
    pub bytes: u64,
    /// The claims whose data is in the backup.
    pub claims: BTreeSet<String>,
    pub findings: Vec<Finding>,
    /// Volumes whose pods do not run in a drill.
    pub unchecked: Vec<String>,
}

impl Moved {
    /// Reads it from a `PodVolumeBackup`, a `DataUpload`, a `PodVolumeRestore` or a `DataDownload`.
    fn of(object: &DynamicObject) -> Self {
        let (spec, status) = (&object.data["spec"], &object.data["status"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let pod = format!("{}/{}", text(&spec["pod"]["namespace"]), text(&spec["pod"]["name"]));
        let (name, is_claim) = match (object.annotations().get(CLAIM), spec["sourcePVC"].as_str()) {
            (Some(claim), _) => (format!("{}/{claim}", text(&spec["pod"]["namespace"])), true),
            (None, Some(claim)) => (format!("{}/{claim}", text(&spec["sourceNamespace"])), true),
            (None, None) => (format!("{pod}, volume {}", text(&spec["volume"])), false),
        };
        // A backup tells its snapshot in the end, and a restore from the beginning.
        let snapshot = status["snapshotID"].as_str().or(spec["snapshotID"].as_str()).unwrap_or_default().to_owned();
        let bytes = status["progress"]["totalBytes"].as_u64().unwrap_or_default();
        Self { name, is_claim, snapshot, phase: text(&status["phase"]), message: text(&status["message"]), bytes, pod }
    }

    fn is_done(&self) -> bool {
        self.phase == "Completed"
    }
}

/// Compares what was backed up with what was restored. The volumes of the pods in `refused` cannot be restored in a drill.
pub(super) fn compare(backed_up: &[DynamicObject], restored: &[DynamicObject], refused: &BTreeSet<String>) -> Compared {
    let restored: BTreeMap<_, _> =
        restored.iter().map(Moved::of).map(|volume| (volume.snapshot.clone(), volume)).collect();
    let mut compared = Compared::default();
    for volume in backed_up.iter().map(Moved::of) {
        // One that failed is among the claims without data.
        if !volume.is_done() {
            continue;
        }
        if volume.is_claim {
            compared.claims.insert(volume.name.clone());
        }
        match restored.get(&volume.snapshot) {
            Some(copy) if copy.is_done() && copy.bytes == volume.bytes => {
                compared.volumes += 1;
                compared.bytes += copy.bytes;
            }
            Some(copy) if copy.is_done() => compared.findings.push(Finding::Bytes {
                volume: volume.name,
                backed_up: volume.bytes,
                restored: copy.bytes,
            }),
            Some(copy) if copy.message.contains(WRONG_PASSWORD) => {
                if !compared.findings.contains(&Finding::RepositoryPassword) {
                    compared.findings.push(Finding::RepositoryPassword);
                }
            }
            Some(copy) => compared.findings.push(Finding::Volume {
                volume: volume.name,
                why: if copy.message.is_empty() { copy.phase.clone() } else { copy.message.clone() },
            }),
            None if refused.contains(&volume.pod) => compared.unchecked.push(volume.name),
            None => compared
                .findings
                .push(Finding::Volume { volume: volume.name, why: "Velero has not begun with it".to_owned() }),
        }
    }
    compared
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::named;

    fn backed_up(claim: &str, snapshot: &str, bytes: u64) -> DynamicObject {
        let mut object = named("velero.io/v1", "PodVolumeBackup", claim);
        object.annotations_mut().insert(CLAIM.to_owned(), claim.to_owned());
        object.data = json!({"spec": {"pod": {"namespace": "shop", "name": "web"}, "volume": "data"},
            "status": {"phase": "Completed", "snapshotID": snapshot, "progress": {"totalBytes": bytes}}});
        object
    }

    fn restored(snapshot: &str, phase: &str, message: &str, bytes: u64) -> DynamicObject {
        let mut object = named("velero.io/v1", "PodVolumeRestore", snapshot);
        object.data = json!({"spec": {"pod": {"namespace": "drill-shop", "name": "web"}, "snapshotID": snapshot},
            "status": {"phase": phase, "message": message, "progress": {"totalBytes": bytes}}});
        object
    }

    #[test]
    fn volumes_are_compared_by_what_they_are_snapshots_of() {
        let before = [backed_up("data", "1", 100), backed_up("logs", "2", 5), backed_up("mail", "3", 7)];
        let after = [restored("1", "Completed", "", 100), restored("2", "Completed", "", 4)];
        let compared = compare(&before, &after, &BTreeSet::new());
        assert_eq!((compared.volumes, compared.bytes), (1, 100));
        let told: Vec<_> = compared.findings.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "of volume shop/logs 4 bytes came back, and 5 were backed up",
                "the files of volume shop/mail were not restored: Velero has not begun with it"
            ]
        );
        let compared = compare(&before[2..], &[], &["shop/web".to_owned()].into());
        assert_eq!((compared.findings.len(), compared.unchecked), (0, vec!["shop/mail".to_owned()]));
    }

    #[test]
    fn a_wrong_password_is_told_once_and_as_what_it_is() {
        let before = [backed_up("data", "1", 100), backed_up("logs", "2", 5), backed_up("mail", "3", 7)];
        let wrong = "error to connect backup repo: invalid repository password";
        let after = [
            restored("1", "Failed", wrong, 0),
            restored("2", "Failed", wrong, 0),
            restored("3", "Failed", "BLOB not found", 0),
        ];
        let compared = compare(&before, &after, &BTreeSet::new());
        let expected = [
            Finding::RepositoryPassword,
            Finding::Volume { volume: "shop/mail".to_owned(), why: "BLOB not found".to_owned() },
        ];
        assert_eq!((compared.findings.as_slice(), compared.claims.len()), (&expected[..], 3));
    }

    #[test]
    fn a_snapshot_that_was_copied_tells_its_claim_itself() {
        let mut upload = named("velero.io/v2alpha1", "DataUpload", "a");
        upload.data = json!({"spec": {"sourceNamespace": "shop", "sourcePVC": "data"},
            "status": {"phase": "Completed", "snapshotID": "9", "progress": {"totalBytes": 3}}});
        let compared = compare(&[upload], &[restored("9", "Completed", "", 3)], &BTreeSet::new());
        assert_eq!((compared.claims, compared.volumes), (["shop/data".to_owned()].into(), 1));
    }
}
