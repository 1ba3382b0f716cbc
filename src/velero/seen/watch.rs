//! Waiting until an installation works, by watching and not by asking again.

use std::{fmt::Debug, hash::Hash};

use futures::{
    StreamExt,
    stream::{BoxStream, SelectAll},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment},
        core::v1::{Event as ClusterEvent, Pod},
    },
    serde::de::DeserializeOwned,
};
use kube::{
    Api, Resource,
    api::DynamicObject,
    runtime::{
        WatchStreamExt,
        reflector::{Store, reflector, store::Writer},
        watcher::{self, Event, watcher},
    },
};
use tokio::time::{Instant, timeout_at};

use super::{
    namespace,
    observed::{self, Observed, REFUSALS},
    readiness::Readiness,
};
use crate::{
    cluster::{Cluster, ClusterError, api_resource},
    velero::{
        names::{COMPONENT_SELECTOR, LOCATION, NODE_AGENT, SERVER, backup_location_kind},
        wanted::Installation,
    },
};

/// Everything that tells whether an installation works, kept up to date by watches.
struct Watched {
    servers: Store<Deployment>,
    agents: Store<DaemonSet>,
    pods: Store<Pod>,
    refusals: Store<ClusterEvent>,
    locations: Store<DynamicObject>,
    labelled_since: Option<Timestamp>,
}

impl Watched {
    fn observed(&self) -> Observed {
        fn first<K>(store: &Store<K>) -> Option<K>
        where
            K: Resource + Clone,
            K::DynamicType: Eq + Hash + Clone,
        {
            store.state().first().map(|object| K::clone(object))
        }
        Observed {
            server: first(&self.servers),
            node_agent: first(&self.agents),
            pods: self.pods.state().iter().map(|pod| Pod::clone(pod)).collect(),
            refusals: self.refusals.state().iter().map(|event| ClusterEvent::clone(event)).collect(),
            labelled_since: self.labelled_since,
            location: first(&self.locations),
        }
    }
}

/// Waits until the judgement of what runs is settled or the deadline is there; what runs then.
pub(crate) async fn until(
    cluster: &Cluster,
    installation: &Installation,
    deadline: Instant,
    judge: impl Fn(&Installation, &Observed) -> Readiness,
) -> Result<Observed, ClusterError> {
    let labelled_since = if installation.node_agent { namespace::labelled_since(cluster).await? } else { None };
    let mut changes = SelectAll::new();
    let named = |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
    let velero = watcher::Config::default().labels(COMPONENT_SELECTOR);
    let location_kind = backup_location_kind();
    let watched = Watched {
        servers: watch(&mut changes, cluster.namespaced(), named(SERVER), ()),
        pods: watch(&mut changes, cluster.namespaced(), velero, ()),
        agents: if installation.node_agent {
            watch(&mut changes, cluster.namespaced(), named(NODE_AGENT), ())
        } else {
            Writer::new(()).as_reader()
        },
        refusals: if installation.node_agent {
            let refusals = watcher::Config::default().fields(REFUSALS);
            watch(&mut changes, cluster.namespaced(), refusals, ())
        } else {
            Writer::new(()).as_reader()
        },
        labelled_since,
        locations: match installation.backup_location() {
            Some(_) => {
                let api = cluster.here(&location_kind);
                watch(&mut changes, api, named(LOCATION), api_resource(&location_kind))
            }
            None => Writer::new(api_resource(&location_kind)).as_reader(),
        },
    };
    // Each watch begins with what is there; only after all of them have begun is the picture whole.
    let mut beginning = changes.len();
    loop {
        match timeout_at(deadline, changes.next()).await {
            Ok(Some(Change::Begun)) => beginning = beginning.saturating_sub(1),
            Ok(Some(Change::Other)) => {}
            // Watches go on for ever; a connection that is lost is made again by the watcher.
            Ok(None) | Err(_) => break,
        }
        if beginning > 0 {
            continue;
        }
        let observed = watched.observed();
        if judge(installation, &observed).is_settled() {
            return Ok(observed);
        }
    }
    // The deadline is there: what is said then comes from the cluster itself, also where the watches did not work.
    observed::read(cluster, installation).await
}

/// What a watch tells.
enum Change {
    /// All that was there at its beginning is known.
    Begun,
    /// Something came, changed or went.
    Other,
}

/// Adds a watch to the others; what it sees is in the store that comes back.
fn watch<K>(
    changes: &mut SelectAll<BoxStream<'static, Change>>,
    api: Api<K>,
    config: watcher::Config,
    kind: K::DynamicType,
) -> Store<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Clone + Debug + Eq + Hash + Send + Sync,
{
    let writer = Writer::new(kind);
    let reader = writer.as_reader();
    let stream = reflector(writer, watcher(api, config).default_backoff()).map(|event| match event {
        Ok(Event::InitDone) => Change::Begun,
        Ok(_) => Change::Other,
        Err(error) => {
            tracing::debug!("a watch was interrupted: {error}");
            Change::Other
        }
    });
    changes.push(stream.boxed());
    reader
}
