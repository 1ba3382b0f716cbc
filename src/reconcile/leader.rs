//! What the leader does in a hook: it brings the cluster to the plan, and sees how that goes.

use std::time::Duration;

use futures::future::try_join;
use tokio::time::Instant;

use super::{
    Hook, Outcome, Prospect, ReconcileError,
    forecasts::{count, without_data},
    worst,
};
use crate::{
    error_chain::ErrorChain,
    juju::UnitStatus,
    proxies::Proxies,
    status::Status,
    storage::Storage,
    store::{Owner, Step, Store, StoreError, Verdict, takes_no_backups},
    velero::{
        Applied, Assessment, DueUpdate, Expected, LocationUpdate, Manifests, Restart, ScheduleForecast, TestOutcome,
        Tested,
    },
};

/// How long a hook that changed something waits until all of it works.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a hook that changed nothing waits for a server that an earlier hook has changed, before it configures the storage.
const PATIENCE_WITHOUT_CHANGE: Duration = Duration::from_secs(15);

/// What a user should know of a storage in which nothing can be deleted.
const KEEPS: &str =
    "the credentials may not delete in the storage, where expired backups stay: see the action test-storage";

/// Brings the cluster to the plan.
pub(super) async fn bring_about(
    hook: &Hook<'_>,
    obstacles: Vec<Status>,
    unit_status: &mut UnitStatus<'_>,
) -> Result<Outcome, ReconcileError> {
    let manifests = hook.velero.manifests(hook.installation).await?;
    let mut leader = Leader {
        hook,
        unit_status,
        expected: Expected::of(hook.installation, &manifests),
        manifests: &manifests,
        deadline: Instant::now() + PATIENCE,
        first: obstacles,
        statuses: Vec::new(),
        last: Vec::new(),
        changed: Vec::new(),
        has_waited: false,
        server_refused: false,
        lacks_pods: false,
    };
    let applied = leader.install().await?;
    (leader.server_refused, leader.lacks_pods) = (applied.server_refused, applied.lacks_pods());
    if let Some(update) = leader.due_update().await?
        && !leader.is_of_others(&update).await?
    {
        leader.update_locations(&update).await?;
    }
    let forecasts = if applied.lacks_kinds { Vec::new() } else { leader.apply_schedules().await? };
    let waits = leader.is_held_back();
    let seen = leader.look().await?;
    let storage = leader.test_storage(seen.tested.as_ref()).await?;
    if let Some(server) = seen.server {
        leader.statuses.extend(hook.tell_version(&server).await?);
    }
    let is_as_sighted = leader.is_as_sighted();
    // Neither waits for the other.
    let (public_password, book) = try_join(hook.public_password(), hook.drill_book(is_as_sighted)).await?;
    let drills = hook.look_after_drills(&book).await?;
    // Velero never gets over a backup that it has begun to delete in vain.
    let may_delete = matches!(storage, Some(TestOutcome::Works | TestOutcome::Untried));
    let works = seen.troubles.is_empty() && !waits && !applied.lacks_kinds;
    let undeleted = if works && may_delete { hook.delete_old_backups().await? } else { None };
    let keeps = (storage == Some(TestOutcome::Keeps)).then(|| KEEPS.to_owned());
    Ok(Outcome {
        statuses: leader.known().collect(),
        remarks: drills.remark.into_iter().chain(keeps).chain(without_data(&forecasts)).chain(undeleted).collect(),
        prospect: Prospect {
            look: seen.look,
            waits,
            leads: true,
            volumes: count(forecasts),
            public_password,
            drills: drills.orders,
            failed_drills: Some(drills.failed),
        },
    })
}

/// What has come of trying a storage that takes backups.
enum Tried {
    /// They can be made there.
    Takes(TestOutcome),
    /// Somebody else makes them there.
    OfOthers(Owner),
}

