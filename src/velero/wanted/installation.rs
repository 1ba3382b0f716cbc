//! What is to be installed.

use secrecy::SecretString;

use super::kubelet_root::KubeletRoot;
use crate::{proxies::Proxies, settings::Settings, storage::Storage};

/// A Velero, described by what the charm decides of it.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    /// The application that all of it belongs to.
    pub application: String,
    /// The image of the server and the node agent.
    pub image: String,
    /// Whether the node agent runs on every node.
    pub node_agent: bool,
    /// Whether it runs only because it did so before the charm came, and not because anybody asked the charm for it.
    pub node_agent_is_adopted: bool,
    /// Where the node agent finds the volumes of pods; `None` for where almost every kubelet keeps them.
    pub kubelet_root: Option<KubeletRoot>,
    /// Whether volumes are backed up by their files unless something says otherwise.
    pub default_volumes_to_fs_backup: bool,
    /// Whether snapshots of volumes are made by their CSI drivers.
    pub csi_snapshots: CsiSnapshots,
    /// The names of the Secrets by which images are pulled.
    pub image_pull_secrets: Vec<String>,
    /// The password that files of volumes are to be encrypted with; `None` for the one that there is.
    pub repository_password: Option<SecretString>,
    /// By which proxies the store is reached, if by any.
    pub proxies: Option<PlannedProxies>,
    /// How the parts are to run, as far as somebody says it.
    pub settings: Settings,
    /// The image of the plugin for the storage, if there is any.
    pub plugin_image: Option<String>,
    /// Where backups go.
    pub location: LocationPlan,
    /// The parts that stay as they are, whatever is planned here: a person has to mend an option first.
    pub held_back: HeldBack,
}

/// What is to happen with snapshots by CSI drivers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum CsiSnapshots {
    /// None are made.
    #[default]
    None,
    /// They stay in the storage of the volume.
    InPlace,
    /// Their data goes into the store unless something says otherwise.
    Moved,
}

/// The proxies that the server and the node agent are to go by.
#[derive(Clone, Debug)]
pub(crate) struct PlannedProxies {
    pub proxies: Proxies,
    pub secret: ProxiesSecret,
}

/// The Secret with the URLs of proxies, as it was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum ProxiesSecret {
    /// It is as it should be, and this is its revision.
    Current(String),
    /// It is not there, or not as it should be, and this is to be its revision.
    Due(String),
    /// Somebody else has made one of its name.
    OfOthers,
}

impl PlannedProxies {
    /// Returns what the pods are told so that they start anew when the proxies change.
    pub(crate) fn revision(&self) -> &str {
        match &self.secret {
            ProxiesSecret::Current(revision) | ProxiesSecret::Due(revision) => revision,
            ProxiesSecret::OfOthers => "",
        }
    }
}

/// The parts of an installation that could not be planned.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct HeldBack {
    pub server: bool,
    pub node_agent: bool,
}

/// What is to happen with the storage locations and their credentials.
#[derive(Clone, Debug)]
pub(crate) enum LocationPlan {
    /// No location.
    None,
    /// Those that are there stay as they are, until it is known what they should be; unless they are another provider's.
    Keep {
        /// Velero's name of the provider that is going to be used; `None` where that is not known either.
        provider: Option<&'static str>,
    },
    /// Use this store.
    Use(Box<BackupLocation>),
}

/// The object store that backups go to.
#[derive(Clone, Debug)]
pub(crate) struct BackupLocation {
    pub provider: &'static str,
    /// The store itself.
    pub storage: Storage,
    /// Whether Velero only reads it.
    pub is_read_only: bool,
}

impl Installation {
    /// Returns the location that is to be used, if it is known.
    pub(crate) fn backup_location(&self) -> Option<&BackupLocation> {
        match &self.location {
            LocationPlan::Use(location) => Some(location),
            LocationPlan::None | LocationPlan::Keep { .. } => None,
        }
    }
}
