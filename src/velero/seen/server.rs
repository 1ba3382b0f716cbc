//! Which release the running server is of. Where the tag of its image does not tell, the server is asked. What Juju was told is
//! noted on the server's pod, and goes with it: each server is asked once, and its version told once.

use std::time::Duration;

use futures::{TryStreamExt, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    api::{DynamicObject, PostParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use tokio::time::timeout;

use crate::{
    cluster::{Cluster, ClusterError, call, found, named},
    velero::{
        names::{SERVER, velero_kind},
        wanted::Version,
    },
};

/// The annotation of a pod with the version of its server that Juju was told.
const NOTED_VERSION: &str = "velero-operator/server-version";
/// A server answers as soon as it has begun its work.
const ANSWER_PATIENCE: Duration = Duration::from_secs(15);

/// What is known of the release of a server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum ServerVersion {
    /// It is this one.
    Release(Version),
    /// It was built from a branch or by somebody's own rules, and calls itself so.
    Unreleased(String),
}

/// The pod of the server that runs as planned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct RunningServer {
    pod: String,
    image: String,
    noted: Option<String>,
}

impl ServerVersion {
    fn told(text: &str) -> Self {
        Version::parse(text).map_or_else(|| Self::Unreleased(text.to_owned()), Self::Release)
    }

    /// Returns the release, if it is one.
    pub(crate) fn release(&self) -> Option<&Version> {
        match self {
            Self::Release(version) => Some(version),
            Self::Unreleased(_) => None,
        }
    }
}

impl std::fmt::Display for ServerVersion {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Release(version) => version.fmt(formatter),
            Self::Unreleased(name) => formatter.write_str(name),
        }
    }
}

impl RunningServer {
    /// Returns the server among the pods of Velero, if one runs and is not about to end.
    pub(crate) fn among(pods: &[Pod]) -> Option<Self> {
        pods.iter().find_map(|pod| {
            let is_server = pod.labels().get("deploy").is_some_and(|name| name == SERVER);
            let containers = &pod.spec.as_ref()?.containers;
            let image = containers.iter().find(|container| container.name == SERVER)?.image.clone()?;
            (is_server && pod.metadata.deletion_timestamp.is_none()).then(|| Self {
                pod: pod.name_any(),
                image,
                noted: pod.annotations().get(NOTED_VERSION).cloned(),
            })
        })
    }

    /// Returns the image that it runs.
    pub(crate) fn image(&self) -> &str {
        &self.image
    }

    /// Returns what the tag of its image says, or what it told before.
    pub(crate) fn known_version(&self) -> Option<ServerVersion> {
        Version::of_image(&self.image).map(ServerVersion::Release).or_else(|| self.noted_version())
    }

    /// Returns what was noted of it.
    pub(crate) fn noted_version(&self) -> Option<ServerVersion> {
        self.noted.as_deref().map(ServerVersion::told)
    }

    /// Asks the server, as `velero version` does. `None` when it does not answer in time.
    pub(crate) async fn ask(&self, cluster: &Cluster) -> Result<Option<ServerVersion>, ClusterError> {
        let api = cluster.here(&velero_kind("v1", "ServerStatusRequest"));
        let mut request = named("velero.io/v1", "ServerStatusRequest", "");
        request.metadata.name = None;
        request.metadata.generate_name = Some("velero-operator-".to_owned());
        request.data = json!({"spec": {}});
        let what = "a ServerStatusRequest".to_owned();
        let (parameters, request) = (PostParams::default(), cluster.own(request));
        let request = call("create", what, || api.create(&parameters, &request)).await?;

        let name = request.name_any();
        let changes = watcher::watch_object(api.clone(), &name).default_backoff();
        pin_mut!(changes);
        let answer = async {
            loop {
                match changes.try_next().await {
                    Ok(Some(request)) => {
                        if let Some(version) = request.as_ref().and_then(told_version) {
                            return Some(version);
                        }
                    }
                    Ok(None) => return None,
                    Err(error) => tracing::debug!("cannot watch ServerStatusRequest {name}: {error}"),
                }
            }
        };
        let version = timeout(ANSWER_PATIENCE, answer).await.ok().flatten();
        cluster.delete(&request).await?;
        Ok(version.as_deref().map(ServerVersion::told))
    }

    pub(crate) async fn note(&self, cluster: &Cluster, version: &ServerVersion) -> Result<(), ClusterError> {
        let pod = cluster.own(named("v1", "Pod", &self.pod));
        let note = json!({"metadata": {"annotations": {NOTED_VERSION: version.to_string()}}});
        // A pod that has gone in the meantime needs no note, and the next one will have its own.
        found(cluster.merge(&pod, &note).await).map(drop)
    }
}

/// Returns what the server wrote into a request when it took it.
fn told_version(request: &DynamicObject) -> Option<String> {
    let status = request.data.get("status")?;
    let processed = status.get("phase")?.as_str()? == "Processed";
    let version = status.get("serverVersion")?.as_str()?;
    processed.then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(image: &str, noted: Option<&str>) -> Pod {
        let mut pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "velero-1", "labels": {"deploy": "velero", "component": "velero"}},
            "spec": {"containers": [{"name": "velero", "image": image}]},
        }))
        .unwrap();
        if let Some(noted) = noted {
            pod.annotations_mut().insert(NOTED_VERSION.to_owned(), noted.to_owned());
        }
        pod
    }

    fn known(image: &str, noted: Option<&str>) -> Option<String> {
        RunningServer::among(&[pod(image, noted)]).unwrap().known_version().map(|version| version.to_string())
    }

    #[test]
    fn the_tag_counts_first_then_what_the_server_told() {
        assert_eq!(known("velero/velero:v1.18.3", None).as_deref(), Some("1.18.3"));
        assert_eq!(known("velero/velero:nightly", None), None);
        assert_eq!(known("velero/velero:nightly", Some("v1.18.1")).as_deref(), Some("1.18.1"));
        assert_eq!(known("velero/velero:nightly", Some("main")).as_deref(), Some("main"));
        assert_eq!(ServerVersion::told("v1.18.1").release().map(ToString::to_string).as_deref(), Some("1.18.1"));
        assert_eq!(ServerVersion::told("main").release(), None);
    }

    #[test]
    fn neither_the_node_agent_nor_a_server_that_ends_is_the_running_server() {
        let mut agent = pod("velero/velero:v1.18.3", None);
        agent.labels_mut().remove("deploy");
        let mut ending = pod("velero/velero:v1.18.3", None);
        ending.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH));
        assert_eq!(RunningServer::among(&[agent, ending]), None);
    }

    #[test]
    fn a_request_that_was_not_taken_yet_tells_nothing() {
        let request = |status| {
            let mut request = named("velero.io/v1", "ServerStatusRequest", "a");
            request.data = json!({"status": status});
            told_version(&request)
        };
        assert_eq!(request(json!({})), None);
        assert_eq!(request(json!({"phase": "New", "serverVersion": ""})), None);
        assert_eq!(request(json!({"phase": "Processed", "serverVersion": "v1.18.3"})).as_deref(), Some("v1.18.3"));
    }
}
