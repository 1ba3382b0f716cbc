//! How Velero is to run, as the options say it.

use crate::{
    contract::{ConfigOption, option},
    settings::{Group, NodeAgentSettings, RepositorySettings, ServerSettings, Settings},
    snapshot::Snapshot,
    status::Status,
    velero::{HeldBack, Holdings, node_agent_config, repository_config},
};

/// Returns what the options say of how Velero runs. One that cannot be used is added to the obstacles, and holds back the part that it
/// is for.
pub(super) fn settings(
    snapshot: &Snapshot,
    holdings: &Holdings,
    has_node_agent: bool,
    held_back: &mut HeldBack,
    obstacles: &mut Vec<Status>,
) -> Settings {
    let (server, is_unreadable) = group::<ServerSettings>(snapshot, option::SERVER, obstacles);
    held_back.server |= is_unreadable;
    let (mut node_agent, is_unreadable) = group::<NodeAgentSettings>(snapshot, option::NODE_AGENT, obstacles);
    held_back.node_agent |= is_unreadable;
    let (mut repository, is_unreadable) = group::<RepositorySettings>(snapshot, option::REPOSITORY, obstacles);
    held_back.server |= is_unreadable;
    let application = &snapshot.application;
    let mut is_taken = |option: ConfigOption<&str>, name: String| {
        let is_taken = holdings.has_others_config_map(&name);
        obstacles.extend(is_taken.then(|| of_others(&name, option.name)));
        is_taken
    };
    let reads_map = has_node_agent && node_agent.configuration().is_some();
    if reads_map && is_taken(option::NODE_AGENT, node_agent_config(application)) {
        node_agent = NodeAgentSettings::default();
        held_back.node_agent = true;
    }
    let reads_map = repository.configuration().is_some() || repository.maintenance().is_some();
    if reads_map && is_taken(option::REPOSITORY, repository_config(application)) {
        repository = RepositorySettings::default();
        held_back.server = true;
    }
    Settings { server, node_agent, repository }
}

/// Returns what an option says, and whether it cannot be read.
fn group<G: Group + Default>(
    snapshot: &Snapshot,
    option: ConfigOption<&str>,
    obstacles: &mut Vec<Status>,
) -> (G, bool) {
    match super::read_option(&snapshot.config, option, G::parse, obstacles) {
        Ok(group) => (group.unwrap_or_default(), false),
        Err(()) => (G::default(), true),
    }
}

fn of_others(name: &str, option: &str) -> Status {
    Status::Blocked(format!(
        "somebody else has made the ConfigMap {name} that is to hold what the option {option} says: delete it, or juju config --reset \
         {option}"
    ))
}
