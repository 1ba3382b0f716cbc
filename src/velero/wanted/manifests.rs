//! The objects that an installation consists of.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use futures::future::try_join;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    ResourceExt,
    api::{DynamicObject, ObjectMeta, TypeMeta},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    cli::{Cli, CliError},
    installation::{BackupLocation, Installation},
    pod_security::pod_security,
    pods::{METRICS_PORT, complete_node_agent, complete_server},
    settings::{config_maps, set_up_node_agent, set_up_server},
    version::Version,
};
use crate::{
    cluster::{FieldOwners, MANIFEST_ANNOTATION},
    velero::names::{
        ADOPTED, COMPONENT, CREDENTIALS, CREDENTIALS_KEY, INSTANCE, KEPT_KEYS, LOCATION, MANAGED_BY, METRICS, SERVER,
        VERSION_ANNOTATION,
    },
};

/// The manifests of an installation, grouped by the order in which they are applied.
#[derive(Clone, Debug)]
pub(crate) struct Manifests {
    /// The namespace that all of it is in.
    pub namespace: String,
    /// The labels that the namespace needs, so that the node agent's pods are admitted.
    pub namespace_labels: BTreeMap<String, String>,
    /// The CustomResourceDefinitions, which have to be there before their objects.
    pub definitions: Vec<DynamicObject>,
    /// Everything that depends on nothing else but the definitions.
    pub objects: Vec<DynamicObject>,
    /// The Secret with the credentials of the object store.
    pub credentials: Option<CredentialsSecret>,
    /// The locations, which name the Secret.
    pub locations: Vec<DynamicObject>,
}

/// The Secret with the credentials of the object store. It does not print them.
#[derive(Clone, Debug)]
pub(crate) struct CredentialsSecret {
    pub(crate) application: String,
    pub(crate) namespace: String,
    pub(crate) file: SecretString,
}

impl Manifests {
    /// Returns what `installation` consists of in `namespace`.
    pub(crate) async fn of(cli: &Cli, namespace: &str, installation: &Installation) -> Result<Self, CliError> {
        let (dry_run, version) = try_join(cli.dry_run(namespace, installation), cli.version()).await?;
        Ok(Self::from_dry_run(dry_run, version.as_ref(), namespace, installation))
    }

    /// Returns what the CLI printed, completed by what the CLI does not know.
    pub(crate) fn from_dry_run(
        dry_run: Vec<DynamicObject>,
        version: Option<&Version>,
        namespace: &str,
        installation: &Installation,
    ) -> Self {
        let location = installation.backup_location();
        let mut manifests = Self {
            namespace: namespace.to_owned(),
            namespace_labels: BTreeMap::new(),
            definitions: Vec::new(),
            objects: config_maps(installation, namespace),
            credentials: location.map(|location| CredentialsSecret {
                application: installation.application.clone(),
                namespace: namespace.to_owned(),
                file: location.storage.credentials.clone(),
            }),
            locations: Vec::new(),
        };
        manifests.objects.push(metrics_service(&installation.application, namespace));
        for mut object in dry_run {
            let kind = object.types.as_ref().map_or("", |types| types.kind.as_str());
            let destination = match kind {
                // The namespace is the model, and Juju's.
                "Namespace" => {
                    if installation.node_agent {
                        manifests.namespace_labels = pod_security(&object);
                    }
                    continue;
                }
                "CustomResourceDefinition" => {
                    if let Some(version) = version {
                        object.annotations_mut().insert(VERSION_ANNOTATION.to_owned(), version.to_string());
                    }
                    &mut manifests.definitions
                }
                "BackupStorageLocation" | "VolumeSnapshotLocation" => {
                    complete_location(&mut object, location);
                    &mut manifests.locations
                }
                "Deployment" => {
                    complete_server(&mut object, installation);
                    set_up_server(&mut object, installation);
                    &mut manifests.objects
                }
                "DaemonSet" => {
                    complete_node_agent(&mut object, installation);
                    set_up_node_agent(&mut object, installation);
                    if installation.node_agent_is_adopted {
                        object.annotations_mut().insert(ADOPTED.to_owned(), true.to_string());
                    }
                    &mut manifests.objects
                }
                _ => &mut manifests.objects,
            };
            destination.push(object);
        }
        for object in manifests.definitions.iter_mut().chain(&mut manifests.objects).chain(&mut manifests.locations) {
            finish(object, &installation.application);
        }
        manifests
    }
}

