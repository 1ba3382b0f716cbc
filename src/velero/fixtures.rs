//! A small Velero for tests: what the CLI would print of it, and a cluster in which it comes to run.

use std::{collections::BTreeMap, fs, path::Path};

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::{
    names::{INSTANCE, MANAGED_BY},
    wanted::{BackupLocation, Cli, CsiSnapshots, HeldBack, Installation, LocationPlan, Manifests, Version},
};
use crate::{
    cluster::test_api::TestApi,
    process::tests::write_program,
    settings::Settings,
    storage::{Storage, StoreKeys},
};

pub(crate) const APPLICATION: &str = "velero-operator";
/// The image that the scripted CLI prints, whatever it is asked for.
pub(crate) const IMAGE: &str = "velero/velero:v1.18.3";
/// The kinds of Velero's objects that the charm reads or writes.
const KINDS: [&str; 8] = [
    "Backup",
    "BackupRepository",
    "BackupStorageLocation",
    "DeleteBackupRequest",
    "Restore",
    "Schedule",
    "ServerStatusRequest",
    "VolumeSnapshotLocation",
];
/// When the server started, and when it has validated the location: as long as no test takes a century, that is not stale.
const STARTED: &str = "2026-01-31T10:30:00Z";
const VALIDATED: &str = "2126-01-31T10:40:00Z";

/// A server with a node agent, whose backups go to the bucket `backups`.
pub(crate) fn installation() -> Installation {
    Installation {
        application: APPLICATION.to_owned(),
        image: IMAGE.to_owned(),
        node_agent: true,
        node_agent_is_adopted: false,
        kubelet_root: None,
        default_volumes_to_fs_backup: false,
        csi_snapshots: CsiSnapshots::None,
        image_pull_secrets: Vec::new(),
        repository_password: None,
        proxies: None,
        settings: Settings::default(),
        plugin_image: None,
        location: location("backups"),
        held_back: HeldBack::default(),
    }
}

pub(crate) fn location(bucket: &str) -> LocationPlan {
    let storage = Storage {
        bucket: bucket.to_owned(),
        prefix: None,
        backup_location_config: BTreeMap::new(),
        snapshot_location_config: None,
        credentials: "aws_access_key_id=key".to_owned().into(),
        keys: StoreKeys::S3 { access_key: "key".into(), secret_key: "marked-secret".into() },
        certificate_authority: None,
        notes: Vec::new(),
    };
    LocationPlan::Use(Box::new(BackupLocation { provider: "aws", storage, is_read_only: false }))
}

/// What an installation consists of in the namespace `velero`.
pub(crate) fn manifests(installation: &Installation) -> Manifests {
    let bucket = installation.backup_location().map(|location| location.storage.bucket.as_str());
    let printed = dry_run(&installation.image, installation.node_agent, bucket);
    let objects: Vec<DynamicObject> = serde_json::from_value(Value::Array(printed)).unwrap();
    Manifests::from_dry_run(objects, Version::parse("v1.18.3").as_ref(), "velero", installation)
}

/// The kinds and shapes of objects that `velero install --dry-run` of 1.18 prints.
fn dry_run(image: &str, node_agent: bool, bucket: Option<&str>) -> Vec<Value> {
    let metadata = |name: &str| json!({"name": name, "namespace": "velero", "creationTimestamp": null, "labels": {"component": "velero"}});
    let template = |label: &str, name: &str, container: &str| {
        json!({"metadata": {"creationTimestamp": null, "labels": {"component": "velero", label: name}},
            "spec": {"serviceAccountName": "velero", "containers": [{"name": container, "image": image, "args": ["server"]}]}})
    };
    let mut objects: Vec<_> = KINDS.into_iter().map(definition).collect();
    objects.extend([
        json!({"apiVersion": "v1", "kind": "Namespace", "spec": {}, "metadata": {"name": "velero", "labels":
            {"component": "velero", "pod-security.kubernetes.io/enforce": "privileged"}}}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "velero",
            "creationTimestamp": null, "labels": {"component": "velero"}},
            "subjects": [{"kind": "ServiceAccount", "namespace": "velero", "name": "velero"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata("velero")}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata("velero"), "spec": {"strategy": {},
            "selector": {"matchLabels": {"deploy": "velero"}}, "template": template("deploy", "velero", "velero")}}),
    ]);
    if node_agent {
        objects.push(json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata("node-agent"),
            "spec": {"selector": {"matchLabels": {"name": "node-agent"}}, "updateStrategy": {},
                "template": template("name", "node-agent", "node-agent")}}));
    }
    if let Some(bucket) = bucket {
        objects.push(
            json!({"apiVersion": "velero.io/v1", "kind": "BackupStorageLocation", "metadata": metadata("default"),
            "spec": {"default": true, "provider": "aws", "objectStorage": {"bucket": bucket}}, "status": {}}),
        );
    }
    objects
}

