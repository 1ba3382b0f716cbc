//! Whether an application ends, told by the cluster alone.
//!
//! Juju 4.0 gives a unit that is removed while it has no relation no last hook, and its `stop` no connection to the controller.
//! When an application is removed, Juju scales its `StatefulSet` to 0 and deletes it once the units are gone; with force, or
//! together with the namespace, it is deleted at once. A refresh, an eviction and one unit of several leave both as they are.

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use kube::{Api, ResourceExt};

use crate::cluster::{Cluster, ClusterError, call};

/// The finalizer of an object that is deleted without what it owns: Juju does that to change what cannot be changed, and makes
/// the `StatefulSet` anew.
const ORPHAN: &str = "orphan";

/// Whether the application of `unit`, whose pod this is, ends with it.
pub(crate) async fn application_ends(cluster: &Cluster, application: &str, unit: &str) -> Result<bool, ClusterError> {
    let sets: Api<StatefulSet> = cluster.namespaced();
    let pods: Api<Pod> = cluster.namespaced();
    let pod_name = unit.replace('/', "-");
    // The pod first: of a StatefulSet that is gone by then, it tells that there was one.
    let pod = call("get", format!("Pod {pod_name}"), || pods.get_opt(&pod_name)).await?;
    let set = call("get", format!("StatefulSet {application}"), || sets.get_opt(application)).await?;
    Ok(ends(application, set.as_ref(), pod.as_ref()))
}

fn ends(application: &str, set: Option<&StatefulSet>, pod: Option<&Pod>) -> bool {
    let Some(set) = set else { return pod.is_some_and(|pod| goes_after(pod, application)) };
    if set.metadata.deletion_timestamp.is_some() {
        return !set.finalizers().iter().any(|finalizer| finalizer == ORPHAN);
    }
    set.spec.as_ref().is_some_and(|spec| spec.replicas == Some(0))
}

/// Whether a pod is being ended and still names the `StatefulSet` that owned it: one that is deleted without its pods is there
/// until none names it.
fn goes_after(pod: &Pod, application: &str) -> bool {
    let owners = pod.owner_references();
    let is_set = |kind: &str, name: &str| kind == "StatefulSet" && name == application;
    pod.metadata.deletion_timestamp.is_some() && owners.iter().any(|owner| is_set(&owner.kind, &owner.name))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::test_api::TestApi;

    const GOING: &str = "2026-01-31T10:20:30Z";

    fn set(replicas: &Value, metadata: &Value) -> Value {
        let mut set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata,
            "spec": {"replicas": replicas, "serviceName": "", "selector": {}, "template": {}}});
        set["metadata"]["name"] = json!("velero-operator");
        set["metadata"]["namespace"] = json!("velero");
        set
    }

    fn pod(owner: &str, going: bool) -> Value {
        let owners = json!([{"apiVersion": "apps/v1", "kind": owner, "name": "velero-operator", "uid": "1"}]);
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "velero-operator-0",
            "namespace": "velero", "ownerReferences": owners, "finalizers": ["test/keeps"]}});
        if going {
            pod["metadata"]["deletionTimestamp"] = json!(GOING);
        }
        pod
    }

    async fn told(objects: &[Value]) -> bool {
        let api = TestApi::new();
        api.put_all(objects);
        application_ends(&api.cluster("velero"), "velero-operator", "velero-operator/0").await.unwrap()
    }

    #[tokio::test]
    async fn an_application_ends_whose_stateful_set_is_scaled_to_none_or_goes() {
        let going = json!({"deletionTimestamp": GOING, "finalizers": ["foregroundDeletion"]});
        assert!(told(&[set(&json!(0), &json!({})), pod("StatefulSet", true)]).await);
        assert!(told(&[set(&json!(1), &going), pod("StatefulSet", true)]).await);
        assert!(told(&[pod("StatefulSet", true)]).await);
    }

    #[tokio::test]
    async fn a_pod_that_goes_alone_does_not_end_its_application() {
        // An eviction, a refresh, and one unit of several.
        assert!(!told(&[set(&json!(1), &json!({})), pod("StatefulSet", true)]).await);
        assert!(!told(&[set(&json!(2), &json!({})), pod("StatefulSet", true)]).await);
        assert!(!told(&[set(&Value::Null, &json!({})), pod("StatefulSet", true)]).await);
        // A StatefulSet that is made anew without its pods.
        let orphaning = json!({"deletionTimestamp": GOING, "finalizers": ["orphan"]});
        assert!(!told(&[set(&json!(1), &orphaning), pod("StatefulSet", true)]).await);
    }

    #[tokio::test]
    async fn what_is_not_known_ends_nothing() {
        assert!(!told(&[]).await);
        assert!(!told(&[pod("StatefulSet", false)]).await);
        assert!(!told(&[pod("ReplicaSet", true)]).await);
        let api = TestApi::new();
        api.put(&set(&json!(0), &json!({})));
        api.refuse(|call| (call.key.plural == "pods").then_some(StatusCode::FORBIDDEN));
        assert!(application_ends(&api.cluster("velero"), "velero-operator", "velero-operator/0").await.is_err());
    }
}
