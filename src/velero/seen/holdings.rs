//! Whose the objects are that have the names which this application would use: another Velero may be in the namespace, made by
//! hand, by Helm, or by another application of this charm.
//!
//! What this application made or adopted carries its name. The Python charm of the same name, and the first revision of this one,
//! did not write that down: theirs are this application's if they are younger than its StatefulSet, which Juju keeps through
//! every refresh.

use futures::future::{join, join_all, try_join, try_join_all};
use jiff::Timestamp;
use k8s_openapi::api::{apps::v1::StatefulSet, rbac::v1::ClusterRoleBinding};
use kube::{
    Api, Resource, ResourceExt,
    api::{DynamicObject, ListParams},
    core::dynamic::ParseDynamicObjectError,
};
use serde::de::DeserializeOwned;

use crate::{
    cluster::{Cluster, ClusterError, FieldOwners, asked_twice, call, describe, named},
    velero::names::{
        ADOPTED, COMPONENT_SELECTOR, CREDENTIALS, INSTANCE, LOCATION, MANAGED_BY, METRICS, NODE_AGENT, SERVER,
        cluster_role_binding, node_agent_config, repository_config,
    },
};

/// The label by which tools say what is theirs to manage.
const MANAGER_LABEL: &str = "app.kubernetes.io/managed-by";
/// What Juju puts on everything that it makes for an application.
const JUJU: &str = "juju";
/// The label of Juju's own objects with the name of their application.
const JUJU_APPLICATION: &str = "app.kubernetes.io/name";
/// [`MANAGER_LABEL`] of Juju's objects, as a selector.
const JUJU_SELECTOR: &str = "app.kubernetes.io/managed-by=juju";
/// The annotation of Helm with the name of the release.
const HELM_RELEASE: &str = "meta.helm.sh/release-name";

/// How messages name [`other_servers`].
const OTHER_SERVERS: &str = "other Deployments of Velero";

/// Whose an object of the cluster is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Claim {
    /// This application made or adopted it.
    Own,
    /// Nobody says that it is theirs, as after `velero install` by hand. It may be adopted.
    Unclaimed,
    /// Somebody else's, who is named.
    Others(String),
}

/// An object that is there under a name that this application would use.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// The object; of a Secret only its metadata.
    pub object: DynamicObject,
    /// Whose it is.
    pub claim: Claim,
}

/// An object of somebody else's under a name that this application would use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Conflict<'a> {
    /// The object, as messages name it.
    pub object: String,
    /// Whether it is in no namespace, so that its name is taken in all models.
    pub is_cluster_wide: bool,
    /// Whose it is.
    pub holder: &'a str,
}

/// What is in the namespace under the names of Velero's objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holdings(Vec<Held>);

/// The applications of the model; none if they do not matter.
#[derive(Clone, Debug, Default)]
struct Applications {
    /// Those whose StatefulSets are there, with the time since when.
    present: Vec<(String, Option<Timestamp>)>,
    /// Those that Juju gave rights over the cluster.
    trusted: Vec<String>,
    /// Whether the application that asks ends: Juju may have deleted its StatefulSet by now.
    ends: bool,
}

/// Who made an object, by its labels and owners.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Origin {
    /// It carries the name of an application of this charm.
    Application(String),
    /// This charm or the Python one made it, for whichever application.
    Charm,
    /// Nothing.
    Unknown,
    /// Somebody else, who is named.
    Others(String),
}

/// What could be found out of a namespace that an application leaves.
#[derive(Debug)]
pub(crate) struct PartlyRead {
    /// What could be read.
    pub holdings: Holdings,
    /// What could not, as messages name it.
    pub unread: Vec<(String, ClusterError)>,
}

impl Holdings {
    /// Judges whose these objects are.
    pub(crate) async fn of(
        cluster: &Cluster,
        application: &str,
        objects: Vec<DynamicObject>,
    ) -> Result<Self, ClusterError> {
        let origins = origins(&objects, cluster.namespace());
        // Where all is clear, nothing more is read.
        let applications = if origins.iter().all(|origin| is_clear(origin, application)) {
            Applications::default()
        } else {
            Applications::read(cluster).await?
        };
        Ok(Self::judge(objects, origins, application, &applications))
    }