fn definition(kind: &str) -> Value {
    let plural = if kind.ends_with('y') {
        format!("{}ies", kind.trim_end_matches('y').to_lowercase())
    } else {
        format!("{}s", kind.to_lowercase())
    };
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.velero.io"), "creationTimestamp": null, "labels": {"component": "velero"}},
        "spec": {"group": "velero.io", "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}}}]}})
}

/// A stand-in for the program of the charm, which prints the same for the image [`IMAGE`] and these buckets.
pub(crate) fn scripted_cli(charm_directory: &Path, buckets: &[&str]) -> Cli {
    for node_agent in [true, false] {
        for bucket in buckets.iter().copied().map(Some).chain([None]) {
            let list = json!({"kind": "List", "items": dry_run(IMAGE, node_agent, bucket)});
            let file = format!("{node_agent}-{}", bucket.unwrap_or("none"));
            fs::write(charm_directory.join(file), list.to_string()).unwrap();
        }
    }
    let script = "agent=false; bucket=none
for argument; do
    case \"$argument\" in
        version) printf 'Client:\\n\\tVersion: v1.18.3\\n\\tGit commit: -\\n'; exit;;
        --use-node-agent) agent=true;;
        --bucket=*) bucket=\"${argument#--bucket=}\";;
    esac
done
cat \"${0%/*}/$agent-$bucket\"";
    write_program(&charm_directory.join("velero"), script);
    Cli::in_charm(charm_directory)
}

/// A cluster with nothing but the namespace, in which what is applied comes to run at once.
pub(crate) fn empty_cluster() -> TestApi {
    let api = TestApi::new();
    for name in ["kube-system", "velero"] {
        api.put(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    }
    api.react(|object| match object["kind"].as_str() {
        Some("Deployment") => vec![
            with_status(object, &json!({"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1})),
            server_pod(object),
        ],
        Some("DaemonSet") => {
            vec![with_status(
                object,
                &json!({"desiredNumberScheduled": 1, "currentNumberScheduled": 1, "updatedNumberScheduled": 1,
                    "numberAvailable": 1, "numberReady": 1, "numberMisscheduled": 0}),
            )]
        }
        Some("BackupStorageLocation") => vec![validated(object)],
        _ => Vec::new(),
    });
    api
}

/// The server validates the location again, as it does every minute.
pub(crate) fn a_minute_passes(api: &TestApi) {
    if let Some(location) = api.object("BackupStorageLocation", "default") {
        api.put(&validated(&location));
    }
}

fn validated(location: &Value) -> Value {
    with_status(location, &json!({"phase": "Available", "lastValidationTime": VALIDATED, "message": ""}))
}

fn with_status(object: &Value, status: &Value) -> Value {
    let mut object = object.clone();
    object["status"] = status.clone();
    if object["apiVersion"] == "apps/v1" {
        object["status"]["observedGeneration"] = object["metadata"]["generation"].clone();
    }
    object
}

fn server_pod(deployment: &Value) -> Value {
    let template = &deployment["spec"]["template"];
    json!({"apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
        "metadata": {"name": "velero-1", "namespace": "velero", "labels": template["metadata"]["labels"]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "velero", "image": "", "imageID": "", "ready": true,
            "restartCount": 0, "state": {"running": {"startedAt": STARTED}}}]}})
}

/// An object of the application's, as it labels what it makes.
pub(crate) fn own(api_version: &str, kind: &str, name: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "velero",
        "labels": {"component": "velero", MANAGED_BY.0: MANAGED_BY.1, INSTANCE: APPLICATION}}})
}

/// A backup that the server is at work on.
pub(crate) fn backup_in_progress(name: &str) -> Value {
    json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": name, "namespace": "velero"},
        "status": {"phase": "InProgress", "startTimestamp": jiff::Timestamp::now().to_string()}})
}
