//! What somebody else has made.

use super::*;

/// What the plan says where the charm must not touch anything.
fn blocked(plan: &Plan) -> &str {
    assert!(plan.installation.is_none());
    let [Status::Blocked(message)] = plan.obstacles.as_slice() else { panic!("{:?}", plan.obstacles) };
    message
}

#[test]
fn what_is_anothers_is_not_touched_and_the_other_is_named() {
    let first = Claim::Others("the application first".into());
    let facts = Facts { holdings: holdings(&first, &[("Deployment", "velero")]), ..facts() };
    for storage in [vec![], vec![relation("s3-credentials", S3)]] {
        let plan = crate::plan::plan(&snapshot(&[], storage), &facts);
        let message = blocked(&plan);
        assert!(message.starts_with("Deployment velero belongs to the application first"), "{message}");
        assert!(message.ends_with("juju deploy velero-operator in another model"), "{message}");
    }
}

#[test]
fn beside_another_server_none_is_installed_whoevers_it_is() {
    let kinds = [("Deployment", "velero"), ("Deployment", "velero-of-somebody")];
    for claim in [Claim::Unclaimed, Claim::Own] {
        let facts = Facts { holdings: holdings(&claim, &kinds), ..facts() };
        let plan = crate::plan::plan(&snapshot(&[], vec![relation("s3-credentials", S3)]), &facts);
        let message = blocked(&plan);
        assert!(message.starts_with("Deployment velero-of-somebody is a server of Velero"), "{message}");
        assert!(message.ends_with("juju deploy velero-operator in another model"), "{message}");
    }
}

#[test]
fn rights_of_others_under_the_name_of_this_models_ask_for_a_model_of_another_name() {
    let holder = Claim::Others("Juju's application shop".into());
    let facts = Facts { holdings: holdings(&holder, &[("ClusterRoleBinding", "velero-shop")]), ..facts() };
    let plan = crate::plan::plan(&snapshot(&[], vec![relation("s3-credentials", S3)]), &facts);
    let message = blocked(&plan);
    assert!(message.starts_with("ClusterRoleBinding velero-shop belongs to Juju's application shop"), "{message}");
    assert!(message.ends_with("juju deploy velero-operator in a model of another name"), "{message}");
    assert!(!message.contains("one Velero"), "{message}");
}

#[test]
fn what_nobody_claims_stays_as_it_is_until_there_is_a_storage() {
    let kinds = [("Deployment", "velero"), ("DaemonSet", "node-agent"), ("Secret", "cloud-credentials")];
    let facts = Facts { holdings: holdings(&Claim::Unclaimed, &kinds), ..facts() };
    let without = crate::plan::plan(&snapshot(&[], vec![]), &facts);
    let message = blocked(&without);
    assert!(message.starts_with("found an existing Velero (Deployment velero)"), "{message}");
    assert!(message.contains("juju integrate velero-operator:s3-credentials"), "{message}");
    let incomplete = crate::plan::plan(&snapshot(&[], vec![relation("s3-credentials", &S3[..1])]), &facts);
    assert!(blocked(&incomplete).contains("access-key, secret-key missing"));

    let adopted = crate::plan::plan(&snapshot(&[], vec![relation("s3-credentials", S3)]), &facts);
    assert_eq!(adopted.obstacles, []);
    // Nobody asked the charm for the agent, and adoption takes nothing away.
    assert!(installation(&adopted).node_agent && installation(&adopted).node_agent_is_adopted);
    assert!(adopted.remarks[0].contains("use-node-agent=true"), "{:?}", adopted.remarks);
    let asked_for = snapshot(&[("use-node-agent", json!(true))], vec![relation("s3-credentials", S3)]);
    let asked_for = crate::plan::plan(&asked_for, &facts);
    assert!(installation(&asked_for).node_agent && !installation(&asked_for).node_agent_is_adopted);
    assert_eq!(asked_for.remarks, Vec::<String>::new());
}

#[test]
fn an_application_that_would_share_a_name_with_velero_is_refused_before_anything_is_made() {
    for name in ["velero", "velero-metrics", "node-agent", "cloud-credentials"] {
        let snapshot = Snapshot { application: name.into(), ..snapshot(&[], vec![relation("s3-credentials", S3)]) };
        let plan = plan(&snapshot);
        let message = blocked(&plan);
        assert!(message.starts_with(&format!("an application must not be called {name}")), "{message}");
    }
}
