//! A hook, from start to end.

mod drills;
mod forecasts;
mod leader;
mod retention;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::join;
use thiserror::Error;
use tokio::time::Instant;

use crate::{
    backups::{BackupPlan, PolicyPlan, Retention},
    cluster::ClusterError,
    contract::hook,
    error_chain::ErrorChain,
    integrations::Publication,
    juju::{Dispatch, Environment, HookTools, ToolError, UnitStatus},
    plan::{self, Drills},
    proxies::Proxies,
    snapshot::{Snapshot, SnapshotError},
    status::{self, Status},
    store::Owner,
    velero::{
        DrillOrders, Expected, Facts, Holdings, ImageOptions, Installation, Look, RepositoryPassword, RunningServer,
        Sighting, Trouble, Velero, VeleroError, Version, VolumeCount,
    },
};

/// How long a non-leader waits for the leader's change, so that its status is not stale until its next hook.
const STANDBY_PATIENCE: Duration = Duration::from_secs(15);

/// Why a hook failed in a way that only running it again may mend.
#[derive(Debug, Error)]
pub(crate) enum ReconcileError {
    #[error("cannot find out what should run")]
    Snapshot(#[from] SnapshotError),
    #[error("cannot talk to Juju")]
    Juju(#[from] ToolError),
    #[error("Juju does not list this unit among those of its application")]
    UnknownUnits,
    #[error("cannot reach the cluster")]
    Connect(#[source] ClusterError),
    #[error("cannot bring Velero to what is planned")]
    Velero(#[from] VeleroError),
    #[error("cannot remove from namespace {namespace}: {left}")]
    Left {
        namespace: String,
        /// What is left of it.
        left: String,
    },
}

/// What there is to watch after a hook.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outlook {
    /// The unit is being removed: what its status says matters no more.
    Removal,
    /// Nothing can be planned, so that nothing is expected to run.
    Unplanned,
    /// Something is planned.
    Planned(Box<Prospect>),
}

/// What is to be watched of what is planned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Prospect {
    /// What was expected, and how it was seen last.
    pub look: Look,
    /// Whether a change waits for a backup or a restore to end.
    pub waits: bool,
    /// Whether this unit is the one to mend what somebody changes.
    pub leads: bool,
    /// How many volumes the backups of each Schedule are going to hold, by its name. Only the leader knows.
    pub volumes: BTreeMap<String, VolumeCount>,
    /// Whether files of volumes are encrypted with the password that everybody knows, where there is a node agent that reads them.
    /// Only the leader knows.
    pub public_password: Option<bool>,
    /// By what this unit is to conduct restore drills, if it is to.
    pub drills: Option<DrillOrders>,
    /// Which drills have failed, where that was looked at. Only the leader does.
    pub failed_drills: Option<BTreeSet<String>>,
}

/// What has come of a hook.
struct Outcome {
    /// Why the unit is not Active, the most urgent first.
    statuses: Vec<Status>,
    /// What the user should know even when all is well.
    remarks: Vec<String>,
    /// What is to be watched.
    prospect: Prospect,
}

/// Runs any hook but the last: brings the cluster to the plan, and reports a status.
///
/// # Errors
///
/// When Juju should run the hook again.
pub(crate) async fn reconcile(tools: &HookTools, environment: &Environment) -> Result<Outlook, ReconcileError> {
    reconcile_in(|| Velero::in_cluster(&environment.charm_directory), tools, environment).await
}

/// What [`reconcile`] does, in the cluster to which `connect` leads.
async fn reconcile_in(
    connect: impl FnOnce() -> Result<Velero, ClusterError>,
    tools: &HookTools,
    environment: &Environment,
) -> Result<Outlook, ReconcileError> {
    // When a unit is removed, its relations break for that unit only. It can still be the leader then, and must not remove what the
    // remaining units use. Where none remains, its last hook takes everything away, and has little time.
    let goal = tools.goal_state().await?;
    match goal.is_dying(&environment.unit) {
        // Nothing is changed without knowing. Juju runs the hook again, and then may list the unit.
        None => return Err(ReconcileError::UnknownUnits),
        Some(true) => {
            tracing::info!("{} is being removed: nothing changes until its last hook", environment.unit);
            return Ok(Outlook::Removal);
        }
        Some(false) => {}
    }
    let velero = connect().map_err(ReconcileError::Connect)?;
    // None waits for another. The first and the last are large, and would make each future above them as large.
    let snapshot = Box::pin(Snapshot::read(tools, environment, &goal));
    let sighted = Box::pin(velero.sight(environment.application()));
    let (snapshot, unit_status, sighted) = join!(snapshot, tools.unit_status(), sighted);
    let unit_status = unit_status?;
    let snapshot = Snapshot { unsettled: !unit_status.is_active(), ..snapshot? };
    bring_about_and_report(&velero, tools, environment, &snapshot, sighted, unit_status).await
}

async fn bring_about_and_report(
    velero: &Velero,
    tools: &HookTools,
    environment: &Environment,
    snapshot: &Snapshot,
    sighted: Result<(Holdings, Sighting), VeleroError>,
    mut unit_status: UnitStatus<'_>,
) -> Result<Outlook, ReconcileError> {
    let outcome = plan_and_bring_about(velero, tools, environment, snapshot, sighted, &mut unit_status);
    let (status, outlook) = match outcome.await {
        Err(ReconcileError::Velero(error)) => match error.refusal(&snapshot.application) {
            Some(status) => {
                tracing::warn!("the cluster refuses: {}", ErrorChain(&error));
                (status, Outlook::Unplanned)
            }
            None => return Err(ReconcileError::Velero(error)),
        },
        outcome => outcome?,
    };
    let status = if snapshot.leader { status } else { status.standing_by() };
    if unit_status.report(&status).await? {
        tracing::info!("{status}");
    }
    Ok(outlook)
}

/// Publishes in relations what the plan says.
async fn publish(tools: &HookTools, publications: &[Publication]) -> Result<(), ToolError> {
    for Publication { relation, bag, values } in publications {
        tracing::info!("publishing in {relation}: {}", values.keys().copied().collect::<Vec<_>>().join(", "));
        tools.publish(relation, *bag, values).await?;
    }
    Ok(())
}

async fn plan_and_bring_about(
    velero: &Velero,
    tools: &HookTools,
    environment: &Environment,
    snapshot: &Snapshot,
    sighted: Result<(Holdings, Sighting), VeleroError>,
    unit_status: &mut UnitStatus<'_>,
) -> Result<(Status, Outlook), ReconcileError> {
    let (holdings, sighting) = sighted?;
    // Many calls at once are large, too.
    let facts = Box::pin(velero.facts(&plan::needs(snapshot), holdings)).await?;
    let plan = plan::plan(snapshot, &facts);
    publish(tools, &plan.publications).await?;
    // A status has no room for all of it. Nothing has changed where only time has passed.
    for refusal in plan.refusals.iter().filter(|_| !snapshot.periodic) {
        tracing::warn!("{refusal}");
    }
    let Some(installation) = &plan.installation else {
        return Ok((worst(plan.obstacles, &plan.remarks), Outlook::Unplanned));
    };
    let hook = Hook {
        tools,
        environment,
        velero,
        snapshot,
        facts: &facts,
        sighting: &sighting,
        installation,
        options: plan::image_options(snapshot),
        backups: plan.backups.as_ref(),
        policies: &plan.policies,
        retention: plan.retention.as_ref(),
        drills: &plan.drills,
    };
    // Both wait for many things, and would make each future above them as large.
    let Outcome { statuses, remarks, prospect } = if snapshot.leader {
        Box::pin(leader::bring_about(&hook, plan.obstacles, unit_status)).await?
    } else {
        let outcome = Box::pin(hook.watch_over()).await?;
        Outcome { statuses: plan.obstacles.into_iter().chain(outcome.statuses).collect(), ..outcome }
    };
    let remarks: Vec<_> = plan.remarks.into_iter().chain(remarks).collect();
    Ok((worst(statuses, &remarks), Outlook::Planned(Box::new(prospect))))
}

/// What the steps of one hook share.
struct Hook<'a> {
    tools: &'a HookTools,
    environment: &'a Environment,
    velero: &'a Velero,
    snapshot: &'a Snapshot,
    facts: &'a Facts,
    sighting: &'a Sighting,
    installation: &'a Installation,
    options: ImageOptions,
    backups: Option<&'a BackupPlan>,
    policies: &'a PolicyPlan,
    retention: Option<&'a Retention>,
    drills: &'a Drills,
}

impl Hook<'_> {
    /// What a non-leader does: it looks, and changes nothing.
    async fn watch_over(&self) -> Result<Outcome, ReconcileError> {
        let (velero, installation) = (self.velero, self.installation);
        let manifests = velero.manifests(installation).await?;
        let expected = Expected::of(installation, &manifests);
        let mut seen = velero.assess_sighted(&expected, &self.facts.holdings, self.sighting).await?;
        let later;
        let (mut holdings, mut sighting) = (&self.facts.holdings, self.sighting);
        // New keys change nothing of what runs.
        let mut due = velero.due_update(&manifests, holdings, Some(sighting)).await?.awaited();
        let pending_policies =
            |sighting: &Sighting| velero.pending_policies(&installation.application, self.policies, sighting);
        let mut policies = pending_policies(sighting);
        // A new unit is in no relation yet, and does not know what the leader knows. Its next hook comes at once.
        let is_new = self.environment.dispatch == Dispatch::Hook(hook::INSTALL.to_owned());
        if !(seen.troubles.is_empty() && due.is_none() && policies.is_none() || is_new) {
            let deadline = Instant::now() + STANDBY_PATIENCE;
            velero.await_locations(&expected, &manifests, holdings, deadline).await?;
            velero.await_policies(&installation.application, self.policies, deadline).await;
            seen = velero.wait_until_settled(&expected, deadline).await?;
            later = velero.sight(&self.snapshot.application).await?;
            (holdings, sighting) = (&later.0, &later.1);
            due = velero.due_update(&manifests, holdings, Some(sighting)).await?.awaited();
            policies = pending_policies(sighting);
        }
        let definitions = velero.definitions_release(&manifests, sighting).await?;
        let mut statuses: Vec<_> = self.definitions_mismatch(definitions.as_ref()).into_iter().collect();
        let pending = velero.pending(installation, &manifests, holdings).await?;
        let waits = pending.postponed.is_some();
        statuses.extend(pending.postponed);
        statuses.extend(self.in_words(&seen.troubles));
        statuses.extend(pending.to_apply);
        statuses.extend(due);
        statuses.extend(policies);
        if let Some(version) = seen.server.as_ref().and_then(RunningServer::known_version) {
            statuses.extend(self.server_mismatch(seen.server.as_ref(), version.release()));
        }
        let prospect = Prospect {
            look: seen.look,
            waits,
            leads: false,
            volumes: BTreeMap::new(),
            public_password: None,
            drills: None,
            failed_drills: None,
        };
        Ok(Outcome { statuses, remarks: Vec::new(), prospect })
    }

