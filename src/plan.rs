//! What should run, and why not: a pure function of the snapshot and the [`Facts`] of the cluster.
//!
//! It is made by parts. What is wrong with one of them is an obstacle of that part alone: the part stays as it is, and the others
//! go on.

mod drills;
pub(crate) mod reach;
mod settings;
mod volumes;

use std::fmt::Display;

use secrecy::SecretString;

use crate::{
    backups::{BackupPlan, Cron, Defaults, PolicyPlan, Retention, Ttl, VolumePolicies, undercut},
    contract::{ConfigOption, option},
    integrations::{self, Declarations, FieldSource, Publication, Refusal, STORAGE_INTERFACES, StorageRelation},
    juju::ConfigValues,
    snapshot::{OptionSecret, Snapshot},
    status::Status,
    storage::{PROVIDERS, Storage, StorageError},
    velero::{
        BackupLocation, Conflict, CurrentRoot, Facts, FoundRoot, HeldBack, Holdings, ImageOptions, Installation,
        KubeletRoot, LocationPlan, Needs, SeveralRoots, Version, check_image, node_agent_config, repository_config,
        reserved_name,
    },
};

/// What a user should know of a storage that is only read.
const RECOVERY: &str = "storage-mode=recovery: backups can be restored, and none are made or deleted";

/// The field of a secret with a password.
const PASSWORD_FIELD: &str = "password";

#[cfg(test)]
pub(crate) use drills::DrillPlan;
pub(crate) use drills::Drills;

/// What the charm has to do.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// What should run; `None` where the charm must not touch what is there.
    pub installation: Option<Installation>,
    /// What keeps the unit from being Active even when all of that runs, the most urgent first.
    pub obstacles: Vec<Status>,
    /// What the user should know even when all is well.
    pub remarks: Vec<String>,
    /// What the other sides of relations refuse, which is among the remarks in short.
    pub refusals: Vec<Refusal>,
    /// What to publish in relations, so that the other sides answer.
    pub publications: Vec<Publication>,
    /// What is to be backed up of other applications, where that was looked at. Only the leader knows.
    pub backups: Option<BackupPlan>,
    /// What becomes of the policies for volumes.
    pub policies: PolicyPlan,
    /// Which of the backups that were made of these are kept, where that is limited. Only the leader knows.
    pub retention: Option<Retention>,
    /// When restore drills are conducted.
    pub drills: Drills,
}

impl Plan {
    /// Returns the plan that leaves all that is there as it is.
    fn hands_off(obstacle: Status, refusals: Vec<Refusal>, publications: Vec<Publication>) -> Self {
        Self {
            installation: None,
            obstacles: vec![obstacle],
            remarks: Vec::new(),
            refusals,
            publications,
            backups: None,
            policies: PolicyPlan::Keep,
            retention: None,
            drills: Drills::Keep,
        }
    }
}

