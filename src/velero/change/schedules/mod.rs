//! Schedules: bringing those of the application to what other applications have declared.
//!
//! Those of others stay, whatever they are called. A Schedule that goes leaves the backups that it has made.

mod matching;

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use kube::{ResourceExt, api::DynamicObject};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::matching::{Match, Origin, match_up, origin};
use super::policies::{self, PoliciesState};
use crate::{
    backups::{BackupPlan, PolicyPlan, SchedulePlan},
    cluster::{Cluster, ClusterError, Listed, describe, differs},
    error_chain::ErrorChain,
    status::Status,
    velero::{
        location::snapshots::has_snapshot_location,
        names::policies_name,
        wanted::{
            Installation,
            schedule::{ScheduleSettings, schedule_kind},
        },
    },
};

/// How many Schedules are written at a time.
const AT_ONCE: usize = 16;

/// What became of the Schedules.
#[derive(Debug, Default)]
pub(crate) struct SchedulesApplied {
    /// Those that were made, changed or deleted.
    pub changed: Vec<String>,
    /// What the cluster refused, in its words.
    pub refused: Vec<Status>,
}

/// A Schedule of a list. Of each, the whole is needed.
#[derive(Deserialize)]
#[serde(from = "DynamicObject")]
pub(super) struct Live {
    pub(super) object: DynamicObject,
}

impl From<DynamicObject> for Live {
    fn from(mut object: DynamicObject) -> Self {
        object.types = Some(schedule_kind());
        Self { object }
    }
}

impl Listed for Live {}

/// A write that is due.
enum Write<'a> {
    Make(DynamicObject),
    Change { live: &'a DynamicObject, desired: DynamicObject },
    Delete(&'a DynamicObject),
}

/// Whether a Schedule is the application's own.
pub(super) fn is_own(schedule: &DynamicObject, application: &str) -> bool {
    origin(schedule, application) == Origin::Own
}

/// Brings the Schedules of an application to what is planned, and the policies that they follow.
pub(crate) async fn apply(
    cluster: &Cluster,
    installation: &Installation,
    plan: &BackupPlan,
    policy_plan: &PolicyPlan,
) -> Result<SchedulesApplied, ClusterError> {
    let application = &installation.application;
    let (mut live, mut names) = (Vec::new(), BTreeSet::new());
    let add = |schedule: Live| {
        names.insert(schedule.object.name_any());
        let is_going = schedule.object.metadata.deletion_timestamp.is_some();
        if !is_going && origin(&schedule.object, application) != Origin::Others {
            live.push(schedule.object);
        }
    };
    let kind = cluster.here(&schedule_kind());
    let listed = cluster.collect(&kind, "Schedules", "", add);
    let config_map =
        async { if *policy_plan == PolicyPlan::Keep { Ok(None) } else { policies::read(cluster, application).await } };
    let ((), config_map) = futures::try_join!(listed, config_map)?;
    let mut applied = write_policies(cluster, application, policy_plan, config_map.as_ref()).await?;
    // What there is of Schedules without the right policies is better than nothing, and stays.
    if !applied.refused.is_empty() {
        return Ok(applied);
    }
    let is_wanted = |plan: &SchedulePlan| matches!(plan, SchedulePlan::Use(_));
    let policies_name = policies_name(application);
    let settings = ScheduleSettings {
        application,
        namespace: cluster.namespace(),
        default_volumes_to_fs_backup: installation.default_volumes_to_fs_backup,
        has_snapshot_location: plan.specs.iter().any(|spec| is_wanted(&spec.schedule))
            && has_snapshot_location(cluster).await?,
        policies: matches!(policy_plan, PolicyPlan::Use(_)).then_some(policies_name.as_str()),
    };
    let writes = due(&live, names, plan, &settings);
    let written = stream::iter(writes).map(|due| async move { (describe(due.object()), write(cluster, &due).await) });
    let mut written = written.buffer_unordered(AT_ONCE);
    while let Some((name, outcome)) = written.next().await {
        match outcome {
            Ok(()) => applied.changed.push(name),
            // The rest goes on.
            Err(error) if error.is_refusal() && !error.is_forbidden() => {
                tracing::warn!("{}", ErrorChain(&error));
                applied.refused.push(Status::Blocked(error.in_the_servers_words()));
            }
            Err(error) => return Err(error),
        }
    }
    if applied.refused.is_empty() {
        let forgotten = policies::forget(cluster, application, policy_plan, config_map.as_ref()).await?;
        applied.changed.extend(forgotten);
    }
    Ok(applied)
}

/// Brings the policies that Schedules follow to what is planned, and leaves the Schedules as they are.
pub(crate) async fn apply_policies(
    cluster: &Cluster,
    application: &str,
    plan: &PolicyPlan,
) -> Result<SchedulesApplied, ClusterError> {
    let live = policies::read(cluster, application).await?;
    write_policies(cluster, application, plan, live.as_ref()).await
}

async fn write_policies(
    cluster: &Cluster,
    application: &str,
    plan: &PolicyPlan,
    live: Option<&DynamicObject>,
) -> Result<SchedulesApplied, ClusterError> {
    let mut applied = SchedulesApplied::default();
    match policies::apply(cluster, application, plan, live).await {
        Ok(PoliciesState::Same) => {}
        Ok(PoliciesState::Changed(name)) => applied.changed.push(name),
        Ok(PoliciesState::OfOthers(name)) => {
            let told = format!("somebody else has made the {name} that is to hold resource-policy: delete it");
            applied.refused.push(Status::Blocked(told));
        }
        Err(error) if error.is_refusal() && !error.is_forbidden() => {
            tracing::warn!("{}", ErrorChain(&error));
            applied.refused.push(Status::Blocked(error.in_the_servers_words()));
        }
        Err(error) => return Err(error),
    }
    Ok(applied)
}

/// Returns the writes that bring `live` to what is planned. `names` are those of all Schedules, and get those of new ones.
fn due<'a>(
    live: &'a [DynamicObject],
    mut names: BTreeSet<String>,
    plan: &BackupPlan,
    settings: &ScheduleSettings<'_>,
) -> Vec<Write<'a>> {
    let Match { of_specs, superfluous } = match_up(live, plan, settings);
    let mut writes: Vec<_> = superfluous.into_iter().map(Write::Delete).collect();
    for (spec, live) in plan.specs.iter().zip(of_specs) {
        match (&spec.schedule, &spec.target, live) {
            (SchedulePlan::Use(backup), Some(target), live) => {
                let mut desired = settings.schedule(spec.id, target, backup);
                let wants_to_skip = backup.spec.skip_immediately.unwrap_or_default();
                let name = live.map_or_else(
                    || settings.new_name(spec.id, target, |name| names.contains(name)),
                    ResourceExt::name_any,
                );
                names.insert(name.clone());
                desired.metadata.name = Some(name);
                match live {
                    None => {
                        desired.data["spec"]["skipImmediately"] = json!(wants_to_skip);
                        writes.push(Write::Make(desired));
                    }
                    Some(live) if is_due(live, &desired) => {
                        let skips = wants_to_skip && may_skip(live, &desired);
                        desired.data["spec"]["skipImmediately"] = json!(skips);
                        writes.push(Write::Change { live, desired });
                    }
                    Some(_) => {}
                }
            }
            (SchedulePlan::None, _, Some(live)) => writes.push(Write::Delete(live)),
            (SchedulePlan::None | SchedulePlan::Keep | SchedulePlan::Use(_), _, _) => {}
        }
    }
    writes
}