    /// Returns troubles as statuses. Where the storage does not work, what is strange about it may be why.
    fn in_words<'b>(&'b self, troubles: &'b [Trouble]) -> impl Iterator<Item = Status> + 'b {
        let notes = self.installation.backup_location().map_or(&[][..], |location| &location.storage.notes);
        troubles.iter().map(move |trouble| {
            let status = trouble.status(&self.options);
            if trouble.is_of_storage() { status.with_remarks(notes) } else { status }
        })
    }

    /// Returns the proxies by which the store is reached, if by any.
    fn proxies(&self) -> Option<&Proxies> {
        self.installation.proxies.as_ref().map(|planned| &planned.proxies)
    }

    /// Whether files of volumes are encrypted with the password that everybody knows, if there is a node agent that reads them.
    async fn public_password(&self) -> Result<Option<bool>, ReconcileError> {
        if !self.installation.node_agent {
            return Ok(None);
        }
        Ok(Some(self.velero.repository_password().await? == RepositoryPassword::Public))
    }

    /// Returns by whom a storage is used that this application uses, if the cluster tells.
    async fn owner(&self) -> Result<Option<Owner>, ReconcileError> {
        let (model, application) = (self.velero.namespace().to_owned(), self.snapshot.application.clone());
        Ok(self.velero.cluster_uid().await?.map(|cluster| Owner { cluster, model, application }))
    }

