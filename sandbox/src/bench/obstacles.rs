//! What the administrators of a cluster can put in the way of Velero's pods.

use std::time::Duration;

use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    core::v1::{Node, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::objects::{LIMIT, Objects, ObjectsError, call};

/// What the API server says of a pod that is refused.
const REFUSAL: &str = "the bench admits no such pod";

/// The field manager of what is put in the way.
const MANAGER: &str = "bench";

/// How often the API server is asked whether it goes by a policy. Nothing of a policy can be watched that tells.
const ASKED: Duration = Duration::from_millis(100);

impl Objects {
    /// Lets the nodes take no more pods, or take them again. Those that they have stay.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn cordon(&self, on: bool) -> Result<(), ObjectsError> {
        let nodes = Api::<Node>::all(self.client.clone());
        let refused = |source| ObjectsError::Cordon(Box::new(source));
        let patch = Patch::Merge(json!({"spec": {"unschedulable": on}}));
        for node in nodes.list(&ListParams::default()).await.map_err(refused)? {
            nodes.patch(&node.name_any(), &PatchParams::default(), &patch).await.map_err(refused)?;
        }
        Ok(())
    }

    /// Lets the API server refuse the pods of a namespace that have a label, and waits until it does.
    ///
    /// # Errors
    /// When it does not.
    pub async fn refuse_pods(&self, namespace: &str, label: (&str, &str)) -> Result<(), ObjectsError> {
        let refused = |source| call("refuse the pods", namespace, source);
        let parameters = PatchParams::apply(MANAGER);
        let (policies, bindings) = self.policies();
        let policy = Patch::Apply(policy(namespace, label));
        policies.patch(namespace, &parameters, &policy).await.map_err(refused)?;
        let binding = Patch::Apply(binding(namespace));
        bindings.patch(namespace, &parameters, &binding).await.map_err(refused)?;
        self.goes_by(namespace, label, true).await
    }

    /// Ends [`Objects::refuse_pods`].
    ///
    /// # Errors
    /// When the API server does not take note.
    pub async fn admit_pods(&self, namespace: &str, label: (&str, &str)) -> Result<(), ObjectsError> {
        let refused = |source| call("admit the pods", namespace, source);
        let parameters = DeleteParams::default();
        let (policies, bindings) = self.policies();
        bindings.delete(namespace, &parameters).await.map_err(refused)?;
        policies.delete(namespace, &parameters).await.map_err(refused)?;
        self.goes_by(namespace, label, false).await
    }

    fn policies(&self) -> (Api<ValidatingAdmissionPolicy>, Api<ValidatingAdmissionPolicyBinding>) {
        (Api::all(self.client.clone()), Api::all(self.client.clone()))
    }

    /// Waits until a pod with the label would be refused, or would not.
    async fn goes_by(&self, namespace: &str, label: (&str, &str), refusing: bool) -> Result<(), ObjectsError> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), namespace);
        let (parameters, pod) = (PatchParams::apply(MANAGER).dry_run(), Patch::Apply(pod(label)));
        let asking = async {
            let mut ticks = interval(ASKED);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                match pods.patch("bench", &parameters, &pod).await {
                    Ok(_) if !refusing => return Ok(()),
                    Err(kube::Error::Api(status)) if status.message.contains(REFUSAL) => {
                        if refusing {
                            return Ok(());
                        }
                    }
                    Err(source) => return Err(call("try the policy on the pods", namespace, source)),
                    Ok(_) => {}
                }
            }
        };
        let what = "the policy on the pods";
        timeout(LIMIT, asking)
            .await
            .unwrap_or_else(|_| Err(ObjectsError::TimedOut { what, namespace: namespace.to_owned() }))
    }
}

fn policy(namespace: &str, (key, value): (&str, &str)) -> Value {
    let pods = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]});
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": namespace},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "objectSelector": {"matchLabels": {key: value}},
                "resourceRules": [pods],
            },
            "validations": [{"expression": "false", "message": REFUSAL}],
        },
    })
}

fn binding(namespace: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": namespace},
        "spec": {"policyName": namespace, "validationActions": ["Deny"]},
    })
}

fn pod((key, value): (&str, &str)) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bench", "labels": {key: value}},
        "spec": {"containers": [{"name": "bench", "image": "bench"}]},
    })
}
