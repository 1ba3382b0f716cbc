//! The pod-security labels that the node agent's pods need on their namespace, as the CLI prints them.

use std::collections::BTreeMap;

use kube::{ResourceExt, api::DynamicObject};

/// What all pod-security labels begin with; a mode follows.
const PREFIX: &str = "pod-security.kubernetes.io/";
/// The label of the mode that keeps pods out; the other modes only tell of them.
pub(crate) const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
/// What the label of a mode ends with that says by which version's standard.
pub(crate) const VERSION: &str = "-version";

/// Returns the pod-security labels of a Namespace that the CLI printed.
pub(crate) fn pod_security(namespace: &DynamicObject) -> BTreeMap<String, String> {
    let labels = namespace.labels().iter().filter(|(key, _)| key.starts_with(PREFIX));
    labels.map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::named;

    fn owned((key, value): (&str, &str)) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn only_the_pod_security_labels_of_the_printed_namespace_count() {
        let mut printed = named("v1", "Namespace", "model");
        printed.metadata.labels = Some([("component", "velero"), (ENFORCE, "privileged")].map(owned).into());
        assert_eq!(pod_security(&printed), BTreeMap::from([owned((ENFORCE, "privileged"))]));
    }
}