    /// Adds those ConfigMaps that are not labelled as a charm's: somebody else may have made one under a name that this
    /// application would use.
    pub(crate) async fn add_config_maps(
        &mut self,
        cluster: &Cluster,
        application: &str,
        names: &[String],
    ) -> Result<(), ClusterError> {
        let maps = names.iter().map(|name| cluster.own(named("v1", "ConfigMap", name)));
        let missing: Vec<_> = maps.filter(|map| self.find(map).is_none()).collect();
        let found = try_join_all(missing.iter().map(|map| cluster.find(map))).await?;
        let others = Self::of(cluster, application, found.into_iter().flatten().collect()).await?;
        self.0.extend(others.0);
        Ok(())
    }

    /// Reads what is there for an application that ends, and whose rights may have ended already: as much as can be read.
    pub(crate) async fn read_at_the_end(cluster: &Cluster, application: &str) -> PartlyRead {
        let (mut objects, mut unread) = read_objects(cluster, application).await;
        let mut origins = origins(&objects, cluster.namespace());
        let mut applications = Applications::default();
        if !origins.iter().all(|origin| is_clear(origin, application)) {
            match Applications::read(cluster).await {
                Ok(read) => applications = Applications { ends: true, ..read },
                Err(error) => {
                    // It is not known whose these are.
                    let (clear, unclear): (Vec<_>, Vec<_>) =
                        objects.into_iter().zip(origins).partition(|(_, origin)| is_clear(origin, application));
                    let unclear: Vec<_> = unclear.iter().map(|(object, _)| describe(object)).collect();
                    unread.push((unclear.join(", "), error));
                    (objects, origins) = clear.into_iter().unzip();
                }
            }
        }
        PartlyRead { holdings: Self::judge(objects, origins, application, &applications), unread }
    }

    fn judge(
        objects: Vec<DynamicObject>,
        origins: Vec<Origin>,
        application: &str,
        applications: &Applications,
    ) -> Self {
        let held = objects.into_iter().zip(origins).map(|(object, origin)| {
            let claim = claim(origin, object.creation_timestamp().map(|time| time.0), application, applications);
            Held { object, claim }
        });
        Self(held.collect())
    }

    /// Returns the object of a kind and name that is there, regardless of its owner.
    pub(crate) fn find(&self, object: &DynamicObject) -> Option<&Held> {
        let is_same = |held: &&Held| {
            held.object.metadata.name == object.metadata.name
                && held.object.types.as_ref().map(|types| &types.kind) == object.types.as_ref().map(|types| &types.kind)
        };
        self.0.iter().find(is_same)
    }

    /// Returns the workload of a kind and name as one of its type, if it is there.
    pub(crate) fn typed<K: Resource + DeserializeOwned>(
        &self,
        kind: &str,
        name: &str,
    ) -> Result<Option<K>, ParseDynamicObjectError> {
        let held = self.find(&named("apps/v1", kind, name));
        held.map(|held| held.object.clone().try_parse()).transpose()
    }

    /// Returns what is this application's.
    pub(crate) fn own(&self) -> impl Iterator<Item = &DynamicObject> {
        self.0.iter().filter(|held| held.claim == Claim::Own).map(|held| &held.object)
    }

