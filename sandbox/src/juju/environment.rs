//! The environment of a charm process, made from nothing.

use std::collections::BTreeMap;

use super::cloud::UnitAccess;
use super::hook::{Hook, RelationEvent};
use super::names::UnitName;
use super::state::ModelState;

const AGENT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the charm process is run for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Execution {
    /// A hook.
    Hook(Hook),
    /// An action.
    Action {
        /// Its name.
        name: String,
        /// The number of its task.
        task: u32,
    },
    /// Commands for a shell, which `juju-exec` was called with.
    Commands(String),
}

impl Execution {
    /// The hook's or action's name; Juju's name for commands.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Hook(hook) => hook.name(),
            Self::Action { name, .. } => name.clone(),
            Self::Commands(_) => "run-commands".to_owned(),
        }
    }

    /// `hooks/install`, `actions/run`; nothing for commands, which no charm is asked for.
    #[must_use]
    pub fn dispatch_path(&self) -> Option<String> {
        match self {
            Self::Hook(hook) => Some(format!("hooks/{}", hook.name())),
            Self::Action { name, .. } => Some(format!("actions/{name}")),
            Self::Commands(_) => None,
        }
    }

    /// The hook, if it is one.
    #[must_use]
    pub fn hook(&self) -> Option<&Hook> {
        match self {
            Self::Hook(hook) => Some(hook),
            Self::Action { .. } | Self::Commands(_) => None,
        }
    }
}

/// Where a unit's agent keeps things, as the charm process sees it.
#[must_use]
pub fn agent_directory(unit: &UnitName) -> String {
    format!("/var/lib/juju/agents/{}", unit.tag())
}

/// Where a unit's hook tools are, as the charm process sees it.
#[must_use]
pub fn tools_directory(unit: &UnitName) -> String {
    format!("/var/lib/juju/tools/{}", unit.tag())
}

/// All variables of the charm process.
#[must_use]
pub fn environment(
    model: &ModelState,
    unit: &UnitName,
    execution: &Execution,
    context_id: &str,
    access: &UnitAccess,
) -> BTreeMap<String, String> {
    let charm_directory = format!("{}/charm", agent_directory(unit));
    let hook_name = execution.hook().map(Hook::name).unwrap_or_default();
    let mut variables: BTreeMap<String, String> = [
        ("JUJU_CHARM_DIR", charm_directory.clone()),
        ("CHARM_DIR", charm_directory),
        ("JUJU_HOOK_NAME", hook_name),
        ("JUJU_CONTEXT_ID", context_id.to_owned()),
        ("JUJU_AGENT_SOCKET_ADDRESS", format!("{}/agent.socket", agent_directory(unit))),
        ("JUJU_AGENT_SOCKET_NETWORK", "unix".to_owned()),
        ("JUJU_UNIT_NAME", unit.to_string()),
        ("JUJU_MODEL_NAME", model.name.clone()),
        ("JUJU_MODEL_UUID", model.uuid.clone()),
        ("JUJU_API_ADDRESSES", "controller-service.controller-sandbox.svc.cluster.local:17070".to_owned()),
        ("JUJU_VERSION", model.series.version().to_owned()),
        ("CLOUD_API_VERSION", access.api_version.clone()),
        ("PATH", format!("{}:{AGENT_PATH}", tools_directory(unit))),
        ("LANG", "C.UTF-8".to_owned()),
        ("TERM", "tmux-256color".to_owned()),
        ("DEBIAN_FRONTEND", "noninteractive".to_owned()),
        ("APT_LISTCHANGES_FRONTEND", "none".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    for empty in [
        "JUJU_MACHINE_ID",
        "JUJU_PRINCIPAL_UNIT",
        "JUJU_AVAILABILITY_ZONE",
        "JUJU_CHARM_HTTP_PROXY",
        "JUJU_CHARM_HTTPS_PROXY",
        "JUJU_CHARM_FTP_PROXY",
        "JUJU_CHARM_NO_PROXY",
    ] {
        variables.insert(empty.to_owned(), String::new());
    }
    variables.extend(model.proxies.iter().map(|(name, url)| (format!("JUJU_CHARM_{name}"), url.clone())));
    if model.series.has_meters() {
        let meters = [("JUJU_SLA", "unsupported"), ("JUJU_METER_STATUS", "AMBER"), ("JUJU_METER_INFO", "not set")];
        variables.extend(meters.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    variables.extend(kubernetes(access));
    variables.extend(execution.dispatch_path().map(|path| ("JUJU_DISPATCH_PATH".to_owned(), path)));
    let of_kind = match execution {
        Execution::Action { name, task } => vec![
            ("JUJU_ACTION_NAME", name.clone()),
            ("JUJU_ACTION_UUID", task.to_string()),
            ("JUJU_ACTION_TAG", format!("action-{task}")),
        ],
        Execution::Hook(hook) => of_hook(hook, unit, model),
        Execution::Commands(_) => Vec::new(),
    };
    variables.extend(of_kind.into_iter().map(|(name, value)| (name.to_owned(), value)));
    variables
}

fn of_hook(hook: &Hook, unit: &UnitName, model: &ModelState) -> Vec<(&'static str, String)> {
    match hook {
        Hook::Relation { event, relation, endpoint, remote_application, remote_unit, departing } => {
            let mut variables = vec![
                ("JUJU_RELATION", endpoint.clone()),
                ("JUJU_RELATION_ID", format!("{endpoint}:{relation}")),
                ("JUJU_REMOTE_APP", remote_application.clone()),
                ("JUJU_REMOTE_UNIT", remote_unit.as_ref().map(ToString::to_string).unwrap_or_default()),
            ];
            if *event == RelationEvent::Departed {
                let leaving = model.unit(unit).is_some_and(|unit| unit.life == super::state::Life::Dying);
                let departing = if leaving { Some(unit) } else { departing.as_ref() };
                variables.push(("JUJU_DEPARTING_UNIT", departing.map(ToString::to_string).unwrap_or_default()));
            }
            variables
        }
        Hook::SecretChanged { id, label } => {
            vec![("JUJU_SECRET_ID", format!("secret:{id}")), ("JUJU_SECRET_LABEL", label.clone())]
        }
        _ => Vec::new(),
    }
}

/// What a pod is told of the API server, which Juju passes on.
fn kubernetes(access: &UnitAccess) -> BTreeMap<String, String> {
    let (host, port) = (&access.service_host, access.service_port);
    let bracketed = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    [
        ("KUBERNETES_PORT".to_owned(), format!("tcp://{bracketed}:{port}")),
        (format!("KUBERNETES_PORT_{port}_TCP"), format!("tcp://{bracketed}:{port}")),
        (format!("KUBERNETES_PORT_{port}_TCP_ADDR"), host.clone()),
        (format!("KUBERNETES_PORT_{port}_TCP_PORT"), port.to_string()),
        (format!("KUBERNETES_PORT_{port}_TCP_PROTO"), "tcp".to_owned()),
        ("KUBERNETES_SERVICE_HOST".to_owned(), host.clone()),
        ("KUBERNETES_SERVICE_PORT".to_owned(), port.to_string()),
        ("KUBERNETES_SERVICE_PORT_HTTPS".to_owned(), port.to_string()),
    ]
    .into_iter()
    // Juju passes a fixed list, which knows the usual port only.
    .filter(|(name, _)| !name.starts_with("KUBERNETES_PORT_") || name.starts_with("KUBERNETES_PORT_443_"))
    .collect()
}
