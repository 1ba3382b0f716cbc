//! How the node agent is to run, and the pods that it starts to move data.

use std::num::NonZeroU32;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Flag, Group, flag, object,
    pods::{Defaults, PodSettings, Resources, Toleration},
    selector::{LabelSelector, NodeLabels},
    value::{LogLevel, Name, Period},
};

/// What `velero install` gives the node agent, and the node agent its pods: nothing.
pub(super) const NO_RESOURCES: Defaults = ["0"; 4];

/// How the node agent is to run, as far as that is said.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default, expecting = "a map such as `log-level: debug`")]
pub(crate) struct NodeAgentSettings {
    resources: Resources,
    node_selector: NodeLabels,
    tolerations: Vec<Toleration>,
    priority_class: Option<Name>,
    log_level: Option<LogLevel>,
    resource_timeout: Option<Period>,
    data_mover_prepare_timeout: Option<Period>,
    load_concurrency: Option<LoadConcurrency>,
    load_affinity: Vec<LoadAffinity>,
    data_mover: DataMover,
}

/// How many volumes are read or written at a time.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default, expecting = "a map such as `global: 2`")]
struct LoadConcurrency {
    global: Option<NonZeroU32>,
    per_node: Vec<NodeConcurrency>,
    prepare_queue_length: Option<NonZeroU32>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct NodeConcurrency {
    node_selector: LabelSelector,
    number: NonZeroU32,
}

/// On which nodes the data of snapshots is moved.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct LoadAffinity {
    node_selector: LabelSelector,
    storage_class: Option<Name>,
}

/// The pods that move data.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default, expecting = "a map such as `priority-class: low`")]
struct DataMover {
    resources: Option<Resources>,
    priority_class: Option<Name>,
}

impl Group for NodeAgentSettings {
    fn contradiction(&self) -> Option<String> {
        let of_selectors = |key: &str, mut selectors: Vec<&LabelSelector>| {
            let fault = selectors.drain(..).find_map(LabelSelector::fault)?;
            Some(format!("{key}: node-selector: {fault}"))
        };
        let per_node = self.load_concurrency.iter().flat_map(|concurrency| &concurrency.per_node);
        let of_movers = self.data_mover.resources.as_ref().and_then(|resources| resources.contradiction(NO_RESOURCES));
        self.pods()
            .contradiction(NO_RESOURCES)
            .or_else(|| of_selectors("load-concurrency", per_node.map(|rule| &rule.node_selector).collect()))
            .or_else(|| {
                of_selectors("load-affinity", self.load_affinity.iter().map(|rule| &rule.node_selector).collect())
            })
            .or_else(|| of_movers.map(|fault| format!("data-mover.resources: {fault}")))
    }
}

impl NodeAgentSettings {
    /// Returns what is said of its pods.
    pub(crate) fn pods(&self) -> PodSettings<'_> {
        PodSettings {
            resources: &self.resources,
            node_selector: &self.node_selector,
            tolerations: &self.tolerations,
            priority_class: self.priority_class.as_ref(),
        }
    }

    /// Returns its flags.
    pub(crate) fn flags(&self) -> impl Iterator<Item = Flag> {
        let flags = [
            flag("log-level", self.log_level.as_ref()),
            flag("resource-timeout", self.resource_timeout.as_ref()),
            flag("data-mover-prepare-timeout", self.data_mover_prepare_timeout.as_ref()),
        ];
        flags.into_iter().flatten()
    }

    /// Returns what it reads in its ConfigMap, if anything is said of that.
    pub(crate) fn configuration(&self) -> Option<Value> {
        let affinity = self.load_affinity.iter().map(|rule| {
            let class = rule.storage_class.as_ref().map_or("", Name::as_str);
            json!({"nodeSelector": rule.node_selector, "storageClass": class})
        });
        object([
            ("loadConcurrency", self.load_concurrency.as_ref().and_then(LoadConcurrency::configuration)),
            ("loadAffinity", (!self.load_affinity.is_empty()).then(|| affinity.collect())),
            ("podResources", self.data_mover.resources.as_ref().map(pod_resources)),
            ("priorityClassName", self.data_mover.priority_class.as_ref().map(|class| json!(class))),
        ])
    }
}

impl LoadConcurrency {
    fn configuration(&self) -> Option<Value> {
        let rules = self.per_node.iter().map(|rule| json!({"nodeSelector": rule.node_selector, "number": rule.number}));
        object([
            ("globalConfig", self.global.map(|number| json!(number))),
            ("perNodeConfig", (!self.per_node.is_empty()).then(|| rules.collect())),
            ("prepareQueueLength", self.prepare_queue_length.map(|number| json!(number))),
        ])
    }
}

/// Returns the resources of a pod as Velero's ConfigMaps have them. Velero ignores all of them where one is missing.
pub(super) fn pod_resources(resources: &Resources) -> Value {
    let keys = ["cpuRequest", "cpuLimit", "memoryRequest", "memoryLimit"];
    let amounts = resources.amounts().into_iter().zip(NO_RESOURCES);
    keys.into_iter().zip(amounts.map(|(said, default)| said.unwrap_or(default))).collect()
}
