//! What Velero's pods need beside what the charm gives them: variables, and an authority to trust.
//!
//! A stand-in for a cloud's object store is not where the cloud's own would be, and nobody's system trusts its certificate.
//! What that takes is nothing that a charm should know of, so the sandbox adds it to the same objects as somebody else would:
//! by server-side apply, under a field manager of its own.

use std::{collections::BTreeMap, fs, io, path::Path, sync::Arc, thread, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{StreamExt, future};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
    runtime::{Controller, controller::Action, watcher},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{runtime::Builder, sync::oneshot};

use crate::cluster::{self, ClusterAccess, ReadinessError};

/// The name under which the sandbox owns fields of Velero's objects.
pub const FIELD_MANAGER: &str = "velero-operator-sandbox";

/// The Secret with the authority's certificate, and the volume that it is in.
const AUTHORITY: &str = "sandbox-authority";

/// Where the pods have the authority's certificate.
const AUTHORITY_FOLDER: &str = "/etc/sandbox-authority";

/// The file of what is to be added to every Velero of a cluster, inside of the cluster's folder.
const RECORD: &str = "additions.json";

/// When what the API server refused is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The objects that make Velero's pods, and the container of each that is added to. The pods in which the node agent moves data
/// are made like its own.
const WORKLOADS: [(&str, &str, &str); 2] =
    [("Deployment", "velero", "velero"), ("DaemonSet", "node-agent", "node-agent")];

/// What is added to the pods of a Velero.
///
/// ```no_run
/// # async fn example(access: &sandbox::cluster::ClusterAccess, certificate: &str) -> Result<(), Box<dyn std::error::Error>> {
/// use sandbox::pod_additions::PodAdditions;
///
/// // As long as `_kept` lives, whatever Velero runs in the namespace trusts the certificate.
/// let _kept = PodAdditions::default().trusting(certificate).keep(access, "demo").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[expect(
    clippy::unsafe_derive_deserialize,
    reason = "what is unsafe is inside of a macro, and about none of the fields"
)]
pub struct PodAdditions {
    variables: BTreeMap<String, String>,
    authority: Option<String>,
}

/// Additions that are made to each Deployment and DaemonSet of Velero in a namespace as soon as it appears, for as long as
/// this value lives.
#[derive(Debug)]
pub struct KeptAdditions {
    /// What the thread that makes them ends by.
    _alive: oneshot::Sender<()>,
}

/// Why nothing is added.
#[derive(Debug, thiserror::Error)]
pub enum AdditionsError {
    /// There is nothing to do it in.
    #[error("cannot begin to watch the pods of Velero")]
    Begin(#[source] io::Error),
    /// There is no client.
    #[error("cannot watch the pods of Velero")]
    Client(#[from] ReadinessError),
}

impl PodAdditions {
    /// With another variable in the environment of Velero's containers.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With an authority, given as PEM, that everything in Velero's containers trusts beside those that it trusts anyway.
    #[must_use]
    pub fn trusting(mut self, certificate: &str) -> Self {
        self.authority = Some(certificate.to_owned());
        // Go reads the certificates of that folder in place of those in /etc/ssl/certs, but for the one file in there with
        // those of all public authorities.
        self.with_variable("SSL_CERT_DIR", AUTHORITY_FOLDER)
    }

    /// The authority that the pods are to trust.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// Notes in the folder of a cluster that these additions are to be made to each Velero in it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn record(&self, folder: &Path) -> io::Result<()> {
        fs::write(folder.join(RECORD), serde_json::to_vec(self)?)
    }

    /// What [`PodAdditions::record`] has noted in that folder, if it has.
    ///
    /// # Errors
    /// When there is a file that cannot be read.
    pub fn recorded(folder: &Path) -> io::Result<Option<Self>> {
        match fs::read(folder.join(RECORD)) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Begins to make these additions to the Velero of a namespace, which need not be there yet. It goes on in a thread of its
    /// own, so that it does not depend on what the caller waits for.
    ///
    /// # Errors
    /// When there is no client for the cluster.
    pub async fn keep(self, access: &ClusterAccess, namespace: &str) -> Result<KeptAdditions, AdditionsError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(AdditionsError::Begin)?;
        let (begun, beginning) = oneshot::channel();
        let (alive, mut ended) = oneshot::channel();
        let (access, namespace) = (access.clone(), namespace.to_owned());
        let add = move || {
            runtime.block_on(async {
                let client = match cluster::client(&access).await {
                    Ok(client) => client,
                    Err(error) => return drop(begun.send(Err(error))),
                };
                let adding = self.add_to_all(client, &namespace);
                // That nobody waits for it any more shows in `ended`, too.
                let _ = begun.send(Ok(()));
                tokio::select! {
                    () = adding => {}
                    _ = &mut ended => {}
                }
            });
        };
        thread::Builder::new().name("additions".to_owned()).spawn(add).map_err(AdditionsError::Begin)?;
        match beginning.await {
            Ok(begun) => begun?,
            Err(gone) => return Err(AdditionsError::Begin(io::Error::other(gone))),
        }
        Ok(KeptAdditions { _alive: alive })
    }

    /// Makes the additions whenever there is something to add to.
    async fn add_to_all(self, client: Client, namespace: &str) {
        let additions = Arc::new(self);
        let watching = WORKLOADS.map(|(kind, name, container)| {
            let addition = Arc::new(Addition {
                kind,
                container,
                client: client.clone(),
                namespace: namespace.to_owned(),
                additions: Arc::clone(&additions),
            });
            let resource = resource("apps", kind);
            let workloads = Api::namespaced_with(client.clone(), namespace, &resource);
            let named = watcher::Config::default().fields(&format!("metadata.name={name}"));
            Controller::new_with(workloads, named, resource)
                .run(add, |_, _, _| Action::requeue(RETRY), addition)
                .for_each(|_| future::ready(()))
        });
        future::join_all(watching).await;
    }

    /// The Secret with the authority's certificate. It goes with the Deployment.
    fn secret(&self, deployment: &DynamicObject) -> Option<Value> {
        let authority = self.authority.as_ref()?;
        Some(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": AUTHORITY,
                "ownerReferences": [{
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "name": deployment.name_any(),
                    "uid": deployment.uid(),
                }],
            },
            "data": {"ca.crt": STANDARD.encode(authority)},
        }))
    }

    /// The additions to that workload, and no other field of it.
    fn patch(&self, kind: &str, container: &str, workload: &DynamicObject) -> Value {
        let variables: Vec<_> =
            self.variables.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        let mut pod = json!({"containers": [{"name": container, "env": variables}]});
        if self.authority.is_some() {
            pod["containers"][0]["volumeMounts"] = json!([{"name": AUTHORITY, "mountPath": AUTHORITY_FOLDER}]);
            pod["volumes"] = json!([{"name": AUTHORITY, "secret": {"secretName": AUTHORITY}}]);
        }
        json!({
            "apiVersion": "apps/v1",
            "kind": kind,
            // With its uid, so that one that has just been deleted is not made again, with this alone in it.
            "metadata": {"name": workload.name_any(), "uid": workload.uid()},
            "spec": {"template": {"spec": pod}},
        })
    }
}

