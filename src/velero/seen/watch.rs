//! Watching what an installation is judged by, instead of asking again and again.

use std::{collections::HashSet, fmt::Debug, hash::Hash, time::Duration};

use futures::{
    Stream, StreamExt,
    future::ready,
    stream::{BoxStream, SelectAll, select_all, unfold},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment},
        core::v1::{Event as ClusterEvent, Namespace, Pod},
    },
    serde::de::DeserializeOwned,
};
use kube::{
    Api, Resource,
    api::{DynamicObject, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        reflector::{Store, reflector, store::Writer},
        watcher::{self, Event, watcher},
    },
};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    expected::Expected,
    ledger::LedgerEvent,
    namespace,
    observed::{self, Observed, REFUSALS},
    readiness::{Trouble, is_settled},
    reduced::Reduced,
};
use crate::{
    cluster::{Cluster, ClusterError, api_resource},
    velero::{
        names::{COMPONENT_SELECTOR, LOCATION, NODE_AGENT, SERVER, backup_location_kind, velero_kind},
        wanted::SCHEDULED_BY,
    },
};

/// How many objects of Velero are read at a time, each of which may be several kilobytes.
const PAGE: u32 = 50;

/// How long what may not be watched is not looked at.
const PAUSE: Duration = Duration::from_secs(1);

/// Everything that an installation is judged by, kept up to date by watches.
struct Watched {
    servers: Store<Deployment>,
    agents: Option<Store<DaemonSet>>,
    pods: Store<Pod>,
    refusals: Option<Store<ClusterEvent>>,
    namespaces: Option<Store<PartialObjectMeta<Namespace>>>,
    locations: Option<Store<DynamicObject>>,
}

impl Watched {
    fn observed(&self) -> Observed {
        fn all<K>(store: &Store<K>) -> Vec<K>
        where
            K: Resource + Clone,
            K::DynamicType: Eq + Hash + Clone,
        {
            store.state().iter().map(|object| K::clone(object)).collect()
        }
        let namespace = self.namespaces.as_ref().and_then(|store| all(store).pop());
        Observed {
            server: all(&self.servers).pop(),
            node_agent: self.agents.as_ref().and_then(|store| all(store).pop()),
            refusals: self.refusals.as_ref().map(all).unwrap_or_default(),
            labelled_since: namespace.and_then(|live| namespace::labelled_since(&live.metadata)),
            location: self.locations.as_ref().and_then(|store| all(store).pop()),
            ..Observed::of_pods(all(&self.pods))
        }
    }
}

/// Returns what there is of what is expected: at the beginning, once it is known as a whole, and after each change.
pub(crate) fn stream(cluster: &Cluster, expected: &Expected) -> impl Stream<Item = Observed> + use<> {
    watch(cluster, expected, Watches::default())
}

fn watch(cluster: &Cluster, expected: &Expected, mut kinds: Watches) -> impl Stream<Item = Observed> + use<> {
    let named = |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
    let velero = watcher::Config::default().labels(COMPONENT_SELECTOR);
    let location_kind = backup_location_kind();
    let has_agent = expected.node_agent.is_some();
    let watched = Watched {
        servers: kinds.add(cluster.namespaced(), named(SERVER), ()),
        pods: kinds.add_lessened(cluster.namespaced(), velero, (), lessen),
        agents: has_agent.then(|| kinds.add(cluster.namespaced(), named(NODE_AGENT), ())),
        refusals: has_agent.then(|| kinds.add(cluster.namespaced(), watcher::Config::default().fields(REFUSALS), ())),
        namespaces: has_agent.then(|| kinds.add(cluster.cluster_wide(), named(cluster.namespace()), ())),
        locations: expected
            .location
            .then(|| kinds.add(cluster.here(&location_kind), named(LOCATION), api_resource(&location_kind))),
    };
    unfold((watched, kinds), |(watched, mut kinds)| async {
        kinds.whole().await?;
        Some((watched.observed(), (watched, kinds)))
    })
}

/// Returns what has become of Schedules, backups and restores: all that is there, and then each change.
pub(crate) fn ledger_events(cluster: &Cluster) -> BoxStream<'static, LedgerEvent> {
    let of_charm = format!("{}={}", SCHEDULED_BY.0, SCHEDULED_BY.1);
    let schedules = parts(cluster, "Schedule", watcher::Config::default().labels(&of_charm), LedgerEvent::Schedule);
    let backups = parts(cluster, "Backup", watcher::Config::default(), LedgerEvent::Backup);
    let restores = parts(cluster, "Restore", watcher::Config::default(), LedgerEvent::Restore);
    select_all([schedules, backups, restores]).boxed()
}

/// Watches objects of Velero of which only a part is read, a page at a time.
fn parts<Spec, Status>(
    cluster: &Cluster,
    kind: &str,
    config: watcher::Config,
    event: fn(Event<Reduced<Spec, Status>>) -> LedgerEvent,
) -> BoxStream<'static, LedgerEvent>
where
    Spec: Clone + Debug + Default + DeserializeOwned + Send + 'static,
    Status: Clone + Debug + Default + DeserializeOwned + Send + 'static,
{
    let api = cluster.parts_here(&velero_kind("v1", kind));
    let changes = watcher(api, config.page_size(PAGE)).default_backoff();
    // An interruption is one of the watch, which begins anew.
    changes.filter_map(move |change| ready(change.ok().map(event))).boxed()
}

