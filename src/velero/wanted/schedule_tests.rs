use std::cell::RefCell;

use kube::ResourceExt;
use proptest::prelude::*;

use super::*;
use crate::{
    backups::{BackupSpec, Cron},
    test_readers::{Readers, runner},
};

const ID: SpecId = SpecId { relation: 11, position: 0 };
const SETTINGS: ScheduleSettings<'_> = ScheduleSettings {
    application: "velero-operator",
    namespace: "backups",
    default_volumes_to_fs_backup: false,
    has_snapshot_location: false,
    policies: None,
};

fn target(application: &str, endpoint: &str) -> Target {
    Target { application: application.into(), endpoint: endpoint.into(), model: Some("apps".into()) }
}

fn backup(spec: BackupSpec) -> ScheduledBackup {
    ScheduledBackup { cron: Cron::parse("30 1 * * *").unwrap(), ttl: None, spec }
}

#[test]
fn a_spec_of_nothing_says_only_what_velero_has_to_be_told() {
    let schedule = SETTINGS.schedule(ID, &target("ledger", "ledger-backups"), &backup(BackupSpec::default()));
    let labels =
        json!({"app": "ledger", "endpoint": "ledger-backups", "model": "apps", "managed-by": "velero-operator"});
    let template =
        json!({"metadata": {"labels": labels}, "storageLocation": "default", "defaultVolumesToFsBackup": false});
    let expected = json!({"schedule": "30 1 * * *", "paused": false, "skipImmediately": false, "template": template});
    assert_eq!(schedule.data["spec"], expected);
    for (key, value) in labels.as_object().unwrap() {
        assert_eq!(schedule.labels()[key], *value);
    }
    assert_eq!(schedule.labels()["app.kubernetes.io/instance"], "velero-operator");
    assert_eq!(spec_of(&schedule), Some(ID));
}

#[test]
fn all_of_a_spec_reaches_velero() {
    let names = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect());
    let spec = BackupSpec {
        include_namespaces: names(&["team-a"]),
        exclude_namespaces: names(&["team-b"]),
        include_resources: names(&["pods"]),
        exclude_resources: names(&["events"]),
        label_selector: Some([("tier".into(), "data".into())].into()),
        include_cluster_resources: Some(false),
        paused: Some(true),
        use_owner_references_in_backup: Some(true),
        ..BackupSpec::default()
    };
    let settings = ScheduleSettings { has_snapshot_location: true, default_volumes_to_fs_backup: true, ..SETTINGS };
    let scheduled = ScheduledBackup { ttl: Some(Ttl::parse("72h").unwrap()), ..backup(spec) };
    let mut schedule = settings.schedule(ID, &target("ledger", "backups"), &scheduled).data["spec"].take();
    schedule["template"].as_object_mut().unwrap().remove("metadata");
    let template = json!({"storageLocation": "default", "volumeSnapshotLocations": ["default"],
        "includedNamespaces": ["team-a"], "excludedNamespaces": ["team-b"], "includedResources": ["pods"],
        "excludedResources": ["events"], "includeClusterResources": false, "ttl": "72h",
        "labelSelector": {"matchLabels": {"tier": "data"}}, "defaultVolumesToFsBackup": true});
    let expected = json!({"schedule": "30 1 * * *", "paused": true, "skipImmediately": false,
        "useOwnerReferencesInBackup": true, "template": template});
    assert_eq!(schedule, expected);
}

#[test]
fn what_a_label_cannot_hold_is_in_an_annotation() {
    let long = "a".repeat(70);
    let schedule = SETTINGS.schedule(ID, &target(&long, "backups"), &backup(BackupSpec::default()));
    assert!(schedule.labels()["app"].len() <= 63);
    assert_eq!(schedule.annotations()["velero-operator/app"], long);
    assert!(!schedule.annotations().contains_key("velero-operator/endpoint"));
}

#[test]
fn a_name_leaves_room_for_the_time_of_a_backup() {
    for (application, endpoint, begin) in [
        ("ledger", "ledger-backups", "ledger-ledger-backups-"),
        ("Ledger_1", "velero_backups", "ledger-1-velero-backups-"),
        ("a-very-long-name-of-an-application-that-does-not-end", "backups", "a-very-long-name-of-an-application-that"),
        ("é", "_", ""),
    ] {
        let name = SETTINGS.new_name(ID, &target(application, endpoint), |_| false);
        assert!(name.len() <= 48 && name.starts_with(begin), "{name}");
        assert!(name.starts_with(|first: char| first.is_ascii_alphanumeric()), "{name}");
        let another = SETTINGS.new_name(ID, &target(application, endpoint), |taken| taken == name);
        assert!(another != name && another.starts_with(begin), "{another}");
    }
}

/// Specs of which each value may be of its type, or of another.
fn any_spec() -> impl Strategy<Value = Value> {
    let text = prop::sample::select(vec![
        "",
        "team-a",
        "*",
        "tier",
        "a/b",
        "-",
        "720h",
        "30d",
        "1.5h",
        "-1h",
        "2562048h",
        "@daily",
        "30 1 * * *",
        "every day",
        "0 0 31 2 *",
        "app.kubernetes.io/name",
        "\u{0}",
        "é",
    ]);
    let text = text.prop_map(|text| json!(text));
    let value = prop_oneof![
        6 => text.clone(),
        3 => Just(Value::Null),
        3 => any::<bool>().prop_map(|value| json!(value)),
        1 => any::<i64>().prop_map(|value| json!(value)),
        4 => prop::collection::vec(text.clone(), 0..3).prop_map(Value::Array),
        2 => prop::collection::vec((text.clone(), text), 0..3).prop_map(|labels| {
            let labels = labels.into_iter().map(|(key, value)| (key.as_str().unwrap_or_default().to_owned(), value));
            Value::Object(labels.collect())
        }),
    ];
    let key = prop::sample::select(vec![
        "include_namespaces",
        "exclude_namespaces",
        "include_resources",
        "exclude_resources",
        "label_selector",
        "include_cluster_resources",
        "ttl",
        "schedule",
        "paused",
        "skip_immediately",
        "use_owner_references_in_backup",
        "unknown",
    ]);
    let fields = prop::collection::vec((key.prop_map(str::to_owned), value), 0..6);
    fields.prop_map(|fields| Value::Object(fields.into_iter().collect()))
}

#[test]
fn what_is_made_of_any_spec_velero_decodes() {
    let (readers, accepted) = (RefCell::new(Readers::start()), RefCell::new(0));
    let property = |value: Value| {
        let Ok(spec) = BackupSpec::from_value(&value) else { return Ok(()) };
        *accepted.borrow_mut() += 1;
        let cron = spec.schedule.clone().unwrap_or_else(|| Cron::parse("@daily").unwrap());
        let scheduled = ScheduledBackup { cron, ttl: spec.ttl.clone(), spec };
        let schedule = SETTINGS.schedule(ID, &target("ledger", "backups"), &scheduled);
        let read = readers.borrow_mut().read("schedule", &json!(schedule).to_string());
        prop_assert!(read.is_ok(), "{}: {:?}", value, read);
        Ok(())
    };
    runner().run(&any_spec(), property).unwrap();
    assert!(accepted.into_inner() > 100);
}
