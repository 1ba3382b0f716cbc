//! What is measured.

/// Something that the charm does, or that a user would do instead.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Task {
    /// The charm's first hook, at whose end Velero runs.
    Install,
    /// All hooks of a deployment: `install`, `leader-elected`, `config-changed` and `start`.
    Deploy,
    /// `velero install --wait` without storage.
    VeleroInstall,
    /// `kubectl apply` of the charm's manifests without storage.
    KubectlApply,
    /// The same, and waiting until Velero runs.
    KubectlApplyAndWait,
    /// All hooks of the relation with storage, until the unit is Active.
    Integrate,
    /// `velero install --wait` with storage.
    VeleroInstallWithStorage,
    /// The hook `update-status` with nothing changed.
    UpdateStatus,
    /// The hook `s3-credentials-relation-changed` with nothing changed.
    RelationChanged,
    /// All hooks of a deployment, with an API server that is 200 ms away.
    DeployFar,
    /// The hook `update-status` with nothing changed there.
    UpdateStatusFar,
    /// `kubectl apply` with nothing changed.
    KubectlApplyAgain,
    /// The hook `config-changed` after another image of the server is set, until the unit is Active.
    ConfigChanged,
    /// `kubectl set image`, and waiting until that image runs.
    KubectlSetImage,
    /// The hook after new keys came from the integrator, until Velero has validated the storage with them.
    Rotate,
    /// `kubectl apply` of a Secret with the new keys, and waiting until Velero has validated the storage again.
    RotateByHand,
    /// All hooks from the removal of the relation with S3 to the end of that with GCS, until the unit is Active.
    ToGcs,
    /// The same with Velero's own CLI and kubectl.
    ToGcsByHand,
    /// All hooks of the way back to S3.
    ToS3,
    /// The action `run` with the command `backup get`.
    RunBackupGet,
    /// The same command of the CLI itself.
    VeleroBackupGet,
    /// The action `test-storage` without the megabytes: what the charm tries by itself with a new place or new credentials.
    TestStorage,
    /// The action `verify-backup` of a backup with 100 objects and no volume.
    VerifyBackup,
    /// A restore of the same into another namespace by Velero's own CLI, and the end of that namespace: nothing is compared.
    RestoreByHand,
    /// The hook `update-status` with nothing changed, where one application is related that is backed up.
    QuietWith1,
    /// The same with 100 of them.
    QuietWith100,
    /// The same with 500 of them.
    QuietWith500,
    /// The hook after one of the 500 has declared something else.
    ChangeWith500,
    /// The hook `leader-elected`, in which what all of them declare is read.
    ElectedWith500,
    /// The hook `update-status` with nothing changed, where the cluster knows of 100 backups.
    QuietAmong100,
    /// The same with 1,000 of them.
    QuietAmong1000,
    /// The same with 10,000 of them, 2,000 restores and 500 nodes.
    QuietAmong10000,
    /// The action `list-backups`, where the cluster knows of many backups.
    ListMany,
    /// `velero backup get` of the same.
    VeleroBackupGetMany,
    /// `kubectl get` of the same.
    KubectlGetMany,
    /// The observer, until it knows of many backups.
    ObserverReads,
    /// The observer after that, for a minute in which nothing happens.
    ObserverRests,
    /// The hook `config-changed` after another image of the server is set, where the cluster knows of many backups.
    RestartAmongMany,
    /// `kubectl set image` there, and waiting until that image runs.
    KubectlSetImageAmongMany,
    /// The longest hook of those that forget the backups of a storage that is given up, where the cluster knows of many.
    Forget,
    /// All these hooks, until no backup is known any more.
    ForgetAll,
    /// `kubectl delete` of 1,000 backups.
    KubectlDeleteBackups,
    /// The hook `remove` in a namespace full of backups; if it fails, with what Juju runs again.
    Remove,
    /// All hooks of that removal, from the end of the relation with storage.
    RemoveAll,
}

/// What is measured together, as one is the ground of the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// The charm from its deployment to its removal.
    Charm,
    /// Velero as its own CLI installs it.
    VeleroInstall,
    /// Velero as kubectl applies it.
    Kubectl,
    /// The charm related to many applications.
    Related,
    /// The charm among many backups.
    Crowd,
    /// The charm far away from the API server.
    Far,
}

impl Part {
    pub(super) const ALL: [Self; 6] =
        [Self::Charm, Self::VeleroInstall, Self::Kubectl, Self::Far, Self::Related, Self::Crowd];

    /// What it is called while it is measured.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Charm => "the charm",
            Self::VeleroInstall => "velero install",
            Self::Kubectl => "kubectl apply",
            Self::Related => "the charm related to many applications",
            Self::Crowd => "the charm among many backups",
            Self::Far => "the charm far away from the API server",
        }
    }

    /// How often it is run at most: what takes minutes and much of the machine is run once.
    pub(super) fn most_runs(self) -> u32 {
        if matches!(self, Self::Related | Self::Crowd) { 1 } else { u32::MAX }
    }
}

