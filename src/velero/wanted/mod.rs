//! What should run: the installation, and the objects that the CLI makes of it. No cluster is asked here.

pub(crate) mod backup;
pub(crate) mod cache;
pub(crate) mod cli;
pub(crate) mod dry_run;
pub(crate) mod image;
pub(crate) mod installation;
pub(crate) mod kubelet_root;
pub(crate) mod label_value;
pub(crate) mod manifests;
pub(crate) mod pod_security;
pub(crate) mod pods;
pub(crate) mod policies;
pub(crate) mod restore;
pub(crate) mod schedule;
pub(crate) mod settings;
pub(crate) mod user_command;
pub(crate) mod version;

pub(crate) use cli::{Cli, CliError};
pub(crate) use image::{check_image, pull_secrets};
pub(crate) use installation::{
    BackupLocation, CsiSnapshots, HeldBack, Installation, LocationPlan, PlannedProxies, ProxiesSecret,
};
pub(crate) use kubelet_root::KubeletRoot;
pub(crate) use manifests::{CredentialsSecret, Manifests, to_yaml};
pub(crate) use schedule::{SCHEDULED_BY, TARGET_LABELS};
pub(crate) use user_command::{Finish, LineSink};
pub(crate) use version::Version;