/// Additions to one workload.
struct Addition {
    kind: &'static str,
    container: &'static str,
    client: Client,
    namespace: String,
    additions: Arc<PodAdditions>,
}

/// Adds what is to be added. Applied once more, nothing changes.
async fn add(workload: Arc<DynamicObject>, addition: Arc<Addition>) -> Result<Action, kube::Error> {
    if workload.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let additions = &addition.additions;
    if addition.kind == "Deployment"
        && let Some(secret) = additions.secret(&workload)
    {
        addition.apply(&resource("", "Secret"), AUTHORITY, &secret).await?;
    }
    let patch = additions.patch(addition.kind, addition.container, &workload);
    addition.apply(&resource("apps", addition.kind), &workload.name_any(), &patch).await?;
    Ok(Action::await_change())
}

impl Addition {
    async fn apply(&self, resource: &ApiResource, name: &str, object: &Value) -> Result<(), kube::Error> {
        let objects: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, resource);
        objects.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(object)).await.map(drop)
    }
}

fn resource(group: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload() -> DynamicObject {
        let mut workload = DynamicObject::new("velero", &resource("apps", "Deployment"));
        workload.metadata.uid = Some("0-1".to_owned());
        workload
    }

    #[test]
    fn nothing_but_the_additions_is_applied() {
        let additions = PodAdditions::default().with_variable("NAME", "value");
        let expected = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "velero", "uid": "0-1"},
            "spec": {"template": {"spec": {"containers": [
                {"name": "velero", "env": [{"name": "NAME", "value": "value"}]}]}}},
        });
        assert_eq!(additions.patch("Deployment", "velero", &workload()), expected);
        assert_eq!(additions.secret(&workload()), None);
    }

    #[test]
    fn an_authority_is_in_a_folder_that_go_reads() {
        let additions = PodAdditions::default().trusting("pem");
        let pod = &additions.patch("DaemonSet", "node-agent", &workload())["spec"]["template"]["spec"];
        let (container, volume) = (&pod["containers"][0], &pod["volumes"][0]);
        assert_eq!(
            container["env"][0],
            json!({"name": "SSL_CERT_DIR", "value": container["volumeMounts"][0]["mountPath"]})
        );
        assert_eq!(container["volumeMounts"][0]["name"], volume["name"]);
        let secret = additions.secret(&workload()).unwrap();
        assert_eq!(volume["secret"]["secretName"], secret["metadata"]["name"]);
        assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], "0-1");
        assert_eq!(secret["data"], json!({"ca.crt": "cGVt"}));
    }
}