/// Tries a storage, and marks it as the application's own unless it is somebody else's.
///
/// # Errors
///
/// When it takes no backups: what it refuses, and its words for it.
async fn test(storage: &Storage, proxies: Option<&Proxies>, own: &Owner) -> Result<Tried, (Step, StoreError)> {
    let untried = |error: &StoreError| {
        tracing::info!("Velero can list the storage, which the charm itself cannot try: {error}");
        Ok(Tried::Takes(TestOutcome::Untried))
    };
    let store = match Store::open(storage, proxies).await {
        Ok(store) => store,
        Err(error) => return untried(&error),
    };
    let outcome = match store.prove().await.verdict() {
        Verdict::Works => TestOutcome::Works,
        Verdict::Keeps(error) => {
            tracing::warn!("the storage lets nothing be deleted: {error}");
            TestOutcome::Keeps
        }
        Verdict::Untried(error) => return untried(&error),
        Verdict::Refused(step, error) => return Err((step, error)),
    };
    match store.owner().await {
        Ok(Some(owner)) if !owner.is(own) => return Ok(Tried::OfOthers(owner)),
        Ok(Some(_)) => {}
        Ok(None) => match store.claim(own).await {
            Ok(()) => {}
            Err(error) => return untried(&error),
        },
        Err(error) => return untried(&error),
    }
    Ok(Tried::Takes(outcome))
}

fn of_others(owner: &Owner, own: &Owner) -> Status {
    Status::Blocked(format!(
        "the storage is that of {}: use another bucket or path; or storage-mode=recovery to restore from it; or, if that one is gone, \
         run test-storage take-over=true",
        owner.told_to(own)
    ))
}

fn is_waiting(status: &Status) -> bool {
    matches!(status, Status::Waiting(_))
}

/// A hook of the leader, and what is known so far.
struct Leader<'a, 'tools> {
    hook: &'a Hook<'a>,
    unit_status: &'a mut UnitStatus<'tools>,
    manifests: &'a Manifests,
    expected: Expected,
    deadline: Instant,
    /// What the user has to change before the rest can work.
    first: Vec<Status>,
    /// What else keeps the unit from being Active, the most urgent first.
    statuses: Vec<Status>,
    /// What keeps single applications from being backed up as they declare it.
    last: Vec<Status>,
    /// The names of the objects that this hook has changed.
    changed: Vec<String>,
    /// Whether this hook may have waited since the beginning.
    has_waited: bool,
    /// Whether the cluster has refused the planned server, which does not come.
    server_refused: bool,
    /// Whether the cluster has refused the planned server or node agent, which nobody needs to wait for.
    lacks_pods: bool,
}

