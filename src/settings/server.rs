//! How the server is to run.

use std::num::NonZeroU32;

use serde::Deserialize;

use super::{
    Flag, Group, flag,
    pods::{Defaults, PodSettings, Resources, Toleration},
    selector::NodeLabels,
    value::{LogLevel, Name, Period},
};

/// What `velero install` gives the server.
const DEFAULTS: Defaults = ["500m", "1", "128Mi", "512Mi"];

/// How the server is to run, as far as that is said.
///
/// `--default-backup-ttl` is not among it, and `default-ttl` is not passed on to it: a backup that somebody makes without saying for
/// how long would end with those of applications, and what is judged of Schedules without a time would be wrong.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default, expecting = "a map such as `log-level: debug`")]
pub(crate) struct ServerSettings {
    resources: Resources,
    node_selector: NodeLabels,
    tolerations: Vec<Toleration>,
    priority_class: Option<Name>,
    log_level: Option<LogLevel>,
    concurrent_backups: Option<NonZeroU32>,
    item_block_worker_count: Option<NonZeroU32>,
    fs_backup_timeout: Option<Period>,
    default_item_operation_timeout: Option<Period>,
    resource_timeout: Option<Period>,
    terminating_resource_timeout: Option<Period>,
    item_operation_sync_frequency: Option<Period>,
    garbage_collection_frequency: Option<Period>,
    client_qps: Option<NonZeroU32>,
    client_burst: Option<NonZeroU32>,
    client_page_size: Option<u32>,
    max_concurrent_k8s_connections: Option<NonZeroU32>,
    disable_informer_cache: Option<bool>,
}

impl Group for ServerSettings {
    fn contradiction(&self) -> Option<String> {
        self.pods().contradiction(DEFAULTS)
    }
}

impl ServerSettings {
    /// Returns what is said of its pod.
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
            flag("concurrent-backups", self.concurrent_backups.as_ref()),
            flag("item-block-worker-count", self.item_block_worker_count.as_ref()),
            flag("fs-backup-timeout", self.fs_backup_timeout.as_ref()),
            flag("default-item-operation-timeout", self.default_item_operation_timeout.as_ref()),
            flag("resource-timeout", self.resource_timeout.as_ref()),
            flag("terminating-resource-timeout", self.terminating_resource_timeout.as_ref()),
            flag("item-operation-sync-frequency", self.item_operation_sync_frequency.as_ref()),
            flag("garbage-collection-frequency", self.garbage_collection_frequency.as_ref()),
            flag("client-qps", self.client_qps.as_ref()),
            flag("client-burst", self.client_burst.as_ref()),
            flag("client-page-size", self.client_page_size.as_ref()),
            flag("max-concurrent-k8s-connections", self.max_concurrent_k8s_connections.as_ref()),
            flag("disable-informer-cache", self.disable_informer_cache.as_ref()),
        ];
        flags.into_iter().flatten()
    }
}
