//! What runs, and whether it works: read from the cluster, and judged without I/O. Nothing is changed here.

pub(crate) mod expected;
pub(crate) mod facts;
pub(crate) mod few;
pub(crate) mod freshness;
pub(crate) mod holdings;
pub(crate) mod kubelet_root;
pub(crate) mod ledger;
pub(crate) mod look;
pub(crate) mod namespace;
pub(crate) mod nodes;
pub(crate) mod observed;
pub(crate) mod operations;
pub(crate) mod proxies;
pub(crate) mod readiness;
pub(crate) mod reduced;
pub(crate) mod repository;
pub(crate) mod restart;
pub(crate) mod server;
pub(crate) mod sighting;
pub(crate) mod snapshot_classes;
pub(crate) mod storage_message;
pub(crate) mod summary;
pub(crate) mod watch;