    /// Returns the first object that is somebody else's.
    pub(crate) fn others(&self) -> Option<Conflict<'_>> {
        self.of_velero().find_map(|held| match &held.claim {
            Claim::Others(holder) => Some(Conflict {
                object: describe(&held.object),
                is_cluster_wide: held.object.metadata.namespace.is_none(),
                holder,
            }),
            Claim::Own | Claim::Unclaimed => None,
        })
    }

    /// Returns a server of Velero under another name than the charm's, as messages name it, regardless of its owner.
    pub(crate) fn other_server(&self) -> Option<String> {
        let is_server = |object: &&DynamicObject| {
            object.types.as_ref().is_some_and(|types| types.kind == "Deployment")
                && object.metadata.name.as_deref() != Some(SERVER)
        };
        self.0.iter().map(|held| &held.object).find(is_server).map(describe)
    }

    /// Whether there is a Velero that nobody says is theirs, and nothing of it is this application's yet.
    pub(crate) fn is_unclaimed(&self) -> bool {
        self.of_velero().next().is_some() && self.of_velero().all(|held| held.claim == Claim::Unclaimed)
    }

    /// Returns what any Velero has. A ConfigMap with a name of the charm's own says nothing of one.
    fn of_velero(&self) -> impl Iterator<Item = &Held> {
        let is_config_map = |held: &&Held| held.object.types.as_ref().is_some_and(|types| types.kind == "ConfigMap");
        self.0.iter().filter(move |held| !is_config_map(held))
    }

    /// Whether there is a ConfigMap of that name which is not this application's.
    pub(crate) fn has_others_config_map(&self, name: &str) -> bool {
        self.find(&named("v1", "ConfigMap", name)).is_some_and(|held| held.claim != Claim::Own)
    }

    /// Returns the BackupStorageLocation `default`, if there is one.
    pub(crate) fn location(&self) -> Option<&Held> {
        self.find(&named("velero.io/v1", "BackupStorageLocation", LOCATION))
    }

    /// Returns the node agent, if there is one.
    pub(crate) fn node_agent(&self) -> Option<&Held> {
        self.find(&named("apps/v1", "DaemonSet", NODE_AGENT))
    }

    /// Whether there is a node agent that nobody asked this application for: it was there before.
    pub(crate) fn has_adopted_node_agent(&self) -> bool {
        self.node_agent().is_some_and(|held| match held.claim {
            Claim::Own => held.object.annotations().contains_key(ADOPTED),
            Claim::Unclaimed => true,
            Claim::Others(_) => false,
        })
    }

    /// Returns the objects, as messages name them.
    pub(crate) fn names(&self) -> Vec<String> {
        self.of_velero().map(|held| describe(&held.object)).collect()
    }
}

impl FromIterator<Held> for Holdings {
    fn from_iter<I: IntoIterator<Item = Held>>(held: I) -> Self {
        Self(held.into_iter().collect())
    }
}

/// Returns the objects whose names this application would use, all but the CustomResourceDefinitions, which belong to all.
fn held_names(namespace: &str, application: &str) -> Vec<DynamicObject> {
    let server = within(namespace, named("apps/v1", "Deployment", SERVER));
    let credentials = within(namespace, named("v1", "Secret", CREDENTIALS));
    let maps = config_map_names(namespace, application);
    [server, credentials].into_iter().chain(names_to_get(namespace)).chain(maps).collect()
}

/// Returns those of them of which no more than one is looked at of its kind, and that as a whole.
pub(super) fn names_to_get(namespace: &str) -> Vec<DynamicObject> {
    let mut objects: Vec<_> = [
        named("apps/v1", "DaemonSet", NODE_AGENT),
        named("velero.io/v1", "BackupStorageLocation", LOCATION),
        named("velero.io/v1", "VolumeSnapshotLocation", LOCATION),
        named("v1", "Service", METRICS),
        named("v1", "ServiceAccount", SERVER),
    ]
    .map(|object| within(namespace, object))
    .into();
    objects.push(named("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", &cluster_role_binding(namespace)));
    objects
}

fn config_map_names(namespace: &str, application: &str) -> [DynamicObject; 2] {
    [node_agent_config(application), repository_config(application)]
        .map(|name| within(namespace, named("v1", "ConfigMap", &name)))
}

fn within(namespace: &str, mut object: DynamicObject) -> DynamicObject {
    object.metadata.namespace = Some(namespace.to_owned());
    object
}

/// Whether a ConfigMap has a name that this application would use.
pub(super) fn is_held_name(map: &DynamicObject, application: &str) -> bool {
    let name = map.metadata.name.as_deref();
    name == Some(node_agent_config(application).as_str()) || name == Some(repository_config(application).as_str())
}

