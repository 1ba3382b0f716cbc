//! Options for backups.

use super::*;

/// A storage, and an application that declares what of it is to be backed up.
fn with_ledger() -> Vec<(&'static str, Relation)> {
    let mut related = relation("velero-backups", &[("app", "ledger"), ("relation_name", "backups")]);
    related.1.remote = Some("ledger".to_owned());
    vec![relation("s3-credentials", S3), related]
}

#[test]
fn an_option_for_backups_that_cannot_be_used_is_named_and_stops_nothing_else() {
    let schedule = |plan: &Plan| plan.backups.as_ref().unwrap().specs[0].schedule.clone();
    let with = |options: &[(&str, Value)]| plan(&snapshot(options, with_ledger()));
    assert_eq!(schedule(&with(&[])), SchedulePlan::None);
    let plan = with(&[("default-schedule", json!(" @daily ")), ("default-ttl", json!("72h"))]);
    let SchedulePlan::Use(backup) = schedule(&plan) else { panic!("{plan:?}") };
    assert_eq!((backup.cron.as_str(), backup.ttl.unwrap().as_str()), ("@daily", "72h"));
    assert_eq!((backup.spec.paused, &plan.obstacles[..]), (None, &[][..]));
    // Nothing can be written then.
    let recovery = with(&[("default-schedule", json!("@daily")), ("storage-mode", json!("recovery"))]);
    let SchedulePlan::Use(backup) = schedule(&recovery) else { panic!("{recovery:?}") };
    assert_eq!(backup.spec.paused, Some(true));
    for (option, value, told) in [
        (
            "default-schedule",
            "every day",
            "the option default-schedule: \"every day\" is no cron expression that Velero reads: ",
        ),
        ("default-ttl", "30d", "the option default-ttl: \"30d\" is no duration that Velero reads: "),
    ] {
        let plan = with(&[("default-schedule", json!("@daily")), (option, json!(value))]);
        let [Status::Blocked(message)] = &plan.obstacles[..] else { panic!("{:?}", plan.obstacles) };
        assert!(
            message.starts_with(told) && message.ends_with(&format!("or juju config --reset {option}")),
            "{message}"
        );
        assert_eq!(schedule(&plan), SchedulePlan::Keep);
        assert!(installation(&plan).backup_location().is_some());
    }
}

#[test]
fn a_retention_is_for_what_applications_declare_and_a_ttl_that_is_too_short_for_it_is_told() {
    let with = |options: &[(&str, Value)]| plan(&snapshot(options, with_ledger()));
    assert_eq!(with(&[]).retention, None);
    let kept = with(&[("retention", json!("12 monthly")), ("default-schedule", json!("@daily"))]);
    assert_eq!(kept.retention.map(|retention| retention.to_string()).as_deref(), Some("12 monthly"));
    let told = "retention would keep backups of ledger for 8760h, and their ttl of 720h ends them before: \
                set default-ttl=8760h";
    assert_eq!((kept.remarks, kept.obstacles), (vec![told.to_owned()], vec![]));
    let bad = with(&[("retention", json!("12 months"))]);
    let told = "the option retention: \"12 months\" is not understood: 7 daily, 4 weekly, 12 monthly, or a number; \
                or juju config --reset retention";
    assert_eq!((bad.retention, bad.obstacles), (None, vec![Status::Blocked(told.to_owned())]));
    // Who does not lead knows of no backups.
    let standby = Snapshot { leader: false, ..snapshot(&[("retention", json!("7"))], with_ledger()) };
    assert_eq!(plan(&standby).retention, None);
}

#[test]
fn a_backup_by_hand_goes_by_the_options_too() {
    let settings = |option: &str, value: Value| backup_settings(&[(option.to_owned(), value)].into_iter().collect());
    let by_default =
        BackupSettings { default_volumes_to_fs_backup: false, adds_pods: false, ttl: None, has_policies: false };
    assert_eq!(settings("default-ttl", json!("")), Ok(by_default.clone()));
    let with_files = BackupSettings { default_volumes_to_fs_backup: true, ..by_default.clone() };
    assert_eq!(settings("default-volumes-to-fs-backup", json!(true)), Ok(with_files));
    let kept = BackupSettings { ttl: Some(Ttl::parse("72h").unwrap()), ..by_default };
    assert_eq!(settings("default-ttl", json!("72h")), Ok(kept));
    let told = settings("default-ttl", json!("30d")).unwrap_err().message();
    assert!(told.starts_with("the option default-ttl: \"30d\""), "{told}");
}

#[test]
fn policies_for_volumes_are_read_as_velero_does_and_end_with_the_option() {
    let of = |text: &str, periodic: bool| {
        let snapshot = Snapshot { periodic, ..snapshot(&[("resource-policy", json!(text))], with_ledger()) };
        let plan = plan(&snapshot);
        (plan.policies, plan.obstacles)
    };
    let (policies, obstacles) = of("version: v1\n", true);
    assert!(
        matches!(policies, PolicyPlan::Use(policies) if policies.as_str() == "version: v1\n") && obstacles.is_empty()
    );
    assert_eq!((of("", false).0, of("", true).0), (PolicyPlan::None, PolicyPlan::Keep));
    let (policies, obstacles) = of("version: v2", false);
    let told = "the option resource-policy: incompatible version number v2 with supported version v1; \
                or juju config --reset resource-policy";
    assert_eq!((policies, obstacles), (PolicyPlan::Keep, vec![Status::Blocked(told.into())]));
    let settings = backup_settings(&config(&[("resource-policy", json!("version: v2"))]));
    assert_eq!(settings.unwrap_err().message(), told);
    assert!(backup_settings(&config(&[("resource-policy", json!("version: v1"))])).unwrap().has_policies);
}
