//! What the charm promises to Juju: its options, endpoints, actions and hooks, as data.
//!
//! `metadata.yaml`, `config.yaml`, `actions.yaml` and the folders `hooks` and `actions` say the same to Juju and Charmhub
//! before the charm runs. A test holds the two together, so that nothing is declared and not handled, or handled and
//! not declared. The code that handles an option, an endpoint or an action takes its name from here.

/// The charm's name on Charmhub, whatever an application of it is called.
pub const CHARM: &str = "velero-operator";

/// An option of `juju config`, with the value that it has until the user sets another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ConfigOption<T> {
    /// Its key in `config.yaml` and in the output of `config-get`.
    pub name: &'static str,
    /// Its default in `config.yaml`.
    pub default: T,
}

/// A [`ConfigOption`] of any of the types that the charm uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OptionSpec {
    /// An option of Juju's type `boolean`.
    Boolean(ConfigOption<bool>),
    /// An option of Juju's type `string`.
    Text(ConfigOption<&'static str>),
    /// An option of Juju's type `secret`, by its name: the URI of a secret that the user has granted. It has no default.
    Secret(&'static str),
}

impl OptionSpec {
    /// Returns the key in `config.yaml`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Boolean(option) => option.name,
            Self::Text(option) => option.name,
            Self::Secret(name) => name,
        }
    }

    /// Returns the default as Juju prints it.
    #[must_use]
    pub fn default_value(&self) -> serde_json::Value {
        match self {
            Self::Boolean(option) => option.default.into(),
            Self::Text(option) => option.default.into(),
            Self::Secret(_) => serde_json::Value::Null,
        }
    }

    /// Juju's name of the type, as `config.yaml` has it.
    #[must_use]
    pub const fn juju_type(&self) -> &'static str {
        match self {
            Self::Boolean(_) => "boolean",
            Self::Text(_) => "string",
            Self::Secret(_) => "secret",
        }
    }
}

/// The options, one constant each.
pub mod option {
    use super::ConfigOption;

    /// Whether Velero's node agent, which copies files out of volumes, runs on every node.
    pub const USE_NODE_AGENT: ConfigOption<bool> = ConfigOption { name: "use-node-agent", default: false };
    /// Whether every volume of a pod is backed up by its files unless the pod says otherwise.
    pub const DEFAULT_VOLUMES_TO_FS_BACKUP: ConfigOption<bool> =
        ConfigOption { name: "default-volumes-to-fs-backup", default: false };
    /// Where the nodes' kubelets keep the volumes of pods; empty for finding it out.
    pub const KUBELET_ROOT_DIR: ConfigOption<&str> = ConfigOption { name: "kubelet-root-dir", default: "" };
    /// Whether Velero makes snapshots of volumes by their CSI drivers.
    pub const USE_CSI_SNAPSHOTS: ConfigOption<bool> = ConfigOption { name: "use-csi-snapshots", default: false };
    /// Whether the data of such snapshots goes into the object store unless a backup says otherwise.
    pub const DEFAULT_SNAPSHOT_MOVE_DATA: ConfigOption<bool> =
        ConfigOption { name: "default-snapshot-move-data", default: false };
    /// The Secrets by which images are pulled, with commas between their names.
    pub const IMAGE_PULL_SECRETS: ConfigOption<&str> = ConfigOption { name: "image-pull-secrets", default: "" };
    /// The image of the Velero server and of the node agent.
    pub const VELERO_IMAGE: ConfigOption<&str> =
        ConfigOption { name: "velero-image", default: "velero/velero:v1.18.3" };
    /// The image of Velero's plugin for S3.
    pub const VELERO_AWS_PLUGIN_IMAGE: ConfigOption<&str> =
        ConfigOption { name: "velero-aws-plugin-image", default: "velero/velero-plugin-for-aws:v1.14.3" };
    /// The image of Velero's plugin for Azure.
    pub const VELERO_AZURE_PLUGIN_IMAGE: ConfigOption<&str> =
        ConfigOption { name: "velero-azure-plugin-image", default: "velero/velero-plugin-for-microsoft-azure:v1.14.0" };
    /// The image of Velero's plugin for Google Cloud Storage.
    pub const VELERO_GCP_PLUGIN_IMAGE: ConfigOption<&str> =
        ConfigOption { name: "velero-gcp-plugin-image", default: "velero/velero-plugin-for-gcp:v1.14.3" };
    /// When applications are backed up that do not say so themselves; empty for never.
    pub const DEFAULT_SCHEDULE: ConfigOption<&str> = ConfigOption { name: "default-schedule", default: "" };
    /// How long backups are kept whose application does not say so itself; empty for as long as Velero keeps them.
    pub const DEFAULT_TTL: ConfigOption<&str> = ConfigOption { name: "default-ttl", default: "" };
    /// Which backups of applications are kept, however long they could be; empty for all.
    pub const RETENTION: ConfigOption<&str> = ConfigOption { name: "retention", default: "" };
    /// What becomes of volumes in backups of applications, in Velero's own form; empty for nothing special.
    pub const RESOURCE_POLICY: ConfigOption<&str> = ConfigOption { name: "resource-policy", default: "" };
    /// When restore drills are conducted; empty for never.
    pub const DRILL_SCHEDULE: ConfigOption<&str> = ConfigOption { name: "drill-schedule", default: "" };
    /// How long one of these may take.
    pub const DRILL_TIMEOUT: ConfigOption<&str> = ConfigOption { name: "drill-timeout", default: "2h" };
    /// Whether these wait until pods are ready that were.
    pub const DRILL_WAITS_FOR_PODS: ConfigOption<bool> = ConfigOption { name: "drill-waits-for-pods", default: false };
    /// Whether the pods that use the volumes of an application are backed up with them, as is needed for their files.
    pub const ADD_PODS_TO_BACKUPS: ConfigOption<bool> = ConfigOption { name: "add-pods-to-backups", default: false };
    /// Whether the storage is used as ever, or only restored from.
    pub const STORAGE_MODE: ConfigOption<&str> = ConfigOption { name: "storage-mode", default: "normal" };
    /// How the server runs, in YAML; empty for how `velero install` has it. So are the two others.
    pub const SERVER: ConfigOption<&str> = ConfigOption { name: "server", default: "" };
    /// How the node agent runs.
    pub const NODE_AGENT: ConfigOption<&str> = ConfigOption { name: "node-agent", default: "" };
    /// How the repositories with the files of volumes are kept.
    pub const REPOSITORY: ConfigOption<&str> = ConfigOption { name: "repository", default: "" };
    /// The secret with the password that the files of volumes are encrypted with.
    pub const REPOSITORY_PASSWORD: &str = "repository-password";
}

