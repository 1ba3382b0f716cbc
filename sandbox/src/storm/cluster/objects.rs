//! The objects of a cluster: where they are, and whether two states of it are the same.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams},
    core::{GroupVersionKind, Request},
};
use serde_json::{Value, json};

use super::{
    super::doors::operation::without_chance,
    etcd::{Etcd, EtcdError, State},
};

/// The annotation by which somebody else's change is known.
pub(in crate::storm) const EDITED: &str = "storm.test/edited";

/// Where the charm notes what the use of a storage location has shown.
const TESTED: &str = "velero-operator/tested-for";

/// A kind: its group, version, name and plural.
type Kind = (&'static str, &'static str, &'static str, &'static str);

/// Every kind of which the charm or Velero has objects.
const KINDS: [Kind; 28] = [
    ("", "v1", "ConfigMap", "configmaps"),
    ("", "v1", "Namespace", "namespaces"),
    ("", "v1", "Pod", "pods"),
    ("", "v1", "Secret", "secrets"),
    ("", "v1", "Service", "services"),
    ("", "v1", "ServiceAccount", "serviceaccounts"),
    ("apps", "v1", "DaemonSet", "daemonsets"),
    ("apps", "v1", "Deployment", "deployments"),
    ("apps", "v1", "StatefulSet", "statefulsets"),
    ("apiextensions.k8s.io", "v1", DEFINITION, "customresourcedefinitions"),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles"),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings"),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    ("velero.io", "v1", "Backup", "backups"),
    ("velero.io", "v1", "BackupRepository", "backuprepositories"),
    ("velero.io", "v1", "BackupStorageLocation", "backupstoragelocations"),
    ("velero.io", "v1", "DeleteBackupRequest", "deletebackuprequests"),
    ("velero.io", "v1", "DownloadRequest", "downloadrequests"),
    ("velero.io", "v1", "PodVolumeBackup", "podvolumebackups"),
    ("velero.io", "v1", "PodVolumeRestore", "podvolumerestores"),
    ("velero.io", "v1", "Restore", "restores"),
    ("velero.io", "v1", "Schedule", "schedules"),
    ("velero.io", "v1", "ServerStatusRequest", "serverstatusrequests"),
    ("velero.io", "v1", "VolumeSnapshotLocation", "volumesnapshotlocations"),
    ("velero.io", "v2alpha1", "DataUpload", "datauploads"),
    ("velero.io", "v2alpha1", "DataDownload", "datadownloads"),
];

/// The kind of those that define kinds.
const DEFINITION: &str = "CustomResourceDefinition";

/// What the server or Juju alone writes, or writes differently each time.
const SERVERS_OWN: [&str; 14] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "observedGeneration",
    "managedFields",
    "selfLink",
    "clusterIP",
    "clusterIPs",
    "deprecated.daemonset.template.generation",
    "lastTransitionTime",
    "lastUpdateTime",
    // Of an application that is deployed anew.
    "app.juju.is/uuid",
    EDITED,
];

/// What is behind the key of one more object whose name differs by chance alone.
const ONE_MORE: &str = " (one more)";

/// Why objects cannot be read.
#[derive(Debug, thiserror::Error)]
pub(in crate::storm) enum ReadError {
    /// The API server does not list them.
    #[error("objects cannot be listed")]
    List(#[from] kube::Error),
    /// Nobody tells what has changed.
    #[error("what has changed cannot be read")]
    Changes(#[from] EtcdError),
}

/// All objects, by kind, namespace and name, without what the server alone writes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(in crate::storm) struct Objects {
    all: BTreeMap<String, Value>,
    uids: BTreeMap<String, String>,
}

/// Reads all objects, and each kind only once more when something of it has changed.
pub(in crate::storm) struct Reader {
    client: Client,
    etcd: Etcd,
    /// What is known of the kinds, and how they were stored then.
    known: Mutex<BTreeMap<&'static str, (State, Objects)>>,
}

impl Reader {
    pub(in crate::storm) fn new(client: Client, etcd: Etcd) -> Self {
        Self { client, etcd, known: Mutex::default() }
    }

    /// Returns all objects that there are now.
    pub(in crate::storm) async fn read(&self) -> Result<Objects, ReadError> {
        let prefixes: Vec<_> = KINDS.iter().map(|(group, _, _, plural)| stored_at(group, plural)).collect();
        let states = self.etcd.states(&prefixes).await?;
        let (mut objects, changed) = self.known(states);
        let mut lists = stream::iter(changed).map(|kind| self.list(kind)).buffer_unordered(8);
        while let Some(list) = lists.next().await {
            objects.add(list?);
        }
        Ok(objects)
    }

