//! What becomes of what applications have declared: the schedules that there should be.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    cron::Cron,
    declaration::{Declaration, SpecId, Target},
    spec::BackupSpec,
    ttl::Ttl,
    volume_policy::VolumePolicies,
};

/// An option of the charm, read: `Err` for one that cannot be used, whatever was to come of it.
type Choice<T> = Result<Option<T>, ()>;

/// What the options say for specs that say nothing themselves.
#[derive(Clone, Debug)]
pub(crate) struct Defaults {
    pub schedule: Choice<Cron>,
    pub ttl: Choice<Ttl>,
    /// Whether the pods are backed up, too, that use the claims which a spec includes, and the volumes of these.
    pub adds_pods: bool,
    /// What becomes of volumes.
    pub policies: Choice<VolumePolicies>,
}

/// The schedules that there should be.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct BackupPlan {
    /// In the order of their ids.
    pub specs: Vec<PlannedSpec>,
    /// The numbers of relations of which it is not known what they declare: what was made for them stays.
    pub unknown: BTreeSet<u32>,
    /// What keeps applications from being backed up as they declare it, one sentence each.
    pub problems: Vec<String>,
}

/// What is to happen with the policies for volumes that all Schedules follow.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum PolicyPlan {
    /// There are none.
    None,
    /// Those that are there stay as they are, as long as it is not known what they should be, or cannot have changed.
    Keep,
    /// There are these.
    Use(Box<VolumePolicies>),
}

impl PolicyPlan {
    /// Returns the plan that the option makes.
    pub(crate) fn of(option: &Choice<VolumePolicies>) -> Self {
        match option {
            Ok(Some(policies)) => Self::Use(Box::new(policies.clone())),
            Ok(None) => Self::None,
            Err(()) => Self::Keep,
        }
    }
}

/// What becomes of a spec.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PlannedSpec {
    pub id: SpecId,
    pub target: Option<Target>,
    pub schedule: SchedulePlan,
}

/// What is to happen with the schedule of a spec.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum SchedulePlan {
    /// There is none.
    None,
    /// One that is there stays as it is, until it is known what it should be.
    Keep,
    /// There is this one.
    Use(Box<ScheduledBackup>),
}

/// Backups that are made again and again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ScheduledBackup {
    pub cron: Cron,
    /// How long they are kept; `None` for the server's own default.
    pub ttl: Option<Ttl>,
    pub spec: BackupSpec,
}

impl BackupPlan {
    /// Decides what becomes of `declarations`. `unknown` are the relations of which it is not known what they declare, with the
    /// reason for messages.
    pub(crate) fn of(
        mut declarations: Vec<Declaration>,
        unknown: BTreeMap<u32, Option<String>>,
        defaults: &Defaults,
    ) -> Self {
        declarations.sort_by_key(|declaration| declaration.id);
        let mut holders: BTreeMap<Target, SpecId> = BTreeMap::new();
        let mut plan = Self { unknown: unknown.keys().copied().collect(), ..Self::default() };
        plan.problems.extend(unknown.into_values().flatten());
        for Declaration { id, target, name, spec } in declarations {
            let holder = target.as_ref().map(|target| *holders.entry(target.clone()).or_insert(id));
            let schedule = match (holder, target.as_ref()) {
                (Some(holder), Some(target)) if holder != id => {
                    plan.problems.push(in_conflict(id, target, holder));
                    SchedulePlan::None
                }
                _ => match spec {
                    Ok(spec) => schedule(spec, defaults),
                    Err(error) => {
                        plan.problems.push(format!("the backup spec of {name}, relation {}: {error}", place(id)));
                        SchedulePlan::Keep
                    }
                },
            };
            plan.specs.push(PlannedSpec { id, target, schedule });
        }
        plan
    }

    /// Returns the same plan, by which no backup begins.
    #[must_use]
    pub(crate) fn paused(mut self) -> Self {
        for spec in &mut self.specs {
            if let SchedulePlan::Use(backup) = &mut spec.schedule {
                backup.spec.paused = Some(true);
            }
        }
        self
    }
}

fn schedule(spec: BackupSpec, defaults: &Defaults) -> SchedulePlan {
    let cron = match (&spec.schedule, &defaults.schedule) {
        (Some(cron), _) | (None, Ok(Some(cron))) => cron.clone(),
        (None, Ok(None)) => return SchedulePlan::None,
        (None, Err(())) => return SchedulePlan::Keep,
    };
    let ttl = match (&spec.ttl, &defaults.ttl) {
        (Some(ttl), _) => Some(ttl.clone()),
        (None, Ok(ttl)) => ttl.clone(),
        (None, Err(())) => return SchedulePlan::Keep,
    };
    if defaults.policies.is_err() {
        return SchedulePlan::Keep;
    }
    let spec = if defaults.adds_pods { spec.with_pods() } else { spec };
    SchedulePlan::Use(Box::new(ScheduledBackup { cron, ttl, spec }))
}

/// Returns where a spec is declared, as messages have it.
fn place(SpecId { relation, position }: SpecId) -> String {
    if position == 0 { relation.to_string() } else { format!("{relation}, entry {}", position + 1) }
}

