//! The charm where the cluster knows of many backups, and the end of it.

use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::core::v1::{Node, NodeSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Map, Value, json};

use super::{
    BenchError, World,
    cost::{Cost, longest, total},
    hooks::act,
    objects::{Objects, ObjectsError, call},
    recorder::{APPLICATION, Measured, expect, status, unexpected},
    storage::INTEGRATOR,
    task::Task,
};
use crate::{
    images,
    juju::{StatusValue, UnitName},
};

/// How many backups a storage holds that is given up.
const FORGOTTEN: usize = 10_000;

/// How many backups there are when it is measured what a hook costs with nothing changed.
const COUNTS: [(usize, Task); 3] =
    [(100, Task::QuietAmong100), (1_000, Task::QuietAmong1000), (FORGOTTEN, Task::QuietAmong10000)];

/// How many restores, and how many nodes, there are beside the most of them.
const ALL_RESTORES: usize = 2_000;
const NODES: usize = 500;

/// The label of the nodes that are none.
const NODE_LABEL: &str = "velero-operator.sandbox/bench";

/// What is in a full namespace.
const BACKUPS: usize = 1_000;
const VOLUME_BACKUPS: usize = 3_000;
const RESTORES: usize = 100;

/// How many objects are made at a time.
const AT_ONCE: usize = 64;

/// How often Juju is let try the last hook: it would do so for ever.
const ATTEMPTS: usize = 5;

/// After how many more hooks all backups have to be forgotten.
const MOST_HOOKS: u32 = 30;

impl World {
    /// Lists many backups, observes them, restarts the server among them, gives up their storage, and removes the charm from a full namespace.
    pub(super) fn crowd(&self, round: u32) -> Result<Vec<(Task, Cost)>, BenchError> {
        let name = format!("among-many-{round}");
        let (model, recorder) = self.active_model(&name)?;
        let mut costs = Vec::new();
        let mut made = 0;
        for (backups, task) in COUNTS {
            self.make(&name, (made..backups).map(forgotten))?;
            made = backups;
            if backups == FORGOTTEN {
                self.make(&name, (0..ALL_RESTORES).map(restore_of_long_ago))?;
                self.runtime.block_on(self.objects.make_nodes(NODES))?;
            }
            model.update_status()?;
            costs.push((task, total(recorder.take()?)));
        }
        self.runtime.block_on(self.objects.remove_nodes())?;
        act(&model, "list-backups", &Map::new())?;
        costs.push((Task::ListMany, total(recorder.take()?)));
        costs.extend(self.list_many(&name)?);
        costs.extend(self.observe_many(&name, started(FORGOTTEN - 1).as_second())?);
        model.configure(APPLICATION, "velero-image", Self::OTHER_IMAGE)?;
        expect(&model, StatusValue::Active)?;
        let restart = total(recorder.take()?);
        let set_image = self.set_image(&name, &images::velero_name())?;
        model.reset(APPLICATION, &["velero-image"])?;
        expect(&model, StatusValue::Active)?;
        recorder.take()?;
        model.remove_relation(APPLICATION, INTEGRATOR)?;
        expect(&model, StatusValue::Blocked)?;
        // What is too much for one hook is left for the next ones.
        for _ in 0..MOST_HOOKS {
            if !self.runtime.block_on(self.objects.has_backups(&name))? {
                break;
            }
            model.update_status()?;
        }
        if self.runtime.block_on(self.objects.has_backups(&name))? {
            return Err(BenchError::NotForgotten);
        }
        let hooks = recorder.take()?;
        let forget = longest(hooks.clone()).ok_or(BenchError::NotForgotten)?;
        let forget_all = total(hooks);
        self.make(&name, (0..BACKUPS).map(forgotten))?;
        let delete = self.delete_backups(&name)?;

        model.integrate(APPLICATION, INTEGRATOR)?;
        recorder.take()?;
        expect(&model, StatusValue::Active)?;
        self.make(&name, (0..BACKUPS).map(backup))?;
        self.make(&name, (0..VOLUME_BACKUPS).map(volume_backup))?;
        self.make(&name, (0..RESTORES).map(restore))?;
        model.remove_application(APPLICATION, false)?;
        for _ in 1..ATTEMPTS {
            if status(&model)?.is_some() {
                model.resolved(&UnitName::new(APPLICATION, 0), true)?;
            }
        }
        if let Some(status) = status(&model)? {
            return Err(unexpected(Some(&status)));
        }
        let removal = recorder.take_all()?;
        let remove = of_hook(&removal, "remove")?;
        model.destroy()?;
        self.remove(&name)?;
        let all = total(removal.into_iter().map(|measured| measured.cost));
        costs.extend([
            (Task::RestartAmongMany, restart),
            (Task::KubectlSetImageAmongMany, set_image),
            (Task::Forget, forget),
            (Task::ForgetAll, forget_all),
            (Task::KubectlDeleteBackups, delete),
            (Task::Remove, remove),
            (Task::RemoveAll, all),
        ]);
        Ok(costs)
    }

    fn make(&self, namespace: &str, objects: impl Iterator<Item = DynamicObject>) -> Result<(), BenchError> {
        Ok(self.runtime.block_on(self.objects.make(namespace, objects))?)
    }
}

