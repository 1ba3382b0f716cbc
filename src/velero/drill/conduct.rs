//! A drill from its beginning to its end: never two at once, never beside a backup or a restore, and always cleaned up after.

use std::{ops::ControlFlow, time::Duration};

use jiff::Timestamp;
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout};

use super::{
    book::{self, DrillBook, DrillRecord, DrillResult, UnderWay},
    marks::{DRILL, selector},
    order::{DrillAudience, DrillOrder},
    report::DrillReport,
    run::{Run, cancel_volumes},
    scratch::{self, Whose},
};
use crate::{
    cluster::{Cluster, ClusterError, MetadataOnly},
    error_chain::ErrorChain,
    velero::{
        phase::Phase,
        seen::operations::{Run as WaitingRun, operations_in_progress},
        wanted::{Cli, label_value::short_hash, restore::restore_kind},
    },
};

/// How often it is confirmed that a drill is under way.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// How long the scratch namespaces may take to go before a drill counts as over.
const CLEARING: Duration = Duration::from_mins(2);

/// How many findings are remembered of a drill.
const MOST_FINDINGS: usize = 20;

/// Why a drill was not conducted to its end.
#[derive(Debug, Error)]
pub(crate) enum DrillError {
    #[error("{conductor} conducts a drill of backup {backup} already: try again when that is over")]
    Busy { conductor: String, backup: String },
    #[error("{0} is in progress, which a drill would disturb: try again when it has ended")]
    InProgress(String),
    #[error("another drill has been begun, as this one seemed to be abandoned")]
    Lost,
    #[error("the drill was given up, as restore {0} would have had to wait for it: try again when that has ended")]
    GaveWay(String),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// Conducts a drill.
///
/// # Errors
///
/// When it cannot be begun now, or the cluster cannot be used. What was made is taken away all the same, as far as that is possible.
pub(crate) async fn conduct(
    cli: &Cli,
    cluster: &Cluster,
    order: &DrillOrder,
    audience: &mut impl DrillAudience,
) -> Result<DrillReport, DrillError> {
    let began = Instant::now();
    let (mut drill, last_good) = begin(cluster, order).await?;
    let whose = Whose { application: &order.application, id: &drill.id.clone() };
    let leftovers = scratch::take_away(cluster, &order.application, true).await;
    let run = Run { cli, cluster, order, whose, deadline: began + order.timeout };
    let drilled = match leftovers {
        Ok(_) => tokio::select! {
            drilled = Box::pin(run.all(audience)) => drilled.map_err(DrillError::Cluster),
            error = is_to_end(cluster, order, &mut drill) => Err(error),
        },
        Err(error) => Err(error.into()),
    };
    match &drilled {
        Err(DrillError::Lost) => return drilled,
        Err(DrillError::GaveWay(_)) => give_way(cluster, &order.application).await,
        _ => {}
    }
    let mut drilled = drilled.map(|report| DrillReport { duration: began.elapsed(), ..report });
    let (result, findings) = drilled.as_ref().map_or((DrillResult::Stopped, Vec::new()), |report| {
        (report.result(), report.findings.iter().take(MOST_FINDINGS).map(ToString::to_string).collect())
    });
    // Known before anything else can go wrong.
    note(cluster, order, drill.record(result, findings, last_good).as_ref()).await;
    if !order.keep {
        audience.hears("taking away what was restored").await;
    }
    match clear(cluster, order, drilled.as_ref().ok()).await {
        Ok(left) => {
            if let Ok(report) = &mut drilled {
                report.left_volumes = left;
            }
        }
        // The book still says that a drill was begun, and whoever sees that takes the rest away.
        Err(error) => {
            tracing::warn!("cannot take away what a drill has made: {}", ErrorChain(&error));
            return drilled;
        }
    }
    DrillBook::end(cluster, &order.application).await?;
    drilled
}

/// Takes away what drills have left that nobody conducts any more, unless one is under way. Returns whether there was one.
pub(crate) async fn sweep(cluster: &Cluster, application: &str) -> Result<bool, ClusterError> {
    let book = DrillBook::read(cluster).await?;
    if !book.is_abandoned(Timestamp::now()) {
        return Ok(false);
    }
    if let Some(record) = book.abandoned() {
        DrillBook::note(cluster, application, &record).await?;
    }
    scratch::take_away(cluster, application, false).await?;
    delete_objects(cluster, application).await?;
    DrillBook::end(cluster, application).await?;
    tracing::info!("took away what an abandoned drill has left");
    Ok(true)
}

/// Takes away all that drills of the application have made. Used where the application goes.
pub(crate) async fn remove(cluster: &Cluster, application: &str) -> Result<(), ClusterError> {
    scratch::take_away(cluster, application, true).await?;
    delete_objects(cluster, application).await?;
    DrillBook::delete(cluster, application).await
}

/// Begins a drill, unless something is under way that it would disturb. Returns also when the last one of the application was good.
async fn begin(cluster: &Cluster, order: &DrillOrder) -> Result<(UnderWay, Option<Timestamp>), DrillError> {
    let book = DrillBook::read(cluster).await?;
    let now = Timestamp::now();
    if let Some(UnderWay { conductor, backup, .. }) = book.under_way.clone().filter(|_| book.is_busy(now)) {
        return Err(DrillError::Busy { conductor, backup });
    }
    if book.is_abandoned(now) {
        sweep(cluster, &order.application).await?;
    }
    if let Some(operation) = operations_in_progress(cluster).await?.into_iter().next() {
        return Err(DrillError::InProgress(operation.name));
    }
    let drill = UnderWay {
        id: short_hash(&[&order.conductor, &order.backup.uid, &now.as_nanosecond().to_string()]),
        conductor: order.conductor.clone(),
        confirmed: now,
        started: now,
        backup: order.backup.name.clone(),
        target: order.target.clone(),
    };
    let begun = DrillBook::read(cluster).await?.begin(cluster, &order.application, &drill).await;
    // Whoever has come first has written into the book since it was read.
    let book = DrillBook::read(cluster).await?;
    let last_good = book.last_good(order.target.as_ref());
    match book.under_way {
        Some(other) if other.id == drill.id => Ok((drill, last_good)),
        Some(UnderWay { conductor, backup, .. }) => Err(DrillError::Busy { conductor, backup }),
        None => Err(begun.err().map_or(DrillError::Lost, DrillError::Cluster)),
    }
}

/// Confirms every now and then that the drill is under way. Returns why it is to end, once it is another's turn.
async fn is_to_end(cluster: &Cluster, order: &DrillOrder, drill: &mut UnderWay) -> DrillError {
    loop {
        sleep(HEARTBEAT).await;
        drill.confirmed = Timestamp::now();
        match DrillBook::confirm(cluster, &order.application, drill).await {
            Ok(true) => {}
            Ok(false) => return DrillError::Lost,
            Err(error) => tracing::debug!("cannot confirm the drill: {}", ErrorChain(&error)),
        }
        match waiting_restore(cluster).await {
            Ok(None) => {}
            Ok(Some(name)) => return DrillError::GaveWay(name),
            Err(error) => tracing::debug!("cannot find out whether a restore waits: {}", ErrorChain(&error)),
        }
    }
}

/// Returns a restore that has not begun, and is none of a drill's: Velero makes one after the other, and it is needed more.
async fn waiting_restore(cluster: &Cluster) -> Result<Option<String>, ClusterError> {
    let mut waiting = None;
    let visit = |restore: WaitingRun| {
        if restore.status.phase == Phase::New && !restore.metadata.labels.contains_key(DRILL) {
            waiting = Some(restore.metadata.name);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    cluster.walk(&cluster.here(&restore_kind()), "the restores", visit).await?;
    Ok(waiting)
}

/// Has Velero end the restore of a drill at once.
async fn give_way(cluster: &Cluster, application: &str) {
    let cancel = async {
        let restores =
            cluster.list(&cluster.here(&restore_kind()), "the restores of drills", &selector(application)).await?;
        for restore in restores {
            cancel_volumes(cluster, restore.metadata.uid.as_deref().unwrap_or_default()).await?;
        }
        Ok::<_, ClusterError>(())
    };
    if let Err(error) = cancel.await {
        tracing::warn!("cannot end the restore of a drill: {}", ErrorChain(&error));
    }
}

async fn note(cluster: &Cluster, order: &DrillOrder, record: Option<&DrillRecord>) {
    let Some(record) = record else { return };
    if let Err(error) = DrillBook::note(cluster, &order.application, record).await {
        tracing::warn!("cannot note what the drill has shown: {}", ErrorChain(&error));
    }
}

/// Takes away what a drill has made. Returns the PersistentVolumes that stay.
async fn clear(
    cluster: &Cluster,
    order: &DrillOrder,
    report: Option<&DrillReport>,
) -> Result<Vec<String>, ClusterError> {
    delete_objects(cluster, &order.application).await?;
    if let Some(report) = report.filter(|_| order.keep) {
        scratch::keep(cluster, &report.kept).await?;
        return Ok(Vec::new());
    }
    let leftovers = scratch::take_away(cluster, &order.application, false).await?;
    let gone = async {
        while !scratch::are_gone(cluster, &order.application).await? {
            sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    };
    // They are on their way, and the next drill makes others.
    timeout(CLEARING, gone).await.unwrap_or(Ok(()))?;
    Ok(leftovers.volumes.into_iter().collect())
}

/// Deletes the Restores and the rules of drills.
async fn delete_objects(cluster: &Cluster, application: &str) -> Result<(), ClusterError> {
    let selector = selector(application);
    for kind in [restore_kind(), book::kind()] {
        let what = format!("the {}s of drills", kind.kind);
        cluster.delete_where::<MetadataOnly>(&cluster.here(&kind), &what, &selector, |_| true).await?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "conduct_tests.rs"]
mod tests;
