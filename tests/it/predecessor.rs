//! What the Python charm of the same name leaves in a cluster, made in the way in which it makes it: by verbs of the `velero`
//! CLI, and by a Kubernetes client of its own. Then what the CLI of its version, Velero 1.15, made in another way.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use kube::{
    api::{DynamicObject, Patch, PatchParams, PostParams},
    runtime::wait::await_condition,
};
use sandbox::juju::{DeployOptions, Model};
use serde_json::{Value, json};

use crate::{deployed::Deployed, objects, world::World};

/// The field manager of the charm's own client.
pub const CLIENT: &str = "velero-operator-lightkube";
/// The field manager of the CLI: the name of the program.
pub const CLI: &str = "velero";

/// What Velero has added to its definitions between 1.15 and 1.18, as paths below `spec` or `status`.
const SINCE_1_15: [(&str, &[&str]); 8] = [
    ("backuprepositories", &["status.recentMaintenance"]),
    ("backups", &["spec.volumeGroupSnapshotLabelKey", "status.queuePosition"]),
    ("backupstoragelocations", &["spec.objectStorage.caCertRef"]),
    ("datadownloads", &["spec.nodeOS", "spec.snapshotSize", "status.acceptedByNode", "status.acceptedTimestamp"]),
    ("datauploads", &["spec.csiSnapshot.driver", "status.acceptedByNode", "status.nodeOS", "status.incrementalBytes"]),
    ("podvolumebackups", &["spec.cancel", "status.acceptedTimestamp", "status.incrementalBytes"]),
    ("podvolumerestores", &["spec.cancel", "spec.snapshotSize", "status.acceptedTimestamp", "status.node"]),
    ("restores", &["spec.resourcePolicy"]),
];
/// The phases that a backup has had since.
const PHASES_SINCE_1_15: [&str; 2] = ["Queued", "ReadyToStart"];

/// A stand-in for the Python charm: the same endpoints and options, and hooks that do nothing.
fn charm(world: &World, name: &str) -> PathBuf {
    let folder = world.state.join(format!("python-charm-{name}"));
    fs::create_dir_all(&folder).unwrap();
    for file in ["metadata.yaml", "config.yaml", "actions.yaml", "manifest.yaml"] {
        fs::copy(world.charm.join(file), folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    let dispatch = folder.join("dispatch");
    fs::write(&dispatch, "#!/bin/sh\nstatus-set active 'Unit is Ready'\n").unwrap();
    fs::set_permissions(&dispatch, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// The Python charm deployed, related to a bucket, with everything that it makes in the cluster; and the bucket.
pub fn deployed(world: &'static World, name: &str, options: &DeployOptions) -> (Deployed, String) {
    let model = Model::new(world.cluster.access().clone(), name, &world.state, &world.program).unwrap();
    let records = model.deploy(&charm(world, name), options).unwrap();
    let mut deployed = Deployed { world, model, records };
    let bucket = world.bucket();
    let s3 = world.s3().clone();
    // Its library asks for a bucket of this name, and the integrator answers in clear.
    let fields = [
        ("bucket", bucket.as_str()),
        ("region", "us-east-1"),
        ("endpoint", &s3.endpoint),
        ("s3-uri-style", "path"),
        ("access-key", &s3.access_key),
        ("secret-key", &s3.secret_key),
        ("data", "{\"bucket\": \"relation-0\"}"),
    ];
    deployed.relate("s3-credentials", "s3", &fields);
    install(&deployed);
    configure_storage(&deployed, &bucket);
    change_configuration(&deployed);
    (deployed, bucket)
}

/// The CLI with an administrator's rights, as the Python charm runs it.
pub fn velero(deployed: &Deployed, arguments: &[&str]) -> String {
    let output = Command::new(deployed.world.charm.join("velero"))
        .env("KUBECONFIG", &deployed.world.cluster.access().kubeconfig)
        .args(["--namespace", deployed.namespace()])
        .args(arguments)
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "velero {arguments:?}: {text}");
    text
}

/// Makes an object as the charm's own client does.
pub fn create(deployed: &Deployed, kind: &str, object: Value) {
    let api = objects::api(deployed.world, deployed.namespace(), kind);
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let parameters = PostParams { field_manager: Some(CLIENT.to_owned()), ..PostParams::default() };
    deployed.world.runtime.block_on(api.create(&parameters, &object)).unwrap();
}

/// `velero install` with the charm's flags, and the Service for metrics.
fn install(deployed: &Deployed) {
    velero(
        deployed,
        &[
            "install",
            "--image=velero/velero:v1.18.3",
            "--no-default-backup-location",
            "--no-secret",
            "--use-volume-snapshots=false",
            "--use-node-agent=true",
        ],
    );
    create(
        deployed,
        "Service",
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "velero-metrics", "labels": {"component": "velero"}},
            "spec": {"type": "ClusterIP", "selector": {"deploy": "velero"},
                     "ports": [{"name": "metrics", "port": 8085, "targetPort": 8085, "protocol": "TCP"}]},
        }),
    );
}