    /// Returns the objects of the kinds that are stored as they are known, and the other kinds.
    fn known(&self, states: Vec<State>) -> (Objects, Vec<(Kind, State)>) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut objects = Objects::default();
        let mut changed = Vec::new();
        for (kind, state) in KINDS.into_iter().zip(states) {
            match known.get(kind.2) {
                Some((then, known)) if *then == state => objects.add(known.clone()),
                _ => changed.push((kind, state)),
            }
        }
        (objects, changed)
    }

    async fn list(&self, ((group, version, kind, _), state): (Kind, State)) -> Result<Objects, kube::Error> {
        let api = api_of(&self.client, group, version, kind, None);
        let items =
            if kind == DEFINITION { definitions(&api).await } else { listed_as_sent(&self.client, &api).await }?;
        // Where a kind that is stored is not served yet, it is asked for again.
        let is_whole = items.len() == state.count();
        let mut objects = Objects::default();
        for item in items.into_iter().filter(|item| !is_systems(kind, item)) {
            let metadata = &item["metadata"];
            let namespace = metadata["namespace"].as_str().map_or(String::new(), |name| format!("{name}/"));
            let mut key =
                format!("{kind} {namespace}{}", without_chance(metadata["name"].as_str().unwrap_or_default()));
            while objects.all.contains_key(&key) {
                key.push_str(ONE_MORE);
            }
            objects.uids.insert(key.clone(), metadata["uid"].as_str().unwrap_or_default().to_owned());
            objects.all.insert(key, comparable(item));
        }
        if is_whole {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(kind, (state, objects.clone()));
        }
        Ok(objects)
    }
}

/// Returns what the keys of a kind's objects begin with in etcd.
pub(in crate::storm) fn stored_at(group: &str, plural: &str) -> String {
    match (group, plural) {
        ("", "services") => "/registry/services/specs/".to_owned(),
        // Of kinds that are defined, and of definitions, the group is part of it.
        ("velero.io" | "apiextensions.k8s.io", plural) => format!("/registry/{group}/{plural}/"),
        (_, plural) => format!("/registry/{plural}/"),
    }
}

impl Objects {
    fn add(&mut self, others: Self) {
        self.all.extend(others.all);
        self.uids.extend(others.uids);
    }

    /// Returns what is different from how it should be, a line each.
    pub(in crate::storm) fn differences(&self, expected: &Self) -> Vec<String> {
        let missing =
            expected.all.keys().filter(|key| !self.all.contains_key(*key)).map(|key| format!("{key} is missing"));
        let mut differences: Vec<_> = missing.collect();
        for (key, object) in &self.all {
            match expected.all.get(key) {
                None => differences.push(format!("{key} should not be there")),
                Some(expected) if expected == object => {}
                Some(expected) => {
                    let mut paths = Vec::new();
                    compare("", object, expected, &mut paths);
                    differences.push(format!("{key}: {}", paths.join("; ")));
                }
            }
        }
        differences
    }

    /// Returns those that are not about to go.
    pub(in crate::storm) fn without_going(&self) -> Self {
        let mut staying = self.clone();
        staying.all.retain(|_, object| object["metadata"]["deletionTimestamp"].is_null());
        staying
    }

    /// Returns which objects of `before` have been deleted since, also those that were made anew, of those that `counts`.
    pub(in crate::storm) fn lost(&self, before: &Self, counts: impl Fn(&str) -> bool) -> Vec<String> {
        let kept = |key: &String, uid: &String| self.uids.get(key) == Some(uid);
        let lost = before.uids.iter().filter(|(key, uid)| counts(key) && !kept(key, uid));
        lost.map(|(key, _)| key.clone()).collect()
    }

    /// Returns which objects that `counts` are not what they were in `before`.
    pub(in crate::storm) fn changed(&self, before: &Self, counts: impl Fn(&str) -> bool) -> Vec<String> {
        let changed = before.all.iter().filter(|(key, object)| counts(key) && self.all.get(*key) != Some(object));
        changed.map(|(key, _)| key.clone()).collect()
    }

    /// Returns the objects that hold any of the texts where none but those that `may` are to hold one.
    pub(in crate::storm) fn holding(&self, texts: &[String], may: impl Fn(&str) -> bool) -> Vec<String> {
        let has_any = |object: &Value| {
            let object = object.to_string();
            texts.iter().any(|text| object.contains(text.as_str()))
        };
        self.all.iter().filter(|(key, object)| !may(key) && has_any(object)).map(|(key, _)| key.clone()).collect()
    }

