//! The objects of an application, as Juju makes them in a model's namespace.
//!
//! There is one thing of Juju's that is not made: the pods. The charms' processes run beside the cluster. The sandbox's own
//! cluster has no controller for `StatefulSet`s, so that the one of an application says how many units there should be and
//! nothing else comes of it; what its controller would say of it is written beside it. On a user's cluster its pods do nothing.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    Container, PodSpec, PodTemplateSpec, Secret, Service, ServiceAccount, ServicePort, ServiceSpec,
};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde_json::{Value, json};

use super::Workload;

/// What Juju calls itself on objects.
pub(super) const MANAGER: &str = "juju";
/// How long Juju's pods may take to end, in seconds.
const TERMINATION_GRACE: i64 = 30;
/// Runs nothing, until it is told to end.
const PAUSE: &str = "registry.k8s.io/pause:3.10";
/// Juju's controller of all models of the sandbox.
const CONTROLLER: &str = "0b6e5f0c-5f86-4d0f-8f0e-6f1f1f0c3a5e";

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The labels of a model's namespace.
pub(super) fn model_labels(model: &str) -> BTreeMap<String, String> {
    texts(&[("app.kubernetes.io/managed-by", MANAGER), ("model.juju.is/name", model)])
}

fn selector(workload: &Workload<'_>) -> BTreeMap<String, String> {
    texts(&[("app.kubernetes.io/name", workload.application)])
}

fn annotations(workload: &Workload<'_>) -> BTreeMap<String, String> {
    texts(&[
        ("controller.juju.is/id", CONTROLLER),
        ("juju.is/version", workload.version),
        ("model.juju.is/id", workload.model_uuid),
    ])
}

fn metadata(workload: &Workload<'_>, name: &str, namespace: Option<&str>) -> ObjectMeta {
    let mut labels = selector(workload);
    labels.insert("app.kubernetes.io/managed-by".to_owned(), MANAGER.to_owned());
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(str::to_owned),
        labels: Some(labels),
        annotations: Some(annotations(workload)),
        ..ObjectMeta::default()
    }
}

fn here(workload: &Workload<'_>, name: &str) -> ObjectMeta {
    metadata(workload, name, Some(workload.model))
}

/// Roles for the whole cluster carry the model's name, so that two models do not meet.
pub(super) fn cluster_name(model: &str, application: &str) -> String {
    format!("{model}-{application}")
}

/// The name of the Secret by which a new pod is known to Juju's controller.
pub(super) fn secret_name(application: &str) -> String {
    format!("{application}-application-config")
}

/// The name of the Service that gives each pod a name.
pub(super) fn headless_name(application: &str) -> String {
    format!("{application}-endpoints")
}

