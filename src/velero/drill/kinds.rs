//! Which kinds of objects a drill restores, and what is changed in them so that they do nothing outside of their namespace.
//!
//! Only kinds whose controllers are Kubernetes' own are restored: of a custom resource nobody can say what its controller would do
//! with a second one. Reference of the changes: Velero's resource modifiers, version `v1`.

use serde_json::{Value, json};

/// A class of Ingresses and Gateways that nobody serves.
const NO_CLASS: &str = "velero-operator-drill";
/// A label that no pod has.
const NO_POD: &str = "velero-operator/no-pod";

/// What a drill makes of a kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Treatment {
    /// Restored and compared.
    Restored,
    /// The cluster itself makes it from other objects.
    Derived,
    /// Not restored.
    LeftOut,
}

/// A kind that is restored: as a resource list names it, and as a Restore does.
struct Kind {
    listed: &'static str,
    resource: &'static str,
}

const fn kind(listed: &'static str, resource: &'static str) -> Kind {
    Kind { listed, resource }
}

const RESTORED: [Kind; 22] = [
    kind("v1/ConfigMap", "configmaps"),
    kind("v1/PersistentVolumeClaim", "persistentvolumeclaims"),
    kind("v1/Pod", "pods"),
    kind("v1/ReplicationController", "replicationcontrollers"),
    kind("v1/Secret", "secrets"),
    kind("v1/Service", "services"),
    kind("v1/ServiceAccount", "serviceaccounts"),
    kind("apps/v1/DaemonSet", "daemonsets.apps"),
    kind("apps/v1/Deployment", "deployments.apps"),
    kind("apps/v1/ReplicaSet", "replicasets.apps"),
    kind("apps/v1/StatefulSet", "statefulsets.apps"),
    kind("autoscaling/v1/HorizontalPodAutoscaler", "horizontalpodautoscalers.autoscaling"),
    kind("autoscaling/v2/HorizontalPodAutoscaler", "horizontalpodautoscalers.autoscaling"),
    kind("batch/v1/CronJob", "cronjobs.batch"),
    kind("batch/v1/Job", "jobs.batch"),
    kind("gateway.networking.k8s.io/v1/GRPCRoute", "grpcroutes.gateway.networking.k8s.io"),
    kind("gateway.networking.k8s.io/v1/HTTPRoute", "httproutes.gateway.networking.k8s.io"),
    kind("networking.k8s.io/v1/Ingress", "ingresses.networking.k8s.io"),
    kind("networking.k8s.io/v1/NetworkPolicy", "networkpolicies.networking.k8s.io"),
    kind("policy/v1/PodDisruptionBudget", "poddisruptionbudgets.policy"),
    kind("rbac.authorization.k8s.io/v1/Role", "roles.rbac.authorization.k8s.io"),
    kind("rbac.authorization.k8s.io/v1/RoleBinding", "rolebindings.rbac.authorization.k8s.io"),
];

const DERIVED: [&str; 8] = [
    "v1/Endpoints",
    "v1/Event",
    "v1/Namespace",
    "v1/PersistentVolume",
    "apps/v1/ControllerRevision",
    "coordination.k8s.io/v1/Lease",
    "discovery.k8s.io/v1/EndpointSlice",
    "events.k8s.io/v1/Event",
];

/// Returns what a drill makes of a kind, `apps/v1/Deployment`.
pub(super) fn treatment(listed: &str) -> Treatment {
    if RESTORED.iter().any(|kind| kind.listed == listed) {
        Treatment::Restored
    } else if DERIVED.contains(&listed) {
        Treatment::Derived
    } else {
        Treatment::LeftOut
    }
}

/// Returns the resources that a drill restores, as a Restore names them.
pub(super) fn resources() -> Vec<String> {
    let mut resources: Vec<_> = RESTORED.iter().map(|kind| kind.resource.to_owned()).collect();
    resources.dedup();
    resources
}