impl CredentialsSecret {
    /// Returns the Secret as the API takes it. `kept` is what was in it when it was adopted: it may be the only copy, and other
    /// locations may use it.
    pub(crate) fn manifest(&self, kept: BTreeMap<String, ByteString>) -> Secret {
        let mut metadata =
            ObjectMeta { labels: Some(labels(&self.application)), ..named(CREDENTIALS, &self.namespace) };
        if !kept.is_empty() {
            let keys = kept.keys().cloned().collect::<Vec<_>>().join(",");
            metadata.annotations = Some([(KEPT_KEYS.to_owned(), keys)].into());
        }
        let mut data = kept;
        data.insert(CREDENTIALS_KEY.to_owned(), ByteString(self.file.expose_secret().as_bytes().to_vec()));
        Secret { metadata, type_: Some("Opaque".to_owned()), data: Some(data), ..Secret::default() }
    }

    /// Returns a copy of the adopted keys, for while the Secret is made anew. Nobody owns it, and it stays.
    pub(crate) fn copy_of(&self, kept: BTreeMap<String, ByteString>) -> Secret {
        let metadata = named(&format!("{CREDENTIALS}-adopted"), &self.namespace);
        Secret { metadata, type_: Some("Opaque".to_owned()), data: Some(kept), ..Secret::default() }
    }

    /// Whether a Secret of the cluster is just this one, beside what was kept in it, and nobody but the charm has a hold on any
    /// field of it.
    pub(crate) fn is_in(&self, live: &Secret) -> bool {
        let wanted = self.manifest(kept(live));
        !FieldOwners::Everybody.is_due(&live.metadata)
            && live.data == wanted.data
            && live.type_ == wanted.type_
            && labels(&self.application).iter().all(|(key, value)| live.labels().get(key) == Some(value))
    }
}

/// Returns what has been kept in a Secret since it was adopted.
pub(crate) fn kept(live: &Secret) -> BTreeMap<String, ByteString> {
    let keys = live.annotations().get(KEPT_KEYS).map_or("", String::as_str);
    let value = |key: &str| Some((key.to_owned(), live.data.as_ref()?.get(key)?.clone()));
    keys.split(',').filter_map(value).collect()
}

/// Returns all that is in a Secret which the charm is about to adopt, under keys that the charm does not use.
pub(crate) fn to_keep(live: &Secret) -> BTreeMap<String, ByteString> {
    let entries = live.data.clone().unwrap_or_default().into_iter();
    entries.map(|(key, value)| (if key == CREDENTIALS_KEY { format!("{key}.adopted") } else { key }, value)).collect()
}

fn named(name: &str, namespace: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), namespace: Some(namespace.to_owned()), ..ObjectMeta::default() }
}