pub(super) fn service_account(workload: &Workload<'_>) -> ServiceAccount {
    ServiceAccount {
        metadata: here(workload, workload.application),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

pub(super) fn secret(workload: &Workload<'_>) -> Secret {
    let data = [("JUJU_K8S_APPLICATION", workload.application), ("JUJU_K8S_MODEL", workload.model_uuid)];
    let data = data.map(|(name, value)| (name.to_owned(), k8s_openapi::ByteString(value.as_bytes().to_vec())));
    Secret {
        metadata: here(workload, &secret_name(workload.application)),
        data: Some(data.into()),
        ..Secret::default()
    }
}

pub(super) fn role(workload: &Workload<'_>) -> Role {
    let rules = rules_in_namespace(workload.model, workload.trust);
    Role { metadata: here(workload, workload.application), rules: Some(rules) }
}

pub(super) fn role_binding(workload: &Workload<'_>) -> RoleBinding {
    RoleBinding {
        metadata: here(workload, workload.application),
        role_ref: role_ref("Role", workload.application),
        subjects: Some(vec![subject(workload)]),
    }
}

pub(super) fn cluster_role(workload: &Workload<'_>) -> ClusterRole {
    ClusterRole {
        metadata: metadata(workload, &cluster_name(workload.model, workload.application), None),
        rules: Some(rules_in_cluster(workload.trust)),
        ..ClusterRole::default()
    }
}

pub(super) fn cluster_role_binding(workload: &Workload<'_>) -> ClusterRoleBinding {
    let name = cluster_name(workload.model, workload.application);
    ClusterRoleBinding {
        metadata: metadata(workload, &name, None),
        role_ref: role_ref("ClusterRole", &name),
        subjects: Some(vec![subject(workload)]),
    }
}

fn subject(workload: &Workload<'_>) -> Subject {
    Subject {
        kind: "ServiceAccount".to_owned(),
        name: workload.application.to_owned(),
        namespace: Some(workload.model.to_owned()),
        ..Subject::default()
    }
}

fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef { api_group: "rbac.authorization.k8s.io".to_owned(), kind: kind.to_owned(), name: name.to_owned() }
}

fn rule(resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(owned(&[if resources == ["*"] { "*" } else { "" }])),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}

fn rules_in_namespace(model: &str, trust: bool) -> Vec<PolicyRule> {
    if trust {
        return vec![rule(&["*"], &["*"])];
    }
    vec![
        PolicyRule { resource_names: Some(vec![model.to_owned()]), ..rule(&["namespaces"], &["get", "list"]) },
        rule(&["pods", "services"], &["get", "list", "patch"]),
        rule(&["pods/exec"], &["create"]),
    ]
}

fn rules_in_cluster(trust: bool) -> Vec<PolicyRule> {
    if trust { vec![rule(&["*"], &["*"])] } else { vec![rule(&["namespaces"], &["get", "list"])] }
}

/// The application's Service, with a port that stands for those to come.
pub(super) fn service(workload: &Workload<'_>) -> Service {
    let port = ServicePort { name: Some("placeholder".to_owned()), port: 65_535, ..ServicePort::default() };
    Service {
        metadata: here(workload, workload.application),
        spec: Some(ServiceSpec {
            selector: Some(selector(workload)),
            type_: Some("ClusterIP".to_owned()),
            ports: Some(vec![port]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// The Service that gives each pod a name.
pub(super) fn headless_service(workload: &Workload<'_>) -> Service {
    Service {
        metadata: here(workload, &headless_name(workload.application)),
        spec: Some(ServiceSpec {
            selector: Some(selector(workload)),
            type_: Some("ClusterIP".to_owned()),
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// The application's `StatefulSet`, as it is before the first unit.
pub(super) fn stateful_set(workload: &Workload<'_>) -> StatefulSet {
    let charm = Container { name: "charm".to_owned(), image: Some(PAUSE.to_owned()), ..Container::default() };
    let pod = PodSpec {
        service_account_name: Some(workload.application.to_owned()),
        automount_service_account_token: Some(true),
        termination_grace_period_seconds: Some(TERMINATION_GRACE),
        containers: vec![charm],
        ..PodSpec::default()
    };
    let template = ObjectMeta {
        labels: Some(selector(workload)),
        annotations: Some(annotations(workload)),
        ..ObjectMeta::default()
    };
    let mut metadata = here(workload, workload.application);
    let number = uuid::Uuid::new_v4().simple().to_string();
    metadata.annotations.get_or_insert_default().insert("app.juju.is/uuid".to_owned(), number[..8].to_owned());
    StatefulSet {
        metadata,
        spec: Some(StatefulSetSpec {
            replicas: Some(0),
            selector: LabelSelector { match_labels: Some(selector(workload)), ..LabelSelector::default() },
            template: PodTemplateSpec { metadata: Some(template), spec: Some(pod) },
            pod_management_policy: Some("Parallel".to_owned()),
            service_name: Some(headless_name(workload.application)),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

/// What a controller says of a `StatefulSet` whose units all run.
pub(super) fn settled(generation: Option<i64>, units: u32) -> Value {
    json!({"status": {
        "observedGeneration": generation,
        "replicas": units,
        "readyReplicas": units,
        "availableReplicas": units,
        "currentReplicas": units,
        "updatedReplicas": units,
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKLOAD: Workload<'static> = Workload {
        model: "demo",
        model_uuid: "6b0e3c52-7d1f-4a86-9c35-e2a41f80d7b9",
        application: "velero",
        version: "3.6.9",
        trust: false,
    };

    #[test]
    fn without_trust_hardly_anything_is_allowed() {
        let verbs_on = |resource: &str| {
            rules_in_namespace("demo", false)
                .into_iter()
                .find(|rule| rule.resources.as_ref().is_some_and(|names| names.iter().any(|name| name == resource)))
                .map(|rule| rule.verbs)
        };
        assert_eq!(verbs_on("pods"), Some(vec!["get".to_owned(), "list".to_owned(), "patch".to_owned()]));
        assert_eq!(verbs_on("pods/exec"), Some(vec!["create".to_owned()]));
        assert_eq!(verbs_on("secrets"), None);
        assert_eq!(rules_in_cluster(false).len(), 1);
    }

    #[test]
    fn with_trust_everything_is() {
        for rules in [rules_in_namespace("demo", true), rules_in_cluster(true)] {
            assert_eq!(rules, vec![rule(&["*"], &["*"])]);
            assert_eq!(rules[0].api_groups, Some(vec!["*".to_owned()]));
        }
    }

    #[test]
    fn the_objects_are_named_after_the_application_and_labelled_as_jujus() {
        let account = service_account(&WORKLOAD);
        assert_eq!(account.automount_service_account_token, Some(false));
        let set = stateful_set(&WORKLOAD);
        for metadata in [account.metadata, set.metadata, service(&WORKLOAD).metadata] {
            assert_eq!((metadata.name.as_deref(), metadata.namespace.as_deref()), (Some("velero"), Some("demo")));
            let labels = texts(&[("app.kubernetes.io/managed-by", "juju"), ("app.kubernetes.io/name", "velero")]);
            assert_eq!(metadata.labels, Some(labels));
            assert_eq!(metadata.owner_references, None);
        }
        assert_eq!(cluster_role(&WORKLOAD).metadata.name.as_deref(), Some("demo-velero"));
    }
}