/// Returns the rules by which Velero changes what a drill restores.
pub(super) fn modifiers() -> Value {
    // A copy must neither take the place of others on a node nor push them away.
    let pod = json!({"hostNetwork": null, "hostPID": null, "hostIPC": null, "priorityClassName": null, "priority": null,
        "preemptionPolicy": null, "nodeName": null});
    let template = json!({"spec": {"template": {"spec": pod}}});
    let mut rules = vec![rule("pods", &[], &json!({"spec": pod}))];
    for resource in
        ["daemonsets.apps", "deployments.apps", "replicasets.apps", "statefulsets.apps", "replicationcontrollers"]
    {
        rules.push(rule(resource, &[], &template));
    }
    let mut job = template.clone();
    job["spec"]["suspend"] = true.into();
    rules.push(rule("jobs.batch", &[], &job));
    rules.push(rule("cronjobs.batch", &[], &json!({"spec": {"suspend": true}})));
    // Others go by annotations, wherever they are: they make names in a DNS of them, or copies in other namespaces.
    let unnoticed = json!({"metadata": {"annotations": null}});
    for resource in ["configmaps", "secrets", "services"] {
        rules.push(rule(resource, &[], &unnoticed));
    }
    // A new volume, and not the one that the backup was made of.
    rules.push(rule("persistentvolumeclaims", &[], &json!({"spec": {"volumeName": null}})));
    rules.push(rule("services", &[], &json!({"spec": {"externalIPs": null}})));
    let headless = json!({"spec": {"type": "ClusterIP", "clusterIP": "None", "clusterIPs": null, "ports": null,
        "loadBalancerIP": null, "loadBalancerClass": null, "loadBalancerSourceRanges": null, "healthCheckNodePort": null,
        "externalTrafficPolicy": null, "allocateLoadBalancerNodePorts": null, "internalTrafficPolicy": null}});
    for outward in ["LoadBalancer", "NodePort"] {
        rules.push(rule("services", &[("/spec/type", outward)], &headless));
    }
    let ingress = json!({"metadata": {"annotations": null}, "spec": {"ingressClassName": NO_CLASS}});
    rules.push(rule("ingresses.networking.k8s.io", &[], &ingress));
    for route in ["grpcroutes.gateway.networking.k8s.io", "httproutes.gateway.networking.k8s.io"] {
        rules.push(rule(route, &[], &json!({"metadata": {"annotations": null}, "spec": {"parentRefs": null}})));
    }
    // What such a policy allows would be allowed beside the one that denies all.
    let nobody = json!({"matchLabels": null, "matchExpressions": [{"key": NO_POD, "operator": "Exists"}]});
    rules.push(rule("networkpolicies.networking.k8s.io", &[], &json!({"spec": {"podSelector": nobody}})));
    // Nobody who drains a node waits for a copy.
    let budget = json!({"spec": {"minAvailable": null, "maxUnavailable": "100%"}});
    rules.push(rule("poddisruptionbudgets.policy", &[], &budget));
    let still = json!({"scaleUp": {"selectPolicy": "Disabled"}, "scaleDown": {"selectPolicy": "Disabled"}});
    let scaler = json!({"spec": {"behavior": still}});
    rules.push(rule("horizontalpodautoscalers.autoscaling", &[], &scaler));
    json!({"version": "v1", "resourceModifierRules": rules})
}

/// Returns a rule that merges a patch into the objects of a resource with these values at these places.
fn rule(resource: &str, values: &[(&str, &str)], patch: &Value) -> Value {
    let matches: Vec<_> = values.iter().map(|(path, value)| json!({"path": path, "value": value})).collect();
    json!({"conditions": {"groupResource": resource, "matches": matches},
        "mergePatches": [{"patchData": patch.to_string()}]})
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_acts_outside_of_its_namespace_is_changed_or_left_out() {
        let modifiers = modifiers();
        let changed: BTreeSet<_> = modifiers["resourceModifierRules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["conditions"]["groupResource"].as_str().unwrap())
            .collect();
        let restored = resources();
        let restored: BTreeSet<_> = restored.iter().map(String::as_str).collect();
        // A resource that is listed in two versions is restored once.
        assert_eq!((resources().len(), restored.len()), (RESTORED.len() - 1, RESTORED.len() - 1));
        assert!(changed.is_subset(&restored));
        let unchanged: Vec<_> = restored.difference(&changed).copied().collect();
        let harmless = ["rolebindings.rbac.authorization.k8s.io", "roles.rbac.authorization.k8s.io", "serviceaccounts"];
        assert_eq!(unchanged, harmless);
        for (listed, made) in [
            ("apps/v1/Deployment", Treatment::Restored),
            ("v1/Endpoints", Treatment::Derived),
            ("gateway.networking.k8s.io/v1/Gateway", Treatment::LeftOut),
            ("admissionregistration.k8s.io/v1/ValidatingWebhookConfiguration", Treatment::LeftOut),
            ("postgresql.cnpg.io/v1/Cluster", Treatment::LeftOut),
            ("v1/LimitRange", Treatment::LeftOut),
        ] {
            assert_eq!(treatment(listed), made, "{listed}");
        }
    }

    #[test]
    fn every_patch_is_an_object() {
        for rule in modifiers()["resourceModifierRules"].as_array().unwrap() {
            let patch: Value = serde_json::from_str(rule["mergePatches"][0]["patchData"].as_str().unwrap()).unwrap();
            assert!(patch.is_object());
        }
    }
}
