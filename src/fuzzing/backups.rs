//! What applications declare of their backups, what options and actions say of them, and which are kept.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde_json::{Value, json};

use super::{Given, Oracle, given::BETWEEN, status::assert_message};
use crate::{
    actions::read_restore,
    backups::{
        BackupPlan, Cron, Declaration, Defaults, LONGEST_LABEL, PastBackup, Retention, SchedulePlan, SpecId, Standing,
        Target, TimeLimit, Ttl, VolumePolicies, VolumeTraits, is_label_value, judge, undercut,
    },
    contract::parameter,
    juju::ActionParameters,
    status::Status,
    velero::{ExistingResourcePolicy, OneBackup, RestoreOrder, ScheduleSettings},
};

const SETTINGS: ScheduleSettings<'_> = ScheduleSettings {
    application: "velero-operator",
    namespace: "backups",
    default_volumes_to_fs_backup: true,
    has_snapshot_location: true,
    policies: Some("velero-operator-resource-policy"),
};

/// Databags of the interfaces `velero_backup_config` and `k8s_backup_target`: Velero's server decodes what comes of them, and knows
/// when to run it.
pub(super) fn declared(data: &[u8], oracle: &mut Oracle<'_>) {
    let given = Given::read(data, &[("app", "ledger"), ("relation_name", "ledger-backups")]);
    let id = |position| SpecId { relation: 11, position };
    let mut declarations = vec![Declaration::of_texts(id(0), "ledger", |key| given.get(key))];
    let list = given.get("backup_targets").and_then(|text| serde_json::from_str::<Vec<Value>>(text).ok());
    for (position, entry) in (1..).zip(list.unwrap_or_default().iter().take(8)) {
        declarations.push(Declaration::of_entry(id(position), "ledger", entry));
    }
    let defaults = Defaults {
        schedule: Ok(Some(Cron::parse("@daily").unwrap())),
        ttl: Ok(None),
        adds_pods: true,
        policies: Ok(None),
    };
    let count = declarations.len();
    let plan = BackupPlan::of(declarations, BTreeMap::new(), &defaults);
    assert_eq!(plan.specs.len(), count);
    for problem in &plan.problems {
        assert_message(&Status::Blocked(problem.clone()));
    }
    let said = undercut(&Retention::parse("7 daily, 4 weekly").unwrap(), &plan);
    assert_message(&Status::Active(said.unwrap_or_default()));
    for spec in &plan.specs {
        let (Some(target), SchedulePlan::Use(backup)) = (&spec.target, &spec.schedule) else { continue };
        assert_eq!(backup.spec.clone().with_pods(), backup.spec);
        check_schedule(spec.id, target, backup, oracle);
    }
    assert!(plan.clone().paused().specs.iter().all(|spec| match &spec.schedule {
        SchedulePlan::Use(backup) => backup.spec.paused == Some(true),
        SchedulePlan::None | SchedulePlan::Keep => true,
    }));
}

fn check_schedule(id: SpecId, target: &Target, backup: &crate::backups::ScheduledBackup, oracle: &mut Oracle<'_>) {
    let schedule = SETTINGS.schedule(id, target, backup);
    assert!(schedule.labels().values().all(|value| is_label_value(value)), "{:?}", schedule.labels());
    let name = SETTINGS.new_name(id, target, |_| false);
    // Velero puts the time behind it.
    assert!(is_label_value(&name) && name.len() + 15 <= LONGEST_LABEL && name == name.to_lowercase(), "{name}");
    if let Some(read) = oracle.ask("schedule", &json!(schedule).to_string()) {
        let own = backup.ttl.as_ref().map_or(Ttl::DEFAULT, Ttl::duration);
        assert_eq!(read.map(|values| kept_for(&values["ttl"])), Ok(own));
    }
    let order = OneBackup { id, target, spec: &backup.spec, ttl: backup.ttl.as_ref() };
    assert_eq!(SETTINGS.backup(&order).data["spec"], schedule.data["spec"]["template"]);
    check_cron(&backup.cron, oracle);
}