    /// Returns the same with those backups of a namespace in it that `others` has.
    pub(in crate::storm) fn with_backups_of(mut self, namespace: &str, others: &Self) -> Self {
        let prefix = format!("Backup {namespace}/");
        let backups = others.all.iter().filter(|(key, _)| key.starts_with(&prefix));
        self.all.extend(backups.map(|(key, backup)| (key.clone(), backup.clone())));
        self
    }

    /// Returns the same with what `others` has noted of the use of a location that is only read, which cannot be tried again.
    pub(in crate::storm) fn with_use_of(mut self, namespace: &str, others: &Self) -> Self {
        let key = format!("BackupStorageLocation {namespace}/default");
        let noted = others.all.get(&key).map(|location| location["metadata"]["annotations"][TESTED].clone());
        if let Some((location, noted)) = self.all.get_mut(&key).zip(noted.filter(Value::is_string))
            && location["spec"]["accessMode"] == "ReadOnly"
        {
            location["metadata"]["annotations"][TESTED] = noted;
        }
        self
    }

    /// Returns the storage locations of a namespace with a server that name a Secret which is not there, or has no such key.
    pub(in crate::storm) fn without_their_secret(&self, namespace: &str) -> Vec<&String> {
        if !self.all.contains_key(&format!("Deployment {namespace}/velero")) {
            return Vec::new();
        }
        let is_location = |key: &str| key.starts_with(&format!("BackupStorageLocation {namespace}/"));
        let lacks = |location: &Value| {
            let credential = &location["spec"]["credential"];
            let Some((name, key)) = credential["name"].as_str().zip(credential["key"].as_str()) else { return false };
            let secret = self.all.get(&format!("Secret {namespace}/{name}"));
            !secret.is_some_and(|secret| secret["data"][key].is_string())
        };
        let lacking = self.all.iter().filter(|(key, location)| is_location(key) && lacks(location));
        lacking.map(|(key, _)| key).collect()
    }

    /// Returns an object, by kind, namespace and name.
    pub(in crate::storm) fn get(&self, key: &str) -> Option<&Value> {
        self.all.get(key)
    }
}

/// How often a server is asked for a kind that was defined a moment ago.
const TRIES: usize = 100;

/// How long it is left alone between that.
const BREATH: Duration = Duration::from_millis(20);

/// Returns all objects of a kind; none where nobody has defined the kind.
pub(in crate::storm) async fn listed(api: &Api<DynamicObject>) -> Result<Vec<DynamicObject>, kube::Error> {
    let list = once_served(|| async { api.list(&ListParams::default()).await }).await?;
    Ok(list.map(|list| list.items).unwrap_or_default())
}

/// Returns all objects of a kind as the server sends them, of which nothing needs to be understood; none where nobody has defined the
/// kind.
async fn listed_as_sent(client: &Client, api: &Api<DynamicObject>) -> Result<Vec<Value>, kube::Error> {
    let list = || async {
        let request =
            Request::new(api.resource_url()).list(&ListParams::default()).map_err(kube::Error::BuildRequest)?;
        client.request_text(request).await?.parse().map_err(kube::Error::SerdeError)
    };
    let list: Option<Value> = once_served(list).await?;
    Ok(match list.map(|mut list| list["items"].take()) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    })
}

/// Asks for a kind's objects. Returns nothing where nobody has defined the kind.
async fn once_served<T, F>(list: impl Fn() -> F) -> Result<Option<T>, kube::Error>
where
    F: Future<Output = Result<T, kube::Error>>,
{
    let mut tried = 0;
    loop {
        match list().await {
            Ok(list) => return Ok(Some(list)),
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
            // Its storage is not read in yet.
            Err(kube::Error::Api(status)) if status.code == 429 && tried < TRIES => tried += 1,
            Err(error) => return Err(error),
        }
        tokio::time::sleep(BREATH).await;
    }
}

/// Returns the metadata of all definitions. They are large, and the number of their changes tells as much.
async fn definitions(api: &Api<DynamicObject>) -> Result<Vec<Value>, kube::Error> {
    let listed = api.list_metadata(&ListParams::default()).await?;
    let heads = listed.items.into_iter().map(|object| object.metadata);
    Ok(heads.map(|metadata| json!({"metadata": metadata, "changes": metadata.generation})).collect())
}

/// Whether an object is the API server's own, or a pod, of which the player makes what it likes, or what a server takes away by itself.
fn is_systems(kind: &str, object: &Value) -> bool {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    let is_kubernetes = |name: &str| name.starts_with("kube-") || name == "default";
    match kind {
        "Pod" | "DownloadRequest" => true,
        "Namespace" => is_kubernetes(name),
        "ClusterRole" | "ClusterRoleBinding" => metadata["labels"].get("kubernetes.io/bootstrapping").is_some(),
        _ => is_kubernetes(namespace),
    }
}

