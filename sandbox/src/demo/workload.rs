//! A workload that has something to lose: a Deployment with a file in its volume that nobody can write a second time.

use std::{fs, path::Path, time::Duration};

use serde_json::{Value, json};

use super::{DemoError, kubectl::Kubectl};
use crate::images;

/// How long its pod may take to run: long enough to pull an image.
const START_LIMIT: Duration = Duration::from_mins(3);

/// How long its namespace may take to go.
const DELETION_LIMIT: Duration = Duration::from_mins(2);

/// The name of the Deployment and of the claim.
pub(super) const NAME: &str = "notes";

/// The file, as the workload's container sees it.
pub(super) const FILE: &str = "/data/notes";

/// The workload in a namespace of its own.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    kubectl: Kubectl,
    namespace: String,
}

impl Workload {
    pub(super) fn new(kubectl: &Kubectl, model: &str) -> Self {
        Self { kubectl: kubectl.clone(), namespace: namespace(model) }
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Makes it, and waits until it runs. The manifest is written into `folder`.
    pub(super) async fn create(&self, storage_class: Option<&str>, folder: &Path) -> Result<(), DemoError> {
        let file = folder.join("workload.json");
        fs::write(&file, manifest(&self.namespace, storage_class).to_string())?;
        self.kubectl.run(&format!("apply --filename {}", file.display())).await?;
        self.runs().await
    }

    /// Waits until it runs.
    pub(super) async fn runs(&self) -> Result<(), DemoError> {
        let rollout = format!("rollout status deployment/{NAME} --namespace {}", self.namespace);
        self.kubectl.wait(&rollout, START_LIMIT).await.map(drop)
    }

    /// Fills the file with a MiB of random bytes.
    pub(super) async fn write(&self) -> Result<(), DemoError> {
        let script = format!("dd if=/dev/urandom of={FILE} bs=1024 count=1024 2>/dev/null; sync");
        self.kubectl.shell(&self.namespace, NAME, &script).await.map(drop)
    }

    /// The SHA-256 of the file, as a container of the workload reads it.
    pub(super) async fn digest(&self) -> Result<String, DemoError> {
        self.kubectl.shell(&self.namespace, NAME, &format!("sha256sum < {FILE} | head -c 64")).await
    }

    /// The name of the volume that the claim is bound to.
    pub(super) async fn volume(&self) -> Result<String, DemoError> {
        let claim = format!("get persistentvolumeclaim {NAME} --namespace {}", self.namespace);
        self.kubectl.run(&format!("{claim} --output jsonpath={{.spec.volumeName}}")).await
    }

    /// Deletes it with its namespace, and waits until all of it has gone.
    pub(super) async fn delete(&self) -> Result<(), DemoError> {
        // A namespace that still has a claim in use looks again only after a while.
        for what in [format!("deployment/{NAME} persistentvolumeclaim/{NAME}"), format!("namespace/{}", self.namespace)]
        {
            let delete = format!("delete {what} --namespace {} --ignore-not-found --wait", self.namespace);
            self.kubectl.wait(&delete, DELETION_LIMIT).await?;
        }
        Ok(())
    }
}

/// The namespace of the workload beside that model.
pub(super) fn namespace(model: &str) -> String {
    format!("{model}-workload")
}

fn manifest(namespace: &str, storage_class: Option<&str>) -> Value {
    let labels = json!({"app": NAME});
    let image = images::BUSYBOX.trim_start_matches("docker.io/library/");
    let mut claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}},
    });
    if let Some(class) = storage_class {
        claim["spec"]["storageClassName"] = class.into();
    }
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 2,
                    // It only waits: that it starts again writes no file.
                    "containers": [{
                        "name": NAME,
                        "image": image,
                        "command": ["sh", "-c", "trap exit TERM; while true; do sleep 3600 & wait; done"],
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    }],
                    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": NAME}}],
                },
            },
        },
    });
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    json!({"apiVersion": "v1", "kind": "List", "items": [namespace, claim, deployment]})
}