    fn definitions_mismatch(&self, definitions: Option<&Version>) -> Option<Status> {
        let (definitions, cli) = definitions.zip(self.facts.cli.as_ref())?;
        plan::definitions_mismatch(&self.snapshot.application, definitions, cli)
    }

    fn server_mismatch(&self, server: Option<&RunningServer>, release: Option<&Version>) -> Option<Status> {
        let (release, cli) = release.zip(self.facts.cli.as_ref())?;
        plan::server_mismatch(server?.image(), release, cli)
    }

    /// Reports the server's version to Juju. Returns a status if that version does not match the CLI.
    async fn tell_version(&self, server: &RunningServer) -> Result<Option<Status>, ReconcileError> {
        let version = match server.known_version() {
            Some(version) => version,
            None => match self.velero.ask_version(server).await? {
                Some(version) => version,
                None => return Ok(Some(Status::Waiting("for the Velero server to tell its version".to_owned()))),
            },
        };
        let noted = server.noted_version().as_ref() == Some(&version);
        // Juju forgets the version with the unit that reported it: the next leader reports it again.
        if !noted || self.environment.dispatch == Dispatch::Hook(hook::LEADER_ELECTED.to_owned()) {
            self.tools.set_application_version(&version.to_string()).await?;
        }
        if !noted {
            self.velero.note_version(server, &version).await?;
        }
        Ok(self.server_mismatch(Some(server), version.release()))
    }
}

