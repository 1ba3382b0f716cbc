//! What others ask of Velero about drills.

use super::{
    book::{DrillBook, DrillsSince},
    conduct::{self, DrillError},
    order::{DrillAudience, DrillOrder},
    report::DrillReport,
};
use crate::velero::{Velero, VeleroError, seen::proxies};

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

    /// Returns the same Velero, whose store the CLI reaches by the proxies of its own server, if it has any.
    pub(crate) async fn by_servers_proxies(&self, application: &str) -> Result<Self, VeleroError> {
        let proxies = proxies::of_server(&self.cluster, application).await?;
        Ok(Self::of(self.cli.clone(), self.cluster.clone()).by_proxies(proxies))
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
}