/// Every option of the charm.
pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec::Boolean(option::USE_NODE_AGENT),
    OptionSpec::Boolean(option::DEFAULT_VOLUMES_TO_FS_BACKUP),
    OptionSpec::Text(option::KUBELET_ROOT_DIR),
    OptionSpec::Boolean(option::USE_CSI_SNAPSHOTS),
    OptionSpec::Boolean(option::DEFAULT_SNAPSHOT_MOVE_DATA),
    OptionSpec::Text(option::IMAGE_PULL_SECRETS),
    OptionSpec::Text(option::VELERO_IMAGE),
    OptionSpec::Text(option::VELERO_AWS_PLUGIN_IMAGE),
    OptionSpec::Text(option::VELERO_AZURE_PLUGIN_IMAGE),
    OptionSpec::Text(option::VELERO_GCP_PLUGIN_IMAGE),
    OptionSpec::Text(option::DEFAULT_SCHEDULE),
    OptionSpec::Text(option::DEFAULT_TTL),
    OptionSpec::Text(option::RETENTION),
    OptionSpec::Text(option::RESOURCE_POLICY),
    OptionSpec::Text(option::DRILL_SCHEDULE),
    OptionSpec::Text(option::DRILL_TIMEOUT),
    OptionSpec::Boolean(option::DRILL_WAITS_FOR_PODS),
    OptionSpec::Boolean(option::ADD_PODS_TO_BACKUPS),
    OptionSpec::Text(option::STORAGE_MODE),
    OptionSpec::Text(option::SERVER),
    OptionSpec::Text(option::NODE_AGENT),
    OptionSpec::Text(option::REPOSITORY),
    OptionSpec::Secret(option::REPOSITORY_PASSWORD),
];

/// The names of the endpoints, one constant each.
pub mod endpoint {
    /// Where the bucket of an S3-compatible store and its keys come from.
    pub const S3_CREDENTIALS: &str = "s3-credentials";
    /// Where the container of an Azure storage account and its key come from.
    pub const AZURE_STORAGE: &str = "azure-storage";
    /// Where the service principal comes from that signs in to Azure in place of the account key, and makes volume snapshots.
    pub const AZURE_SERVICE_PRINCIPAL: &str = "azure-service-principal";
    /// Where the bucket of Google Cloud Storage and its service-account key come from.
    pub const GCS_CREDENTIALS: &str = "gcs-credentials";
    /// Where an application says what of it is to be backed up.
    pub const VELERO_BACKUPS: &str = "velero-backups";
    /// Where an application says what of it is to be backed up, in a list.
    pub const K8S_BACKUP_TARGET: &str = "k8s-backup-target";
    /// Where a Prometheus learns what to scrape, and when to alert.
    pub const METRICS_ENDPOINT: &str = "metrics-endpoint";
    /// Where a Grafana gets the dashboard.
    pub const GRAFANA_DASHBOARD: &str = "grafana-dashboard";
}

