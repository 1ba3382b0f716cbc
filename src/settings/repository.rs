//! How the repositories with the files of volumes are kept.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Flag, Group, flag,
    node_agent::{NO_RESOURCES, pod_resources},
    object,
    pods::Resources,
    quantity::Quantity,
    selector::{LabelSelector, NodeLabels},
    value::{Name, Period},
};

/// How the repositories are kept, as far as that is said.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default, expecting = "a map such as `cache-limit: 2Gi`")]
pub(crate) struct RepositorySettings {
    cache_limit: Option<Quantity>,
    full_maintenance_interval: Option<MaintenanceInterval>,
    maintenance: Maintenance,
}

/// How long the repository keeps what nobody needs any more, in Velero's words.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
enum MaintenanceInterval {
    #[serde(rename = "normalGC")]
    Normal,
    #[serde(rename = "fastGC")]
    Fast,
    #[serde(rename = "eagerGC")]
    Eager,
}

/// The jobs that maintain a repository.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default, expecting = "a map such as `keep-latest: 1`")]
struct Maintenance {
    resources: Option<Resources>,
    keep_latest: Option<NonZeroU32>,
    node_selector: NodeLabels,
    priority_class: Option<Name>,
    frequency: Option<Period>,
}

impl Group for RepositorySettings {
    fn contradiction(&self) -> Option<String> {
        if self.cache_limit.as_ref().is_some_and(|limit| limit.mebibytes() == 0) {
            return Some("cache-limit: it is less than 1Mi, as 2Gi is not".to_owned());
        }
        let fault = self.maintenance.resources.as_ref().and_then(|resources| resources.contradiction(NO_RESOURCES));
        fault.map(|fault| format!("maintenance.resources: {fault}"))
    }
}

impl RepositorySettings {
    /// Returns the flags of the server that are about repositories.
    pub(crate) fn flags(&self) -> impl Iterator<Item = Flag> {
        flag("default-repo-maintain-frequency", self.maintenance.frequency.as_ref()).into_iter()
    }

    /// Returns what the server notes on a repository when it makes one, if anything is said of that.
    pub(crate) fn configuration(&self) -> Option<Value> {
        let limit = self.cache_limit.as_ref().map(|limit| u64::try_from(limit.mebibytes()).unwrap_or(u64::MAX));
        object([
            ("cacheLimitMB", limit.map(Value::from)),
            ("fullMaintenanceInterval", self.full_maintenance_interval.map(|interval| json!(interval))),
        ])
    }

    /// Returns what the server reads for each maintenance job, if anything is said of that.
    pub(crate) fn maintenance(&self) -> Option<Value> {
        let Maintenance { resources, keep_latest, node_selector, priority_class, frequency: _ } = &self.maintenance;
        let affinity = (!node_selector.is_empty()).then(|| LabelSelector::of(node_selector));
        object([
            ("podResources", resources.as_ref().map(pod_resources)),
            ("keepLatestMaintenanceJobs", keep_latest.map(|number| json!(number))),
            ("loadAffinity", affinity.map(|selector| json!([{"nodeSelector": selector, "storageClass": ""}]))),
            ("priorityClassName", priority_class.as_ref().map(|class| json!(class))),
        ])
    }
}
