//! What should run, and why not: a pure function of the snapshot.

use crate::{
    contract::{ConfigOption, option},
    integrations::{self, FieldSource, STORAGE_INTERFACES, StorageRelation},
    juju::ConfigValues,
    snapshot::Snapshot,
    status::Status,
    storage::{PROVIDERS, StorageError},
    velero::{BackupLocation, Installation, KubeletRoot, LocationPlan, SeveralRoots, Version},
};

/// What the charm is to bring about.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What should run.
    pub installation: Installation,
    /// What keeps the unit from being Active even when all of that runs.
    pub obstacles: Vec<Status>,
}

/// Decides what should run; `provider_ids` is what the cloud calls the machines of the cluster, where the storage needs it, and
/// `cli` the release of the CLI that the charm brings along, if it is one.
///
/// # Errors
///
/// The status that says what a person has to mend first. The running configuration is to be left as it is then.
pub fn plan(snapshot: &Snapshot, provider_ids: &[String], cli: Option<&Version>) -> Result<Plan, Status> {
    let image = image(&snapshot.config, option::VELERO_IMAGE)?;
    let mismatch = Version::of_image(&image).zip(cli).and_then(|(server, cli)| server_mismatch(&image, &server, cli));
    if let Some(mismatch) = mismatch {
        return Err(mismatch);
    }
    let node_agent = switch(&snapshot.config, option::USE_NODE_AGENT);
    let default_volumes_to_fs_backup = switch(&snapshot.config, option::DEFAULT_VOLUMES_TO_FS_BACKUP);
    if default_volumes_to_fs_backup && !node_agent {
        return Err(Status::Blocked(format!(
            "{} needs the node agent: set {}=true too",
            option::DEFAULT_VOLUMES_TO_FS_BACKUP.name,
            option::USE_NODE_AGENT.name
        )));
    }
    let kubelet_root = kubelet_root(&snapshot.config)?;
    // An empty image of a plugin that is not in use would only be found out on the day when it is.
    for provider in PROVIDERS {
        self::image(&snapshot.config, provider.plugin_image())?;
    }
    let mut installation = Installation {
        image,
        node_agent,
        kubelet_root,
        default_volumes_to_fs_backup,
        plugin_image: None,
        location: LocationPlan::None,
    };
    let obstacle = match integrations::storage_relations(snapshot).as_slice() {
        [] => Some(Status::Blocked(no_storage(&snapshot.application))),
        [relation] => {
            installation.plugin_image =
                Some(self::image(&snapshot.config, relation.interface.provider().plugin_image())?);
            let (location, obstacle) = location(relation, provider_ids);
            installation.location = location;
            obstacle
        }
        several => return Err(Status::Blocked(too_many(several))),
    };
    Ok(Plan { installation, obstacles: obstacle.into_iter().collect() })
}

/// What to do about a server of another minor release than the CLI that asks it, and the definitions that come with the CLI.
#[must_use]
pub fn server_mismatch(image: &str, server: &Version, cli: &Version) -> Option<Status> {
    (!server.agrees_with(cli)).then(|| {
        let (option, release) = (option::VELERO_IMAGE.name, cli.minor_release());
        Status::Blocked(format!(
            "{option} {image} is Velero {server}, this charm needs {release}: set {option} to an image of {release}, or juju config --reset {option}"
        ))
    })
}

/// What to do about CustomResourceDefinitions of another minor release than the CLI: another charm of the cluster has brought a
/// newer Velero's, which are not taken back.
#[must_use]
pub fn definitions_mismatch(application: &str, definitions: &Version, cli: &Version) -> Option<Status> {
    (!definitions.agrees_with(cli)).then(|| {
        Status::Blocked(format!(
            "the CustomResourceDefinitions of the cluster are of Velero {definitions}, this charm's are of {}: \
             juju refresh {application} to a charm for Velero {}",
            cli.minor_release(),
            definitions.minor_release()
        ))
    })
}

fn location(relation: &StorageRelation<'_>, provider_ids: &[String]) -> (LocationPlan, Option<Status>) {
    let provider = relation.interface.provider();
    let error = match provider.storage(&relation.fields, provider_ids) {
        Ok(storage) => {
            let location = BackupLocation { provider: provider.provider(), storage };
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
    (LocationPlan::Keep { provider: provider.provider() }, Some(obstacle))
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
        Some(image) if image.contains(char::is_whitespace) => {
            Err(Status::Blocked(format!("the option {} is no image: it holds white space", option.name)))
        }
        Some(image) => Ok(image.to_owned()),
    }
}

/// The directory that the user has set, if any.
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

/// What is to be said where no one directory is that of all nodes.
#[must_use]
pub fn several_kubelet_roots(roots: &SeveralRoots) -> Status {
    let name = option::KUBELET_ROOT_DIR.name;
    Status::Blocked(format!("{roots}: set the option {name} to the one whose volumes are to be backed up"))
}

fn switch(config: &ConfigValues, option: ConfigOption<bool>) -> bool {
    config.boolean(option.name).unwrap_or(option.default)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
