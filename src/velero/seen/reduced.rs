//! Objects of which only a part is read: there may be very many, and each may be large.

use std::{borrow::Cow, fmt::Debug};

use jiff::Timestamp;
use kube::{
    Resource,
    api::{ApiResource, ObjectMeta},
    core::DynamicResourceScope,
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use crate::velero::phase::Phase;

/// An object by its metadata and the parts of its spec and status that are read.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Reduced<Spec: Default, Status: Default> {
    pub metadata: ObjectMeta,
    #[serde(default, bound(deserialize = "Spec: Deserialize<'de>"))]
    pub spec: Spec,
    #[serde(default, bound(deserialize = "Status: Deserialize<'de>"))]
    pub status: Status,
}

/// A Backup, or a Restore.
pub(crate) type ReducedRun = Reduced<IgnoredAny, ReducedStatus>;
/// A Schedule. There are as many as applications.
pub(crate) type ReducedSchedule = Reduced<Value, IgnoredAny>;

/// How far a Backup or a Restore is.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ReducedStatus {
    pub phase: Phase,
    pub start_timestamp: Option<Timestamp>,
    pub completion_timestamp: Option<Timestamp>,
    pub progress: Progress,
}

/// What of a Backup is done.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Progress {
    pub items_backed_up: u64,
}

impl<Spec: Default, Status: Default> Resource for Reduced<Spec, Status> {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use kube::api::{DynamicObject, GroupVersionKind};

    use super::*;

    type Run = ReducedRun;

    #[test]
    fn an_object_is_found_where_its_whole_kind_is() {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("velero.io", "v1", "Backup"));
        let told = |tell: [fn(&ApiResource) -> Cow<'_, str>; 5]| tell.map(|tell| tell(&kind).into_owned());
        assert_eq!(
            told([Run::kind, Run::group, Run::version, Run::api_version, Run::plural]),
            told([
                DynamicObject::kind,
                DynamicObject::group,
                DynamicObject::version,
                DynamicObject::api_version,
                DynamicObject::plural
            ])
        );
        assert_eq!(Run::url_path(&kind, Some("velero")), "/apis/velero.io/v1/namespaces/velero/backups");
    }
}