/// Returns how long Velero's server keeps a backup, which it is told in nanoseconds.
fn kept_for(nanoseconds: &str) -> SignedDuration {
    match nanoseconds.parse().unwrap() {
        0 => Ttl::DEFAULT,
        nanoseconds => SignedDuration::from_nanos(nanoseconds),
    }
}

/// Velero's server reads an expression that is accepted, and it comes; the charm knows how often.
fn check_cron(cron: &Cron, oracle: &mut Oracle<'_>) {
    assert_eq!(Cron::parse(cron.as_str()).as_ref(), Ok(cron));
    let gap = cron.longest_gap(Timestamp::UNIX_EPOCH);
    assert!(gap.is_none_or(|gap| gap.is_positive()), "{cron:?}: {gap:?}");
    if let Some(read) = oracle.ask("cron", cron.as_str()) {
        assert_eq!(read.unwrap()["comes"], "true", "{cron:?}");
    }
}

/// Times of options: a cron expression, a time to keep backups for, and a time limit.
pub(super) fn times(data: &[u8], oracle: &mut Oracle<'_>) {
    let text = String::from_utf8_lossy(data);
    match Cron::parse(&text) {
        Ok(cron) => check_cron(&cron, oracle),
        Err(error) => assert_message(&Status::Blocked(error.to_string())),
    }
    let nanoseconds = oracle.ask("duration", &text).map(|read| read.map(|values| values["nanoseconds"].clone()));
    if let Ok(ttl) = Ttl::parse(&text) {
        assert_eq!(Ttl::parse(ttl.as_str()).as_ref(), Ok(&ttl));
        if let Some(read) = &nanoseconds {
            assert_eq!(read.as_deref().map(kept_for), Ok(ttl.duration()), "{text}");
        }
    }
    if let Ok(limit) = TimeLimit::parse(&text) {
        assert!(limit.duration().as_secs() >= 1);
        assert!(nanoseconds.is_none_or(|read| read == Ok(limit.duration().as_nanos().to_string())), "{text}");
    }
}

/// Parameters of the action `restore`: what comes of them Velero's server decodes, and said once more it is the same.
pub(super) fn restore(data: &[u8], oracle: &mut Oracle<'_>) {
    let parameters = |given: &Given| -> ActionParameters {
        given.entries().map(|(key, value)| (key.to_owned(), Value::from(value))).collect()
    };
    let Ok((_, order)) = read_restore(&parameters(&Given::read(data, &[]))) else { return };
    let restore = order.restore("ledger-0a1b2c3d", "backups", "ledger");
    if let Some(read) = oracle.ask("restore", &json!(restore).to_string()) {
        assert_eq!(read.unwrap()["backup"], "ledger");
    }
    let RestoreOrder { existing, selectors, namespace_mapping, .. } = &order;
    let mut again = Given::read(b"backup=ledger", &[]);
    for (parameter, names) in [
        (parameter::INCLUDE_NAMESPACES, &order.include_namespaces),
        (parameter::EXCLUDE_NAMESPACES, &order.exclude_namespaces),
        (parameter::INCLUDE_RESOURCES, &order.include_resources),
        (parameter::EXCLUDE_RESOURCES, &order.exclude_resources),
    ] {
        again.set(parameter.name, (!names.is_empty()).then(|| names.join(",")));
    }
    let labels = |labels: &BTreeMap<String, String>| {
        labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
    };
    let alternatives = selectors.iter().map(labels).collect::<Vec<_>>().join(" or ");
    again.set(parameter::OR_SELECTOR.name, (!selectors.is_empty()).then_some(alternatives));
    let mapping = namespace_mapping.iter().map(|(old, new)| format!("{old}:{new}")).collect::<Vec<_>>().join(",");
    again.set(parameter::NAMESPACE_MAPPING.name, (!mapping.is_empty()).then_some(mapping));
    let policy = (*existing == ExistingResourcePolicy::Update).then(|| "update".to_owned());
    again.set(parameter::EXISTING_RESOURCE_POLICY.name, policy);
    assert_eq!(read_restore(&parameters(&again)).map(|(_, order)| order).ok(), Some(order));
}

