//! The names of Velero's objects, and of the labels and annotations that the charm puts on them.

use kube::api::TypeMeta;

/// The annotation of a CustomResourceDefinition that tells which Velero's it is.
pub(crate) const VERSION_ANNOTATION: &str = "velero-operator/velero-version";
/// The name of the Deployment of the server, and of its ServiceAccount.
pub(crate) const SERVER: &str = "velero";
/// The name of the node agent's DaemonSet.
pub(crate) const NODE_AGENT: &str = "node-agent";
/// The name of the Secret with the credentials of the object store.
pub(crate) const CREDENTIALS: &str = "cloud-credentials";
/// The name of both storage locations.
pub(crate) const LOCATION: &str = "default";
/// The name of the Service for the server's metrics.
pub(crate) const METRICS: &str = "velero-metrics";
/// The label that the CLI puts on all that belongs to Velero.
pub(crate) const COMPONENT: (&str, &str) = ("component", "velero");
/// [`COMPONENT`] as a selector: of all pods of Velero, and of its CustomResourceDefinitions.
pub(crate) const COMPONENT_SELECTOR: &str = "component=velero";

/// The label that says which application of the charm made or adopted an object.
pub(crate) const INSTANCE: &str = "app.kubernetes.io/instance";

/// The kind of the BackupStorageLocation.
pub(crate) fn backup_location_kind() -> TypeMeta {
    velero_kind("v1", "BackupStorageLocation")
}

/// A kind of Velero's own API group.
pub(crate) fn velero_kind(version: &str, kind: &str) -> TypeMeta {
    TypeMeta { api_version: format!("velero.io/{version}"), kind: kind.to_owned() }
}