/// Whether a Schedule is not as it should be. Whether it skips a backup is not looked at: Velero takes that back once it has done so.
fn is_due(live: &DynamicObject, desired: &DynamicObject) -> bool {
    let mut desired = desired.clone();
    if let Some(skips) = live.data["spec"]["skipImmediately"].as_bool() {
        desired.data["spec"]["skipImmediately"] = json!(skips);
    }
    // Beside what is there, there must be nothing that would select less, or more.
    differs(live, &desired) || live.data["spec"] != desired.data["spec"]
}

/// Whether a change may tell Velero to skip a backup that is due: where the Schedule goes on after a pause, and where Velero has not
/// seen yet that it should.
fn may_skip(live: &DynamicObject, desired: &DynamicObject) -> bool {
    let says = |schedule: &DynamicObject, field: &str| schedule.data["spec"][field] == true;
    says(live, "paused") && !says(desired, "paused") || says(live, "skipImmediately")
}

impl Write<'_> {
    fn object(&self) -> &DynamicObject {
        match self {
            Self::Make(desired) | Self::Change { desired, .. } => desired,
            Self::Delete(live) => live,
        }
    }
}

async fn write(cluster: &Cluster, due: &Write<'_>) -> Result<(), ClusterError> {
    match due {
        Write::Make(desired) => cluster.apply(desired).await.map(drop),
        Write::Change { live, desired } => {
            cluster.adopt_predecessors_fields([*live]).await?;
            let applied = cluster.apply(desired).await?;
            let removals = removals(&applied.data["spec"], &desired.data["spec"]);
            if removals.is_empty() {
                return Ok(());
            }
            cluster.merge(desired, &json!({"spec": removals})).await.map(drop)
        }
        Write::Delete(live) => cluster.delete_alone(live).await,
    }
}

/// Returns the patch that takes away what others have added.
fn removals(live: &Value, desired: &Value) -> Map<String, Value> {
    let removal = |(field, value): (&String, &Value)| match desired.get(field) {
        None => Some((field.clone(), Value::Null)),
        Some(desired) => {
            let within = removals(value, desired);
            (!within.is_empty()).then(|| (field.clone(), Value::Object(within)))
        }
    };
    live.as_object().into_iter().flatten().filter_map(removal).collect()
}

#[cfg(test)]
mod tests;