/// The side that the charm has in a relation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The charm uses what the other application offers.
    Requires,
    /// The charm offers something to the other application, of which it needs to know nothing.
    Provides,
}

impl Role {
    /// Returns the key of `metadata.yaml` under which endpoints of this role stand.
    #[must_use]
    pub const fn metadata_key(self) -> &'static str {
        match self {
            Self::Requires => "requires",
            Self::Provides => "provides",
        }
    }
}

/// An endpoint as `metadata.yaml` declares it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EndpointSpec {
    /// The endpoint's name: what the user writes in `juju integrate`, and the first part of its hooks' names.
    pub name: &'static str,
    /// The interface that the charm on the other side must have.
    pub interface: &'static str,
    /// The charm's own side.
    pub role: Role,
    /// How many relations Juju lets the endpoint have; `None` for any number.
    pub limit: Option<u32>,
    /// The endpoint whose relation this one only completes: alone it means nothing.
    pub completes: Option<&'static str>,
    /// Whether only the leader has to do with its relations.
    pub is_for_leader: bool,
}

impl EndpointSpec {
    /// Whether applications declare there what of theirs is to be backed up.
    #[must_use]
    pub const fn declares_backups(&self) -> bool {
        matches!(self.role, Role::Requires) && self.is_for_leader
    }
}

/// Every endpoint of the charm.
pub const RELATIONS: &[EndpointSpec] = &[
    EndpointSpec {
        name: endpoint::S3_CREDENTIALS,
        interface: "s3",
        role: Role::Requires,
        limit: Some(1),
        completes: None,
        is_for_leader: false,
    },
    EndpointSpec {
        name: endpoint::AZURE_STORAGE,
        interface: "azure_storage",
        role: Role::Requires,
        limit: Some(1),
        completes: None,
        is_for_leader: false,
    },
    EndpointSpec {
        name: endpoint::AZURE_SERVICE_PRINCIPAL,
        interface: "azure_service_principal",
        role: Role::Requires,
        limit: Some(1),
        completes: Some(endpoint::AZURE_STORAGE),
        is_for_leader: false,
    },
    EndpointSpec {
        name: endpoint::GCS_CREDENTIALS,
        interface: "gcs",
        role: Role::Requires,
        limit: Some(1),
        completes: None,
        is_for_leader: false,
    },
    EndpointSpec {
        name: endpoint::VELERO_BACKUPS,
        interface: "velero_backup_config",
        role: Role::Requires,
        limit: None,
        completes: None,
        is_for_leader: true,
    },
    EndpointSpec {
        name: endpoint::K8S_BACKUP_TARGET,
        interface: "k8s_backup_target",
        role: Role::Requires,
        limit: None,
        completes: None,
        is_for_leader: true,
    },
    EndpointSpec {
        name: endpoint::METRICS_ENDPOINT,
        interface: "prometheus_scrape",
        role: Role::Provides,
        limit: None,
        completes: None,
        is_for_leader: false,
    },
    EndpointSpec {
        name: endpoint::GRAFANA_DASHBOARD,
        interface: "grafana_dashboard",
        role: Role::Provides,
        limit: None,
        completes: None,
        is_for_leader: true,
    },
];

/// An action of the charm.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Runs a command of the Velero CLI.
    Run,
    /// The same as [`Action::Run`], under the name that older scripts have.
    RunCli,
    /// Makes a backup of what an application has declared.
    CreateBackup,
    /// Lists the backups of applications.
    ListBackups,
    /// Shows which backups the retention keeps, and which not.
    ShowRetention,
    /// Restores a backup.
    Restore,
    /// Finds out by use what the storage allows.
    TestStorage,
    /// Restores a backup into scratch namespaces, and compares it with what was backed up.
    VerifyBackup,
}

impl Action {
    /// Returns the action of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        ACTIONS.iter().find(|spec| spec.name == name).map(|spec| spec.action)
    }
}

