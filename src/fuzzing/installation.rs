//! An installation, for what depends on one.

use crate::{
    settings::Settings,
    storage::Storage,
    velero::{BackupLocation, CsiSnapshots, HeldBack, Installation, LocationPlan},
};

/// Returns an installation that uses a storage, with all that the charm can complete.
pub(super) fn with(provider: &'static str, storage: Storage) -> Installation {
    Installation {
        application: "velero-operator".to_owned(),
        image: "velero/velero:v1.18.3".to_owned(),
        node_agent: true,
        node_agent_is_adopted: true,
        kubelet_root: None,
        default_volumes_to_fs_backup: true,
        csi_snapshots: CsiSnapshots::Moved,
        image_pull_secrets: vec!["registry".to_owned()],
        repository_password: None,
        proxies: None,
        settings: Settings::default(),
        plugin_image: None,
        location: LocationPlan::Use(Box::new(BackupLocation { provider, storage, is_read_only: true })),
        held_back: HeldBack::default(),
    }
}