fn in_conflict(id: SpecId, target: &Target, holder: SpecId) -> String {
    let Target { application, endpoint, model } = target;
    let model = model.as_deref().map(|model| format!(" of model {model}")).unwrap_or_default();
    format!(
        "relations {} and {} both declare backups of {application}:{endpoint}{model}, and the first has it: remove one",
        place(holder),
        place(id)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backups::declaration::DeclarationError;

    fn defaults(schedule: Choice<&str>, ttl: Choice<&str>) -> Defaults {
        Defaults {
            schedule: schedule.map(|text| text.map(|text| Cron::parse(text).unwrap())),
            ttl: ttl.map(|text| text.map(|text| Ttl::parse(text).unwrap())),
            adds_pods: false,
            policies: Ok(None),
        }
    }

    fn declaration(relation: u32, application: &str, spec: Result<BackupSpec, DeclarationError>) -> Declaration {
        let target = Target { application: application.into(), endpoint: "backups".into(), model: None };
        Declaration { id: SpecId { relation, position: 0 }, target: Some(target), name: application.into(), spec }
    }

    fn every_day() -> BackupSpec {
        BackupSpec { schedule: Some(Cron::parse("@daily").unwrap()), ..BackupSpec::default() }
    }

    fn schedules(plan: &BackupPlan) -> Vec<String> {
        let told = |spec: &PlannedSpec| match &spec.schedule {
            SchedulePlan::None => "none".to_owned(),
            SchedulePlan::Keep => "keep".to_owned(),
            SchedulePlan::Use(backup) => {
                format!("{} {}", backup.cron.as_str(), backup.ttl.as_ref().map_or("-", Ttl::as_str))
            }
        };
        plan.specs.iter().map(told).collect()
    }

    #[test]
    fn a_specs_own_values_win_over_the_options() {
        let own = BackupSpec { ttl: Some(Ttl::parse("72h").unwrap()), ..every_day() };
        let declarations =
            || vec![declaration(1, "a", Ok(own.clone())), declaration(2, "b", Ok(BackupSpec::default()))];
        let plan = |schedule, ttl| BackupPlan::of(declarations(), BTreeMap::new(), &defaults(schedule, ttl));
        assert_eq!(schedules(&plan(Ok(None), Ok(None))), ["@daily 72h", "none"]);
        assert_eq!(schedules(&plan(Ok(Some("@weekly")), Ok(None))), ["@daily 72h", "@weekly -"]);
        assert_eq!(schedules(&plan(Ok(Some("@weekly")), Ok(Some("24h")))), ["@daily 72h", "@weekly 24h"]);
        // Who depends on an option that cannot be used keeps what there is.
        assert_eq!(schedules(&plan(Err(()), Ok(Some("24h")))), ["@daily 72h", "keep"]);
        assert_eq!(schedules(&plan(Ok(Some("@weekly")), Err(()))), ["@daily 72h", "keep"]);
        assert_eq!(schedules(&plan(Ok(None), Err(()))), ["@daily 72h", "none"]);
        assert_eq!(plan(Err(()), Err(())).problems, Vec::<String>::new());
    }

    #[test]
    fn policies_that_cannot_be_read_leave_all_schedules_as_they_are() {
        let planned = |policies| {
            let policies_planned = PolicyPlan::of(&policies);
            let defaults = Defaults { policies, ..defaults(Ok(None), Ok(None)) };
            let plan = BackupPlan::of(vec![declaration(1, "a", Ok(every_day()))], BTreeMap::new(), &defaults);
            (schedules(&plan), policies_planned)
        };
        let scheduled = || vec!["@daily -".to_owned()];
        assert_eq!(planned(Err(())), (vec!["keep".to_owned()], PolicyPlan::Keep));
        assert_eq!(planned(Ok(None)), (scheduled(), PolicyPlan::None));
        let policies = VolumePolicies::parse("version: v1").unwrap();
        assert_eq!(planned(Ok(Some(policies.clone()))), (scheduled(), PolicyPlan::Use(Box::new(policies))));
    }

    #[test]
    fn pods_come_along_where_the_option_says_so() {
        let of_claims = BackupSpec { include_resources: Some(vec!["pvc".to_owned()]), ..every_day() };
        let included = |adds_pods| {
            let defaults = Defaults { adds_pods, ..defaults(Ok(None), Ok(None)) };
            let declarations = vec![declaration(1, "a", Ok(of_claims.clone()))];
            match &BackupPlan::of(declarations, BTreeMap::new(), &defaults).specs[0].schedule {
                SchedulePlan::Use(backup) => backup.spec.include_resources.clone().unwrap(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            (included(false), included(true)),
            (vec!["pvc".to_owned()], ["pvc", "persistentvolumes", "pods"].map(str::to_owned).to_vec())
        );
    }

    #[test]
    fn a_bad_spec_is_told_and_stops_no_other() {
        let bad = declaration(3, "ledger", Err(DeclarationError::Missing { key: "relation_name" }));
        let plan = BackupPlan::of(
            vec![bad, declaration(2, "b", Ok(every_day()))],
            [(9, Some("it is a secret".to_owned())), (10, None)].into(),
            &defaults(Ok(None), Ok(None)),
        );
        assert_eq!(schedules(&plan), ["@daily -", "keep"]);
        assert_eq!(plan.unknown, [9, 10].into());
        let told = "the backup spec of ledger, relation 3: relation_name is missing";
        assert_eq!(plan.problems, ["it is a secret", told]);
    }

    #[test]
    fn of_two_relations_for_the_same_the_lower_has_it() {
        let same = |relation| declaration(relation, "ledger", Ok(every_day()));
        let plan = BackupPlan::of(vec![same(12), same(7)], BTreeMap::new(), &defaults(Ok(None), Ok(None)));
        assert_eq!(schedules(&plan), ["@daily -", "none"]);
        let told = "relations 7 and 12 both declare backups of ledger:backups, and the first has it: remove one";
        assert_eq!(plan.problems, [told]);
    }
}