/// Decides what should run.
pub(crate) fn plan(snapshot: &Snapshot, facts: &Facts) -> Plan {
    let (publications, refusals) = (integrations::publications(snapshot), integrations::refusals(snapshot));
    let storage = storage(snapshot, &facts.provider_ids);
    if let Some(status) = hands_off(&snapshot.application, &facts.holdings, &storage) {
        return Plan::hands_off(status, refusals, publications);
    }
    let mut obstacles = Vec::new();
    let mut held_back = HeldBack::default();
    let image = server_image(&snapshot.config, facts.cli.as_ref()).unwrap_or_else(|status| {
        obstacles.push(status);
        // The node agent runs the same image.
        held_back = HeldBack { server: true, node_agent: true };
        option::VELERO_IMAGE.default.to_owned()
    });
    let mut plugin_image = None;
    // An empty image of a plugin that is not in use would only be found out on the day when it is.
    for provider in PROVIDERS {
        let is_used = storage.provider == Some(provider.provider());
        match self::image(&snapshot.config, provider.plugin_image()) {
            Ok(image) if is_used => plugin_image = Some(image),
            Ok(_) => {}
            Err(status) => {
                obstacles.push(status);
                if is_used {
                    held_back.server = true;
                    // The CLI plans no location without a plugin.
                    plugin_image = Some(provider.plugin_image().default.to_owned());
                }
            }
        }
    }
    // Which plugin is needed is not known until one of the storages is chosen.
    held_back.server |= storage.is_ambiguous;
    let agent = node_agent(&snapshot.config, facts);
    held_back.node_agent |= agent.is_held_back;
    obstacles.extend(agent.obstacle);
    let volumes::VolumesPlan { default_volumes_to_fs_backup, csi_snapshots } =
        volumes::volumes(&snapshot.config, agent.wanted, &mut obstacles);
    let image_pull_secrets = reach::image_pull_secrets(&snapshot.config, &mut obstacles).unwrap_or_else(|()| {
        held_back = HeldBack { server: true, node_agent: true };
        Vec::new()
    });
    let settings = settings::settings(snapshot, &facts.holdings, agent.wanted, &mut held_back, &mut obstacles);
    obstacles.extend(storage.obstacle);
    let (backups, policies) = backups(snapshot, &mut obstacles);
    let retention = retention(&snapshot.config, &mut obstacles).filter(|_| backups.is_some());
    let drills = drills::drills(&snapshot.config, &mut obstacles);
    let undercut = retention.as_ref().zip(backups.as_ref()).and_then(|(retention, plan)| undercut(retention, plan));
    let repository_password = repository_password(snapshot).unwrap_or_else(|status| {
        obstacles.push(status);
        None
    });
    let proxies = reach::planned_proxies(snapshot, facts).unwrap_or_else(|status| {
        obstacles.push(status);
        // What runs may still reach the store.
        held_back = HeldBack { server: true, node_agent: true };
        None
    });
    let installation = Installation {
        application: snapshot.application.clone(),
        image,
        node_agent: agent.wanted,
        node_agent_is_adopted: agent.is_adopted,
        kubelet_root: agent.kubelet_root,
        default_volumes_to_fs_backup,
        csi_snapshots,
        image_pull_secrets,
        repository_password,
        proxies,
        settings,
        plugin_image,
        location: storage.location,
        held_back,
    };
    let notes = installation.backup_location().into_iter().flat_map(|location| location.storage.notes.iter().cloned());
    let is_read_only = installation.backup_location().is_some_and(|location| location.is_read_only);
    let recovery = is_read_only.then(|| RECOVERY.to_owned());
    let remarks = recovery
        .into_iter()
        .chain(agent.remark)
        .chain(notes)
        .chain(refusals.iter().map(Refusal::remark))
        .chain(undercut)
        .chain(volumes::without_snapshots(facts))
        .chain(reach::without_pull_secrets(&facts.missing_pull_secrets))
        .collect();
    Plan {
        installation: Some(installation),
        obstacles,
        remarks,
        refusals,
        publications,
        backups,
        policies,
        retention,
        drills,
    }
}

/// Returns the password that files of volumes are to be encrypted with, if there is to be a certain one.
fn repository_password(snapshot: &Snapshot) -> Result<Option<SecretString>, Status> {
    let name = option::REPOSITORY_PASSWORD;
    let content = match &snapshot.repository_password {
        OptionSecret::Unset => return Ok(None),
        OptionSecret::OutOfReach => {
            return Err(Status::Blocked(format!(
                "the secret of the option {name} is not granted to {0}, or is gone: juju grant-secret SECRET {0}",
                snapshot.application
            )));
        }
        OptionSecret::Content(content) => content,
    };
    let password = content.entries().find(|(field, password)| *field == PASSWORD_FIELD && !password.is_empty());
    let password = password.map(|(_, password)| SecretString::from(password));
    password.map(Some).ok_or_else(|| {
        Status::Blocked(format!(
            "the secret of the option {name} has no field {PASSWORD_FIELD}: juju update-secret SECRET {PASSWORD_FIELD}=…"
        ))
    })
}

