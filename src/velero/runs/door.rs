//! What others ask of Velero about backups and restores that are made by hand.

use std::collections::BTreeSet;

use kube::api::DynamicObject;
use serde_json::Value;

use super::{
    details::Details,
    follow::{Audience, Ended, follow},
    listing::{self, BackupFilter, BackupList},
    make::{self, KnownRun},
    run::RunKind,
    volumes::{Coverage, Volumes},
};
use crate::{
    cluster::named,
    velero::{
        Velero, VeleroError,
        location::{
            snapshots::has_snapshot_location,
            usable::{self, LocationTrouble},
        },
        names::velero_kind,
        wanted::{CliError, backup::OneBackup, restore::RestoreOrder, schedule::ScheduleSettings},
    },
};

/// A backup that is to be made.
#[derive(Debug)]
pub(crate) struct PlannedBackup {
    about: String,
    maker: String,
    object: DynamicObject,
}

impl PlannedBackup {
    /// Returns its spec, as Velero reads it.
    pub(crate) fn spec(&self) -> &Value {
        &self.object.data["spec"]
    }
}

impl Velero {
    /// Returns what keeps a storage location from being used now.
    pub(crate) async fn location_trouble(&self, location: &str) -> Result<Option<LocationTrouble>, VeleroError> {
        let object = self.cluster.own(named("velero.io/v1", "BackupStorageLocation", location));
        let found = self.cluster.find(&object).await?;
        Ok(usable::trouble(found.as_ref(), location, self.namespace()))
    }

    /// Returns the backup of what an application has declared, as its Schedule would make it. `unit` is who asks for it, and
    /// `policies` the ConfigMap with the policies for volumes.
    pub(crate) async fn plan_backup(
        &self,
        unit: &str,
        order: &OneBackup<'_>,
        default_volumes_to_fs_backup: bool,
        policies: Option<&str>,
    ) -> Result<PlannedBackup, VeleroError> {
        let settings = ScheduleSettings {
            application: unit,
            namespace: self.namespace(),
            default_volumes_to_fs_backup,
            has_snapshot_location: has_snapshot_location(&self.cluster).await?,
            policies,
        };
        let about = format!("{}-{}", order.target.application, order.target.endpoint);
        Ok(PlannedBackup { about, maker: unit.to_owned(), object: settings.backup(order) })
    }

    /// Makes a backup that was planned.
    pub(crate) async fn make_backup(&self, planned: PlannedBackup) -> Result<KnownRun, VeleroError> {
        let PlannedBackup { about, maker, object } = planned;
        Ok(make::make(&self.cluster, RunKind::Backup, &about, &maker, object).await?)
    }

    /// Makes a restore of a backup. `unit` is who asks for it.
    pub(crate) async fn make_restore(
        &self,
        unit: &str,
        backup: &str,
        order: &RestoreOrder,
    ) -> Result<KnownRun, VeleroError> {
        let restore = order.restore("", self.namespace(), backup);
        Ok(make::make(&self.cluster, RunKind::Restore, backup, unit, restore).await?)
    }

    /// Returns the backup of that name.
    pub(crate) async fn backup_named(&self, name: &str) -> Result<Option<KnownRun>, VeleroError> {
        Ok(make::find(&self.cluster, RunKind::Backup, name).await?)
    }

    /// Returns the backup with that uid.
    pub(crate) async fn backup_of_uid(&self, uid: &str) -> Result<Option<KnownRun>, VeleroError> {
        match make::name_of(&self.cluster, RunKind::Backup, uid).await? {
            Some(name) => self.backup_named(&name).await,
            None => Ok(None),
        }
    }

    /// Watches a backup or a restore until it has ended, however long that takes.
    pub(crate) async fn follow(
        &self,
        kind: RunKind,
        run: &KnownRun,
        audience: &mut impl Audience,
    ) -> Result<Ended, VeleroError> {
        Ok(follow(&self.cluster, kind, &run.name, &run.uid, audience).await?)
    }

    /// Returns what the CLI tells more of a run that has ended.
    pub(crate) async fn details(&self, kind: RunKind, name: &str) -> Result<Details, VeleroError> {
        let details = Details::ask(&self.cli, self.namespace(), kind, name).await;
        Ok(details.map_err(CliError::Process)?)
    }

    /// Finds out which of the claims in a backup have their data in it.
    pub(crate) async fn coverage(&self, backup: &KnownRun, claims: BTreeSet<String>) -> Result<Coverage, VeleroError> {
        let [volumes, moved] = self.volumes_of_backup(&backup.uid).await?;
        Ok(Coverage::of(&backup.run, claims, &volumes, &moved))
    }

    /// Returns the volumes of a backup: those whose files were read, and those whose snapshots were copied into the store.
    pub(crate) async fn volumes_of_backup(&self, uid: &str) -> Result<[Volumes; 2], VeleroError> {
        let selector = RunKind::Backup.belongings(uid);
        let volumes = self.cluster.here(&RunKind::Backup.of_volumes());
        let volumes = self.cluster.list(&volumes, "the volumes", &selector).await?;
        let uploads = self.cluster.here(&velero_kind("v2alpha1", "DataUpload"));
        let uploads = self.cluster.list(&uploads, "the DataUploads", &selector).await?;
        Ok([volumes.iter().collect(), uploads.iter().collect()])
    }

    /// Returns the newest backups of applications.
    pub(crate) async fn newest_backups(&self, filter: &BackupFilter, limit: usize) -> Result<BackupList, VeleroError> {
        Ok(listing::newest(&self.cluster, filter, limit).await?)
    }
}
