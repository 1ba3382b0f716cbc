//! Whether the data of a volume will be in a backup, and if not, why.
//!
//! Reference: `pkg/backup/item_backupper.go`, `pkg/backup/actions/csi/pvc_action.go`, `internal/volumehelper` and
//! `pkg/podvolume/backupper.go` of Velero 1.18.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{
    means::Means,
    seen_volume::VolumeKind,
    selection::{Selection, is_left_out},
    volumes::{Claim, Use, Volumes},
};
use crate::backups::VolumeAction;

/// What a backup is going to hold of volumes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Forecast {
    /// How many claims it takes with their data.
    pub with_data: usize,
    /// Those that it takes without, as `namespace/name`, and why.
    pub without_data: BTreeMap<String, Gap>,
}

/// How many volumes a backup is going to hold.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct VolumeCount {
    pub with_data: usize,
    pub without_data: usize,
}

/// Why the data of a volume does not come along.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Gap {
    HostPath,
    BlockDevice,
    NoNodeAgent,
    NotChosen,
    PodsLeftOut,
    PodsExcluded,
    NoRunningPod,
    Excluded,
    NotMounted,
    VolumesLeftOut,
    VolumesExcluded,
    NoSnapshot,
}

impl fmt::Display for Gap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::HostPath => "Velero does not read folders of a node (hostPath)",
            Self::BlockDevice => "Velero does not read block devices",
            Self::NoNodeAgent => "no node agent reads files: set use-node-agent=true",
            Self::NotChosen => "its pods name no volume to be backed up: set default-volumes-to-fs-backup=true",
            Self::PodsLeftOut => "its pods are not in the backup: set add-pods-to-backups=true",
            Self::PodsExcluded => "its spec excludes pods",
            Self::NoRunningPod => "used by no running pod",
            Self::Excluded => "its pods exclude volumes from backups",
            Self::NotMounted => "mounted by no container",
            Self::VolumesLeftOut => {
                "claims are not restored without their PersistentVolumes: set add-pods-to-backups=true"
            }
            Self::NoSnapshot => "resource-policy wants a snapshot, and nothing makes one",
            Self::VolumesExcluded => "its spec excludes PersistentVolumes, without which claims are not restored",
        })
    }
}

impl Forecast {
    /// Judges what a selection takes of the volumes of a cluster.
    pub(super) fn of(selection: &Selection, means: &Means, volumes: &Volumes) -> Self {
        let mut forecast = Self::default();
        if !selection.takes_claims() {
            return forecast;
        }
        for claim in &volumes.claims {
            let uses = volumes.uses_of(claim);
            if !takes(selection, claim, uses) {
                continue;
            }
            let (kind, driver) = (volumes.kind_of(claim), volumes.driver_of(claim));
            let policies = selection.policies().and_then(|name| means.policies.get(name));
            let action = policies.and_then(|policies| policies.action(&volumes.traits_of(claim)));
            // That is what somebody wants.
            if action == Some(VolumeAction::Skip) {
                continue;
            }
            match (Case { selection, means, claim, kind, driver, uses, action }).gap() {
                None => forecast.with_data += 1,
                Some(gap) => {
                    forecast.without_data.insert(format!("{}/{}", claim.namespace, claim.name), gap);
                }
            }
        }
        forecast
    }

    pub(crate) fn count(&self) -> VolumeCount {
        VolumeCount { with_data: self.with_data, without_data: self.without_data.len() }
    }

    /// Returns the reason that most of those without their data have.
    pub(crate) fn main_gap(&self) -> Option<Gap> {
        let mut counts = BTreeMap::new();
        self.without_data.values().for_each(|gap| *counts.entry(*gap).or_insert(0_usize) += 1);
        // Of several, the first, as most others need it too.
        counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(gap, _)| gap)
    }
}