fn labels(application: &str) -> BTreeMap<String, String> {
    [COMPONENT, MANAGED_BY, (INSTANCE, application)].map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// Adds what the CLI is not given: it reads credentials and certificates from files only.
fn complete_location(object: &mut DynamicObject, location: Option<&BackupLocation>) {
    let spec = &mut object.data["spec"];
    spec["credential"] = json!({"name": CREDENTIALS, "key": CREDENTIALS_KEY});
    let (Some(location), true) = (location, spec["objectStorage"].is_object()) else { return };
    if location.is_read_only {
        spec["accessMode"] = json!("ReadOnly");
    }
    let object_storage = &mut spec["objectStorage"];
    // Left out, a folder that somebody else wrote there would stay, and backups go to another place than planned.
    object_storage["prefix"] = json!(location.storage.prefix.as_deref().unwrap_or_default());
    if let Some(authority) = &location.storage.certificate_authority {
        object_storage["caCert"] = json!(ByteString(authority.as_bytes().to_vec()));
    }
}

fn metrics_service(application: &str, namespace: &str) -> DynamicObject {
    DynamicObject {
        types: Some(TypeMeta { api_version: "v1".to_owned(), kind: "Service".to_owned() }),
        metadata: ObjectMeta { labels: Some(labels(application)), ..named(METRICS, namespace) },
        data: json!({
            "spec": {
                "type": "ClusterIP",
                "selector": {"deploy": SERVER},
                "ports": [{"name": "metrics", "port": METRICS_PORT, "targetPort": METRICS_PORT, "protocol": "TCP"}],
            }
        }),
    }
}

/// Labels an object as the application's own, and annotates it with the hash of its manifest.
pub(super) fn finish(object: &mut DynamicObject, application: &str) {
    // The CLI writes `creationTimestamp: null` into every object and pod template.
    remove_nulls(&mut object.data);
    object.metadata.creation_timestamp = None;
    let kind = object.types.as_ref().map_or("", |types| types.kind.as_str());
    if kind == "CustomResourceDefinition" {
        // They belong to every Velero of the cluster. That the charm brought them is why they go with the last one.
        object.labels_mut().insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
    } else if kind == "ClusterRoleBinding" || object.metadata.namespace.is_some() {
        object.labels_mut().extend(labels(application));
    }
    let hash = manifest_hash(object);
    object.annotations_mut().insert(MANIFEST_ANNOTATION.to_owned(), hash);
}

/// Removes what is said to be nothing.
pub(super) fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(remove_nulls);
        }
        Value::Array(entries) => entries.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}

fn manifest_hash(object: &DynamicObject) -> String {
    let mut hash = Sha256::new();
    hash.update(json!(object.metadata.labels).to_string());
    hash.update(json!(object.metadata.annotations).to_string());
    hash.update(object.data.to_string());
    HEXLOWER.encode(&hash.finalize()[..8])
}

/// Returns all manifests as one YAML text of several documents, with the credentials left out.
///
/// # Errors
///
/// When an object cannot be written as YAML, which does not happen to an object of Kubernetes.
pub(crate) fn to_yaml(manifests: &Manifests) -> Result<String, serde_yaml::Error> {
    let mut text = String::new();
    let mut push = |document: &Value| -> Result<(), serde_yaml::Error> {
        text.push_str("---\n");
        text.push_str(&serde_yaml::to_string(document)?);
        Ok(())
    };
    if !manifests.namespace_labels.is_empty() {
        push(&json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": manifests.namespace, "labels": manifests.namespace_labels},
        }))?;
    }
    for object in manifests.definitions.iter().chain(&manifests.objects) {
        push(&json!(object))?;
    }
    if let Some(credentials) = &manifests.credentials {
        let mut secret = json!(credentials.manifest(BTreeMap::new()));
        secret["data"] = json!({CREDENTIALS_KEY: ""});
        secret["metadata"]["annotations"] = json!({"velero-operator/note": "the credentials are left out here"});
        push(&secret)?;
    }
    for location in &manifests.locations {
        push(&json!(location))?;
    }
    Ok(text)
}

/// Whether an object is the BackupStorageLocation.
pub(crate) fn is_backup_location(object: &DynamicObject) -> bool {
    object.metadata.name.as_deref() == Some(LOCATION)
        && object.types.as_ref().is_some_and(|types| types.kind == "BackupStorageLocation")
}

#[cfg(test)]
#[path = "manifests_tests.rs"]
mod tests;
