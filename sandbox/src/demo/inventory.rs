//! What there is in the cluster: to see that a removed charm leaves nothing.

use std::{collections::BTreeSet, time::Duration};

use super::{DemoError, kubectl::Kubectl};

/// How long what is being deleted may take to go.
const LIMIT: Duration = Duration::from_mins(1);

/// What the cluster itself puts into every namespace, and what only tells of the past.
fn is_everywhere(object: &str) -> bool {
    matches!(object, "configmap/kube-root-ca.crt" | "serviceaccount/default") || object.starts_with("event")
}

/// Whatever belongs to no namespace and has to do with Velero: definitions, and who may do what.
pub(super) async fn of_cluster(kubectl: &Kubectl) -> Result<BTreeSet<String>, DemoError> {
    let kinds = "customresourcedefinition,clusterrole,clusterrolebinding";
    let all = kubectl.run(&format!("get {kinds} --output name")).await?;
    Ok(all.lines().filter(|name| name.contains("velero")).map(str::to_owned).collect())
}

/// Whatever is in the namespace, of any kind, but for what every namespace has.
pub(super) async fn of_namespace(kubectl: &Kubectl, namespace: &str) -> Result<BTreeSet<String>, DemoError> {
    let kinds = kubectl.run("api-resources --namespaced --verbs=list,watch --output name").await?;
    let kinds = kinds.lines().collect::<Vec<_>>().join(",");
    let all = kubectl.run(&format!("get {kinds} --namespace {namespace} --output name --ignore-not-found")).await?;
    Ok(all.lines().filter(|name| !is_everywhere(name)).map(str::to_owned).collect())
}

/// Waits until these objects have gone; that some stay is for the next look to find.
pub(super) async fn await_gone(
    kubectl: &Kubectl,
    namespace: &str,
    objects: &BTreeSet<String>,
) -> Result<(), DemoError> {
    if objects.is_empty() {
        return Ok(());
    }
    let names = objects.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    let waited = kubectl.wait(&format!("wait --for=delete --namespace {namespace} {names}"), LIMIT).await;
    match waited {
        Err(DemoError::Kubectl { source: crate::process::ProcessError::Failed { .. }, .. }) => Ok(()),
        other => other.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_every_namespace_has_is_left_out() {
        let left = ["configmap/kube-root-ca.crt", "serviceaccount/default", "event/velero.1", "secret/velero-repo"];
        assert_eq!(left.map(is_everywhere), [true, true, true, false]);
    }
}
