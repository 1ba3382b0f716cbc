//! What may be said of any pod: what it gets, where it runs, and how important it is.

use serde::{Deserialize, Serialize};

use super::{
    quantity::Quantity,
    selector::NodeLabels,
    value::{LabelKey, LabelValue, Name},
};

/// The amounts that a pod is promised, and those that it may not exceed.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default, expecting = "a map such as {requests: {cpu: 500m}, limits: {memory: 1Gi}}")]
pub(super) struct Resources {
    requests: Amounts,
    limits: Amounts,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default, expecting = "a map such as {cpu: 500m, memory: 1Gi}")]
struct Amounts {
    cpu: Option<Quantity>,
    memory: Option<Quantity>,
}

/// What of the resources is not said: the request and the limit of processors, then those of memory. `0` is none.
pub(super) type Defaults = [&'static str; 4];

impl Resources {
    /// Returns the request and the limit of processors, then those of memory, as far as they are said.
    pub(super) fn amounts(&self) -> [Option<&str>; 4] {
        self.quantities().map(|quantity| quantity.map(Quantity::as_str))
    }

    fn quantities(&self) -> [Option<&Quantity>; 4] {
        let Self { requests, limits } = self;
        [&requests.cpu, &limits.cpu, &requests.memory, &limits.memory].map(Option::as_ref)
    }

    /// Returns which request is more than its limit, if one is.
    pub(super) fn contradiction(&self, defaults: Defaults) -> Option<String> {
        let mut quantities = self.quantities().into_iter().zip(defaults).map(|(quantity, default)| match quantity {
            Some(quantity) => Some(quantity.clone()),
            None => Quantity::parse(default),
        });
        ["cpu", "memory"].into_iter().find_map(|resource| {
            let (request, limit) = (quantities.next()??, quantities.next()??);
            (!limit.is_unbounded() && request.exceeds(&limit)).then(|| {
                let (request, limit) = (request.as_str(), limit.as_str());
                format!("the request of {resource}, {request}, is more than the limit, {limit}: set both")
            })
        })
    }
}

/// A taint that a pod bears, with Kubernetes' own names.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, expecting = "a toleration such as {key: backup, operator: Exists}")]
pub(super) struct Toleration {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<LabelKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<Operator>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<LabelValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<Effect>,
    #[serde(rename = "tolerationSeconds", skip_serializing_if = "Option::is_none")]
    seconds: Option<i64>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
enum Operator {
    Exists,
    Equal,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
enum Effect {
    NoSchedule,
    PreferNoSchedule,
    NoExecute,
}

impl Toleration {
    fn fault(&self) -> Option<&'static str> {
        let exists = self.operator == Some(Operator::Exists);
        if self.key.is_none() && !exists {
            Some("one without a key bears every taint, and needs operator: Exists")
        } else if exists && self.value.is_some() {
            Some("Exists takes no value")
        } else if self.seconds.is_some() && self.effect != Some(Effect::NoExecute) {
            Some("tolerationSeconds is for effect: NoExecute alone")
        } else {
            None
        }
    }
}

/// What is said of the pods of the server or of the node agent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PodSettings<'a> {
    pub(super) resources: &'a Resources,
    pub(super) node_selector: &'a NodeLabels,
    pub(super) tolerations: &'a [Toleration],
    pub(super) priority_class: Option<&'a Name>,
}

impl PodSettings<'_> {
    /// Returns the request and the limit of processors, then those of memory, as far as they are said.
    pub(crate) fn resources(&self) -> [Option<&str>; 4] {
        self.resources.amounts()
    }

    /// Returns the name of the priority class, if it has one.
    pub(crate) fn priority_class(&self) -> Option<&str> {
        self.priority_class.map(Name::as_str)
    }

    /// Returns the labels that its nodes must have, as Kubernetes reads them, if there are any.
    pub(crate) fn node_selector(&self) -> Option<serde_json::Value> {
        (!self.node_selector.is_empty()).then(|| serde_json::json!(self.node_selector))
    }

    /// Returns the taints that it bears, as Kubernetes reads them, if there are any.
    pub(crate) fn tolerations(&self) -> Option<serde_json::Value> {
        (!self.tolerations.is_empty()).then(|| serde_json::json!(self.tolerations))
    }

    pub(super) fn contradiction(&self, defaults: Defaults) -> Option<String> {
        let of_resources = self.resources.contradiction(defaults).map(|fault| format!("resources: {fault}"));
        let of_tolerations = || self.tolerations.iter().find_map(Toleration::fault);
        of_resources.or_else(|| of_tolerations().map(|fault| format!("tolerations: {fault}")))
    }
}
