//! Which of the Schedules that are there is which spec's.

use kube::{ResourceExt, api::DynamicObject};

use crate::{
    backups::{BackupPlan, PlannedSpec},
    velero::{
        names::{INSTANCE, MANAGED_BY},
        wanted::schedule::{SCHEDULED_BY, ScheduleSettings, TARGET_LABELS, spec_of},
    },
};

/// Who made a Schedule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    /// This application, for a spec.
    Own,
    /// The Python charm of the same name, which said no more than that.
    PythonCharm,
    /// Anybody else.
    Others,
}

/// Which Schedule is which spec's.
#[derive(Debug, Default)]
pub(super) struct Match<'a> {
    /// The Schedules of the plan's specs, in their order.
    pub of_specs: Vec<Option<&'a DynamicObject>>,
    /// Those of the application's that are no spec's any more.
    pub superfluous: Vec<&'a DynamicObject>,
}

/// Returns who made a Schedule.
pub(super) fn origin(schedule: &DynamicObject, application: &str) -> Origin {
    let says = |(key, value): (&str, &str)| schedule.labels().get(key).is_some_and(|label| label == value);
    if !schedule.owner_references().is_empty() {
        return Origin::Others;
    }
    let is_marked = |key: &str| schedule.labels().contains_key(key);
    if says(MANAGED_BY) && says((INSTANCE, application)) && spec_of(schedule).is_some() {
        return Origin::Own;
    }
    let is_of_python_charm = says(SCHEDULED_BY)
        && !is_marked(MANAGED_BY.0)
        && !is_marked(INSTANCE)
        && TARGET_LABELS.iter().all(|key| is_marked(key));
    if is_of_python_charm { Origin::PythonCharm } else { Origin::Others }
}

/// Finds out which of the application's Schedules, and of those of the Python charm, is which spec's. A spec that has none takes over
/// one for the same target that is no other spec's.
pub(super) fn match_up<'a>(live: &'a [DynamicObject], plan: &BackupPlan, settings: &ScheduleSettings<'_>) -> Match<'a> {
    let mut rest: Vec<&DynamicObject> = live.iter().collect();
    // The names of those that the Python charm has made twice are in no order.
    rest.sort_by_key(|schedule| (schedule.creation_timestamp(), schedule.name_any()));
    let mut of_specs: Vec<_> =
        plan.specs.iter().map(|spec| take(&mut rest, |schedule| spec_of(schedule) == Some(spec.id))).collect();
    let is_unknown = |schedule: &DynamicObject| spec_of(schedule).is_some_and(|id| plan.unknown.contains(&id.relation));
    rest.retain(|schedule| !is_unknown(schedule));
    for (spec, found) in plan.specs.iter().zip(&mut of_specs) {
        if found.is_none() {
            *found = take(&mut rest, |schedule| is_for_target(schedule, spec, settings));
        }
    }
    rest.retain(|schedule| origin(schedule, settings.application) == Origin::Own);
    Match { of_specs, superfluous: rest }
}

fn take<'a>(rest: &mut Vec<&'a DynamicObject>, is_it: impl Fn(&DynamicObject) -> bool) -> Option<&'a DynamicObject> {
    let position = rest.iter().position(|schedule| is_it(schedule))?;
    Some(rest.remove(position))
}

/// Whether a Schedule is for what a spec backs up. The Python charm gave all of them the name of its own model.
fn is_for_target(schedule: &DynamicObject, spec: &PlannedSpec, settings: &ScheduleSettings<'_>) -> bool {
    let Some(target) = &spec.target else { return false };
    let is_of_python_charm = origin(schedule, settings.application) == Origin::PythonCharm;
    let [_, _, model] = TARGET_LABELS;
    settings.target_labels(target).all(|(key, value)| {
        let label = schedule.labels().get(key).map(String::as_str);
        label == Some(&*value) || is_of_python_charm && key == model && label == Some(settings.namespace)
    })
}
