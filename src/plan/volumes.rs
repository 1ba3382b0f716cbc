//! By what means the data of volumes is backed up.

use super::switch;
use crate::{
    contract::option,
    juju::ConfigValues,
    status::Status,
    velero::{CsiSnapshots, Facts, SnapshotClasses},
};

/// What the options say of the data of volumes.
pub(super) struct VolumesPlan {
    pub default_volumes_to_fs_backup: bool,
    pub csi_snapshots: CsiSnapshots,
}

/// Reads the options. One that has no effect without another is added to the obstacles.
pub(super) fn volumes(config: &ConfigValues, has_node_agent: bool, obstacles: &mut Vec<Status>) -> VolumesPlan {
    let default_volumes_to_fs_backup = switch(config, option::DEFAULT_VOLUMES_TO_FS_BACKUP);
    let moves_data = switch(config, option::DEFAULT_SNAPSHOT_MOVE_DATA);
    let csi_snapshots = match (switch(config, option::USE_CSI_SNAPSHOTS), moves_data) {
        (false, _) => CsiSnapshots::None,
        (true, false) => CsiSnapshots::InPlace,
        (true, true) => CsiSnapshots::Moved,
    };
    if moves_data && csi_snapshots == CsiSnapshots::None {
        let (moves, makes) = (option::DEFAULT_SNAPSHOT_MOVE_DATA.name, option::USE_CSI_SNAPSHOTS.name);
        obstacles.push(Status::Blocked(format!("{moves} needs snapshots: set {makes}=true too")));
    }
    for (is_set, option) in [
        (default_volumes_to_fs_backup, option::DEFAULT_VOLUMES_TO_FS_BACKUP),
        (moves_data, option::DEFAULT_SNAPSHOT_MOVE_DATA),
    ] {
        if is_set && !has_node_agent {
            let agent = option::USE_NODE_AGENT.name;
            obstacles.push(Status::Blocked(format!("{} needs the node agent: set {agent}=true too", option.name)));
        }
    }
    VolumesPlan { default_volumes_to_fs_backup, csi_snapshots }
}

/// Returns what keeps Velero from making the snapshots that are wanted.
pub(super) fn without_snapshots(facts: &Facts) -> Option<String> {
    let lack = facts.snapshot_classes.as_ref().and_then(SnapshotClasses::lack)?;
    Some(format!("{}=true makes no snapshots: {lack}", option::USE_CSI_SNAPSHOTS.name))
}
