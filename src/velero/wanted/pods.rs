//! What the charm adds to the pod templates that the CLI prints.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::{image::pull_policy, installation::Installation};
use crate::velero::names::{PROXIES, proxies_secret};

/// The port on which the server and the node agent tell their metrics.
pub(crate) const METRICS_PORT: u16 = 8085;

/// The user and group of Velero's image, by number: a cluster that asks for another user than root cannot tell by the name in the
/// image (`cnb`, of its base image) that it is one. Velero's home folder and what it has written before are this user's.
const USER: u32 = 1002;
const GROUP: u32 = 1000;

/// Completes the server's Deployment.
///
/// One server at a time: one that starts marks the backups in progress as failed. And it needs no privilege at all, so that it is
/// admitted where the pod security standard `restricted` is enforced; Velero's maintenance jobs take this over from it.
pub(super) fn complete_server(object: &mut DynamicObject, installation: &Installation) {
    let spec = &mut object.data["spec"];
    // The CLI leaves it to the default, which would not bring back a server that was scaled to zero.
    spec["replicas"] = json!(1);
    spec["strategy"] = json!({"type": "Recreate"});
    complete_template(spec, installation);
    let seccomp = json!({"type": "RuntimeDefault"});
    spec["template"]["spec"]["securityContext"] = json!({
        "runAsNonRoot": true,
        "runAsUser": USER,
        "runAsGroup": GROUP,
        // The folders that its containers share are this group's.
        "fsGroup": GROUP,
        "seccompProfile": seccomp,
    });
    for container in containers(spec) {
        container["securityContext"] = json!({
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": true,
            "seccompProfile": seccomp,
        });
    }
}

/// Completes the node agent's DaemonSet.
///
/// The node agent checks at startup that it sees the pods of its node, and exits otherwise. It is ready after that, when it serves
/// its metrics; without a probe it would be so from its first moment on. What it says when it exits is in its pod's status.
pub(super) fn complete_node_agent(object: &mut DynamicObject, installation: &Installation) {
    let spec = &mut object.data["spec"];
    complete_template(spec, installation);
    for container in containers(spec) {
        container["readinessProbe"] = json!({
            "httpGet": {"path": "/metrics", "port": METRICS_PORT, "scheme": "HTTP"},
            "periodSeconds": 2,
            "timeoutSeconds": 5,
        });
        container["terminationMessagePolicy"] = json!("FallbackToLogsOnError");
    }
}

fn complete_template(spec: &mut Value, installation: &Installation) {
    add_proxies(spec, installation);
    let secrets = &installation.image_pull_secrets;
    if !secrets.is_empty() {
        // Those who run more of the same images take them over: maintenance jobs from the server, others from the node agent.
        let named = secrets.iter().map(|name| json!({"name": name}));
        spec["template"]["spec"]["imagePullSecrets"] = named.collect();
    }
    // Hardened namespaces have it off on every ServiceAccount, and Velero needs its token.
    spec["template"]["spec"]["automountServiceAccountToken"] = json!(true);
    for container in containers(spec) {
        if let Some(image) = container["image"].as_str() {
            container["imagePullPolicy"] = json!(pull_policy(image));
        }
    }
}

/// Gives the proxies to the server or the node agent. Velero's maintenance jobs take the variables of its server over, and the
/// pods that move data those of the node agent; both are in the same namespace, with the Secret.
fn add_proxies(spec: &mut Value, installation: &Installation) {
    let Some(planned) = &installation.proxies else { return };
    let template = &mut spec["template"];
    template["metadata"]["annotations"][PROXIES] = json!(planned.revision());
    let secret = proxies_secret(&installation.application);
    let of_secret = planned.proxies.secret_variables().map(|(name, _)| {
        let key = json!({"name": secret, "key": name, "optional": true});
        json!({"name": name, "valueFrom": {"secretKeyRef": key}})
    });
    let (name, exceptions) = planned.proxies.plain_variable();
    let variables = of_secret.chain([json!({"name": name, "value": exceptions})]);
    let container = &mut template["spec"]["containers"][0];
    match container["env"].as_array_mut() {
        Some(present) => present.extend(variables),
        None => container["env"] = variables.collect(),
    }
}

/// All containers of a pod template, those that begin among them.
fn containers(spec: &mut Value) -> impl Iterator<Item = &mut Value> {
    let pod = spec["template"]["spec"].as_object_mut();
    let lists = pod
        .into_iter()
        .flat_map(|pod| pod.iter_mut().filter(|(name, _)| matches!(name.as_str(), "containers" | "initContainers")));
    lists.flat_map(|(_, list)| list.as_array_mut().into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cluster::named, velero::fixtures::installation};

    fn printed(kind: &str) -> DynamicObject {
        let mut object = named("apps/v1", kind, "velero");
        object.data = json!({"spec": {"template": {"spec": {
            "containers": [{"name": "velero", "image": "registry.internal:5000/velero:v1.18.3", "imagePullPolicy": "Always"}],
            "initContainers": [{"name": "plugin", "image": "velero/velero-plugin-for-aws", "imagePullPolicy": "Always"}]}}}});
        object
    }

    fn at<'a>(object: &'a DynamicObject, pointer: &str) -> &'a Value {
        object.data.pointer(pointer).unwrap_or(&Value::Null)
    }

    #[test]
    fn there_is_one_server_at_a_time_and_it_has_no_privilege() {
        let mut object = printed("Deployment");
        complete_server(&mut object, &installation());
        assert_eq!(at(&object, "/spec/strategy"), &json!({"type": "Recreate"}));
        assert_eq!(at(&object, "/spec/template/spec/securityContext/runAsUser"), &json!(1002));
        for container in ["containers/0", "initContainers/0"] {
            let context = at(&object, &format!("/spec/template/spec/{container}/securityContext"));
            assert_eq!(context["allowPrivilegeEscalation"], false, "{container}");
            assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}), "{container}");
        }
    }

    #[test]
    fn the_images_of_all_pods_are_pulled_by_the_same_secrets() {
        let installation = Installation { image_pull_secrets: vec!["a".into(), "b".into()], ..installation() };
        let (mut server, mut agent) = (printed("Deployment"), printed("DaemonSet"));
        complete_server(&mut server, &installation);
        complete_node_agent(&mut agent, &installation);
        for object in [server, agent] {
            assert_eq!(at(&object, "/spec/template/spec/imagePullSecrets"), &json!([{"name": "a"}, {"name": "b"}]));
        }
    }

    #[test]
    fn pods_get_a_token_and_images_that_stay_the_same_are_pulled_once() {
        let mut object = printed("DaemonSet");
        complete_node_agent(&mut object, &installation());
        assert_eq!(at(&object, "/spec/template/spec/automountServiceAccountToken"), true);
        assert_eq!(at(&object, "/spec/template/spec/containers/0/imagePullPolicy"), "IfNotPresent");
        assert_eq!(at(&object, "/spec/template/spec/initContainers/0/imagePullPolicy"), "Always");
        // It mounts folders of its node, which the standards do not admit without privileges anyway.
        assert_eq!(at(&object, "/spec/template/spec/securityContext"), &Value::Null);
    }
}
