//! A hook, from start to end.

use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;

use crate::{
    contract::hook,
    error_chain::ErrorChain,
    integrations::{self, Publication},
    juju::{Dispatch, Environment, HookTools, ToolError},
    plan::{self, Plan},
    snapshot::{Snapshot, SnapshotError},
    status::Status,
    velero::{Cli, ClusterError, DueUpdate, FoundRoot, Installation, RunningServer, Velero, VeleroError, Version},
};

/// How long a hook that changed something waits until all of it works.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a unit that does not lead waits for what the leader is doing at the same time, so as not to say until its next
/// hook that it is not done.
const STANDBY_PATIENCE: Duration = Duration::from_secs(15);

/// Why a hook failed in a way that only running it again may mend.
#[derive(Debug, Error)]
pub enum ReconcileError {
    /// Juju could not be read.
    #[error("cannot find out what should run")]
    Snapshot(#[from] SnapshotError),
    /// A hook tool failed.
    #[error("cannot tell Juju")]
    Juju(#[from] ToolError),
    /// The cluster cannot be reached.
    #[error("cannot reach the cluster")]
    Connect(#[source] ClusterError),
    /// Velero could not be brought to what is planned.
    #[error("cannot bring Velero to what is planned")]
    Velero(#[from] VeleroError),
}

/// What any hook but the last does: bring what runs to what should run, and say how that went.
///
/// # Errors
///
/// When Juju should run the hook again.
pub async fn reconcile(tools: &HookTools, environment: &Environment) -> Result<(), ReconcileError> {
    // The relations of a unit that goes are broken for it alone. It may lead to its end, and must not take away what the others
    // still need.
    if environment.broken_relation().is_some() && tools.goal_state().await?.leaves_others(&environment.unit) {
        tracing::info!("other units stay, and what the relation brought stays with them");
        return Ok(());
    }
    let snapshot = Snapshot::read(tools, environment).await?;
    publish(tools, &snapshot).await?;
    let status = match plan_and_bring_about(tools, environment, &snapshot).await {
        Err(ReconcileError::Velero(error)) if error.is_forbidden() => {
            tracing::warn!("the cluster refuses: {}", ErrorChain(&error));
            without_trust(&snapshot.application)
        }
        outcome => outcome?,
    };
    let status = if snapshot.leader { status } else { status.standing_by() };
    tracing::info!("{status}");
    tools.report_status(&status).await?;
    Ok(())
}

/// Asks the other sides of storage relations for what they do not give unasked.
async fn publish(tools: &HookTools, snapshot: &Snapshot) -> Result<(), ToolError> {
    for Publication { relation, values } in integrations::publications(snapshot) {
        tracing::info!("asking {relation} for {}", values.keys().copied().collect::<Vec<_>>().join(", "));
        tools.publish(&relation, &values).await?;
    }
    Ok(())
}

async fn plan_and_bring_about(
    tools: &HookTools,
    environment: &Environment,
    snapshot: &Snapshot,
) -> Result<Status, ReconcileError> {
    let cli = Cli::in_charm(&environment.charm_directory).version().await.map_err(VeleroError::from)?;
    let velero = Velero::in_cluster(&environment.charm_directory).map_err(ReconcileError::Connect)?;
    let provider_ids = if integrations::need_provider_ids(snapshot) { velero.machines().await? } else { Vec::new() };
    match plan::plan(snapshot, &provider_ids, cli.as_ref()) {
        Ok(plan) => bring_about(tools, environment, &velero, snapshot, plan, cli.as_ref()).await,
        Err(status) => Ok(status),
    }
}

async fn bring_about(
    tools: &HookTools,
    environment: &Environment,
    velero: &Velero,
    snapshot: &Snapshot,
    plan: Plan,
    cli: Option<&Version>,
) -> Result<Status, ReconcileError> {
    if !snapshot.leader {
        return stand_by(velero, plan).await;
    }
    let deadline = Instant::now() + PATIENCE;
    let mut statuses = plan.obstacles;
    let mut installation = plan.installation;
    let mut changed = Vec::new();
    statuses.extend(find_kubelet_root(velero, &mut installation).await?);
    let manifests = velero.manifests(&installation).await?;
    let applied = velero.install(&installation, &manifests).await?;
    let update = match velero.due_update(&manifests).await? {
        DueUpdate::Now(update) if applied.postponed.is_empty() || update.is_of_credentials_only() => Some(update),
        DueUpdate::Postponed(status) => {
            statuses.push(status);
            None
        }
        DueUpdate::Now(_) | DueUpdate::None => None,
    };
    if !applied.changed.is_empty() || update.is_some() {
        // Until it is known how the change turns out, what the unit said before it is not true.
        let interim = Status::Waiting("for Velero to run as configured".to_owned());
        tools.report_status(&worst(statuses.iter().cloned().chain([interim]).collect())).await?;
    }
    changed.extend(applied.changed);
    statuses.extend(applied.postponed);
    let versions = applied.definitions.as_ref().zip(cli);
    statuses.extend(versions.and_then(|(of, cli)| plan::definitions_mismatch(&snapshot.application, of, cli)));
    if let Some(update) = update {
        let applied = velero.update_locations(&installation, &update, deadline).await?;
        changed.extend(applied.changed);
        statuses.extend(applied.postponed);
    }
    if !changed.is_empty() {
        tracing::info!("changed {}", changed.join(", "));
    }
    let held_back = waits(&statuses);
    let sight = if changed.is_empty() || held_back {
        velero.look(&installation).await?
    } else {
        velero.settle(&installation, deadline).await?
    };
    // What is held back is why what runs is not as planned yet.
    statuses.extend(sight.statuses.into_iter().filter(|status| !(held_back && matches!(status, Status::Waiting(_)))));
    if let Some(server) = sight.server {
        statuses.extend(tell_version(tools, environment, velero, &server, cli).await?);
    }
    Ok(worst(statuses))
}

/// Completes an installation with where the node agent finds the volumes of pods, unless the user has said it; what is to be
/// said where it is not the same on all nodes.
async fn find_kubelet_root(velero: &Velero, installation: &mut Installation) -> Result<Option<Status>, VeleroError> {
    if !installation.node_agent || installation.kubelet_root.is_some() {
        return Ok(None);
    }
    match velero.find_kubelet_root().await? {
        FoundRoot::Common(root) => {
            installation.kubelet_root = Some(root);
            Ok(None)
        }
        FoundRoot::Several { roots, current } => {
            // What runs goes on; what would be wrong on some nodes is not begun.
            installation.node_agent = current.is_some();
            installation.kubelet_root = current;
            Ok(Some(plan::several_kubelet_roots(&roots)))
        }
    }
}

/// What a unit does that does not lead: it looks, and changes nothing.
async fn stand_by(velero: &Velero, plan: Plan) -> Result<Status, ReconcileError> {
    let mut statuses = plan.obstacles;
    let mut sight = velero.look(&plan.installation).await?;
    if statuses.is_empty() && waits(&sight.statuses) {
        sight = velero.settle(&plan.installation, Instant::now() + STANDBY_PATIENCE).await?;
    }
    statuses.extend(sight.statuses);
    Ok(worst(statuses))
}

fn waits(statuses: &[Status]) -> bool {
    statuses.iter().any(|status| matches!(status, Status::Waiting(_)))
}

/// Tells Juju which release runs; what keeps the unit from being Active if it is not the one that the CLI goes with.
async fn tell_version(
    tools: &HookTools,
    environment: &Environment,
    velero: &Velero,
    server: &RunningServer,
    cli: Option<&Version>,
) -> Result<Option<Status>, ReconcileError> {
    let version = match server.known_version() {
        Some(version) => version,
        None => match velero.ask_version(server).await? {
            Some(version) => version,
            None => return Ok(Some(Status::Waiting("for the Velero server to tell its version".to_owned()))),
        },
    };
    let noted = server.noted_version().as_ref() == Some(&version);
    // What a unit told goes with the unit: the next leader has to say it again.
    if !noted || environment.dispatch == Dispatch::Hook(hook::LEADER_ELECTED.to_owned()) {
        tools.set_application_version(&version.to_string()).await?;
    }
    if !noted {
        velero.note_version(server, &version).await?;
    }
    Ok(version.release().zip(cli).and_then(|(release, cli)| plan::server_mismatch(server.image(), release, cli)))
}

fn worst(statuses: Vec<Status>) -> Status {
    statuses.into_iter().max().unwrap_or_else(|| Status::Active("ready".to_owned()))
}

fn without_trust(application: &str) -> Status {
    Status::Blocked(format!("not allowed to manage the cluster: juju trust {application} --scope=cluster"))
}

/// What the last hook of a unit does: nothing where other units stay; else take Velero away.
///
/// # Errors
///
/// When Juju cannot be asked whether other units stay, or the cluster not be reached.
pub async fn remove(tools: &HookTools, environment: &Environment) -> Result<(), ReconcileError> {
    if !tools.goal_state().await?.is_last(&environment.unit) {
        tracing::info!("other units stay, and Velero with them");
        return Ok(());
    }
    let velero = Velero::in_cluster(&environment.charm_directory).map_err(ReconcileError::Connect)?;
    let removal = velero.remove().await;
    if removal.shared_definitions {
        tracing::info!("another Velero of the cluster uses the CustomResourceDefinitions: they stay");
    }
    if !removal.left.is_empty() {
        // An error would keep the unit for ever where the rights are gone.
        let why = if removal.forbidden { ", as the application is not trusted any more" } else { "" };
        tracing::warn!("left in namespace {}{why}, remove it by hand: {}", velero.namespace(), removal.left.join(", "));
    }
    Ok(())
}
