//! Admission policies of a cluster's administrators: for one namespace, and as long as a test wants them.

use std::time::{Duration, Instant};

use kube::api::{DeleteParams, DynamicObject, PostParams};
use serde_json::{Value, json};

use crate::{deployed::Deployed, objects, world::World};

/// How long the API server may take to know of a policy.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a policy does.
#[derive(Clone, Copy, Debug)]
pub enum Does {
    /// It refuses objects for which this is not true, and says why.
    Refuse { unless: &'static str, message: &'static str },
    /// It changes objects by this expression.
    Rewrite { by: &'static str },
}

/// A policy that is in force until it is dropped.
pub struct Policy {
    world: &'static World,
    namespace: String,
    kind: &'static str,
    name: String,
}

impl Policy {
    /// Makes a policy on a kind of `apps`, by its plural, in the namespace of a model.
    pub fn new(deployed: &Deployed, plural: &str, does: Does) -> Self {
        let name = format!("{}-{plural}", deployed.namespace());
        let of_namespace = json!({"matchLabels": {"kubernetes.io/metadata.name": deployed.namespace()}});
        let mut spec = json!({"failurePolicy": "Fail", "matchConstraints": {"namespaceSelector": of_namespace,
            "resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                "resources": [plural]}]}});
        let mut binding = json!({"policyName": name});
        let kind = match does {
            Does::Refuse { unless, message } => {
                spec["validations"] = json!([{"expression": unless, "message": message}]);
                binding["validationActions"] = json!(["Deny"]);
                "ValidatingAdmissionPolicy"
            }
            Does::Rewrite { by } => {
                spec["reinvocationPolicy"] = json!("Never");
                spec["mutations"] = json!([{"patchType": "JSONPatch", "jsonPatch": {"expression": by}}]);
                "MutatingAdmissionPolicy"
            }
        };
        let object = |kind: &str, spec: Value| json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        deployed.create(kind, &object(kind, spec));
        let binds = format!("{kind}Binding");
        deployed.create(&binds, &object(&binds, binding));
        Self { world: deployed.world, namespace: deployed.namespace().to_owned(), kind, name }
    }

    /// Waits until it is in force, by what the API server answers to an object that it is to try to make.
    pub fn in_force(self, kind: &str, object: &Value, is_so: impl Fn(kube::Result<DynamicObject>) -> bool) -> Self {
        await_answer(self.world, &self.namespace, kind, object, is_so);
        self
    }

    /// Takes it away, and waits until the API server's answer says so.
    pub fn lift(self, kind: &str, object: &Value, is_so: impl Fn(kube::Result<DynamicObject>) -> bool) {
        let (world, namespace) = (self.world, self.namespace.clone());
        drop(self);
        await_answer(world, &namespace, kind, object, is_so);
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        for kind in [format!("{}Binding", self.kind), self.kind.to_owned()] {
            let api = objects::api(self.world, &self.namespace, &kind);
            let _ = self.world.runtime.block_on(api.delete(&self.name, &DeleteParams::default()));
        }
    }
}

/// Nothing of a policy can be watched that tells when the API server goes by it: it is asked until it does.
fn await_answer(
    world: &World,
    namespace: &str,
    kind: &str,
    object: &Value,
    is_so: impl Fn(kube::Result<DynamicObject>) -> bool,
) {
    let api = objects::api(world, namespace, kind);
    let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
    let parameters = PostParams { dry_run: true, ..PostParams::default() };
    let deadline = Instant::now() + PATIENCE;
    while !is_so(world.runtime.block_on(api.create(&parameters, &object))) {
        assert!(Instant::now() < deadline, "the API server takes no notice");
    }
}

/// A workload of one pod with Velero's image, by its kind and name.
pub fn workload(kind: &str, name: &str) -> Value {
    let labels = json!({"app": name});
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [
            {"name": "velero", "image": "velero/velero:v1.18.3"}]}}}})
}