/// What the options say of a backup that is made by hand.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct BackupSettings {
    pub default_volumes_to_fs_backup: bool,
    /// Whether the pods come along that use the claims in it.
    pub adds_pods: bool,
    /// How long it is kept where its application does not say so.
    pub ttl: Option<Ttl>,
    /// Whether there are policies for volumes.
    pub has_policies: bool,
}

/// Returns what the options say of backups that are made by hand, or the status for one that cannot be used.
pub(crate) fn backup_settings(config: &ConfigValues) -> Result<BackupSettings, Status> {
    let mut obstacles = Vec::new();
    let ttl = read_option(config, option::DEFAULT_TTL, Ttl::parse, &mut obstacles);
    let policies = read_option(config, option::RESOURCE_POLICY, VolumePolicies::parse, &mut obstacles);
    match (ttl, policies) {
        (Ok(ttl), Ok(policies)) => Ok(BackupSettings {
            default_volumes_to_fs_backup: switch(config, option::DEFAULT_VOLUMES_TO_FS_BACKUP),
            adds_pods: switch(config, option::ADD_PODS_TO_BACKUPS),
            ttl,
            has_policies: policies.is_some(),
        }),
        _ => Err(obstacles.remove(0)),
    }
}

/// Returns the storage that the relations say is to be used, or the status for why there is none.
pub(crate) fn backup_storage(snapshot: &Snapshot) -> Result<Storage, Status> {
    // What the cloud calls the machines is for snapshots of their disks alone.
    let StoragePlan { location, obstacle, .. } = storage(snapshot, &[]);
    match (location, obstacle) {
        (LocationPlan::Use(location), _) => Ok(location.storage),
        (_, obstacle) => Err(obstacle.unwrap_or_else(|| Status::Blocked(no_storage(&snapshot.application)))),
    }
}

/// Decides what is to be backed up of other applications, and by which policies for volumes. An option that cannot be used is added to
/// the obstacles.
fn backups(snapshot: &Snapshot, obstacles: &mut Vec<Status>) -> (Option<BackupPlan>, PolicyPlan) {
    let defaults = Defaults {
        schedule: read_option(&snapshot.config, option::DEFAULT_SCHEDULE, Cron::parse, obstacles),
        ttl: read_option(&snapshot.config, option::DEFAULT_TTL, Ttl::parse, obstacles),
        adds_pods: switch(&snapshot.config, option::ADD_PODS_TO_BACKUPS),
        policies: read_option(&snapshot.config, option::RESOURCE_POLICY, VolumePolicies::parse, obstacles),
    };
    let policies = match PolicyPlan::of(&defaults.policies) {
        // They end in the hook in which the option does.
        PolicyPlan::None if snapshot.leaves_out_the_unchanged() => PolicyPlan::Keep,
        policies => policies,
    };
    let plan = snapshot.looks_at_schedules().then(|| {
        let Declarations { declarations, unknown } = integrations::declarations(snapshot);
        let plan = BackupPlan::of(declarations, unknown, &defaults);
        // Each backup would fail, as nothing can be written.
        if storage_mode(&snapshot.config) == Ok(StorageMode::Recovery) { plan.paused() } else { plan }
    });
    (plan, policies)
}

/// Returns which backups are kept. An option that cannot be used is added to the obstacles, and keeps all.
fn retention(config: &ConfigValues, obstacles: &mut Vec<Status>) -> Option<Retention> {
    read_option(config, option::RETENTION, Retention::parse, obstacles).ok().flatten()
}

/// Returns the retention that the option says, if it is set, or the status for one that cannot be used.
pub(crate) fn retention_option(config: &ConfigValues) -> Result<Option<Retention>, Status> {
    let mut obstacles = Vec::new();
    let retention = retention(config, &mut obstacles);
    obstacles.pop().map_or(Ok(retention), Err)
}

/// Returns what an option says, if it is set.
fn read_option<T, E: Display>(
    config: &ConfigValues,
    option: ConfigOption<&str>,
    read: impl FnOnce(&str) -> Result<T, E>,
    obstacles: &mut Vec<Status>,
) -> Result<Option<T>, ()> {
    let name = option.name;
    match config.text(name).map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => read(text).map(Some).map_err(|error| {
            obstacles.push(Status::Blocked(format!("the option {name}: {error}; or juju config --reset {name}")));
        }),
    }
}

