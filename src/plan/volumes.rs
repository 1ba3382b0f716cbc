//! By what means the data of volumes is backed up.

use super::switch;
use crate::{
    contract::option,
    juju::ConfigValues,
    status::Status,
    velero::{Facts, SnapshotClasses},
};

/// What the options say of the data of volumes.
pub(super) struct VolumesPlan {
    pub default_volumes_to_fs_backup: bool,
    pub csi_snapshots: bool,
    pub default_snapshot_move_data: bool,
}

/// Reads the options. One that has no effect without another is added to the obstacles.
pub(super) fn volumes(config: &ConfigValues, has_node_agent: bool, obstacles: &mut Vec<Status>) -> VolumesPlan {
    let plan = VolumesPlan {
        default_volumes_to_fs_backup: switch(config, option::DEFAULT_VOLUMES_TO_FS_BACKUP),
        csi_snapshots: switch(config, option::USE_CSI_SNAPSHOTS),
        default_snapshot_move_data: switch(config, option::DEFAULT_SNAPSHOT_MOVE_DATA),
    };
    if plan.default_snapshot_move_data && !plan.csi_snapshots {
        let (moves, makes) = (option::DEFAULT_SNAPSHOT_MOVE_DATA.name, option::USE_CSI_SNAPSHOTS.name);
        obstacles.push(Status::Blocked(format!("{moves} needs snapshots: set {makes}=true too")));
    }
    for (is_set, option) in [
        (plan.default_volumes_to_fs_backup, option::DEFAULT_VOLUMES_TO_FS_BACKUP),
        (plan.default_snapshot_move_data, option::DEFAULT_SNAPSHOT_MOVE_DATA),
    ] {
        if is_set && !has_node_agent {
            let agent = option::USE_NODE_AGENT.name;
            obstacles.push(Status::Blocked(format!("{} needs the node agent: set {agent}=true too", option.name)));
        }
    }
    plan
}

/// Returns what keeps Velero from making the snapshots that are wanted.
pub(super) fn without_snapshots(facts: &Facts) -> Option<String> {
    let lack = facts.snapshot_classes.as_ref().and_then(SnapshotClasses::lack)?;
    Some(format!("{}=true makes no snapshots: {lack}", option::USE_CSI_SNAPSHOTS.name))
}
