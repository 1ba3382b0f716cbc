use serde_json::{Value, json};

use super::*;

const NAMESPACE: &str = "model";
/// When the StatefulSet of this application was made, and times around it.
const BEFORE: &str = "2026-01-31T10:00:00Z";
const SINCE: &str = "2026-01-31T11:00:00Z";
const AFTER: &str = "2026-01-31T12:00:00Z";

fn object(kind: &str, name: &str, metadata: &Value) -> DynamicObject {
    let mut object =
        named(if kind == "ClusterRoleBinding" { "rbac.authorization.k8s.io/v1" } else { "v1" }, kind, name);
    let mut merged = json!({"name": name, "creationTimestamp": BEFORE});
    for (key, value) in metadata.as_object().unwrap() {
        merged[key] = value.clone();
    }
    object.metadata = serde_json::from_value(merged).unwrap();
    object
}

fn deployment(metadata: &Value) -> DynamicObject {
    object("Deployment", "velero", metadata)
}

fn managed_by(manager: &str) -> Value {
    json!([{"manager": manager, "operation": "Update", "fieldsV1": {"f:spec": {}}}])
}

/// This application since [`SINCE`], and another one that has rights and is there since `rival`.
fn applications(rival: Option<&str>) -> Applications {
    let time = |text: &str| Some(text.parse().unwrap());
    let mut present = vec![("ours".to_owned(), time(SINCE)), ("s3-integrator".to_owned(), time(BEFORE))];
    present.extend(rival.map(|since| ("first".to_owned(), time(since))));
    Applications { present, trusted: vec!["ours".to_owned(), "first".to_owned()], ends: false }
}

fn claims(objects: &[DynamicObject], applications: &Applications) -> Vec<Claim> {
    let origins = origins(objects, NAMESPACE);
    let made = |object: &DynamicObject| object.creation_timestamp().map(|time| time.0);
    objects.iter().zip(origins).map(|(object, origin)| claim(origin, made(object), "ours", applications)).collect()
}

fn claim_of(object: DynamicObject, applications: &Applications) -> Claim {
    claims(&[object], applications).remove(0)
}

fn others(holder: &str) -> Claim {
    Claim::Others(holder.to_owned())
}

#[test]
fn what_carries_an_applications_name_is_that_applications() {
    let made_by = |application: &str| {
        deployment(&json!({"labels": {"app.kubernetes.io/managed-by": "velero-operator",
            "app.kubernetes.io/instance": application}}))
    };
    assert_eq!(claim_of(made_by("ours"), &applications(None)), Claim::Own);
    assert_eq!(claim_of(made_by("first"), &applications(Some(BEFORE))), others("the application first"));
    // An application that is gone has left it behind.
    assert_eq!(claim_of(made_by("first"), &applications(None)), Claim::Unclaimed);
}

#[test]
fn what_helm_juju_or_an_operator_holds_is_theirs() {
    let helm = json!({"labels": {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "ours"},
        "annotations": {"meta.helm.sh/release-name": "backup"}});
    assert_eq!(claim_of(deployment(&helm), &applications(None)), others("Helm's release backup"));
    let juju = json!({"labels": {"app.kubernetes.io/managed-by": "juju", "app.kubernetes.io/name": "velero"}});
    assert_eq!(
        claim_of(object("ServiceAccount", "velero", &juju), &applications(None)),
        others("Juju's application velero")
    );
    let created_by_juju = json!({"labels": {"app.juju.is/created-by": "velero"}});
    assert_eq!(claim_of(deployment(&created_by_juju), &applications(None)), others("Juju"));
    let oadp = json!({"labels": {"app.kubernetes.io/managed-by": "oadp-operator"}, "ownerReferences": [
        {"apiVersion": "oadp.openshift.io/v1alpha1", "kind": "DataProtectionApplication", "name": "dpa", "uid": "1", "controller": true}]});
    assert_eq!(claim_of(deployment(&oadp), &applications(None)), others("DataProtectionApplication dpa"));
}

#[test]
fn a_velero_that_was_installed_by_hand_is_nobodys() {
    let by_hand = json!({"labels": {"component": "velero"}, "managedFields": managed_by("velero")});
    assert_eq!(claim_of(deployment(&by_hand), &applications(Some(BEFORE))), Claim::Unclaimed);
    assert_eq!(claim_of(deployment(&json!({})), &applications(None)), Claim::Unclaimed);
}

#[test]
fn what_the_python_charm_made_is_the_refreshed_applications_or_the_other_ones() {
    let made = |time: &str| {
        [
            deployment(&json!({"creationTimestamp": time, "managedFields": managed_by("velero-operator-lightkube")})),
            // The CLI made this one for it.
            object(
                "ServiceAccount",
                "velero",
                &json!({"creationTimestamp": time, "managedFields": managed_by("velero")}),
            ),
        ]
    };
    assert_eq!(claims(&made(AFTER), &applications(None)), [Claim::Own, Claim::Own], "refreshed");
    // The integrator was there, too, and has no rights with which it could have made anything.
    assert_eq!(claims(&made(BEFORE), &applications(None)), [Claim::Unclaimed, Claim::Unclaimed], "left behind");
    let first = || others("the application first");
    assert_eq!(claims(&made(BEFORE), &applications(Some(BEFORE))), [first(), first()], "running beside");
    assert_eq!(claims(&made(AFTER), &Applications::default()), [Claim::Unclaimed, Claim::Unclaimed], "not known");
}