/// The type of a parameter's value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ParameterType {
    /// Any text.
    Text,
    /// Yes or no.
    Boolean,
    /// A whole number.
    Integer,
}

impl ParameterType {
    /// Juju's name of the type, as `actions.yaml` has it.
    #[must_use]
    pub const fn juju_type(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
        }
    }
}

/// A parameter of an action.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParameterSpec {
    /// Its key in `actions.yaml` and in the output of `action-get`.
    pub name: &'static str,
    /// What it holds.
    pub value: ParameterType,
    /// Whether Juju refuses the action without it.
    pub required: bool,
}

/// The parameters of actions, one constant each.
pub mod parameter {
    use super::{ParameterSpec, ParameterType};

    /// A command of the Velero CLI, in one text as a user would type it.
    pub const COMMAND: ParameterSpec = ParameterSpec { name: "command", value: ParameterType::Text, required: true };
    /// What to back up: an application and its endpoint, with a colon between them.
    pub const TARGET: ParameterSpec = ParameterSpec { name: "target", value: ParameterType::Text, required: true };
    /// The same, where a backup may be named in its place.
    pub const DRILL_TARGET: ParameterSpec = text("target");
    /// Whether what a drill has restored stays until the next one.
    pub const KEEP: ParameterSpec = ParameterSpec { name: "keep", value: ParameterType::Boolean, required: false };
    /// How long a drill may take.
    pub const TIMEOUT: ParameterSpec = text("timeout");
    /// Whether a drill waits until pods are ready that were.
    pub const WAIT_FOR_PODS: ParameterSpec =
        ParameterSpec { name: "wait-for-pods", value: ParameterType::Boolean, required: false };
    /// An application that has declared backups.
    pub const APP: ParameterSpec = text("app");
    /// The endpoint of that application.
    pub const ENDPOINT: ParameterSpec = text("endpoint");
    /// The model of that application.
    pub const MODEL: ParameterSpec = text("model");
    /// How many backups are listed at most.
    pub const LIMIT: ParameterSpec = ParameterSpec { name: "limit", value: ParameterType::Integer, required: false };
    /// How many MiB are written to the storage and read back.
    pub const SIZE: ParameterSpec = ParameterSpec { name: "size", value: ParameterType::Integer, required: false };
    /// A retention to try in place of the option.
    pub const RETENTION: ParameterSpec = text("retention");
    /// Whether the storage is this application's from now on, whoever has written into it before.
    pub const TAKE_OVER: ParameterSpec =
        ParameterSpec { name: "take-over", value: ParameterType::Boolean, required: false };
    /// Whether the action goes on until what it has begun has ended.
    pub const WAIT: ParameterSpec = ParameterSpec { name: "wait", value: ParameterType::Boolean, required: false };
    /// The uid of a backup, as this cluster has it.
    pub const BACKUP_UID: ParameterSpec = text("backup-uid");
    /// The name of a backup.
    pub const BACKUP: ParameterSpec = text("backup");
    /// What becomes of objects that are there already.
    pub const EXISTING_RESOURCE_POLICY: ParameterSpec = text("existing-resource-policy");
    /// The namespaces to restore, with commas between them.
    pub const INCLUDE_NAMESPACES: ParameterSpec = text("include-namespaces");
    /// The namespaces not to restore.
    pub const EXCLUDE_NAMESPACES: ParameterSpec = text("exclude-namespaces");
    /// The kinds of objects to restore.
    pub const INCLUDE_RESOURCES: ParameterSpec = text("include-resources");
    /// The kinds of objects not to restore.
    pub const EXCLUDE_RESOURCES: ParameterSpec = text("exclude-resources");
    /// The labels that objects must have to be restored.
    pub const SELECTOR: ParameterSpec = text("selector");
    /// Several selectors, of which one must fit.
    pub const OR_SELECTOR: ParameterSpec = text("or-selector");
    /// Which namespaces are restored under which other names.
    pub const NAMESPACE_MAPPING: ParameterSpec = text("namespace-mapping");

    const fn text(name: &'static str) -> ParameterSpec {
        ParameterSpec { name, value: ParameterType::Text, required: false }
    }
}

/// An action as `actions.yaml` declares it. Juju refuses parameters that are not listed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ActionSpec {
    /// Which action it is.
    pub action: Action,
    /// What the user writes after the unit in `juju run`.
    pub name: &'static str,
    /// The parameters that it takes.
    pub parameters: &'static [ParameterSpec],
}

