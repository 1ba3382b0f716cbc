//! What others ask of Velero about drills.

use super::{
    book::{DrillBook, DrillsSince},
    conduct::{self, DrillError},
    order::{DrillAudience, DrillOrder},
    report::DrillReport,
};
use crate::velero::{
    Velero, VeleroError,
    runs::{
        listing::{self, BackupFilter},
        make::KnownRun,
    },
};

impl Velero {
    /// Conducts a drill.
    ///
    /// # Errors
    ///
    /// When it cannot be begun now, or the cluster cannot be used.
    pub(crate) async fn drill(
        &self,
        order: &DrillOrder,
        audience: &mut impl DrillAudience,
    ) -> Result<DrillReport, DrillError> {
        // It waits for many things, and would make each future above it as large.
        Box::pin(conduct::conduct(&self.cli, &self.cluster, order, audience)).await
    }

    /// Takes away what drills of the application have left that nobody conducts any more. Returns whether there was one.
    pub(crate) async fn sweep_drills(&self, application: &str) -> Result<bool, VeleroError> {
        Ok(conduct::sweep(&self.cluster, application).await?)
    }

    /// Returns what is remembered of drills.
    pub(crate) async fn drill_book(&self) -> Result<DrillBook, VeleroError> {
        Ok(DrillBook::read(&self.cluster).await?)
    }

    /// Notes since when drills go by which schedule, or that they go by none.
    pub(crate) async fn note_drill_schedule(
        &self,
        application: &str,
        schedule: Option<&DrillsSince>,
    ) -> Result<(), VeleroError> {
        Ok(DrillBook::note_schedule(&self.cluster, application, schedule).await?)
    }

    /// Returns the newest backup of an application that has ended well.
    pub(crate) async fn newest_good_backup(&self, target: &[String; 3]) -> Result<Option<KnownRun>, VeleroError> {
        let [application, endpoint, model] = target.clone().map(Some);
        let filter = BackupFilter { application, endpoint, model, completed_only: true };
        let newest = listing::newest(&self.cluster, &filter, 1).await?.newest.pop();
        match newest {
            Some(backup) => self.backup_of_uid(&backup.uid).await,
            None => Ok(None),
        }
    }
}
