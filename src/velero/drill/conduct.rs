//! A drill from its beginning to its end: never two at once, never beside a backup or a restore, and always cleaned up after.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use kube::api::{DynamicObject, TypeMeta};
use serde_json::json;
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout};

use super::{
    book::{DrillBook, DrillRecord, DrillResult, UnderWay},
    kinds::{modifiers, resources},
    report::DrillReport,
    run::Run,
    scratch::{self, Whose},
};
use crate::{
    cluster::{Cluster, ClusterError, MetadataOnly, named},
    error_chain::ErrorChain,
    velero::{
        names::{INSTANCE, MANAGED_BY},
        runs::{follow::Audience, make::KnownRun},
        seen::operations::operations_in_progress,
        wanted::{
            Cli,
            label_value::{label_value, short_hash},
            restore::{RestoreOrder, restore_kind},
        },
    },
};

/// The label of the objects of a drill in Velero's namespace.
pub(super) const DRILL: &str = "velero-operator/drill";
/// How often it is confirmed that a drill is under way.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// How long the scratch namespaces may take to go before a drill counts as over.
const CLEARING: Duration = Duration::from_mins(2);

/// How many findings are remembered of a drill.
const MOST_FINDINGS: usize = 20;

/// A drill that is to be conducted.
#[derive(Clone, Debug)]
pub(crate) struct DrillOrder {
    pub application: String,
    /// The unit that conducts it.
    pub conductor: String,
    /// Whose backup it is, if that is known: application, endpoint, model. What it shows is remembered then.
    pub target: Option<[String; 3]>,
    pub backup: KnownRun,
    /// Whether the scratch namespaces stay until the next drill.
    pub keep: bool,
    /// How long all of it may take.
    pub timeout: Duration,
    /// Whether it is also seen that pods become ready again.
    pub waits_for_pods: bool,
}

/// Why a drill was not conducted to its end.
#[derive(Debug, Error)]
pub(crate) enum DrillError {
    #[error("{conductor} conducts a drill of backup {backup} already: try again when that is over")]
    Busy { conductor: String, backup: String },
    #[error("{0} is in progress, which a drill would disturb: try again when it has ended")]
    InProgress(String),
    #[error("another drill has been begun, as this one seemed to be abandoned")]
    Lost,
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// Takes what is told of a drill.
pub(crate) trait DrillAudience: Audience {
    /// Takes what the drill goes on with.
    fn hears(&mut self, step: &str) -> impl Future<Output = ()>;
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
    let mut drill = begin(cluster, order).await?;
    let last_good = DrillBook::read(cluster).await?.last_good(order.target.as_ref());
    let whose = Whose { application: &order.application, id: &drill.id.clone() };
    let leftovers = scratch::take_away(cluster, &order.application, true).await;
    let run = Run { cli, cluster, order, whose, deadline: began + order.timeout };
    let drilled = match leftovers {
        Ok(_) => tokio::select! {
            drilled = Box::pin(run.all(audience)) => drilled.map_err(DrillError::Cluster),
            () = is_lost(cluster, order, &mut drill) => Err(DrillError::Lost),
        },
        Err(error) => Err(error.into()),
    };
    if matches!(drilled, Err(DrillError::Lost)) {
        return drilled;
    }
    let mut drilled = drilled.map(|report| DrillReport { duration: began.elapsed(), ..report });
    let (result, findings) = drilled.as_ref().map_or((DrillResult::Stopped, Vec::new()), |report| {
        (report.result(), report.findings.iter().take(MOST_FINDINGS).map(ToString::to_string).collect())
    });
    // Known before anything else can go wrong.
    note(cluster, order, drill.record(result, findings, last_good).as_ref()).await;
    audience.hears("taking away what was restored").await;
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

/// Begins a drill, unless something is under way that it would disturb.
async fn begin(cluster: &Cluster, order: &DrillOrder) -> Result<UnderWay, DrillError> {
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
    match book.under_way {
        Some(other) if other.id == drill.id => Ok(drill),
        Some(UnderWay { conductor, backup, .. }) => Err(DrillError::Busy { conductor, backup }),
        None => Err(begun.err().map_or(DrillError::Lost, DrillError::Cluster)),
    }
}

/// Confirms every now and then that the drill is under way. Ends when it is another's turn.
async fn is_lost(cluster: &Cluster, order: &DrillOrder, drill: &mut UnderWay) {
    loop {
        sleep(HEARTBEAT).await;
        drill.confirmed = Timestamp::now();
        match DrillBook::confirm(cluster, &order.application, drill).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::debug!("cannot confirm the drill: {}", ErrorChain(&error)),
        }
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
    let selector = format!("{DRILL},{INSTANCE}={}", label_value(application));
    for kind in [restore_kind(), config_map_kind()] {
        let what = format!("the {}s of drills", kind.kind);
        cluster.delete_where::<MetadataOnly>(&cluster.here(&kind), &what, &selector, |_| true).await?;
    }
    Ok(())
}

fn config_map_kind() -> TypeMeta {
    TypeMeta { api_version: "v1".to_owned(), kind: "ConfigMap".to_owned() }
}

/// Returns the ConfigMap with the rules by which a drill's objects are changed, and the Restore that goes by them.
pub(super) fn objects(
    cluster: &Cluster,
    order: &DrillOrder,
    whose: Whose<'_>,
    mapping: &BTreeMap<String, String>,
) -> [DynamicObject; 2] {
    let labels = [
        (MANAGED_BY.0, MANAGED_BY.1.into()),
        (INSTANCE, label_value(whose.application)),
        (DRILL, label_value(whose.id)),
    ];
    let labels: BTreeMap<_, _> = labels.into_iter().map(|(key, value)| (key.to_owned(), value.into_owned())).collect();
    let name = format!("velero-operator-drill-{}", whose.id);
    let mut rules = cluster.own(named("v1", "ConfigMap", &name));
    rules.metadata.labels = Some(labels.clone());
    rules.data = json!({"data": {"rules.yaml": modifiers().to_string()}});
    let restored = RestoreOrder {
        include_namespaces: mapping.keys().cloned().collect(),
        include_resources: resources(),
        namespace_mapping: mapping.clone(),
        ..RestoreOrder::default()
    };
    let mut restore = restored.restore("", cluster.namespace(), &order.backup.name);
    restore.metadata.labels = Some(labels);
    restore.data["spec"]["includeClusterResources"] = false.into();
    restore.data["spec"]["resourceModifier"] = json!({"kind": "ConfigMap", "name": name});
    [rules, restore]
}
