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
/// The name of the Secret with the password that files of volumes are encrypted with, and the password's key in it.
pub(crate) const REPOSITORY_SECRET: &str = "velero-repo-credentials";
pub(crate) const REPOSITORY_KEY: &str = "repository-password";
/// The password that Velero itself puts there, which everybody knows. Reference: `pkg/repository/keys/keys.go` of Velero.
pub(crate) const PUBLIC_PASSWORD: &[u8] = b"static-passw0rd";
/// The argument by which the server and the node agent make snapshots by CSI drivers.
pub(crate) const CSI_FEATURE: &str = "--features=EnableCSI";
/// The kinds of locations, which name the Secret with the credentials.
pub(crate) const LOCATION_KINDS: [&str; 2] = ["BackupStorageLocation", "VolumeSnapshotLocation"];
/// The label that the CLI puts on all that belongs to Velero.
pub(crate) const COMPONENT: (&str, &str) = ("component", "velero");
/// The label by which the charm knows what charms of its kind made.
pub(crate) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "velero-operator");
/// The key of the label with the name of the application that made or adopted an object.
pub(crate) const INSTANCE: &str = "app.kubernetes.io/instance";
/// The annotation of a node agent that was there before the charm, and stays although no option asks for it.
pub(crate) const ADOPTED: &str = "velero-operator/adopted";
/// The annotation of the Secret with the proxies, and of the pods that read it, with the name that its content has.
pub(crate) const PROXIES: &str = "velero-operator/proxies";
/// The annotation of pods with a hash of the ConfigMap that they have read.
pub(crate) const SETTINGS: &str = "velero-operator/settings";
/// The annotation of a Schedule with the spec that it is of.
pub(crate) const SPEC: &str = "velero-operator/backup-spec";
/// The annotation of the Secret with the keys that were in it when it was adopted, and stay there.
pub(crate) const KEPT_KEYS: &str = "velero-operator/kept-keys";
/// The key of the Secret under which the charm has the credentials file.
pub(crate) const CREDENTIALS_KEY: &str = "creds";
/// The name of the ConfigMap with what is remembered of restore drills.
pub(crate) const DRILL_BOOK: &str = "velero-operator-drills";
/// [`COMPONENT`] as a selector: of all pods of Velero, and of its CustomResourceDefinitions.
pub(crate) const COMPONENT_SELECTOR: &str = "component=velero";

/// Returns the name of the ClusterRoleBinding of a namespace's server, as `velero install` has it.
pub(crate) fn cluster_role_binding(namespace: &str) -> String {
    if namespace == "velero" { "velero".to_owned() } else { format!("velero-{namespace}") }
}

/// Returns the name of the Secret with the URLs of proxies. No other application would call one so.
pub(crate) fn proxies_secret(application: &str) -> String {
    format!("{application}-proxies")
}

/// Returns the name of the ConfigMap with an application's policies for volumes. No other application would call one so.
pub(crate) fn policies_name(application: &str) -> String {
    format!("{application}-resource-policy")
}

/// Returns the name of the ConfigMap that the node agent reads. No other application would call one so.
pub(crate) fn node_agent_config(application: &str) -> String {
    format!("{application}-node-agent")
}

/// Returns the name of the ConfigMap that the server reads for its repositories and their maintenance.
pub(crate) fn repository_config(application: &str) -> String {
    format!("{application}-repository")
}

/// Returns the kind of what defines the kinds of Velero's objects.
pub(crate) fn definition_kind() -> TypeMeta {
    TypeMeta { api_version: "apiextensions.k8s.io/v1".to_owned(), kind: "CustomResourceDefinition".to_owned() }
}

/// Returns the kind of the BackupStorageLocation.
pub(crate) fn backup_location_kind() -> TypeMeta {
    velero_kind("v1", "BackupStorageLocation")
}

/// Returns a kind of Velero's own API group.
pub(crate) fn velero_kind(version: &str, kind: &str) -> TypeMeta {
    TypeMeta { api_version: format!("velero.io/{version}"), kind: kind.to_owned() }
}

/// Returns the kind of Velero's object that would have the same name as an object of the application: Juju gives the
/// application's name to a StatefulSet, a Service, a ServiceAccount and others.
pub(crate) fn reserved_name(application: &str) -> Option<&'static str> {
    match application {
        SERVER => Some("Deployment and ServiceAccount"),
        NODE_AGENT => Some("DaemonSet"),
        METRICS => Some("Service"),
        CREDENTIALS | REPOSITORY_SECRET => Some("Secret"),
        _ => None,
    }
}