impl<'a> Leader<'a, '_> {
    fn known(&self) -> impl Iterator<Item = Status> {
        self.first.iter().chain(&self.statuses).chain(&self.last).cloned()
    }

    /// Whether what was sighted at the beginning still tells what is there: this hook has changed nothing, and waited
    /// for nothing.
    fn is_as_sighted(&self) -> bool {
        self.changed.is_empty() && !self.has_waited
    }

    /// Whether a change waits for something to end.
    fn is_held_back(&self) -> bool {
        self.statuses.iter().any(is_waiting)
    }

    /// Applies all but the storage locations and the Schedules.
    async fn install(&mut self) -> Result<Applied, ReconcileError> {
        let hook = self.hook;
        let (holdings, sighting) = (&hook.facts.holdings, hook.sighting);
        let mut applied = hook.velero.install(hook.installation, self.manifests, holdings, sighting).await?;
        // A refusal by the cluster does not stop the other parts.
        self.first.splice(..0, applied.refused.drain(..));
        self.statuses.append(&mut applied.postponed);
        self.statuses.extend(hook.definitions_mismatch(applied.definitions.as_ref()));
        self.changed.append(&mut applied.changed);
        if !self.changed.is_empty() {
            self.report_interim().await?;
        }
        Ok(applied)
    }

    /// Brings the Schedules to what other applications have declared. Whether Velero works does not depend on them.
    /// Returns what their backups are going to hold.
    async fn apply_schedules(&mut self) -> Result<Vec<ScheduleForecast>, ReconcileError> {
        let Hook { velero, installation, policies, sighting, .. } = self.hook;
        let application = &installation.application;
        let applied = match self.hook.backups {
            Some(plan) => velero.apply_schedules(installation, plan, policies).await?,
            None if velero.pending_policies(application, policies, sighting).is_some() => {
                velero.apply_policies(application, policies).await?
            }
            None => return Ok(Vec::new()),
        };
        if !applied.changed.is_empty() {
            tracing::info!("changed {}", applied.changed.join(", "));
        }
        self.last.extend(applied.refused);
        let Some(plan) = self.hook.backups else { return Ok(Vec::new()) };
        self.last.extend((!plan.problems.is_empty()).then(|| Status::Blocked(plan.problems.join("; "))));
        if plan.specs.is_empty() {
            return Ok(Vec::new());
        }
        // Nothing is done by it, and nothing is said on a guess.
        let forecasts = velero.forecast_schedules(application).await;
        Ok(forecasts.unwrap_or_else(|error| {
            tracing::warn!("cannot find out what the backups of applications hold: {}", ErrorChain(&error));
            Vec::new()
        }))
    }

    /// Returns the change of the storage locations that is due and may be made now.
    async fn due_update(&mut self) -> Result<Option<LocationUpdate<'a>>, ReconcileError> {
        let server_is_due = self.server_refused || !self.statuses.is_empty();
        let sighting = self.is_as_sighted().then_some(self.hook.sighting);
        Ok(match self.hook.velero.due_update(self.manifests, &self.hook.facts.holdings, sighting).await? {
            DueUpdate::Now(update) if !server_is_due || update.is_of_credentials_only() => Some(update),
            DueUpdate::Postponed(status) => {
                self.statuses.push(status);
                None
            }
            DueUpdate::Now(_) | DueUpdate::None => None,
        })
    }

    /// Changes the storage locations, once the planned server runs that is to validate them. New credentials do not wait for it.
    async fn update_locations(&mut self, update: &LocationUpdate<'_>) -> Result<(), ReconcileError> {
        let hook = self.hook;
        self.has_waited = true;
        if !update.is_of_credentials_only() {
            let patience = if self.changed.is_empty() { PATIENCE_WITHOUT_CHANGE } else { PATIENCE };
            let deadline = self.deadline.min(Instant::now() + patience);
            let troubles = hook.velero.await_server(&self.expected, deadline).await?;
            if !troubles.is_empty() {
                self.statuses.extend(hook.in_words(&troubles));
                return Ok(());
            }
        }
        if !update.confirms_only() {
            self.report_interim().await?;
        }
        let updated = hook.velero.update_locations(&self.expected, update, self.deadline).await?;
        self.changed.extend(updated.changed);
        self.statuses.extend(updated.postponed);
        Ok(())
    }

    /// Judges what runs now; after a change once that is settled.
    async fn look(&mut self) -> Result<Assessment, ReconcileError> {
        let velero = self.hook.velero;
        if !self.changed.is_empty() {
            tracing::info!("changed {}", self.changed.join(", "));
        }
        let held_back = self.is_held_back();
        let mut seen = if self.is_as_sighted() {
            velero.assess_sighted(&self.expected, &self.hook.facts.holdings, self.hook.sighting).await?
        } else if self.changed.is_empty() || held_back || self.lacks_pods {
            velero.assess_now(&self.expected).await?
        } else {
            velero.wait_until_settled(&self.expected, self.deadline).await?
        };
        if let Some(restart) = velero.look_into_silence(&self.expected, &mut seen).await? {
            self.restart_server(restart, &mut seen).await?;
        }
        // While a change is held back, an old rollout is expected and not reported.
        let is_told = |status: &Status| !(held_back && is_waiting(status));
        self.statuses.extend(self.hook.in_words(&seen.troubles).filter(is_told));
        Ok(seen)
    }

    /// Whether the place that Velero is to be led to is somebody else's. What is not known is found out once Velero can list it.
    async fn is_of_others(&mut self, update: &LocationUpdate<'_>) -> Result<bool, ReconcileError> {
        let hook = self.hook;
        let Some(location) = hook.installation.backup_location().filter(|location| !location.is_read_only) else {
            return Ok(false);
        };
        if update.is_of_credentials_only() || update.confirms_only() {
            return Ok(false);
        }
        let Some(own) = hook.owner().await? else { return Ok(false) };
        let owner = match Store::open(&location.storage, hook.proxies()).await {
            Ok(store) => store.owner().await,
            Err(error) => Err(error),
        };
        let other = owner.ok().flatten().filter(|owner| !owner.is(&own));
        self.statuses.extend(other.as_ref().map(|other| of_others(other, &own)));
        Ok(other.is_some())
    }

    /// Tries a storage by use that Velero has found available, once for its place and credentials. Returns what is known of one that
    /// takes backups.
    async fn test_storage(&mut self, tested: Option<&Tested>) -> Result<Option<TestOutcome>, ReconcileError> {
        let hook = self.hook;
        let (Some(location), Some(tested)) = (hook.installation.backup_location(), tested) else { return Ok(None) };
        // As long as something else is to come, the location may not be the planned one yet.
        if !self.statuses.is_empty() {
            return Ok(None);
        }
        // What was not reached once is not worth the wait in each hook.
        let is_retried = |outcome| outcome == TestOutcome::Untried && !self.changed.is_empty();
        if let Some(outcome) = tested.outcome.filter(|outcome| !is_retried(*outcome)) {
            return Ok(Some(outcome));
        }
        let Some(own) = hook.owner().await? else { return Ok(None) };
        match Box::pin(test(&location.storage, hook.proxies(), &own)).await {
            Ok(Tried::OfOthers(owner)) => {
                self.statuses.push(of_others(&owner, &own));
                Ok(None)
            }
            Ok(Tried::Takes(outcome)) => {
                if tested.outcome != Some(outcome)
                    && let Some(gone) = hook.velero.note_test(tested, outcome).await?
                {
                    // Nothing can be deleted from a storage that Velero does not know.
                    self.statuses.push(gone);
                    return Ok(None);
                }
                Ok(Some(outcome))
            }
            Err((step, error)) => {
                self.statuses.push(Status::Blocked(takes_no_backups(step, &location.storage.bucket, &error)));
                Ok(None)
            }
        }
    }

    /// Restarts a server that has said nothing of the storage.
    async fn restart_server(&mut self, restart: Restart, seen: &mut Assessment) -> Result<(), ReconcileError> {
        let velero = self.hook.velero;
        // This is known long before the next server knows more.
        let known = self.known().chain(self.hook.in_words(&seen.troubles));
        self.unit_status.report(&worst(known, &[])).await?;
        velero.restart_server(&self.expected, restart).await?;
        // A hook that changes nothing does not wait for it.
        if !self.changed.is_empty()
            && let Some(heard) = velero.hear_restarted(&self.expected, self.deadline).await?
        {
            *seen = heard;
            // What the server has said is found to be about the last change.
            if let DueUpdate::Now(update) = velero.due_update(self.manifests, &self.hook.facts.holdings, None).await?
                && update.confirms_only()
            {
                velero.update_locations(&self.expected, &update, self.deadline).await?;
                // By then it is known which place it was.
                *seen = velero.assess_now(&self.expected).await?;
            }
        }
        Ok(())
    }

    /// Reports that the former status is stale from here on.
    async fn report_interim(&mut self) -> Result<(), ReconcileError> {
        let interim = Status::Waiting("for Velero to run as configured".to_owned());
        let status = worst(self.known().chain([interim]), &[]);
        self.unit_status.report(&status).await?;
        Ok(())
    }
}