/// Returns the ConfigMaps that charms of this kind have made.
pub(super) async fn config_maps(cluster: &Cluster) -> Result<Vec<DynamicObject>, ClusterError> {
    let kind = named("v1", "ConfigMap", "").types.unwrap_or_default();
    let selector = format!("{}={}", MANAGED_BY.0, MANAGED_BY.1);
    cluster.list_dynamic(&cluster.here(&kind), &kind, "the ConfigMaps of charms", &selector).await
}

/// Returns the server of Velero, and those under other names.
pub(super) async fn servers(cluster: &Cluster) -> Result<Vec<DynamicObject>, ClusterError> {
    let mut servers = labelled_servers(cluster).await?;
    if !servers.iter().any(|server| server.metadata.name.as_deref() == Some(SERVER)) {
        // It may have lost its label.
        servers.extend(cluster.find(&cluster.own(named("apps/v1", "Deployment", SERVER))).await?);
    }
    Ok(servers)
}

async fn labelled_servers(cluster: &Cluster) -> Result<Vec<DynamicObject>, ClusterError> {
    let kind = named("apps/v1", "Deployment", "").types.unwrap_or_default();
    cluster.list_dynamic(&cluster.here(&kind), &kind, "the Deployments of Velero", COMPONENT_SELECTOR).await
}

/// Reads the objects that an application has to know of. Returns also what could not be read, as messages name it.
async fn read_objects(cluster: &Cluster, application: &str) -> (Vec<DynamicObject>, Vec<(String, ClusterError)>) {
    let names = held_names(cluster.namespace(), application);
    let reading = join_all(names.iter().map(|object| async {
        // The credentials themselves are of no interest here.
        if object.types.as_ref().is_some_and(|types| types.kind == "Secret") {
            cluster.find_metadata(object).await
        } else {
            asked_twice(|| cluster.find(object)).await
        }
    }));
    let (outcomes, servers) = join(reading, other_servers(cluster)).await;
    let (mut objects, mut unread) = (Vec::new(), Vec::new());
    for (object, outcome) in names.iter().zip(outcomes) {
        match outcome {
            Ok(found) => objects.extend(found),
            Err(error) => unread.push((describe(object), error)),
        }
    }
    match servers {
        Ok(servers) => objects.extend(servers),
        Err(error) => unread.push((OTHER_SERVERS.to_owned(), error)),
    }
    (objects, unread)
}

/// Returns servers of Velero under other names: two of them in a namespace would work on the same objects.
async fn other_servers(cluster: &Cluster) -> Result<Vec<DynamicObject>, ClusterError> {
    let mut servers = labelled_servers(cluster).await?;
    servers.retain(|server| server.metadata.name.as_deref() != Some(SERVER));
    Ok(servers)
}

impl Applications {
    async fn read(cluster: &Cluster) -> Result<Self, ClusterError> {
        let sets: Api<StatefulSet> = cluster.namespaced();
        let parameters = ListParams::default().labels(JUJU_SELECTOR);
        let sets = call("list", "the StatefulSets of Juju".to_owned(), || sets.list_metadata(&parameters));
        let bindings: Api<ClusterRoleBinding> = cluster.cluster_wide();
        let bindings = cluster.list(&bindings, "the ClusterRoleBindings of Juju", JUJU_SELECTOR);
        let (sets, bindings) = try_join(sets, bindings).await?;
        let present =
            sets.items.iter().map(|set| (set.name_any(), set.creation_timestamp().map(|time| time.0))).collect();
        let namespace = Some(cluster.namespace());
        let accounts = bindings.into_iter().flat_map(|binding| binding.subjects.unwrap_or_default());
        let trusted = accounts.filter(|account| account.namespace.as_deref() == namespace);
        Ok(Self { present, trusted: trusted.map(|account| account.name).collect(), ends: false })
    }

    fn since(&self, application: &str) -> Option<Timestamp> {
        self.present.iter().find(|(name, _)| name == application)?.1
    }

    fn is_present(&self, application: &str) -> bool {
        self.present.iter().any(|(name, _)| name == application)
    }