/// Returns what a plan needs to know of the cluster.
pub(crate) fn needs(snapshot: &Snapshot) -> Needs {
    Needs {
        application: snapshot.application.clone(),
        provider_ids: integrations::need_provider_ids(snapshot),
        kubelet_root: switch(&snapshot.config, option::USE_NODE_AGENT)
            && matches!(kubelet_root(&snapshot.config), Ok(None)),
        proxies: reach::proxies(&snapshot.proxies).ok().flatten(),
        snapshot_classes: switch(&snapshot.config, option::USE_CSI_SNAPSHOTS),
        pull_secrets: reach::image_pull_secrets(&snapshot.config, &mut Vec::new()).unwrap_or_default(),
        config_maps: [
            (option::NODE_AGENT, node_agent_config(&snapshot.application)),
            (option::REPOSITORY, repository_config(&snapshot.application)),
        ]
        .into_iter()
        .filter(|(option, _)| snapshot.config.text(option.name).is_some_and(|text| !text.is_empty()))
        .map(|(_, name)| name)
        .collect(),
    }
}

/// What the relations say of the storage.
struct StoragePlan {
    /// Velero's name of the provider whose plugin is needed, if it is known.
    provider: Option<&'static str>,
    is_ambiguous: bool,
    location: LocationPlan,
    obstacle: Option<Status>,
}

fn storage(snapshot: &Snapshot, provider_ids: &[String]) -> StoragePlan {
    match integrations::storage_relations(snapshot).as_slice() {
        [] => StoragePlan {
            provider: None,
            is_ambiguous: false,
            location: LocationPlan::None,
            obstacle: Some(Status::Blocked(no_storage(&snapshot.application))),
        },
        [relation] => {
            let (location, obstacle) = match storage_mode(&snapshot.config) {
                Ok(mode) => location(relation, provider_ids, mode),
                Err(status) => {
                    (LocationPlan::Keep { provider: Some(relation.interface.provider().provider()) }, Some(status))
                }
            };
            StoragePlan {
                provider: Some(relation.interface.provider().provider()),
                is_ambiguous: false,
                location,
                obstacle,
            }
        }
        several => StoragePlan {
            provider: None,
            is_ambiguous: true,
            location: LocationPlan::Keep { provider: None },
            obstacle: Some(Status::Blocked(too_many(several))),
        },
    }
}

/// How the storage is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum StorageMode {
    /// Backups are written to it.
    Normal,
    /// It is only restored from: what is in it is another cluster's, or is to stay as it is.
    Recovery,
}

fn storage_mode(config: &ConfigValues) -> Result<StorageMode, Status> {
    let name = option::STORAGE_MODE.name;
    match config.text(name).map(str::trim) {
        None | Some("" | "normal") => Ok(StorageMode::Normal),
        Some("recovery") => Ok(StorageMode::Recovery),
        Some(other) => Err(Status::Blocked(format!(
            "the option {name}: {other:?} is neither normal nor recovery; or juju config --reset {name}"
        ))),
    }
}

/// Returns a status if the charm must not touch what is there: it is somebody else's, or not adopted yet.
fn hands_off(application: &str, holdings: &Holdings, storage: &StoragePlan) -> Option<Status> {
    if let Some(kind) = reserved_name(application) {
        return Some(Status::Blocked(format!(
            "an application must not be called {application}, which is the name of Velero's {kind}: \
             juju deploy it under another name, and remove this one"
        )));
    }
    let one_each = format!(
        "and a namespace has room for one Velero: use that one, or remove it first, or juju deploy {application} in another model"
    );
    if let Some(Conflict { object, is_cluster_wide, holder }) = holdings.others() {
        let way_out = if is_cluster_wide {
            format!(
                "and this model's Velero would need that name, too: juju deploy {application} in a model of another name"
            )
        } else {
            one_each
        };
        return Some(Status::Blocked(format!("{object} belongs to {holder}, {way_out}")));
    }
    if let Some(server) = holdings.other_server() {
        return Some(Status::Blocked(format!("{server} is a server of Velero, {one_each}")));
    }
    let is_adopted_now = matches!(storage.location, LocationPlan::Use(_));
    if holdings.is_unclaimed() && !is_adopted_now {
        let obstacle = storage.obstacle.as_ref().map(|status| format!("; {}", status.message())).unwrap_or_default();
        return Some(Status::Blocked(format!(
            "found an existing Velero ({}), left alone until you integrate a storage{obstacle}",
            found(holdings)
        )));
    }
    None
}

