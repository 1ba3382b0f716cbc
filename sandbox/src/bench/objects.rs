//! Velero's objects in the cluster: which versions they have, whether they rest, and taking them away.

use std::{collections::BTreeMap, collections::BTreeSet, time::Duration};

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Namespace};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams},
    core::GroupVersionKind,
    runtime::{conditions::is_deleted, wait::await_condition},
};
use serde_json::json;
use tokio::time::timeout;

use crate::pod_additions;

/// What all of Velero's objects are labelled with, by the CLI and by the charm.
const LABEL: &str = "component=velero";

/// How long Velero may take to come to rest, and to go.
pub(super) const LIMIT: Duration = Duration::from_mins(2);

/// The kinds that Velero is installed as: group, version, kind.
const KINDS: [[&str; 3]; 9] = [
    ["apps", "v1", "Deployment"],
    ["apps", "v1", "DaemonSet"],
    ["", "v1", "Secret"],
    ["", "v1", "Service"],
    ["", "v1", "ServiceAccount"],
    ["velero.io", "v1", "BackupStorageLocation"],
    ["velero.io", "v1", "VolumeSnapshotLocation"],
    BINDING,
    DEFINITION,
];

const BINDING: [&str; 3] = ["rbac.authorization.k8s.io", "v1", "ClusterRoleBinding"];
const DEFINITION: [&str; 3] = ["apiextensions.k8s.io", "v1", "CustomResourceDefinition"];

/// The version of each object, by `Kind name`.
pub type Versions = BTreeMap<String, String>;

/// Why the objects could not be looked at or taken away.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// The API server refused.
    #[error("cannot {operation} of namespace {namespace}")]
    Call {
        /// What was tried.
        operation: &'static str,
        /// The namespace of the Velero.
        namespace: String,
        /// What the API server said.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server refused to change a node.
    #[error("cannot tell the nodes whether to take pods")]
    Cordon(#[source] Box<kube::Error>),
    /// They could not be watched.
    #[error("cannot wait for {what} of namespace {namespace}")]
    Wait {
        /// What was waited for.
        what: &'static str,
        /// The namespace of the Velero.
        namespace: String,
        /// What the watch said.
        #[source]
        source: Box<kube::runtime::wait::Error>,
    },
    /// It took too long.
    #[error("{what} of namespace {namespace} took longer than {LIMIT:?}")]
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// The namespace of the Velero.
        namespace: String,
    },
}

/// The objects of the Veleros of a cluster.
#[derive(Clone)]
pub struct Objects {
    pub(super) client: Client,
}

impl Objects {
    /// Those that an administrator's client sees.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    fn api(&self, [group, version, kind]: [&str; 3], namespace: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        if [BINDING, DEFINITION].contains(&[group, version, kind]) {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, &resource)
        }
    }

    async fn list(&self, kind: [&str; 3], namespace: &str) -> Result<Vec<DynamicObject>, ObjectsError> {
        let listed = match self.api(kind, namespace).list(&ListParams::default().labels(LABEL)).await {
            // Without its definition there is no such kind.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Vec::new()),
            Err(source) => return Err(call("list the objects", namespace, source)),
            Ok(listed) => listed.items,
        };
        let belongs = |object: &DynamicObject| kind != BINDING || binds(object, namespace);
        Ok(listed.into_iter().filter(belongs).collect())
    }

    /// The versions of all objects of the Velero of a namespace, and of the definitions, which Veleros share.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn versions(&self, namespace: &str) -> Result<Versions, ObjectsError> {
        let mut versions = Versions::new();
        for kind in KINDS {
            for object in self.list(kind, namespace).await? {
                versions.insert(format!("{} {}", kind[2], object.name_any()), version(kind[2], &object));
            }
        }
        Ok(versions)
    }

    /// Waits until the server runs as it should, and no controller has anything more to write about it.
    ///
    /// # Errors
    /// When it does not come to rest in time.
    pub async fn rest(&self, namespace: &str) -> Result<(), ObjectsError> {
        let api = Api::<Deployment>::namespaced(self.client.clone(), namespace);
        let resting = await_condition(api, "velero", |server: Option<&Deployment>| server.is_some_and(rests));
        Box::pin(within("the rest of Velero", namespace, resting)).await
    }

    /// Waits until the sandbox has added to the server what it keeps adding.
    ///
    /// # Errors
    /// When it is not added in time.
    pub async fn added_to(&self, namespace: &str) -> Result<(), ObjectsError> {
        let api = Api::<Deployment>::namespaced(self.client.clone(), namespace);
        let added = await_condition(api, "velero", |server: Option<&Deployment>| {
            let managers = server.and_then(|server| server.metadata.managed_fields.as_ref());
            managers.is_some_and(|managers| {
                managers.iter().any(|fields| fields.manager.as_deref() == Some(pod_additions::FIELD_MANAGER))
            })
        });
        Box::pin(within("the additions to Velero", namespace, added)).await
    }

    /// Takes the Velero of a namespace away, the namespace and the definitions too, and waits until they have gone.
    ///
    /// # Errors
    /// When the API server refuses or it takes too long.
    pub async fn remove(&self, namespace: &str) -> Result<(), ObjectsError> {
        let parameters = DeleteParams::background();
        let mut going = Vec::new();
        for kind in [BINDING, DEFINITION] {
            for object in self.list(kind, namespace).await? {
                going.push((self.api(kind, namespace), object));
            }
        }
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let there = namespaces.get_opt(namespace).await.map_err(|source| call("find the rest", namespace, source))?;
        if there.is_some() {
            let deleted = namespaces.delete(namespace, &parameters).await;
            gone(deleted).map_err(|source| call("delete the objects", namespace, source))?;
        }
        for (api, object) in &going {
            let deleted = api.delete(&object.name_any(), &parameters).await;
            gone(deleted).map_err(|source| call("delete the objects", namespace, source))?;
        }
        for (api, object) in going {
            let uid = object.uid().unwrap_or_default();
            let name = object.name_any();
            within("the deletion", namespace, await_condition(api, &name, is_deleted(&uid))).await?;
        }
        if let Some(uid) = there.and_then(|namespace| namespace.metadata.uid) {
            within("the deletion", namespace, await_condition(namespaces, namespace, is_deleted(&uid))).await?;
        }
        Ok(())
    }
}