/// Every action of the charm.
pub const ACTIONS: &[ActionSpec] = &[
    ActionSpec { action: Action::Run, name: "run", parameters: &[parameter::COMMAND] },
    ActionSpec { action: Action::RunCli, name: "run-cli", parameters: &[parameter::COMMAND] },
    ActionSpec {
        action: Action::CreateBackup,
        name: "create-backup",
        parameters: &[parameter::TARGET, parameter::MODEL, parameter::WAIT],
    },
    ActionSpec {
        action: Action::ListBackups,
        name: "list-backups",
        parameters: &[parameter::APP, parameter::ENDPOINT, parameter::MODEL, parameter::LIMIT],
    },
    ActionSpec {
        action: Action::ShowRetention,
        name: "show-retention",
        parameters: &[parameter::RETENTION, parameter::APP, parameter::ENDPOINT, parameter::MODEL, parameter::LIMIT],
    },
    ActionSpec {
        action: Action::Restore,
        name: "restore",
        parameters: &[
            parameter::BACKUP_UID,
            parameter::BACKUP,
            parameter::EXISTING_RESOURCE_POLICY,
            parameter::INCLUDE_NAMESPACES,
            parameter::EXCLUDE_NAMESPACES,
            parameter::INCLUDE_RESOURCES,
            parameter::EXCLUDE_RESOURCES,
            parameter::SELECTOR,
            parameter::OR_SELECTOR,
            parameter::NAMESPACE_MAPPING,
            parameter::WAIT,
        ],
    },
    ActionSpec {
        action: Action::TestStorage,
        name: "test-storage",
        parameters: &[parameter::SIZE, parameter::TAKE_OVER],
    },
    ActionSpec {
        action: Action::VerifyBackup,
        name: "verify-backup",
        parameters: &[
            parameter::DRILL_TARGET,
            parameter::MODEL,
            parameter::BACKUP,
            parameter::KEEP,
            parameter::TIMEOUT,
            parameter::WAIT_FOR_PODS,
        ],
    },
];

/// The names of the hooks that belong to no relation, one constant each.
pub mod hook {
    /// The unit's first hook.
    pub const INSTALL: &str = "install";
    /// The unit, or its agent, has started.
    pub const START: &str = "start";
    /// The unit's pod is about to go, for a removal or a refresh.
    pub const STOP: &str = "stop";
    /// The unit is being removed for good.
    pub const REMOVE: &str = "remove";
    /// The pod runs another revision of the charm, or has been made anew.
    pub const UPGRADE_CHARM: &str = "upgrade-charm";
    /// An option, the trust or the pod's address may have changed.
    pub const CONFIG_CHANGED: &str = "config-changed";
    /// Some minutes have passed.
    pub const UPDATE_STATUS: &str = "update-status";
    /// The unit has become the leader.
    pub const LEADER_ELECTED: &str = "leader-elected";
    /// The unit is not the leader (Juju 3 only).
    pub const LEADER_SETTINGS_CHANGED: &str = "leader-settings-changed";
    /// A secret that the unit has read has a newer revision.
    pub const SECRET_CHANGED: &str = "secret-changed";
    /// What runs of Velero is not what the last hook has seen. Juju does not know this hook: the charm's observer asks for it.
    pub const VELERO_CHANGED: &str = "velero-changed";
}

/// Every hook of the charm that belongs to no relation.
///
/// `secret-expired`, `secret-rotate` and `secret-remove` are not among them: they go to the owner of a secret, and the
/// charm owns none.
pub const HOOKS: &[&str] = &[
    hook::INSTALL,
    hook::START,
    hook::STOP,
    hook::REMOVE,
    hook::UPGRADE_CHARM,
    hook::CONFIG_CHANGED,
    hook::UPDATE_STATUS,
    hook::LEADER_ELECTED,
    hook::LEADER_SETTINGS_CHANGED,
    hook::SECRET_CHANGED,
];

/// What Juju appends to an endpoint's name for the hooks of its relations, in the order of a relation's life.
pub const RELATION_HOOK_SUFFIXES: &[&str] =
    &["-relation-created", "-relation-joined", "-relation-changed", "-relation-departed", "-relation-broken"];

/// Returns the names of all hooks that Juju may run: those of [`HOOKS`] and, for each of [`RELATIONS`], those of its life.
pub fn hook_names() -> impl Iterator<Item = String> {
    let of_relations = RELATIONS
        .iter()
        .flat_map(|endpoint| RELATION_HOOK_SUFFIXES.iter().map(move |suffix| format!("{}{suffix}", endpoint.name)));
    HOOKS.iter().map(ToString::to_string).chain(of_relations)
}