/// Returns what was found, by the name that a user would look for.
fn found(holdings: &Holdings) -> String {
    let location = holdings.location().map(|held| {
        let spec = &held.object.data["spec"];
        let text = |value: &serde_json::Value| value.as_str().unwrap_or("?").to_owned();
        format!(
            "BackupStorageLocation default of {} bucket {}",
            text(&spec["provider"]),
            text(&spec["objectStorage"]["bucket"])
        )
    });
    location.unwrap_or_else(|| holdings.names().into_iter().next().unwrap_or_default())
}

/// The plan for the node agent.
struct NodeAgentPlan {
    wanted: bool,
    is_adopted: bool,
    is_held_back: bool,
    kubelet_root: Option<KubeletRoot>,
    obstacle: Option<Status>,
    remark: Option<String>,
}

fn node_agent(config: &ConfigValues, facts: &Facts) -> NodeAgentPlan {
    let asked_for = switch(config, option::USE_NODE_AGENT);
    // Adoption takes nothing away: volumes may be backed up by it.
    let is_adopted = !asked_for && facts.holdings.has_adopted_node_agent();
    let mut plan = NodeAgentPlan {
        wanted: asked_for || is_adopted,
        is_adopted,
        is_held_back: false,
        kubelet_root: None,
        obstacle: None,
        remark: is_adopted.then(|| {
            let name = option::USE_NODE_AGENT.name;
            format!("the node agent that was there stays: set {name}=true to keep it, true and then false to remove it")
        }),
    };
    match kubelet_root(config) {
        Err(status) => {
            plan.obstacle = Some(status);
            plan.is_held_back = true;
        }
        Ok(Some(root)) => plan.kubelet_root = Some(root),
        Ok(None) if plan.wanted => match &facts.kubelet_root {
            Some(FoundRoot::Common(root)) => plan.kubelet_root = Some(root.clone()),
            Some(FoundRoot::Several { roots, current }) => {
                plan.obstacle = Some(several_kubelet_roots(roots));
                // What runs goes on, but nothing is started that would be wrong on some nodes.
                match current {
                    CurrentRoot::Known(root) => plan.kubelet_root = Some(root.clone()),
                    CurrentRoot::Unknown => plan.is_held_back = true,
                    CurrentRoot::NoAgent => plan.wanted = false,
                }
            }
            None => {}
        },
        Ok(None) => {}
    }
    plan
}

/// Returns the image of the server and the node agent.
fn server_image(config: &ConfigValues, cli: Option<&Version>) -> Result<String, Status> {
    let image = image(config, option::VELERO_IMAGE)?;
    let mismatch = Version::of_image(&image).zip(cli).and_then(|(server, cli)| server_mismatch(&image, &server, cli));
    mismatch.map_or(Ok(image), Err)
}

/// Returns what to do about a server of another minor release than the CLI that asks it, and the definitions that come with the
/// CLI.
pub(crate) fn server_mismatch(image: &str, server: &Version, cli: &Version) -> Option<Status> {
    (!server.agrees_with(cli)).then(|| {
        let (option, release) = (option::VELERO_IMAGE.name, cli.minor_release());
        Status::Blocked(format!(
            "{option} {image} is Velero {server}, this charm needs {release}: set {option} to an image of {release}, or juju config --reset {option}"
        ))
    })
}

