//! Lists of what may be many: a page at a time, and of each object only what is needed.

use std::{collections::BTreeMap, future::Future, ops::ControlFlow};

use futures::{Stream, StreamExt, TryStreamExt, future::ready, pin_mut, stream};
use http::header;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, ListParams, Preconditions},
    core::Request,
};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    call::{ClusterError, call_if_there},
    client::Cluster,
};

/// How many objects a page has.
const PAGE: u32 = 500;
/// How many requests are under way at a time.
const AT_ONCE: usize = 16;
/// The form in which the server sends only what is common to all objects.
const METADATA_FORM: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// What is read of each object of a list.
pub(crate) trait Listed: DeserializeOwned {
    /// Whether the metadata suffices.
    const METADATA_ONLY: bool = false;
}

/// What is read of each object of a list of which some may go.
pub(crate) trait Deletable: Listed {
    /// Returns the part of the metadata that is read.
    fn head(&self) -> &Head;
}

/// The part of an object's metadata that decides whether it stays.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Head {
    pub name: String,
    pub namespace: Option<String>,
    pub uid: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub finalizers: Vec<String>,
    pub owner_references: Vec<OwnerReference>,
    pub creation_timestamp: Option<Timestamp>,
    pub deletion_timestamp: Option<Timestamp>,
}

/// An object of which only the metadata is read.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct MetadataOnly {
    #[serde(default)]
    pub metadata: Head,
}

impl Listed for MetadataOnly {
    const METADATA_ONLY: bool = true;
}

impl Deletable for MetadataOnly {
    fn head(&self) -> &Head {
        &self.metadata
    }
}

/// What became of the objects of a list that was to be deleted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Deletions {
    /// How many were deleted.
    pub count: usize,
    /// How many of these have finalizers, and are there until somebody takes them off.
    pub held: usize,
    /// How many were to stay.
    pub kept: usize,
}

impl Deletions {
    fn and(self, more: Self) -> Self {
        Self { count: self.count + more.count, held: self.held + more.held, kept: self.kept + more.kept }
    }
}

#[derive(Deserialize)]
struct Answer<T> {
    metadata: ListMetadata,
    /// A list of metadata alone says `null` where there is none.
    items: Option<Vec<T>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    resource_version: Option<String>,
    #[serde(rename = "continue")]
    rest: Option<String>,
}

/// A page, and the parameters of its request.
struct Page<T> {
    parameters: ListParams,
    version: Option<String>,
    items: Vec<T>,
}