#[test]
fn where_the_own_stateful_set_is_gone_already_an_application_that_ends_takes_its_former_revisions_velero_along() {
    let made = || {
        let labels = json!({"app.kubernetes.io/managed-by": "velero-operator"});
        deployment(&json!({"creationTimestamp": AFTER, "labels": labels}))
    };
    let ending = |rival: Option<&str>| {
        let mut applications = applications(rival);
        applications.present.retain(|(name, _)| name != "ours");
        Applications { ends: true, ..applications }
    };
    assert_eq!(claim_of(made(), &ending(None)), Claim::Own);
    assert_eq!(claim_of(made(), &ending(Some(BEFORE))), others("the application first"));
    assert_eq!(claim_of(made(), &Applications { ends: false, ..ending(None) }), Claim::Unclaimed);
    // As long as it is there, its time tells.
    let before = deployment(&json!({"labels": {"app.kubernetes.io/managed-by": "velero-operator"}}));
    assert_eq!(claim_of(before, &Applications { ends: true, ..applications(None) }), Claim::Unclaimed);
}

#[test]
fn what_a_former_revision_of_the_charm_made_is_told_by_its_time_as_well() {
    let made = |time: &str| {
        deployment(&json!({"creationTimestamp": time, "labels": {"app.kubernetes.io/managed-by": "velero-operator"}}))
    };
    assert_eq!(claim_of(made(AFTER), &applications(Some(BEFORE))), Claim::Own);
    assert_eq!(claim_of(made(BEFORE), &applications(Some(BEFORE))), others("the application first"));
}

#[test]
fn a_cluster_role_binding_is_whose_server_it_gives_rights_to() {
    let binding = |namespace: &str, labels: &Value| {
        let mut binding = object("ClusterRoleBinding", "velero-model", &json!({"labels": labels}));
        binding.data = json!({"subjects": [{"kind": "ServiceAccount", "name": "velero", "namespace": namespace}]});
        binding
    };
    let ours = json!({"app.kubernetes.io/managed-by": "velero-operator", "app.kubernetes.io/instance": "ours"});
    assert_eq!(claim_of(binding(NAMESPACE, &ours), &applications(None)), Claim::Own);
    assert_eq!(claim_of(binding(NAMESPACE, &json!({})), &applications(None)), Claim::Unclaimed);
    assert_eq!(
        claim_of(binding("another", &json!({})), &applications(None)),
        others("ServiceAccount velero of namespace another")
    );
    // Juju's name for the rights of an application `model` in a model `velero`.
    let jujus = json!({"app.kubernetes.io/managed-by": "juju", "app.kubernetes.io/name": "model"});
    assert_eq!(claim_of(binding("velero", &jujus), &applications(None)), others("Juju's application model"));
    // Somebody has edited what is ours, which is mended.
    assert_eq!(claim_of(binding("another", &ours), &applications(None)), Claim::Own);
}

#[test]
fn an_installation_is_unclaimed_only_as_long_as_nothing_of_it_is_ours() {
    let held = |claim: Claim| Held { object: deployment(&json!({})), claim };
    assert!(Holdings(vec![held(Claim::Unclaimed), held(Claim::Unclaimed)]).is_unclaimed());
    assert!(!Holdings(vec![held(Claim::Own), held(Claim::Unclaimed)]).is_unclaimed());
    assert!(!Holdings::default().is_unclaimed());
    let mixed = Holdings(vec![held(Claim::Own), held(others("Juju"))]);
    let conflict = Conflict { object: "Deployment velero".to_owned(), is_cluster_wide: true, holder: "Juju" };
    assert_eq!(mixed.others(), Some(conflict));
}

#[test]
fn a_node_agent_that_was_there_is_adopted_until_it_is_asked_for() {
    let agent = |claim: Claim, annotations: &Value| {
        let object = object("DaemonSet", "node-agent", &json!({"annotations": annotations}));
        Holdings(vec![Held { object, claim }]).has_adopted_node_agent()
    };
    assert!(agent(Claim::Unclaimed, &json!({})));
    assert!(agent(Claim::Own, &json!({"velero-operator/adopted": "true"})));
    assert!(!agent(Claim::Own, &json!({})));
    assert!(!Holdings::default().has_adopted_node_agent());
}

#[test]
fn only_the_settings_under_the_applications_own_names_are_held() {
    for (name, is_held) in [
        (node_agent_config("ours"), true),
        (repository_config("ours"), true),
        (node_agent_config("first"), false),
        ("ours".to_owned(), false),
    ] {
        assert_eq!(is_held_name(&named("v1", "ConfigMap", &name), "ours"), is_held, "{name}");
    }
}