/// Waits until the judgement of what runs is settled or the deadline is there. Returns what runs then.
pub(crate) async fn until(
    cluster: &Cluster,
    expected: &Expected,
    deadline: Instant,
    judge: impl Fn(&Expected, &Observed) -> Vec<Trouble>,
) -> Result<Observed, ClusterError> {
    let mut changes = Box::pin(watch(cluster, expected, Watches { end_when_refused: true, ..Watches::default() }));
    let mut latest = None;
    // Some judgements change with time alone.
    let mut turn = deadline;
    loop {
        match timeout_at(turn.min(deadline), changes.next()).await {
            Ok(Some(observed)) => latest = Some(observed),
            Err(_) if turn < deadline => {}
            // Watches go on until one is refused; a connection that is lost is made again by the watcher.
            Ok(None) => return Box::pin(read_until(cluster, expected, deadline, judge)).await,
            Err(_) => break,
        }
        turn = deadline;
        let Some(mut observed) = latest.take() else { continue };
        observed.at = Timestamp::now();
        let troubles = judge(expected, &observed);
        if is_settled(&troubles, observed.at) {
            return Ok(observed);
        }
        turn = next_turn(&troubles, observed.at).map_or(deadline, |after| Instant::now() + after);
        latest = Some(observed);
    }
    // The deadline has passed: the cluster itself is read, in case the watches did not work.
    observed::read(cluster, expected).await
}

/// Does what [`until`] does where something may not be watched: it is read again and again.
async fn read_until(
    cluster: &Cluster,
    expected: &Expected,
    deadline: Instant,
    judge: impl Fn(&Expected, &Observed) -> Vec<Trouble>,
) -> Result<Observed, ClusterError> {
    loop {
        let observed = observed::read(cluster, expected).await?;
        let now = Instant::now();
        if now >= deadline || is_settled(&judge(expected, &observed), observed.at) {
            return Ok(observed);
        }
        sleep_until(deadline.min(now + PAUSE)).await;
    }
}

/// Returns after how long one of the troubles becomes another by the passing of time alone.
fn next_turn(troubles: &[Trouble], now: Timestamp) -> Option<Duration> {
    let turns = troubles.iter().filter_map(Trouble::turns_at).filter(|at| *at > now);
    turns.min().map(|at| at.duration_since(now).unsigned_abs())
}

/// Takes away what no judgement is made by, and who controls the pod.
fn lessen(pod: &mut Pod) {
    observed::lessen(pod);
    pod.metadata.owner_references = None;
}

/// Watches of several kinds as one, and which of them have finished their first list.
#[derive(Default)]
struct Watches {
    changes: SelectAll<BoxStream<'static, Change>>,
    begun: HashSet<usize>,
    /// Whether they are over once the server refuses one of them, as for lack of rights: asking again does not help.
    end_when_refused: bool,
}

/// What a watch tells.
#[derive(Clone, Copy)]
enum Change {
    /// All that was there at the beginning of the watch with this number is known. It begins anew after an interruption.
    Begun(usize),
    /// Something came, changed or went.
    Other,
    /// The server does not let this be watched.
    Refused,
}

/// Whether the server refuses a watch, so that it would refuse the next one too.
fn is_refusal(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))
    | watcher::Error::WatchError(status)) = error
    else {
        return false;
    };
    matches!(status.code, 400 | 403 | 405 | 422)
}

impl Watches {
    /// Adds a watch. What it sees is in the store that comes back.
    fn add<K>(&mut self, api: Api<K>, config: watcher::Config, kind: K::DynamicType) -> Store<K>
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        K::DynamicType: Clone + Debug + Eq + Hash + Send + Sync,
    {
        self.add_lessened(api, config, kind, |_| {})
    }

    /// Adds a watch of objects of which there may be many, and of which something is not needed.
    fn add_lessened<K>(
        &mut self,
        api: Api<K>,
        config: watcher::Config,
        kind: K::DynamicType,
        lessen: impl Fn(&mut K) + Send + 'static,
    ) -> Store<K>
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        K::DynamicType: Clone + Debug + Eq + Hash + Send + Sync,
    {
        let writer = Writer::new(kind);
        let reader = writer.as_reader();
        let number = self.changes.len();
        let stream =
            reflector(writer, watcher(api, config).default_backoff().modify(lessen)).map(move |event| match event {
                Ok(Event::InitDone) => Change::Begun(number),
                Ok(_) => Change::Other,
                Err(error) => {
                    tracing::debug!("a watch was interrupted: {error}");
                    if is_refusal(&error) { Change::Refused } else { Change::Other }
                }
            });
        self.changes.push(stream.boxed());
        reader
    }

    /// Waits for a change after which all that was there at the beginning is known, of every kind: before, the picture is not
    /// whole. Returns nothing when the watches are over.
    async fn whole(&mut self) -> Option<()> {
        loop {
            match self.changes.next().await? {
                Change::Begun(number) => drop(self.begun.insert(number)),
                Change::Refused if self.end_when_refused => return None,
                Change::Other | Change::Refused => {}
            }
            if self.begun.len() == self.changes.len() {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