pub(super) fn call(operation: &'static str, namespace: &str, source: kube::Error) -> ObjectsError {
    ObjectsError::Call { operation, namespace: namespace.to_owned(), source: Box::new(source) }
}

/// That there is nothing to delete is as good.
fn gone<T>(deleted: kube::Result<T>) -> kube::Result<()> {
    match deleted {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        deleted => deleted.map(drop),
    }
}

pub(super) async fn within<T>(
    what: &'static str,
    namespace: &str,
    waiting: impl Future<Output = Result<T, kube::runtime::wait::Error>>,
) -> Result<(), ObjectsError> {
    let namespace = namespace.to_owned();
    match timeout(LIMIT, waiting).await {
        Err(_) => Err(ObjectsError::TimedOut { what, namespace }),
        Ok(Err(source)) => Err(ObjectsError::Wait { what, namespace, source: Box::new(source) }),
        Ok(Ok(_)) => Ok(()),
    }
}

/// Whether a ClusterRoleBinding is for a namespace's service accounts.
fn binds(binding: &DynamicObject, namespace: &str) -> bool {
    let subjects = binding.data["subjects"].as_array();
    subjects.is_some_and(|subjects| subjects.iter().any(|subject| subject["namespace"] == namespace))
}

/// What changes when somebody changes the object.
fn version(kind: &str, object: &DynamicObject) -> String {
    if kind == "BackupStorageLocation" {
        // The server renews its status about once a minute.
        return json!([object.uid(), object.labels(), object.annotations(), object.data["spec"]]).to_string();
    }
    object.resource_version().unwrap_or_default()
}

/// Whether a Deployment is rolled out and its status is the last for now.
fn rests(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else { return false };
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    let rolled_out = status.conditions.iter().flatten().any(|condition| {
        condition.type_ == "Progressing" && condition.reason.as_deref() == Some("NewReplicaSetAvailable")
    });
    rolled_out
        && status.observed_generation == deployment.metadata.generation
        && [status.replicas, status.updated_replicas, status.available_replicas].iter().all(|count| *count == wanted)
        && status.terminating_replicas.unwrap_or_default() == 0
}

/// The objects that came, went or have another version.
#[must_use]
pub fn changed(before: &Versions, after: &Versions) -> BTreeSet<String> {
    let names = before.keys().chain(after.keys());
    names.filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(pairs: &[(&str, &str)]) -> Versions {
        pairs.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
    }

    #[test]
    fn what_came_went_or_has_another_version_has_changed() {
        let before = versions(&[("Secret a", "1"), ("Secret b", "1"), ("Secret c", "1")]);
        let after = versions(&[("Secret b", "1"), ("Secret c", "2"), ("Secret d", "3")]);
        assert_eq!(changed(&before, &after).into_iter().collect::<Vec<_>>(), ["Secret a", "Secret c", "Secret d"]);
        assert!(changed(&before, &before).is_empty());
    }

    #[test]
    fn a_deployment_rests_when_its_old_pods_have_gone_too() {
        let deployment = |status: serde_json::Value| -> Deployment {
            let object = json!({
                "metadata": {"generation": 2},
                "spec": {"replicas": 1, "selector": {}, "template": {}},
                "status": status,
            });
            serde_json::from_value(object).unwrap()
        };
        let mut status = json!({
            "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1,
            "conditions": [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}],
        });
        assert!(rests(&deployment(status.clone())));
        status["terminatingReplicas"] = json!(1);
        assert!(!rests(&deployment(status)));
    }

    #[test]
    fn a_location_that_was_only_validated_has_not_changed() {
        let location = |validated: &str, bucket: &str| -> DynamicObject {
            let object = json!({
                "metadata": {"name": "default", "resourceVersion": validated},
                "spec": {"objectStorage": {"bucket": bucket}},
                "status": {"lastValidationTime": validated},
            });
            serde_json::from_value(object).unwrap()
        };
        let kind = "BackupStorageLocation";
        assert_eq!(version(kind, &location("1", "a")), version(kind, &location("2", "a")));
        assert_ne!(version(kind, &location("1", "a")), version(kind, &location("1", "b")));
    }
}