    /// Returns another application of the model that may have made something at that time: it was there, and it has the rights.
    fn rival(&self, application: &str, made: Option<Timestamp>) -> Option<&str> {
        let may_have = |(name, since): &&(String, Option<Timestamp>)| {
            name != application && self.trusted.contains(name) && *since <= made
        };
        self.present.iter().find(may_have).map(|(name, _)| name.as_str())
    }
}

/// Returns what the objects of a namespace say of their origin, in their order. What the CLI made is the Python charm's where
/// that has changed anything with its own client.
fn origins(objects: &[DynamicObject], namespace: &str) -> Vec<Origin> {
    let by_python_charm = objects.iter().any(|object| FieldOwners::PythonCharm.is_due(&object.metadata));
    let origin = |object: &DynamicObject| match origin(object, namespace) {
        Origin::Unknown if by_python_charm && FieldOwners::Predecessors.is_due(&object.metadata) => Origin::Charm,
        origin => origin,
    };
    objects.iter().map(origin).collect()
}

/// Whether an origin tells by itself whose an object is.
fn is_clear(origin: &Origin, application: &str) -> bool {
    match origin {
        Origin::Application(name) => name == application,
        Origin::Charm => false,
        Origin::Unknown | Origin::Others(_) => true,
    }
}

fn origin(object: &DynamicObject, namespace: &str) -> Origin {
    let label = |key: &str| object.labels().get(key).map(String::as_str);
    if let Some(owner) = object.owner_references().iter().find(|owner| owner.controller == Some(true)) {
        return Origin::Others(format!("{} {}", owner.kind, owner.name));
    }
    match label(MANAGER_LABEL) {
        Some(manager) if manager == MANAGED_BY.1 => match label(INSTANCE) {
            Some(application) => Origin::Application(application.to_owned()),
            None => Origin::Charm,
        },
        Some(JUJU) => {
            Origin::Others(format!("Juju's application {}", label(JUJU_APPLICATION).unwrap_or("of another name")))
        }
        Some("Helm") => {
            let release = object.annotations().get(HELM_RELEASE).map_or("", String::as_str);
            Origin::Others(format!("Helm's release {release}").trim_end().to_owned())
        }
        Some(manager) => Origin::Others(manager.to_owned()),
        None if object.labels().contains_key("app.juju.is/created-by") => Origin::Others("Juju".to_owned()),
        None => bound_elsewhere(object, namespace).map_or(Origin::Unknown, Origin::Others),
    }
}

/// Returns whose a ClusterRoleBinding is that nobody has labelled and that gives rights to others than the server of this namespace:
/// they are cluster-wide, and other Veleros use names of the same pattern.
fn bound_elsewhere(object: &DynamicObject, namespace: &str) -> Option<String> {
    if object.types.as_ref().is_none_or(|types| types.kind != "ClusterRoleBinding") {
        return None;
    }
    let subjects = object.data["subjects"].as_array()?;
    let elsewhere = subjects.iter().find(|subject| subject["namespace"] != namespace || subject["name"] != SERVER)?;
    let text = |key: &str| elsewhere[key].as_str().unwrap_or_default();
    match text("namespace") {
        "" => Some(format!("{} {}", text("kind"), text("name"))),
        theirs => Some(format!("{} {} of namespace {theirs}", text("kind"), text("name"))),
    }
}

fn claim(origin: Origin, made: Option<Timestamp>, application: &str, applications: &Applications) -> Claim {
    match origin {
        Origin::Application(name) if name == application => Claim::Own,
        Origin::Application(name) if applications.is_present(&name) => Claim::Others(format!("the application {name}")),
        // Its application is gone, and has left it behind.
        Origin::Application(_) | Origin::Unknown => Claim::Unclaimed,
        Origin::Charm => match (applications.since(application), applications.rival(application, made)) {
            (Some(since), _) if made.is_some_and(|made| made >= since) => Claim::Own,
            (_, Some(rival)) => Claim::Others(format!("the application {rival}")),
            (None, None) if applications.ends && !applications.is_present(application) => Claim::Own,
            _ => Claim::Unclaimed,
        },
        Origin::Others(holder) => Claim::Others(holder),
    }
}

#[cfg(test)]
#[path = "holdings_tests.rs"]
mod tests;