impl Task {
    /// All tasks, each of the charm's followed by what a user would do instead.
    pub const ALL: [Self; 44] = [
        Self::Install,
        Self::Deploy,
        Self::VeleroInstall,
        Self::KubectlApply,
        Self::KubectlApplyAndWait,
        Self::Integrate,
        Self::VeleroInstallWithStorage,
        Self::UpdateStatus,
        Self::RelationChanged,
        Self::DeployFar,
        Self::UpdateStatusFar,
        Self::KubectlApplyAgain,
        Self::ConfigChanged,
        Self::KubectlSetImage,
        Self::Rotate,
        Self::RotateByHand,
        Self::ToGcs,
        Self::ToGcsByHand,
        Self::ToS3,
        Self::RunBackupGet,
        Self::VeleroBackupGet,
        Self::TestStorage,
        Self::VerifyBackup,
        Self::RestoreByHand,
        Self::QuietWith1,
        Self::QuietWith100,
        Self::QuietWith500,
        Self::ChangeWith500,
        Self::ElectedWith500,
        Self::QuietAmong100,
        Self::QuietAmong1000,
        Self::QuietAmong10000,
        Self::ListMany,
        Self::VeleroBackupGetMany,
        Self::KubectlGetMany,
        Self::ObserverReads,
        Self::ObserverRests,
        Self::RestartAmongMany,
        Self::KubectlSetImageAmongMany,
        Self::Forget,
        Self::ForgetAll,
        Self::KubectlDeleteBackups,
        Self::Remove,
        Self::RemoveAll,
    ];

    /// What it is called in the table; what a user would do instead is indented.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Install => "deploy: hook install, until Velero runs",
            Self::Deploy => "deploy: all its hooks",
            Self::VeleroInstall => "  velero install --wait, no storage",
            Self::KubectlApply => "  kubectl apply --server-side",
            Self::KubectlApplyAndWait => "  kubectl apply, kubectl rollout status",
            Self::Integrate => "integrate, until Active: all its hooks",
            Self::VeleroInstallWithStorage => "  velero install --wait, with storage",
            Self::UpdateStatus => "update-status, nothing changed",
            Self::RelationChanged => "relation-changed, nothing changed",
            Self::DeployFar => "deploy: all its hooks, API server 200 ms away",
            Self::UpdateStatusFar => "update-status, API server 200 ms away",
            Self::KubectlApplyAgain => "  kubectl apply --server-side, again",
            Self::ConfigChanged => "config-changed of an image, until Active",
            Self::KubectlSetImage => "  kubectl set image, rollout status",
            Self::Rotate => "new keys, until validated with them",
            Self::RotateByHand => "  kubectl apply, until validated again",
            Self::ToGcs => "from S3 to GCS, until Active: all hooks",
            Self::ToGcsByHand => "  velero plugin, backup-location, kubectl",
            Self::ToS3 => "from GCS to S3, until Active: all hooks",
            Self::RunBackupGet => "run \"backup get\"",
            Self::VeleroBackupGet => "  velero backup get",
            Self::TestStorage => "test-storage size=0",
            Self::VerifyBackup => "verify-backup, 100 objects",
            Self::RestoreByHand => "  velero restore --wait, kubectl delete",
            Self::QuietWith1 => "update-status, 1 application related",
            Self::QuietWith100 => "update-status, 100 applications related",
            Self::QuietWith500 => "update-status, 500 applications related",
            Self::ChangeWith500 => "one of the 500 declares something else",
            Self::ElectedWith500 => "leader-elected: all 500 are read",
            Self::QuietAmong100 => "update-status, 100 backups",
            Self::QuietAmong1000 => "update-status, 1,000 backups",
            Self::QuietAmong10000 => "update-status, 10,000 backups, 500 nodes",
            Self::ListMany => "list-backups, 10,000 backups",
            Self::VeleroBackupGetMany => "  velero backup get, 10,000 backups",
            Self::KubectlGetMany => "  kubectl get backups, 10,000 backups",
            Self::ObserverReads => "observer, reading 10,000 backups",
            Self::ObserverRests => "observer, a minute among 10,000 backups",
            Self::RestartAmongMany => "config-changed of an image, 10,000 backups",
            Self::KubectlSetImageAmongMany => "  kubectl set image, 10,000 backups",
            Self::Forget => "relation ends, 10,000 backups: longest hook",
            Self::ForgetAll => "relation ends, until all are forgotten",
            Self::KubectlDeleteBackups => "  kubectl delete backups, 1,000 of them",
            Self::Remove => "remove a full namespace: hook remove",
            Self::RemoveAll => "remove a full namespace: all its hooks",
        }
    }

    /// What it is measured with.
    pub(super) fn part(self) -> Part {
        match self {
            Self::VeleroInstall | Self::VeleroInstallWithStorage | Self::RotateByHand | Self::ToGcsByHand => {
                Part::VeleroInstall
            }
            Self::KubectlApply | Self::KubectlApplyAndWait | Self::KubectlApplyAgain | Self::KubectlSetImage => {
                Part::Kubectl
            }
            Self::QuietWith1 | Self::QuietWith100 | Self::QuietWith500 | Self::ChangeWith500 | Self::ElectedWith500 => {
                Part::Related
            }
            Self::DeployFar | Self::UpdateStatusFar => Part::Far,
            Self::QuietAmong100
            | Self::QuietAmong1000
            | Self::QuietAmong10000
            | Self::ListMany
            | Self::VeleroBackupGetMany
            | Self::KubectlGetMany
            | Self::ObserverReads
            | Self::ObserverRests
            | Self::RestartAmongMany
            | Self::KubectlSetImageAmongMany
            | Self::Forget
            | Self::ForgetAll
            | Self::KubectlDeleteBackups
            | Self::Remove
            | Self::RemoveAll => Part::Crowd,
            Self::Install
            | Self::Deploy
            | Self::Integrate
            | Self::UpdateStatus
            | Self::RelationChanged
            | Self::ConfigChanged
            | Self::Rotate
            | Self::ToGcs
            | Self::ToS3
            | Self::RunBackupGet
            | Self::VeleroBackupGet
            | Self::TestStorage
            | Self::VerifyBackup
            | Self::RestoreByHand => Part::Charm,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_is_listed_once() {
        let mut tasks = Task::ALL.to_vec();
        tasks.sort_unstable();
        tasks.dedup();
        assert_eq!(tasks, Task::ALL);
    }
}
