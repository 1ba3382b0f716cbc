//! How Velero is to run beside what the CLI prints: flags and fields of pods, and the ConfigMaps that Velero reads.
//!
//! The server looks at its ConfigMaps when it starts, and exits where one is missing; it reads them again when it makes a repository
//! and for each maintenance job. So their content changes without a restart. The node agent reads its own only when it starts, and
//! its pods bear a hash of it. The CLI would look for the ConfigMaps in a cluster, even in a dry run, so it is not told of them.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::{installation::Installation, label_value::short_hash};
use crate::{
    cluster::named,
    settings::{Flag, PodSettings},
    velero::names::{SETTINGS, node_agent_config, repository_config},
};

/// The key of what a server notes on each repository that it makes: Velero's name of their kind.
const REPOSITORIES: &str = "kopia";
/// The key of what is for the maintenance jobs of all repositories.
const ALL_JOBS: &str = "global";
/// The key of what the node agent reads. It takes any, but only one.
const NODE_AGENT_KEY: &str = "node-agent";

/// Returns the flags of `velero install` for what is said of the server's pod and of the node agent's.
pub(super) fn install_arguments(installation: &Installation) -> Vec<String> {
    let settings = &installation.settings;
    let mut arguments = pod_arguments("velero-pod", "server-priority-class-name", settings.server.pods());
    if installation.node_agent {
        let agent = settings.node_agent.pods();
        arguments.extend(pod_arguments("node-agent-pod", "node-agent-priority-class-name", agent));
    }
    arguments
}

fn pod_arguments(prefix: &str, priority_class: &str, pods: PodSettings<'_>) -> Vec<String> {
    let names = ["cpu-request", "cpu-limit", "mem-request", "mem-limit"];
    let amounts = names.into_iter().zip(pods.resources());
    let amounts = amounts.filter_map(|(name, amount)| Some(format!("--{prefix}-{name}={}", amount?)));
    let class = pods.priority_class().map(|class| format!("--{priority_class}={class}"));
    amounts.chain(class).collect()
}

/// Completes the server's Deployment.
pub(super) fn set_up_server(object: &mut DynamicObject, installation: &Installation) {
    let settings = &installation.settings;
    let (server, repository) = (&settings.server, &settings.repository);
    let name = repository_config(&installation.application);
    let of_repositories = repository.configuration().map(|_| ("backup-repository-configmap", name.clone()));
    let of_jobs = repository.maintenance().map(|_| ("repo-maintenance-job-configmap", name));
    let template = &mut object.data["spec"]["template"];
    add_flags(template, server.flags().chain(repository.flags()).chain(of_repositories).chain(of_jobs));
    place(template, server.pods());
}

/// Completes the node agent's DaemonSet.
pub(super) fn set_up_node_agent(object: &mut DynamicObject, installation: &Installation) {
    let agent = &installation.settings.node_agent;
    let template = &mut object.data["spec"]["template"];
    let configuration = agent.configuration().map(|configuration| {
        template["metadata"]["annotations"][SETTINGS] = json!(short_hash(&[&configuration.to_string()]));
        ("node-agent-configmap", node_agent_config(&installation.application))
    });
    add_flags(template, agent.flags().chain(configuration));
    place(template, agent.pods());
}

fn add_flags(template: &mut Value, flags: impl Iterator<Item = Flag>) {
    let flags = flags.map(|(name, value)| json!(format!("--{name}={value}")));
    if let Some(arguments) = template.pointer_mut("/spec/containers/0/args").and_then(Value::as_array_mut) {
        arguments.extend(flags);
    }
}

fn place(template: &mut Value, pods: PodSettings<'_>) {
    for (field, value) in [("nodeSelector", pods.node_selector()), ("tolerations", pods.tolerations())] {
        if let Some(value) = value {
            template["spec"][field] = value;
        }
    }
}

/// Returns the ConfigMaps that Velero is to read.
pub(crate) fn config_maps(installation: &Installation, namespace: &str) -> Vec<DynamicObject> {
    let settings = &installation.settings;
    let of_agent = installation.node_agent.then(|| settings.node_agent.configuration()).flatten();
    let agent = vec![(NODE_AGENT_KEY, of_agent)];
    let repository =
        vec![(REPOSITORIES, settings.repository.configuration()), (ALL_JOBS, settings.repository.maintenance())];
    let maps = [
        (node_agent_config(&installation.application), agent),
        (repository_config(&installation.application), repository),
    ];
    maps.into_iter()
        .filter_map(|(name, entries)| {
            let data: serde_json::Map<_, _> = entries
                .into_iter()
                .filter_map(|(key, value)| Some((key.to_owned(), json!(value?.to_string()))))
                .collect();
            (!data.is_empty()).then(|| config_map(&name, namespace, &data.into()))
        })
        .collect()
}

fn config_map(name: &str, namespace: &str, data: &Value) -> DynamicObject {
    let mut object = named("v1", "ConfigMap", name);
    object.metadata.namespace = Some(namespace.to_owned());
    object.data = json!({"data": data});
    object
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