impl Objects {
    /// Makes objects of Velero's kinds, many at a time.
    async fn make(&self, namespace: &str, objects: impl Iterator<Item = DynamicObject>) -> Result<(), ObjectsError> {
        let made = stream::iter(objects).map(|object| {
            let kind = object.types.as_ref().map_or_else(String::new, |types| types.kind.clone());
            let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, &resource(&kind));
            async move { api.create(&PostParams::default(), &object).await.map(drop) }
        });
        let made = made.buffer_unordered(AT_ONCE).try_collect::<()>().await;
        made.map_err(|source| call("make many", namespace, source))
    }

    /// Makes nodes without machines.
    async fn make_nodes(&self, count: usize) -> Result<(), ObjectsError> {
        let api = Api::<Node>::all(self.client.clone());
        let made = stream::iter((0..count).map(node)).map(|node| {
            let api = api.clone();
            async move { api.create(&PostParams::default(), &node).await.map(drop) }
        });
        let made = made.buffer_unordered(AT_ONCE).try_collect::<()>().await;
        made.map_err(|source| call("make many nodes", "any", source))
    }

    /// Takes them away.
    async fn remove_nodes(&self) -> Result<(), ObjectsError> {
        let api = Api::<Node>::all(self.client.clone());
        let made = ListParams::default().labels(NODE_LABEL);
        let removed = api.delete_collection(&DeleteParams::default(), &made).await;
        removed.map(drop).map_err(|source| call("remove the nodes", "any", source))
    }

    /// Whether there is any backup in a namespace.
    async fn has_backups(&self, namespace: &str) -> Result<bool, ObjectsError> {
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, &resource("Backup"));
        let listed = api.list_metadata(&ListParams::default().limit(1)).await;
        Ok(!listed.map_err(|source| call("list the backups", namespace, source))?.items.is_empty())
    }
}

fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("velero.io", "v1", kind))
}

fn object(kind: &str, number: usize, content: Value) -> DynamicObject {
    DynamicObject::new(&format!("nightly-{number}"), &resource(kind)).data(content)
}

/// When one of many backups began: an hour after the one before.
fn started(number: usize) -> Timestamp {
    let hours = i64::try_from(number).unwrap_or_default();
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours)
}

/// A backup of an application that is in the store, as the charm sees it by when it ended. The server itself would delete those
/// that say that they are completed, as they are in no store.
fn forgotten(number: usize) -> DynamicObject {
    let started = started(number).to_string();
    let status = json!({"phase": "Failed", "startTimestamp": started, "completionTimestamp": started});
    let mut backup = object("Backup", number, json!({"spec": {"storageLocation": "default"}, "status": status}));
    let labels = [
        ("velero.io/storage-location", "default"),
        ("managed-by", "velero-operator"),
        ("app", "ledger"),
        ("endpoint", "backups"),
        ("model", "apps"),
    ];
    backup.metadata.labels = Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    // As large as one with all that Velero notes in it.
    backup.metadata.annotations = Some([("bench".to_owned(), "x".repeat(2_000))].into());
    backup
}

/// A backup that has ended, and is of no location.
fn backup(number: usize) -> DynamicObject {
    object("Backup", number, json!({"spec": {}, "status": {"phase": "Completed"}}))
}

fn volume_backup(number: usize) -> DynamicObject {
    let spec = json!({"backupStorageLocation": "default", "node": "any", "pod": {}, "repoIdentifier": "any", "volume": "data"});
    object("PodVolumeBackup", number, json!({"spec": spec, "status": {"phase": "Completed"}}))
}

/// A restore that has ended, and that the server cleans up after before it goes.
fn restore(number: usize) -> DynamicObject {
    let spec = json!({"backupName": "nightly-1"});
    let mut restore = object("Restore", number, json!({"spec": spec, "status": {"phase": "Completed"}}));
    restore.metadata.finalizers = Some(vec!["restores.velero.io/external-resources-finalizer".to_owned()]);
    restore
}

/// A restore that nobody waits for, and that nothing has to be cleaned up after.
fn restore_of_long_ago(number: usize) -> DynamicObject {
    let mut restore = restore(number);
    restore.metadata.name = Some(format!("of-long-ago-{number}"));
    restore.metadata.finalizers = None;
    restore
}

/// A node without a machine, on which no pod may run.
fn node(number: usize) -> Node {
    let name = format!("none-such-{number}");
    Node {
        metadata: ObjectMeta {
            name: Some(name),
            labels: Some([(NODE_LABEL.to_owned(), String::new())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec { unschedulable: Some(true), ..NodeSpec::default() }),
        ..Node::default()
    }
}

/// What a hook cost, all its attempts together.
fn of_hook(measured: &[Measured], hook: &'static str) -> Result<Cost, BenchError> {
    let mut costs = measured.iter().filter(|measured| measured.hook == hook).map(|measured| measured.cost.clone());
    let first = costs.next().ok_or(BenchError::NoHook(hook))?;
    Ok(costs.fold(first, Cost::then))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_hook_costs_what_all_its_attempts_cost_and_others_are_not_counted() {
        let measured = |hook: &str, seconds, failure: Option<&str>| Measured {
            hook: hook.to_owned(),
            cost: Cost { wall: Duration::from_secs(seconds), ..Cost::default() },
            failure: failure.map(str::to_owned),
        };
        let hooks =
            [measured("stop", 1, None), measured("remove", 20, Some("exit status 1")), measured("remove", 5, None)];
        assert_eq!(of_hook(&hooks, "remove").unwrap().wall, Duration::from_secs(25));
        assert!(matches!(of_hook(&hooks, "install"), Err(BenchError::NoHook("install"))));
    }
}
