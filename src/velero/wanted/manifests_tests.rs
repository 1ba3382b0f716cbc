use super::super::installation::{CsiSnapshots, LocationPlan};
use super::*;
use crate::{
    settings::Settings,
    storage::{Storage, StoreKeys},
};

const MARKED: &str = "[default]\naws_secret_access_key=marked-secret\n";

fn installation(certificate_authority: Option<&str>) -> Installation {
    let storage = Storage {
        bucket: "cluster-backups".into(),
        prefix: None,
        backup_location_config: BTreeMap::new(),
        snapshot_location_config: None,
        credentials: SecretString::from(MARKED),
        keys: StoreKeys::S3 { access_key: "key".into(), secret_key: "marked-secret".into() },
        certificate_authority: certificate_authority.map(str::to_owned),
        notes: Vec::new(),
    };
    Installation {
        application: "ours".into(),
        node_agent_is_adopted: false,
        held_back: super::super::installation::HeldBack::default(),
        image: "velero/velero:v1.18.3".into(),
        node_agent: false,
        kubelet_root: None,
        default_volumes_to_fs_backup: false,
        csi_snapshots: CsiSnapshots::None,
        image_pull_secrets: Vec::new(),
        repository_password: None,
        proxies: None,
        settings: Settings::default(),
        plugin_image: None,
        location: LocationPlan::Use(Box::new(BackupLocation { provider: "aws", storage, is_read_only: false })),
    }
}

/// The kinds and shapes of objects that `velero install --dry-run` of 1.18 prints.
fn dry_run() -> Vec<DynamicObject> {
    let objects = json!([
        {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
         "metadata": {"name": "backups.velero.io", "labels": {"component": "velero"}}, "spec": {"group": "velero.io"}},
        {"apiVersion": "v1", "kind": "Namespace", "spec": {}, "metadata": {"name": "model", "creationTimestamp": null,
         "labels": {"component": "velero", "pod-security.kubernetes.io/enforce": "privileged"}}},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
         "metadata": {"name": "velero-model", "creationTimestamp": null}, "subjects": []},
        {"apiVersion": "velero.io/v1", "kind": "BackupStorageLocation",
         "metadata": {"name": "default", "namespace": "model", "creationTimestamp": null},
         "spec": {"provider": "aws", "objectStorage": {"bucket": "cluster-backups"}}},
        {"apiVersion": "apps/v1", "kind": "Deployment",
         "metadata": {"name": "velero", "namespace": "model", "creationTimestamp": null},
         "spec": {"template": {"metadata": {"creationTimestamp": null}}}},
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "node-agent", "namespace": "model"},
         "spec": {"template": {"spec": {"containers": [{"name": "node-agent"}]}}}},
    ]);
    serde_json::from_value(objects).unwrap()
}

fn manifests(certificate_authority: Option<&str>) -> Manifests {
    Manifests::from_dry_run(
        dry_run(),
        Version::parse("v1.18.3").as_ref(),
        "model",
        &installation(certificate_authority),
    )
}

fn object<'a>(objects: &'a [DynamicObject], kind: &str) -> &'a DynamicObject {
    objects.iter().find(|object| object.types.as_ref().unwrap().kind == kind).unwrap()
}

#[test]
fn the_namespace_is_left_to_juju() {
    let manifests = manifests(None);
    let mut all = manifests.definitions.iter().chain(&manifests.objects).chain(&manifests.locations);
    assert!(all.all(|object| object.types.as_ref().unwrap().kind != "Namespace"));
}

#[test]
fn only_the_node_agent_needs_a_namespace_that_admits_privileged_pods() {
    assert_eq!(manifests(None).namespace_labels, BTreeMap::new());
    let installation = Installation { node_agent: true, ..installation(None) };
    let manifests = Manifests::from_dry_run(dry_run(), None, "model", &installation);
    let label = ("pod-security.kubernetes.io/enforce".to_owned(), "privileged".to_owned());
    assert_eq!(manifests.namespace_labels, BTreeMap::from([label]));
    assert!(to_yaml(&manifests).unwrap().contains("pod-security.kubernetes.io/enforce: privileged"));
}