/// Returns what to do about CustomResourceDefinitions of another minor release than the CLI: another charm in the cluster has
/// brought those of a newer Velero, and they are not downgraded.
pub(crate) fn definitions_mismatch(application: &str, definitions: &Version, cli: &Version) -> Option<Status> {
    (!definitions.agrees_with(cli)).then(|| {
        Status::Blocked(format!(
            "the CustomResourceDefinitions of the cluster are of Velero {definitions}, this charm's are of {}: \
             juju refresh {application} to a charm for Velero {}",
            cli.minor_release(),
            definitions.minor_release()
        ))
    })
}

fn location(
    relation: &StorageRelation<'_>,
    provider_ids: &[String],
    mode: StorageMode,
) -> (LocationPlan, Option<Status>) {
    let provider = relation.interface.provider();
    let error = match provider.storage(&relation.fields, provider_ids) {
        Ok(storage) => {
            let is_read_only = mode == StorageMode::Recovery;
            let location = BackupLocation { provider: provider.provider(), storage, is_read_only };
            return (LocationPlan::Use(Box::new(location)), None);
        }
        Err(error) => error,
    };
    let FieldSource { endpoint, integrator } = relation.interface.source_of(error.key());
    let obstacle = match error {
        StorageError::Incomplete { .. } if relation.secret_withheld => {
            Status::Waiting(format!("for the secret of {endpoint}: it is not granted to this application"))
        }
        StorageError::Incomplete { .. } => {
            Status::Waiting(format!("for {endpoint} to be complete: {error}; configure {integrator}"))
        }
        StorageError::Invalid { .. } => Status::Blocked(format!("{endpoint}: {error}")),
    };
    // What runs may still work, and must not go because an integrator is being set up anew.
    (LocationPlan::Keep { provider: Some(provider.provider()) }, Some(obstacle))
}

fn no_storage(application: &str) -> String {
    let integrators: Vec<_> = STORAGE_INTERFACES
        .iter()
        .map(|interface| format!("{} {}", interface.endpoint(), interface.integrator()))
        .collect();
    format!("no storage: juju integrate {application}:{}", integrators.join(", or "))
}

fn too_many(relations: &[StorageRelation<'_>]) -> String {
    let endpoints: Vec<_> = relations.iter().map(|relation| relation.interface.endpoint()).collect();
    format!("more than one storage is integrated, remove all but one of {}", endpoints.join(", "))
}

fn image(config: &ConfigValues, option: ConfigOption<&str>) -> Result<String, Status> {
    // Juju leaves out an option that was set to the empty text: its default never applies then.
    match config.text(option.name).map(str::trim) {
        None | Some("") => Err(Status::Blocked(format!(
            "the option {0} is empty: set an image, or juju config --reset {0}",
            option.name
        ))),
        Some(image) => match check_image(image) {
            Ok(()) => Ok(image.to_owned()),
            Err(reason) => Err(Status::Blocked(format!("the option {} {reason}", option.name))),
        },
    }
}

/// Returns the directory that the user has set, if any.
fn kubelet_root(config: &ConfigValues) -> Result<Option<KubeletRoot>, Status> {
    let name = option::KUBELET_ROOT_DIR.name;
    match config.text(name).map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|error| Status::Blocked(format!("the option {name} {error}: juju config --reset {name}"))),
    }
}

/// Returns the status for kubelets that do not all have the same directory.
fn several_kubelet_roots(roots: &SeveralRoots) -> Status {
    let name = option::KUBELET_ROOT_DIR.name;
    Status::Blocked(format!("{roots}: set the option {name} to the one whose volumes are to be backed up"))
}

/// Returns the options that choose the images of what is planned.
pub(crate) fn image_options(snapshot: &Snapshot) -> ImageOptions {
    let plugin = match integrations::storage_relations(snapshot).as_slice() {
        [relation] => Some(relation.interface.provider().plugin_image().name),
        _ => None,
    };
    ImageOptions { velero: option::VELERO_IMAGE.name, plugin }
}

fn switch(config: &ConfigValues, option: ConfigOption<bool>) -> bool {
    config.boolean(option.name).unwrap_or(option.default)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