impl Cluster {
    /// Goes through the objects of an API until `visit` breaks; there are none where the kind does not exist.
    pub(crate) async fn walk<T: Listed>(
        &self,
        api: &Api<DynamicObject>,
        what: &str,
        mut visit: impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<(), ClusterError> {
        let pages = self.pages(api, what, ListParams::default().limit(PAGE));
        pin_mut!(pages);
        while let Some(page) = pages.try_next().await? {
            if page.items.into_iter().try_for_each(&mut visit).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Gives `add` each object of an API that has the labels of `selector`.
    pub(crate) async fn collect<T: Listed>(
        &self,
        api: &Api<DynamicObject>,
        what: &str,
        selector: &str,
        mut add: impl FnMut(T),
    ) -> Result<(), ClusterError> {
        let pages = self.pages(api, what, ListParams::default().labels(selector).limit(PAGE));
        pin_mut!(pages);
        while let Some(page) = pages.try_next().await? {
            page.items.into_iter().for_each(&mut add);
        }
        Ok(())
    }

    /// Whether an API has an object with these fields.
    pub(crate) async fn has_any(
        &self,
        api: &Api<DynamicObject>,
        what: &str,
        fields: &str,
    ) -> Result<bool, ClusterError> {
        let parameters = ListParams::default().fields(fields).limit(1);
        let page = self.page::<MetadataOnly>(api, what, &parameters).await?;
        Ok(page.and_then(|page| page.items).is_some_and(|items| !items.is_empty()))
    }

    /// Does something with each object of an API, with many at a time.
    pub(crate) async fn for_each<T: Listed, F>(
        &self,
        api: &Api<DynamicObject>,
        what: &str,
        act: impl Fn(T) -> F,
    ) -> Result<(), ClusterError>
    where
        F: Future<Output = Result<(), ClusterError>>,
    {
        let pages = self.pages(api, what, ListParams::default().limit(PAGE));
        let objects = pages.map_ok(|page| stream::iter(page.items).map(Ok)).try_flatten();
        objects.try_for_each_concurrent(AT_ONCE, act).await
    }

    /// Deletes the objects of an API with the labels of `selector` for which `goes` holds: whole pages by one request each.
    pub(crate) async fn delete_where<T: Deletable>(
        &self,
        api: &Api<DynamicObject>,
        what: &str,
        selector: &str,
        goes: impl Fn(&T) -> bool,
    ) -> Result<Deletions, ClusterError> {
        let goes = &goes;
        let mut parameters = ListParams::default().limit(PAGE);
        if !selector.is_empty() {
            parameters = parameters.labels(selector);
        }
        let deletions = self.pages::<T>(api, what, parameters).map_ok(|page| async move {
            let (going, kept): (Vec<_>, Vec<_>) = page.items.into_iter().partition(goes);
            let held = going.iter().filter(|object| !object.head().finalizers.is_empty()).count();
            let outcome = Deletions { count: going.len(), held, kept: kept.len() };
            if going.is_empty() {
                return Ok(outcome);
            }
            if kept.is_empty() {
                self.delete_page(api, what, page.parameters, page.version).await?;
            } else {
                let heads = going.iter().map(|object| Ok(object.head()));
                stream::iter(heads)
                    .try_for_each_concurrent(AT_ONCE, |head| self.delete_listed(api, what, head))
                    .await?;
            }
            Ok(outcome)
        });
        // Each page is at most two requests at a time to a server that deletes a page's objects one after the other.
        deletions
            .try_buffer_unordered(AT_ONCE)
            .try_fold(Deletions::default(), |sum, more| ready(Ok(sum.and(more))))
            .await
    }

    fn pages<'a, T>(
        &'a self,
        api: &'a Api<DynamicObject>,
        what: &'a str,
        parameters: ListParams,
    ) -> impl Stream<Item = Result<Page<T>, ClusterError>> + 'a
    where
        T: Listed + 'a,
    {
        stream::try_unfold(Some(parameters), move |next| async move {
            let Some(parameters) = next else { return Ok(None) };
            let Some(answer) = self.page::<T>(api, what, &parameters).await? else { return Ok(None) };
            let rest = answer.metadata.rest.filter(|token| !token.is_empty());
            let next = rest.map(|token| parameters.clone().continue_token(&token));
            let page =
                Page { parameters, version: answer.metadata.resource_version, items: answer.items.unwrap_or_default() };
            Ok(Some((page, next)))
        })
    }

    async fn page<T: Listed>(
        &self,
        api: &Api<DynamicObject>,
        what: &str,
        parameters: &ListParams,
    ) -> Result<Option<Answer<T>>, ClusterError> {
        let ask = || async {
            let address = Request::new(api.resource_url());
            let request = if T::METADATA_ONLY { address.list_metadata(parameters) } else { address.list(parameters) };
            self.client().request::<Answer<T>>(request.map_err(kube::Error::BuildRequest)?).await
        };
        // That there are no backups decides what may be restarted or deleted.
        call_if_there("list", what.to_owned(), ask).await
    }

    /// Deletes the objects of a page as it was when it was listed. One that was created since is not among them.
    async fn delete_page(
        &self,
        api: &Api<DynamicObject>,
        what: &str,
        page: ListParams,
        version: Option<String>,
    ) -> Result<(), ClusterError> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if let Some(selector) = &page.label_selector {
            query.append_pair("labelSelector", selector);
        }
        query.append_pair("limit", &PAGE.to_string());
        // What comes after a page is of the same moment as the page.
        if let Some(token) = &page.continue_token {
            query.append_pair("continue", token);
        } else if let Some(version) = &version {
            query.append_pair("resourceVersion", version).append_pair("resourceVersionMatch", "Exact");
        }
        let address = format!("{}?{}", api.resource_url(), query.finish());
        let ask = || async {
            let request = http::Request::delete(&address)
                .header(header::ACCEPT, METADATA_FORM)
                .header(header::CONTENT_TYPE, "application/json")
                .body(br#"{"propagationPolicy":"Background"}"#.to_vec());
            // The body lists the deleted objects, and is discarded.
            let answer = self.client().request_stream(request.map_err(kube::Error::HttpError)?).await?;
            futures::io::copy(answer, &mut futures::io::sink()).await.map(drop).map_err(kube::Error::ReadEvents)
        };
        call_if_there("delete", what.to_owned(), ask).await.map(drop)
    }

    async fn delete_listed(&self, api: &Api<DynamicObject>, what: &str, head: &Head) -> Result<(), ClusterError> {
        let preconditions = Preconditions { uid: head.uid.clone(), resource_version: None };
        let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
        let delete = || api.delete(&head.name, &parameters);
        call_if_there("delete", format!("{what}: {}", head.name), delete).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use kube::core::TypeMeta;
    use serde_json::json;

    use super::*;
    use crate::cluster::test_api::TestApi;

    fn service(name: usize, labels: &serde_json::Value, finalizers: &[&str]) -> serde_json::Value {
        let metadata = json!({"name": format!("service-{name:04}"), "namespace": "velero", "labels": labels,
            "finalizers": finalizers});
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata})
    }

    fn services(cluster: &Cluster) -> Api<DynamicObject> {
        cluster.here(&TypeMeta { api_version: "v1".to_owned(), kind: "Service".to_owned() })
    }

    #[tokio::test]
    async fn whole_pages_are_deleted_at_once_and_others_by_name() {
        let api = TestApi::new();
        for name in 0..1_200 {
            let labels = if name == 700 { json!({"stays": "here"}) } else { json!({}) };
            api.put(&service(name, &labels, &[]));
        }
        let cluster = api.cluster("velero");
        let stays = |object: &MetadataOnly| object.head().labels.contains_key("stays");
        let deleted = cluster.delete_where(&services(&cluster), "services", "", |object| !stays(object)).await.unwrap();
        assert_eq!(deleted, Deletions { count: 1_199, held: 0, kept: 1 });
        assert_eq!(api.names(), ["Service service-0700"]);
        // 3 lists, 2 whole pages, and the others of the page in the middle.
        assert_eq!(api.requests().len(), 3 + 2 + 499);
    }

    #[tokio::test]
    async fn a_walk_asks_for_no_page_more_than_it_needs() {
        let api = TestApi::new();
        for name in 0..1_200 {
            api.put(&service(name, &json!({}), &[]));
        }
        let cluster = api.cluster("velero");
        let mut seen = 0;
        let visit = |object: MetadataOnly| {
            seen += 1;
            if object.metadata.name == "service-0600" { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        cluster.walk(&services(&cluster), "services", visit).await.unwrap();
        assert_eq!((seen, api.requests().len()), (601, 2));
    }
}
