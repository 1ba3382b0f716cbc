//! A namespace of a cluster: finding, listing, applying and deleting its objects.

use std::time::Duration;

use http::{Request, header};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope, serde::de::DeserializeOwned};
use kube::{
    Api, Client, Config, Resource,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, Preconditions},
    core::{DynamicResourceScope, GroupVersionKind, ObjectMeta, PartialObjectMeta, TypeMeta},
};
use serde_json::{Value, json};

use super::{
    call::{CALL_LIMIT, ClusterError, asked_twice, call, call_if_there, found},
    connection,
};

/// The name under which the charm owns fields of objects.
pub(crate) const FIELD_MANAGER: &str = "velero-operator";

/// A namespace of a cluster.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    namespace: String,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cluster").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Returns the cluster and the namespace of the pod that this process runs in.
    pub(crate) fn in_cluster() -> Result<Self, ClusterError> {
        let config = Config::incluster().map_err(ClusterError::NoServiceAccount)?;
        let client = connection::client(&config, CALL_LIMIT).map_err(|error| ClusterError::Client(Box::new(error)))?;
        Ok(Self::with_client(client, config.default_namespace))
    }

    /// Returns a namespace of the cluster that a client talks to.
    pub(crate) fn with_client(client: Client, namespace: String) -> Self {
        Self { client, namespace }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the namespace that objects without a scope of their own are in.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns the API of a typed kind in the namespace.
    pub(crate) fn namespaced<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Returns the API of a typed kind in another namespace.
    pub(crate) fn namespaced_in<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Returns the API of a typed kind that has no namespace.
    pub(crate) fn cluster_wide<K>(&self) -> Api<K>
    where
        K: Resource<Scope = ClusterResourceScope>,
        K::DynamicType: Default,
    {
        Api::all(self.client.clone())
    }

    /// Returns the API of a typed kind in all namespaces.
    pub(crate) fn in_all_namespaces<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::all(self.client.clone())
    }

    /// Returns the object as one of the namespace.
    pub(crate) fn own(&self, mut object: DynamicObject) -> DynamicObject {
        object.metadata.namespace = Some(self.namespace.clone());
        object
    }

    /// Returns the API of a kind that is known by name, cluster-wide.
    pub(crate) fn everywhere(&self, kind: &TypeMeta) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &api_resource(kind))
    }

    /// Returns the API of a kind that is known by name, in the namespace.
    pub(crate) fn here(&self, kind: &TypeMeta) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &api_resource(kind))
    }

    /// Returns the API of a kind that is known by name, in another namespace.
    pub(crate) fn there(&self, kind: &TypeMeta, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &api_resource(kind))
    }

    /// Returns the API of the metadata of a kind that is known by name, in the namespace.
    pub(crate) fn metadata_here(&self, kind: &TypeMeta) -> Api<PartialObjectMeta> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &api_resource(kind))
    }

    /// Returns the API of a kind that is known by name, in the namespace, for who reads a part of it.
    pub(crate) fn parts_here<K>(&self, kind: &TypeMeta) -> Api<K>
    where
        K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
    {
        Api::namespaced_with(self.client.clone(), &self.namespace, &api_resource(kind))
    }

    /// Returns the API that an object belongs to, by its kind and its namespace.
    pub(super) fn api_of(&self, object: &DynamicObject) -> Api<DynamicObject> {
        let kind = object.types.clone().unwrap_or_default();
        match &object.metadata.namespace {
            Some(namespace) => self.there(&kind, namespace),
            None => self.everywhere(&kind),
        }
    }

    /// Returns the live object with the kind and name of `object`; `None` where there is no such object or kind.
    ///
    /// # Errors
    ///
    /// When the call fails.
    pub(crate) async fn find(&self, object: &DynamicObject) -> Result<Option<DynamicObject>, ClusterError> {
        let api = self.api_of(object);
        let name = object.metadata.name.as_deref().unwrap_or_default();
        // For a moment, a kind that has just been defined is not a missing object but a missing page.
        Ok(found(call("get", describe(object), || api.get_opt(name)).await)?.flatten())
    }

    /// Returns the metadata alone of the live object with the kind and name of `object`. That it is not there is not believed at the
    /// first word.
    pub(crate) async fn find_metadata(&self, object: &DynamicObject) -> Result<Option<DynamicObject>, ClusterError> {
        let api = self.api_of(object);
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let get = || async { Ok(found(call("get", describe(object), || api.get_metadata_opt(name)).await)?.flatten()) };
        let live = asked_twice(get).await?;
        Ok(live.map(|live| DynamicObject { types: object.types.clone(), metadata: live.metadata, data: json!({}) }))
    }

    /// Applies an object as the charm's field manager, by force: fields that others hold become the charm's.
    pub(crate) async fn apply(&self, object: &DynamicObject) -> Result<DynamicObject, ClusterError> {
        let api = self.api_of(object);
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(object);
        call("apply", describe(object), || api.patch(name, &parameters, &patch)).await
    }

    /// Whether the server would create an object like this one if there were none of its name. Nothing is created.
    pub(crate) async fn accepts(&self, object: &DynamicObject) -> bool {
        let api = self.api_of(object);
        let mut another = object.clone();
        another.metadata.name = Some(format!("{}-anew", object.metadata.name.as_deref().unwrap_or_default()));
        let parameters = PostParams { dry_run: true, ..PostParams::default() };
        call("try to make", describe(object), || api.create(&parameters, &another)).await.is_ok()
    }

    /// Changes fields of an object by a JSON merge patch; `null` removes a field.
    pub(crate) async fn merge(&self, object: &DynamicObject, patch: &Value) -> Result<DynamicObject, ClusterError> {
        let api = self.api_of(object);
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(patch));
        call("change", describe(object), || api.patch(name, &parameters, &patch)).await
    }

    /// Deletes an object, and in the background what it owns. One that is not there is deleted already.
    pub(crate) async fn delete(&self, object: &DynamicObject) -> Result<(), ClusterError> {
        self.delete_by(object, DeleteParams::background()).await
    }

    /// Deletes just this object, and not another of its name; what it owns stays, and is nobody's then.
    pub(crate) async fn delete_alone(&self, object: &DynamicObject) -> Result<(), ClusterError> {
        let preconditions = Preconditions { uid: object.metadata.uid.clone(), resource_version: None };
        self.delete_by(object, DeleteParams { preconditions: Some(preconditions), ..DeleteParams::orphan() }).await
    }

    /// Deletes a pod, which has this time to end.
    pub(crate) async fn delete_within(&self, pod: &DynamicObject, grace: Duration) -> Result<(), ClusterError> {
        let seconds = u32::try_from(grace.as_secs()).unwrap_or(u32::MAX);
        self.delete_by(pod, DeleteParams::background().grace_period(seconds)).await
    }

    async fn delete_by(&self, object: &DynamicObject, parameters: DeleteParams) -> Result<(), ClusterError> {
        let api = self.api_of(object);
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let delete = || call("delete", describe(object), || api.delete(name, &parameters));
        if found(delete().await)?.is_none() && self.is_there(object).await? {
            found(delete().await)?;
        }
        Ok(())
    }

    /// Whether an object is there of which the server has just said that it is not.
    async fn is_there(&self, object: &DynamicObject) -> Result<bool, ClusterError> {
        let live = self.find_metadata(object).await?;
        Ok(live.is_some_and(|live| object.metadata.uid.is_none() || live.metadata.uid == object.metadata.uid))
    }

    /// Returns what the API server serves, in the given form, at a path that is not an object.
    ///
    /// # Errors
    ///
    /// When there is nothing at the path, or nothing in that form. The call is not repeated.
    pub(crate) async fn read<T: DeserializeOwned>(&self, path: &str, form: &str) -> Result<T, kube::Error> {
        let request = Request::get(path).header(header::ACCEPT, form).body(Vec::new());
        self.client.request(request.map_err(kube::Error::HttpError)?).await
    }

    /// Returns the object as it would be after [`Self::apply`], with what admission makes of it. Nothing is changed.
    pub(crate) async fn try_apply(&self, object: &DynamicObject) -> Result<DynamicObject, ClusterError> {
        let api = self.api_of(object);
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let parameters = PatchParams { dry_run: true, ..PatchParams::apply(FIELD_MANAGER).force() };
        let patch = Patch::Apply(object);
        call("try to apply", describe(object), || api.patch(name, &parameters, &patch)).await
    }

    /// Returns the objects of a kind as [`Self::list`] does, each with its kind, which the server gives only once for a list.
    pub(crate) async fn list_dynamic(
        &self,
        api: &Api<DynamicObject>,
        kind: &TypeMeta,
        what: &str,
        selector: &str,
    ) -> Result<Vec<DynamicObject>, ClusterError> {
        let mut objects = self.list(api, what, selector).await?;
        for object in &mut objects {
            object.types = Some(kind.clone());
        }
        Ok(objects)
    }

    /// Returns the metadata alone of the objects of a kind with the labels of `selector`.
    pub(crate) async fn list_metadata(
        &self,
        api: &Api<DynamicObject>,
        kind: &TypeMeta,
        what: &str,
        selector: &str,
    ) -> Result<Vec<DynamicObject>, ClusterError> {
        let parameters = ListParams::default().labels(selector);
        let listed = call_if_there("list", what.to_owned(), || api.list_metadata(&parameters)).await?;
        let head = |object: PartialObjectMeta<DynamicObject>| DynamicObject {
            types: Some(kind.clone()),
            metadata: object.metadata,
            data: json!({}),
        };
        Ok(listed.map(|list| list.items.into_iter().map(head).collect()).unwrap_or_default())
    }

    /// Returns all objects of an API with the labels of `selector`; none where the kind does not exist.
    pub(crate) async fn list<K>(&self, api: &Api<K>, what: &str, selector: &str) -> Result<Vec<K>, ClusterError>
    where
        K: Clone + std::fmt::Debug + DeserializeOwned,
    {
        let mut parameters = ListParams::default();
        if !selector.is_empty() {
            parameters = parameters.labels(selector);
        }
        let listed = call_if_there("list", what.to_owned(), || api.list(&parameters)).await?;
        Ok(listed.map(|list| list.items).unwrap_or_default())
    }
}