/// A retention is written as it is read. Of any backups the newest good one stays, those that are good stay in the number that each
/// rule says, and when those are gone that go, no more do; in whichever order they are.
pub(super) fn retention(data: &[u8], _: &mut Oracle<'_>) {
    let (text, rest) = match data.iter().position(|byte| u32::from(*byte) == u32::from(BETWEEN)) {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[][..]),
    };
    let retention = match Retention::parse(&String::from_utf8_lossy(text)) {
        Ok(retention) => retention,
        Err(error) => return assert_message(&Status::Blocked(error.to_string())),
    };
    assert_eq!(Retention::parse(&retention.to_string()).as_ref(), Ok(&retention));
    assert!(!retention.reach(SignedDuration::from_hours(1)).is_negative());
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let past = |(number, bytes): (usize, &[u8])| {
        let hours = i64::from(u16::from_be_bytes([bytes[0], bytes[1]]));
        let standing = match bytes[2] & 7 {
            0..=3 => Standing::Good,
            4 => Standing::Partial,
            5 => Standing::Failed,
            6 => Standing::Underway,
            _ => Standing::Deleting,
        };
        PastBackup {
            name: format!("ledger-{number}"),
            at: now - SignedDuration::from_hours(hours),
            standing,
            is_read: bytes[2] & 8 != 0,
        }
    };
    let backups: Vec<_> = rest.chunks_exact(3).take(200).enumerate().map(past).collect();
    let verdicts = judge(&retention, &backups, now);
    assert_eq!(verdicts.len(), backups.len());
    let judged = || backups.iter().zip(&verdicts);
    let newest = backups.iter().filter(|backup| backup.standing == Standing::Good).max_by_key(|backup| backup.at);
    let newest_stay = judged().filter(|(backup, _)| newest.is_some_and(|newest| newest.at == backup.at));
    assert!(
        newest.is_none()
            || newest_stay.clone().any(|(backup, verdict)| backup.standing == Standing::Good && !verdict.goes())
    );
    for (backup, verdict) in judged() {
        assert!(
            !(backup.is_read || backup.standing == Standing::Underway) || !verdict.goes(),
            "{backup:?}: {verdict:?}"
        );
        assert!(
            backup.standing == Standing::Good
                || newest.is_some()
                || backup.standing == Standing::Partial
                || backup.standing == Standing::Deleting
                || !verdict.goes()
        );
    }
    let stay: Vec<_> = judged().filter(|(_, verdict)| !verdict.goes()).map(|(backup, _)| backup.clone()).collect();
    let again = judge(&retention, &stay, now);
    assert!(again.iter().all(|verdict| !verdict.goes()), "{retention}: {stay:?} {again:?}");
    let mut turned = backups.clone();
    turned.reverse();
    let mut of_turned = judge(&retention, &turned, now);
    of_turned.reverse();
    let goes =
        |verdicts: &[crate::backups::Verdict]| verdicts.iter().map(crate::backups::Verdict::goes).collect::<Vec<_>>();
    assert_eq!(goes(&of_turned), goes(&verdicts));
}

/// Policies for volumes are written as they are read, and say of any volume what becomes of it.
pub(super) fn volume_policies(data: &[u8], _: &mut Oracle<'_>) {
    let text = String::from_utf8_lossy(data);
    let policies = match VolumePolicies::parse(&text) {
        Ok(policies) => policies,
        Err(error) => return assert_message(&Status::Blocked(error.to_string())),
    };
    let again = VolumePolicies::parse(policies.as_str()).unwrap();
    assert_eq!(again, policies);
    let volumes = ["", "1Gi", "100Gi", "1e3", "words"].map(|capacity| VolumeTraits {
        capacity: capacity.to_owned(),
        storage_class: "ssd".to_owned(),
        kind: "csi".to_owned(),
        csi: Some(("driver".to_owned(), BTreeMap::new())),
        ..VolumeTraits::default()
    });
    for volume in volumes {
        assert_eq!(policies.action(&volume), again.action(&volume));
    }
}