fn comparable(mut value: Value) -> Value {
    // What the charm notes in ConfigMaps has times in it, too.
    for note in value.get_mut("data").and_then(Value::as_object_mut).into_iter().flat_map(serde_json::Map::values_mut) {
        if let Some(read) = note.as_str().and_then(|text| text.parse::<Value>().ok()).filter(Value::is_object) {
            *note = read;
        }
    }
    if let Some(name) = value["metadata"]["name"].as_str().map(without_chance) {
        value["metadata"]["name"] = json!(name);
    }
    strip(&mut value);
    value
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !SERVERS_OWN.contains(&name.as_str()));
            fields.retain(|name, value| {
                strip(value);
                // An empty map is what a map without the server's own, or somebody else's, is left as.
                !(matches!(name.as_str(), "annotations" | "status")
                    && value.as_object().is_some_and(serde_json::Map::is_empty))
            });
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::String(text) if text.parse::<jiff::Timestamp>().is_ok() => *value = json!("a time"),
        // Of a Secret's version, among other things.
        Value::String(text) if is_hash(text.split(' ').next().unwrap_or_default()) => {
            let rest = text.split_once(' ').map_or("", |(_, rest)| rest);
            *value = json!(format!("a hash {rest}"));
        }
        _ => {}
    }
}

fn is_hash(word: &str) -> bool {
    word.len() == 16 && word.chars().all(|each| matches!(each, '0'..='9' | 'a'..='f'))
}

fn compare(path: &str, found: &Value, expected: &Value, differences: &mut Vec<String>) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            let names: std::collections::BTreeSet<_> = found.keys().chain(expected.keys()).collect();
            for name in names {
                let null = Value::Null;
                let of = |map: &serde_json::Map<String, Value>| map.get(name).unwrap_or(&null).clone();
                compare(&format!("{path}.{name}"), &of(found), &of(expected), differences);
            }
        }
        (found, expected) if found != expected => {
            let short = |value: &Value| value.to_string().chars().take(100).collect::<String>();
            // A Secret's values are nobody's to read.
            let (found, expected) = if path.starts_with(".data.") && expected.is_string() {
                ("something else".to_owned(), "what it should be".to_owned())
            } else {
                (short(found), short(expected))
            };
            differences.push(format!("{path} is {found} and not {expected}"));
        }
        _ => {}
    }
}

fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// Returns the API of a kind, in a namespace or of the whole cluster.
pub(in crate::storm) fn api_of(
    client: &Client,
    group: &str,
    version: &str,
    kind: &str,
    namespace: Option<&str>,
) -> Api<DynamicObject> {
    let resource = resource(group, version, kind);
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// Returns the API and the name of the object at a path, if there is an object's name in it.
pub(in crate::storm) fn api_at(client: &Client, path: &str) -> Option<(Api<DynamicObject>, String)> {
    let (group, version, namespace, plural, name) = parts(path)?;
    let (.., kind, _) = KINDS.iter().find(|known| known.0 == group && known.1 == version && known.3 == plural)?;
    Some((api_of(client, group, version, kind, namespace), name?.to_owned()))
}

/// Returns the kind, namespace and name of the object at a path, as differences have them.
pub(in crate::storm) fn key_at(path: &str) -> Option<String> {
    let (group, version, namespace, plural, name) = parts(path.split('?').next()?)?;
    let (.., kind, _) = KINDS.iter().find(|known| known.0 == group && known.1 == version && known.3 == plural)?;
    let namespace = namespace.map_or(String::new(), |namespace| format!("{namespace}/"));
    Some(format!("{kind} {namespace}{}", without_chance(name?)))
}

/// Returns the plural of the kind, and the name, that a path is about.
pub(in crate::storm) fn kind_and_name(path: &str) -> Option<(&str, &str)> {
    let (_, _, _, plural, name) = parts(path)?;
    Some((plural, name.unwrap_or_default()))
}

/// A path in its parts: group, version, namespace, plural, name.
type Parts<'p> = (&'p str, &'p str, Option<&'p str>, &'p str, Option<&'p str>);

