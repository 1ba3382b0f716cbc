//! The ConfigMap with the policies for volumes, which Schedules and backups name.

use kube::api::{DynamicObject, ObjectMeta, TypeMeta};
use serde_json::{Value, json};

use super::manifests::finish;
use crate::{backups::VolumePolicies, velero::names::policies_name};

/// The key of the text. Velero wants there to be just one, whatever it is called.
const KEY: &str = "resource-policy.yaml";

/// Returns the ConfigMap that holds these policies.
pub(crate) fn policies_object(application: &str, namespace: &str, policies: &VolumePolicies) -> DynamicObject {
    let mut object = DynamicObject {
        types: Some(TypeMeta { api_version: "v1".to_owned(), kind: "ConfigMap".to_owned() }),
        metadata: ObjectMeta {
            name: Some(policies_name(application)),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        data: json!({"data": {KEY: policies.as_str()}}),
    };
    finish(&mut object, application);
    object
}

/// Returns how the spec of a backup names the ConfigMap.
pub(super) fn reference(name: &str) -> Value {
    json!({"kind": "configmap", "name": name})
}