fn worst(statuses: impl IntoIterator<Item = Status>, remarks: &[String]) -> Status {
    status::worst(statuses).unwrap_or_else(|| Status::Active("ready".to_owned()).with_remarks(remarks))
}

/// Runs the last hook of a unit: removes Velero, unless other units stay.
///
/// # Errors
///
/// When Juju does not say whether other units stay, the cluster cannot be reached, or something could not be removed and trying
/// again may help.
pub(crate) async fn remove(tools: &HookTools, environment: &Environment) -> Result<(), ReconcileError> {
    remove_from(|| Velero::in_cluster(&environment.charm_directory), tools, environment).await
}

/// What [`remove`] does, in the cluster to which `connect` leads.
async fn remove_from(
    connect: impl FnOnce() -> Result<Velero, ClusterError>,
    tools: &HookTools,
    environment: &Environment,
) -> Result<(), ReconcileError> {
    match tools.goal_state().await?.is_last(&environment.unit) {
        // Nothing is deleted without knowing.
        None => return Err(ReconcileError::UnknownUnits),
        Some(false) => {
            tracing::info!("other units stay, and Velero with them");
            return Ok(());
        }
        Some(true) => {}
    }
    let velero = connect().map_err(ReconcileError::Connect)?;
    take_away(&velero, environment).await
}

/// Runs the hook of a unit whose pod ends: removes Velero if the application ends too, as Juju 4.0 gives a unit without
/// relations neither a last hook nor a connection to the controller; the cluster alone tells. Otherwise does nothing, as the
/// pod may come back with another revision of the charm.
///
/// # Errors
///
/// When the application ends, and something of Velero could not be removed.
pub(crate) async fn stop(environment: &Environment) -> Result<(), ReconcileError> {
    match Velero::in_cluster(&environment.charm_directory) {
        Ok(velero) => stop_in(&velero, environment).await,
        Err(_) => Ok(()),
    }
}

async fn stop_in(velero: &Velero, environment: &Environment) -> Result<(), ReconcileError> {
    let application = environment.application();
    match velero.application_ends(application, &environment.unit).await {
        Ok(true) => {
            tracing::info!("{application} ends, and takes Velero along");
            take_away(velero, environment).await
        }
        Ok(false) => Ok(()),
        // Nothing is deleted without knowing.
        Err(error) => {
            tracing::info!("Velero stays, as the cluster does not say that {application} ends: {}", ErrorChain(&error));
            Ok(())
        }
    }
}

async fn take_away(velero: &Velero, environment: &Environment) -> Result<(), ReconcileError> {
    let mut removal = velero.remove(environment.application()).await;
    if removal.forbidden {
        // Nobody comes back for what is left then, and one refusal may have been a mistake of the server's.
        removal = velero.remove(environment.application()).await;
    }
    if removal.shared_definitions {
        tracing::info!("another Velero of the cluster uses the CustomResourceDefinitions: they stay");
    }
    if removal.left.is_empty() {
        return Ok(());
    }
    let left = removal.left.join(", ");
    if !removal.forbidden {
        return Err(ReconcileError::Left { namespace: velero.namespace().to_owned(), left });
    }
    // An error would keep the unit forever if the rights are gone.
    let namespace = velero.namespace();
    tracing::warn!(
        "left in namespace {namespace}, as the application is not trusted any more, remove it by hand: {left}"
    );
    Ok(())
}

#[cfg(test)]
#[path = "reconcile_tests.rs"]
mod tests;