/// Returns an object of which only kind and name matter, without a namespace.
pub(crate) fn named(api_version: &str, kind: &str, name: &str) -> DynamicObject {
    DynamicObject {
        types: Some(TypeMeta { api_version: api_version.to_owned(), kind: kind.to_owned() }),
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        data: json!({}),
    }
}

/// Returns the name of an object as messages have it.
pub(crate) fn describe(object: &DynamicObject) -> String {
    format!(
        "{} {}",
        object.types.as_ref().map_or("object", |types| types.kind.as_str()),
        object.metadata.name.as_deref().unwrap_or_default()
    )
}

/// Returns the API of a kind. The plural follows the rules of English for every kind that Velero has.
pub(crate) fn api_resource(kind: &TypeMeta) -> ApiResource {
    let gvk = GroupVersionKind::try_from(kind).unwrap_or_else(|_| GroupVersionKind::gvk("", "v1", &kind.kind));
    ApiResource::from_gvk(&gvk)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::cluster::test_api::{TestApi, Verb};

    #[tokio::test]
    async fn what_is_said_not_to_be_there_and_is_there_is_deleted() {
        let api = TestApi::new();
        api.put(&json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "velero-metrics", "namespace": "velero"}}));
        let denied = std::cell::Cell::new(false);
        api.refuse(move |call| (call.verb == Verb::Delete && !denied.replace(true)).then_some(StatusCode::NOT_FOUND));
        let cluster = api.cluster("velero");
        let service = cluster.own(named("v1", "Service", "velero-metrics"));
        cluster.delete(&service).await.unwrap();
        assert!(api.object("Service", "velero-metrics").is_none());
        // One that is not there is looked for twice, and that is all.
        cluster.delete(&service).await.unwrap();
        assert_eq!(api.requests().len(), 6);
    }
}