fn parts(path: &str) -> Option<Parts<'_>> {
    let mut words = path.trim_start_matches('/').split('/');
    let (group, version) = match words.next()? {
        "api" => ("", words.next()?),
        "apis" => (words.next()?, words.next()?),
        _ => return None,
    };
    let first = words.next()?;
    if first != "namespaces" {
        return Some((group, version, None, first, words.next()));
    }
    let Some(namespace) = words.next() else { return Some((group, version, None, "namespaces", None)) };
    match words.next() {
        Some(plural) => Some((group, version, Some(namespace), plural, words.next())),
        None => Some((group, version, None, "namespaces", Some(namespace))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_which_object_it_is_about() {
        for (path, expected) in [
            ("/api/v1/namespaces", ("", "v1", None, "namespaces", None)),
            ("/api/v1/namespaces/storm", ("", "v1", None, "namespaces", Some("storm"))),
            ("/api/v1/namespaces/storm/pods", ("", "v1", Some("storm"), "pods", None)),
            ("/apis/apps/v1/namespaces/a/deployments/b/status", ("apps", "v1", Some("a"), "deployments", Some("b"))),
            ("/apis/velero.io/v1/backups", ("velero.io", "v1", None, "backups", None)),
        ] {
            assert_eq!(parts(path), Some(expected), "{path}");
        }
        assert_eq!(parts("/readyz"), None);
        let key = key_at("/apis/apps/v1/namespaces/a/deployments/b?dryRun=All");
        assert_eq!(key.as_deref(), Some("Deployment a/b"));
        assert_eq!(key_at("/api/v1/namespaces/a/pods"), None);
    }

    fn objects(value: Value) -> Objects {
        Objects { all: [("Service a/b".to_owned(), comparable(value))].into(), uids: BTreeMap::new() }
    }

    #[test]
    fn what_is_known_of_the_use_of_a_location_is_missed_where_it_can_be_found_out() {
        let locations = |mode: &str, noted: Value| {
            let location = json!({"metadata": {"annotations": {TESTED: noted}}, "spec": {"accessMode": mode}});
            let all = [("BackupStorageLocation a/default".to_owned(), location)].into();
            Objects { all, uids: BTreeMap::new() }
        };
        for (mode, is_missed) in [("ReadWrite", true), ("ReadOnly", false)] {
            let before = locations(mode, json!("works"));
            let anew = locations(mode, Value::Null).with_use_of("a", &before);
            assert_eq!(anew.differences(&before).is_empty(), !is_missed, "{mode}");
        }
    }

    #[test]
    fn what_the_server_writes_is_no_difference_and_all_else_is() {
        let one = objects(
            json!({"metadata": {"uid": "1", "annotations": {EDITED: "x"}}, "spec": {"a": 1, "clusterIP": "1"}}),
        );
        let other = objects(json!({"metadata": {"uid": "2"}, "spec": {"a": 1}}));
        assert_eq!(one.differences(&other), [] as [&str; 0]);
        let third = objects(json!({"metadata": {}, "spec": {"a": 2}}));
        assert_eq!(one.differences(&third), ["Service a/b: .spec.a is 1 and not 2"]);
        assert_eq!(one.differences(&Objects::default()), ["Service a/b should not be there"]);
        assert_eq!(Objects::default().differences(&one), ["Service a/b is missing"]);
    }

    #[test]
    fn a_time_in_a_text_is_no_difference_and_all_else_in_it_is() {
        let noted = |time: &str, of: &str| {
            let text = json!({"since": time, "of": of}).to_string();
            objects(json!({"metadata": {}, "data": {"noted": text}}))
        };
        let [one, later] = ["2026-01-31T01:00:00Z", "2026-01-31T02:00:00Z"].map(|time| noted(time, "a"));
        assert_eq!(one.differences(&later), [] as [&str; 0]);
        assert_eq!(one.differences(&noted("2026-01-31T01:00:00Z", "b")).len(), 1);
    }

    #[test]
    fn a_location_without_its_secret_is_found() {
        let location = json!({"spec": {"credential": {"name": "keys", "key": "creds"}}});
        let all = [("BackupStorageLocation a/default", location), ("Deployment a/velero", json!({}))];
        let all = all.map(|(key, object)| (key.to_owned(), object)).into();
        let mut objects = Objects { all, ..Objects::default() };
        assert_eq!(objects.without_their_secret("a"), ["BackupStorageLocation a/default"]);
        assert_eq!(objects.without_their_secret("b"), [""; 0]);
        objects.all.insert("Secret a/keys".to_owned(), json!({"data": {"other": ""}}));
        assert_eq!(objects.without_their_secret("a").len(), 1);
        objects.all.insert("Secret a/keys".to_owned(), json!({"data": {"creds": ""}}));
        assert_eq!(objects.without_their_secret("a"), [""; 0]);
        objects.all.remove("Secret a/keys");
        objects.all.remove("Deployment a/velero");
        assert_eq!(objects.without_their_secret("a"), [""; 0]);
    }
}