/// The Secret, the plugin and the locations.
fn configure_storage(deployed: &Deployed, bucket: &str) {
    let s3 = deployed.world.s3();
    let file = format!("[default]\naws_access_key_id={}\naws_secret_access_key={}\n", s3.access_key, s3.secret_key);
    create(
        deployed,
        "Secret",
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": "cloud-credentials", "labels": {"component": "velero"}},
            "data": {"creds": BASE64_STANDARD.encode(file)},
        }),
    );
    velero(deployed, &["plugin", "add", "docker.io/velero/velero-plugin-for-aws:v1.14.3", "--confirm"]);
    let config = format!("region=us-east-1,s3Url={},s3ForcePathStyle=true", s3.endpoint);
    let common = ["--provider=aws", "--credential=cloud-credentials=creds", "--labels=component=velero"];
    let location = ["backup-location", "create", "default", "--default", "--bucket", bucket, "--config", &config];
    velero(deployed, &[&location[..], &common[..]].concat());
    let location = ["snapshot-location", "create", "default", "--config", "region=us-east-1"];
    velero(deployed, &[&location[..], &common[..]].concat());
}

/// What `config-changed` patches, and the arguments and the host's folders that the CLI of 1.15 gave.
fn change_configuration(deployed: &Deployed) {
    let container = json!({"name": "velero", "image": "velero/velero:v1.18.3",
        "args": ["server", "--uploader-type=kopia", "--default-volumes-to-fs-backup=false"]});
    let strategy = json!({"type": "Recreate", "rollingUpdate": null});
    let patch = json!({"spec": {"strategy": strategy, "template": {"spec": {"containers": [container]}}}});
    merge_lists(deployed, CLIENT, "Deployment", "velero", &patch);
}

/// What `velero install` adds when it is given credentials: an older key of the Secret, its volume and a variable.
pub fn add_credentials_of_install(deployed: &Deployed, credentials: &str) {
    let data = json!({"data": {"cloud": BASE64_STANDARD.encode(credentials)}});
    deployed.edit_as(CLI, "Secret", "cloud-credentials", &data);
    let container = json!({"name": "velero",
        "env": [{"name": "AWS_SHARED_CREDENTIALS_FILE", "value": "/credentials/cloud"}],
        "volumeMounts": [{"name": "cloud-credentials", "mountPath": "/credentials"}]});
    let volume = json!({"name": "cloud-credentials", "secret": {"secretName": "cloud-credentials"}});
    let pod = json!({"containers": [container], "volumes": [volume]});
    merge_lists(deployed, CLI, "Deployment", "velero", &json!({"spec": {"template": {"spec": pod}}}));
}

/// Definitions as they were before Velero's latest additions, which a CLI of 1.15 made.
pub fn downgrade_definitions(deployed: &Deployed) {
    for (plural, paths) in SINCE_1_15 {
        let name = format!("{plural}.velero.io");
        let mut definition = deployed.expect("CustomResourceDefinition", &name);
        let schema = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
        for path in paths {
            let (parent, field) = path.rsplit_once('.').unwrap();
            let parent = parent.split('.').fold(&mut *schema, |within, field| match within.get("properties") {
                Some(_) => &mut within["properties"][field],
                None => &mut within[field],
            });
            let removed = parent["properties"].as_object_mut().and_then(|fields| fields.remove(field));
            removed.unwrap_or_else(|| panic!("{name} has no {path}"));
        }
        if let Some(Value::Array(phases)) = schema.pointer_mut("/status/properties/phase/enum") {
            phases.retain(|phase| !PHASES_SINCE_1_15.contains(&phase.as_str().unwrap_or_default()));
        }
        let annotations = json!({"controller-gen.kubebuilder.io/version": "v0.14.0"});
        let patch =
            json!({"metadata": {"annotations": annotations}, "spec": {"versions": definition["spec"]["versions"]}});
        deployed.edit_as(CLI, "CustomResourceDefinition", &name, &patch);
    }
}

/// Changes an object by a patch that merges lists by the names of their entries.
fn merge_lists(deployed: &Deployed, manager: &str, kind: &str, name: &str, patch: &Value) {
    let api = objects::api(deployed.world, deployed.namespace(), kind);
    let parameters = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
    deployed.world.runtime.block_on(api.patch(name, &parameters, &Patch::Strategic(patch))).unwrap();
}

/// Waits until the Python charm's server has found its location usable.
pub fn await_available(deployed: &Deployed) {
    let api = objects::api(deployed.world, deployed.namespace(), "BackupStorageLocation");
    let available = |location: Option<&DynamicObject>| {
        location.is_some_and(|location| location.data["status"]["phase"] == "Available")
    };
    let waiting =
        async { tokio::time::timeout(Duration::from_mins(2), await_condition(api, "default", available)).await };
    deployed.world.runtime.block_on(waiting).unwrap().unwrap();
}