#[test]
fn the_node_agent_is_ready_when_it_says_so_and_leaves_its_last_words() {
    let manifests = manifests(None);
    let agent = &object(&manifests.objects, "DaemonSet").data["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(agent["readinessProbe"]["httpGet"]["path"], json!("/metrics"));
    assert_eq!(agent["terminationMessagePolicy"], json!("FallbackToLogsOnError"));
}

#[test]
fn the_definitions_tell_which_velero_they_are_of() {
    let manifests = manifests(None);
    assert_eq!(manifests.definitions[0].annotations()["velero-operator/velero-version"], "1.18.3");
}

#[test]
fn a_server_that_was_scaled_to_zero_comes_back() {
    let manifests = manifests(None);
    let deployment = object(&manifests.objects, "Deployment");
    assert_eq!(deployment.data["spec"]["replicas"], json!(1));
    assert_eq!(deployment.data["spec"]["template"]["metadata"], json!({}));
}

#[test]
fn the_location_names_the_secret_and_holds_the_certificates() {
    let without = manifests(None);
    let spec = &object(&without.locations, "BackupStorageLocation").data["spec"];
    assert_eq!(spec["credential"], json!({"name": "cloud-credentials", "key": "creds"}));
    assert_eq!(spec["objectStorage"].get("caCert"), None);
    let with = manifests(Some("PEM"));
    let spec = &object(&with.locations, "BackupStorageLocation").data["spec"];
    // Base64 of the text, as for every field of bytes.
    assert_eq!(spec["objectStorage"]["caCert"], json!("UEVN"));
}

#[test]
fn metrics_are_reached_by_a_service_of_the_servers_pods() {
    let manifests = manifests(None);
    let service = object(&manifests.objects, "Service");
    assert_eq!(service.metadata.name.as_deref(), Some("velero-metrics"));
    assert_eq!(service.data["spec"]["type"], json!("ClusterIP"));
    assert_eq!(service.data["spec"]["selector"], json!({"deploy": "velero"}));
    assert_eq!(service.data["spec"]["ports"][0]["port"], json!(8085));
}

#[test]
fn what_belongs_to_this_velero_alone_is_marked_as_the_charms_own() {
    let manifests = manifests(None);
    let owner = |object: &DynamicObject| [MANAGED_BY.0, INSTANCE].map(|label| object.labels().get(label).cloned());
    let ours = ["velero-operator", "ours"].map(|value| Some(value.to_owned()));
    for object in manifests.objects.iter().chain(&manifests.locations) {
        assert_eq!(owner(object), ours, "{object:?}");
    }
    // Definitions are the charm's, and no application's.
    assert_eq!(owner(&manifests.definitions[0]), [Some("velero-operator".to_owned()), None]);
}

#[test]
fn what_was_in_a_secret_when_it_was_adopted_stays_in_it() {
    let data = |entries: &[(&str, &str)]| -> BTreeMap<String, ByteString> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()))).collect()
    };
    let credentials = manifests(None).credentials.unwrap();
    let found = Secret { data: Some(data(&[("cloud", "by hand"), ("creds", "theirs")])), ..Secret::default() };
    let adopted = credentials.manifest(to_keep(&found));
    assert_eq!(adopted.data, Some(data(&[("cloud", "by hand"), ("creds.adopted", "theirs"), ("creds", MARKED)])));
    assert!(credentials.is_in(&adopted));
    // The next credentials find it there again.
    assert_eq!(kept(&adopted), data(&[("cloud", "by hand"), ("creds.adopted", "theirs")]));
    assert_eq!(credentials.manifest(kept(&adopted)), adopted);
    // What somebody adds to a Secret of ours has no business there.
    let mut added = adopted;
    added.data.as_mut().unwrap().insert("more".into(), ByteString(Vec::new()));
    assert!(!credentials.is_in(&added));
}

#[test]
fn the_annotation_tells_one_manifest_from_another_and_is_the_same_for_the_same() {
    let annotation = |manifests: &Manifests| {
        object(&manifests.locations, "BackupStorageLocation").annotations()[MANIFEST_ANNOTATION].clone()
    };
    assert_eq!(annotation(&manifests(None)), annotation(&manifests(None)));
    assert_ne!(annotation(&manifests(None)), annotation(&manifests(Some("PEM"))));
}

#[test]
fn credentials_are_in_the_secret_and_in_nothing_that_prints() {
    let manifests = manifests(None);
    let credentials = manifests.credentials.as_ref().unwrap();
    let secret = credentials.manifest(BTreeMap::new());
    assert_eq!(secret.data.as_ref().unwrap()["creds"].0, MARKED.as_bytes());
    assert!(credentials.is_in(&secret));
    let mut other = secret.clone();
    other.data.as_mut().unwrap().insert("creds".into(), ByteString(b"old".to_vec()));
    assert!(!credentials.is_in(&other));
    for printed in [format!("{manifests:?}"), to_yaml(&manifests).unwrap()] {
        assert!(!printed.contains("marked-secret"));
        assert!(!printed.contains("bWFya2VkLXNlY3JldA"), "in base64");
    }
    assert!(to_yaml(&manifests).unwrap().contains("the credentials are left out here"));
}

#[test]
fn the_copy_of_what_was_adopted_is_nobodys() {
    let secret = CredentialsSecret {
        application: "ours".to_owned(),
        namespace: "velero".to_owned(),
        file: SecretString::from(MARKED),
    };
    let kept = BTreeMap::from([("cloud".to_owned(), ByteString(b"one".to_vec()))]);
    let copy = secret.copy_of(kept.clone());
    assert_eq!(copy.metadata.name.as_deref(), Some("cloud-credentials-adopted"));
    assert_eq!((copy.metadata.namespace.as_deref(), &copy.metadata.labels), (Some("velero"), &None));
    assert_eq!((copy.type_.as_deref(), copy.data), (Some("Opaque"), Some(kept)));
}

#[test]
fn only_the_location_by_its_name_is_the_backup_location() {
    for (kind, name, is_it) in [
        ("BackupStorageLocation", "default", true),
        ("BackupStorageLocation", "another", false),
        ("VolumeSnapshotLocation", "default", false),
    ] {
        assert_eq!(is_backup_location(&crate::cluster::named("velero.io/v1", kind, name)), is_it, "{kind} {name}");
    }
}