/// Whether a claim is in the backup: by its own labels, or because a pod brings it.
fn takes(selection: &Selection, claim: &Claim, uses: &[Use]) -> bool {
    let is_brought = || selection.takes_pods() && uses.iter().any(|used| selection.matches(&used.labels));
    selection.takes_namespace(&claim.namespace)
        && !is_left_out(&claim.labels)
        && (selection.matches(&claim.labels) || is_brought())
}

/// A claim that is in a backup, and all that decides whether its data is.
struct Case<'a> {
    selection: &'a Selection,
    means: &'a Means,
    claim: &'a Claim,
    kind: VolumeKind,
    driver: Option<&'a str>,
    uses: &'a [Use],
    /// What policies say, which goes before all else that says whether files are read.
    action: Option<VolumeAction>,
}

impl Case<'_> {
    fn gap(&self) -> Option<Gap> {
        match self.action {
            Some(VolumeAction::Skip | VolumeAction::Custom) => None,
            Some(VolumeAction::Snapshot) => (!self.can_have_snapshot()).then_some(Gap::NoSnapshot),
            Some(VolumeAction::Files) => self.gap_of_files(),
            None => {
                let gap = self.gap_of_files()?;
                (!self.has_snapshot()).then_some(gap)
            }
        }
    }

    /// Returns why the files are not read.
    fn gap_of_files(&self) -> Option<Gap> {
        if self.kind == VolumeKind::HostPath {
            return Some(Gap::HostPath);
        }
        if self.claim.is_block_device {
            return Some(Gap::BlockDevice);
        }
        if !self.means.node_agent {
            return Some(Gap::NoNodeAgent);
        }
        if !self.selection.takes_pods() {
            let is_meant = self.selection.excludes_pods();
            return Some(if is_meant { Gap::PodsExcluded } else { Gap::PodsLeftOut });
        }
        let running: Vec<_> = self.uses.iter().filter(|used| used.is_running && !is_left_out(&used.labels)).collect();
        if running.is_empty() {
            return Some(Gap::NoRunningPod);
        }
        let chosen: Vec<_> = running.into_iter().filter(|used| self.is_read(used)).collect();
        if chosen.is_empty() {
            return Some(if self.selection.reads_files_by_default() { Gap::Excluded } else { Gap::NotChosen });
        }
        if !chosen.iter().any(|used| used.is_mounted) {
            return Some(Gap::NotMounted);
        }
        // Velero restores the claim as bound to the volume that it had, for which it would wait for ever.
        match (self.selection.brings_volumes(), self.selection.excludes_volumes()) {
            (true, _) => None,
            (false, true) => Some(Gap::VolumesExcluded),
            (false, false) => Some(Gap::VolumesLeftOut),
        }
    }

    /// Whether there is a snapshot. Velero makes none of a volume whose files are to be read, even if they are not.
    fn has_snapshot(&self) -> bool {
        self.selection.makes_snapshots() && !self.uses.iter().any(|used| self.is_read(used)) && self.can_have_snapshot()
    }

    /// Whether there is something to make one with.
    fn can_have_snapshot(&self) -> bool {
        let by_provider = match (&self.kind, &self.means.snapshot_classes, self.driver) {
            // Velero's own plugin leaves them to the driver.
            (_, Some(_), Some(_)) => false,
            (VolumeKind::Disk { provider }, _, _) => {
                self.means.snapshots.as_deref() == Some(*provider) && self.selection.brings_volumes()
            }
            _ => false,
        };
        let by_driver = || {
            let (classes, driver) = (self.means.snapshot_classes.as_ref(), self.driver);
            classes.zip(driver).is_some_and(|(classes, driver)| classes.are_for(driver))
        };
        by_provider || by_driver()
    }

    fn is_read(&self, used: &Use) -> bool {
        if self.action == Some(VolumeAction::Files) {
            return true;
        }
        if self.selection.reads_files_by_default() { !used.wish.is_excluded } else { used.wish.is_chosen }
    }
}
