//! Several units of the charm: one leads and writes, the others stand by.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use sandbox::{
    images::Plugin,
    juju::{ActionStatus, DeployOptions, Disturbance, EndingOrder, HookRecord, Progress, UnitName},
    progress::Progress as Telling,
};
use serde_json::{Value, json};

use crate::{
    deployed::{APPLICATION, Deployed, trusted},
    objects,
    world::{self, World},
};

const STANDING_BY: &str = "active: ready, standing by for the leader";

fn units(count: u32) -> DeployOptions {
    DeployOptions { units: count, ..trusted() }
}

fn unit(number: u32) -> UnitName {
    UnitName::new(APPLICATION, number)
}

fn assert_well(records: &[HookRecord]) {
    assert!(records.iter().all(HookRecord::success), "{records:?}");
}

/// What a model's application asks the API server to change while `action` runs, by the server's audit log.
fn writes_during(world: &World, model: &str, action: impl FnOnce()) -> Vec<String> {
    let log = world.cluster.audit_log();
    let before = fs::metadata(&log).unwrap().len();
    action();
    let mut text = String::new();
    let mut file = File::open(log).unwrap();
    file.seek(SeekFrom::Start(before)).unwrap();
    file.read_to_string(&mut text).unwrap();
    let user = format!("system:serviceaccount:{model}:{APPLICATION}");
    let mut requests = Vec::new();
    // Somebody else's line may just be written.
    for line in text[..text.rfind('\n').map_or(0, |end| end)].lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        if event["user"]["username"] == user.as_str() {
            requests.push(format!("{} {}", event["verb"].as_str().unwrap(), event["requestURI"].as_str().unwrap()));
        }
    }
    assert!(!requests.is_empty(), "no request of {user} is in the log");
    // What is only tried changes nothing either.
    let reading = |request: &String| {
        ["get ", "list ", "watch "].iter().any(|verb| request.starts_with(verb)) || request.contains("dryRun=All")
    };
    requests.retain(|request| !reading(request));
    requests
}

#[test]
fn a_unit_that_does_not_lead_asks_the_cluster_to_change_nothing() {
    let (_turn, world) = world::alone();
    let mut deployed = Deployed::with(world, "audited", &units(2));
    deployed.relate_s3();
    assert_eq!((deployed.status_of(0).as_str(), deployed.status_of(1).as_str()), ("active: ready", STANDING_BY));
    deployed.edit("Deployment", "velero", &json!({"spec": {"replicas": 0}}));
    let fire = |number| assert_well(&deployed.model.fire(&unit(number), "config-changed").unwrap());
    let writes = writes_during(world, "audited", || fire(1));
    assert_eq!(writes, Vec::<String>::new());
    assert_eq!(
        deployed.status_of(1),
        "waiting: for the leader, which waits for Deployment velero to be scaled up: it has no pods"
    );
    // The same hook of the leader does write, and the log shows it.
    let writes = writes_during(world, "audited", || fire(0));
    assert!(writes.iter().any(|write| write.contains("/deployments/velero")), "{writes:?}");
    deployed.update_status();
    assert_eq!((deployed.status_of(0).as_str(), deployed.status_of(1).as_str()), ("active: ready", STANDING_BY));
}

#[test]
fn only_the_leader_asks_a_person_to_act() {
    let deployed = Deployed::with(world::shared(), "only-leader-blocked", &units(2));
    assert!(deployed.status_of(0).starts_with("blocked: no storage: juju integrate"), "{}", deployed.status_of(0));
    let second = deployed.status_of(1);
    assert!(second.starts_with("waiting: for the leader, which is blocked: no storage"), "{second}");
    let untrusted = DeployOptions { units: 2, ..DeployOptions::default() };
    let untrusted = Deployed::with(world::shared(), "untrusted-units", &untrusted);
    assert_well(&untrusted.records);
    assert!(untrusted.status_of(0).starts_with("blocked: not allowed"), "{}", untrusted.status_of(0));
    let second = untrusted.status_of(1);
    assert!(second.starts_with("waiting: for the leader, which is blocked: not allowed"), "{second}");
}

#[test]
fn when_the_leader_dies_in_the_middle_of_a_change_the_next_one_ends_it() {
    let mut deployed = Deployed::with(world::shared(), "leader-dies", &units(2));
    let (bucket, s3) = (deployed.world.bucket(), deployed.world.s3());
    let fields =
        [("bucket", bucket.as_str()), ("endpoint", s3.endpoint.as_str()), ("access-key", s3.access_key.as_str())];
    let relation = deployed.relate("s3-credentials", "s3", &fields);
    deployed.model.automatically_retry_hooks(false).unwrap();
    // It reads its status once the server has the plugin, to say that it is going to change the location.
    deployed.model.disturb_next_run(Disturbance::KillAtTool("status-get"));
    deployed.publish(relation, "s3-credentials", &[("secret-key", &s3.secret_key)]);
    let killed = deployed.records.iter().find(|record| record.outcome.signal.is_some()).expect("a hook that is killed");
    assert_eq!((killed.unit.number, killed.name.as_str()), (0, "s3-credentials-relation-changed"));
    assert!(deployed.object("BackupStorageLocation", "default").is_none());
    assert!(deployed.status_of(1).starts_with("waiting: for the leader"), "{}", deployed.status_of(1));
    let records = deployed.model.elect(&unit(1)).unwrap();
    assert!(records.iter().any(|record| record.unit.number == 1 && record.name == "leader-elected"), "{records:?}");
    assert_eq!(deployed.status_of(1), "active: ready");
    // Who led before comes back and stands by.
    let before = deployed.versions();
    let records = deployed.model.resolved(&unit(0), true).unwrap();
    assert_well(&records);
    assert_eq!(deployed.status_of(0), STANDING_BY);
    assert_eq!(deployed.versions(), before);
}

#[test]
fn more_and_fewer_units_change_nothing_of_velero() {
    let mut deployed = Deployed::with(world::shared(), "scaled", &trusted());
    deployed.relate_s3();
    let before = deployed.versions();
    let records = deployed.model.add_units(APPLICATION, 2).unwrap();
    assert_well(&records);
    assert_eq!(deployed.versions(), before);
    assert_eq!(deployed.status_of(2), STANDING_BY);
    // One that stands by, and then the leader, which may keep its lease to its end.
    deployed.model.dying_leader_keeps_lease(true).unwrap();
    for number in [2, 0] {
        let records = deployed.model.remove_unit(&unit(number)).unwrap();
        assert_well(&records);
        assert_eq!(deployed.versions(), before, "after the removal of unit {number}");
    }
    assert_eq!(deployed.status_of(1), "active: ready");
}

#[test]
fn commands_run_on_any_unit() {
    let mut deployed = Deployed::with(world::shared(), "any-unit", &units(2));
    deployed.relate_s3();
    let made = deployed.run_on(1, "backup create from-second --include-namespaces default --wait");
    assert_eq!((made.status, made.message.as_str()), (ActionStatus::Completed, ""), "{:?}", made.results);
    let seen = deployed.run_well("backup get");
    assert!(seen.contains("from-second") && seen.contains("Completed"), "{seen}");
}

/// How long it may take until a unit says that the storage does not exist.
const PATIENCE: Duration = Duration::from_mins(3);

/// Relates an Azure that does not exist, by two relations: the storage, and before it the service principal that opens it.
fn relate_azure(deployed: &mut Deployed) {
    let world = deployed.world;
    world.runtime.block_on(world.cluster.provide(Plugin::Azure, &Telling::to_stderr())).unwrap();
    let principal = [
        ("subscription-id", "9d5a3f5e-6c0b-4a39-9d63-0c3b8b3b6f11"),
        ("tenant-id", "5f0d2c1a-7b1e-4f53-8a55-2d1c6b7e9f22"),
        ("client-id", "1c9e8b7a-3d2f-4e61-b0a4-8f7e6d5c4b33"),
        ("client-secret", "made-up"),
    ];
    deployed.relate("azure-service-principal", "azure_service_principal", &principal);
    let storage = [
        ("container", "backups"),
        ("storage-account", "nobodysaccount"),
        ("secret-key", "bm90IGEga2V5"),
        ("endpoint", "https://127.0.0.1:9/backups"),
    ];
    deployed.relate("azure-storage", "azure_storage", &storage);
    // The server asks for a token that it never gets, and takes its time to say so.
    deployed.until_phase("BackupStorageLocation", "default", "Unavailable");
    let deadline = Instant::now() + PATIENCE;
    while !deployed.status().starts_with("blocked: storage is not usable") {
        assert!(Instant::now() < deadline, "{}", deployed.status());
        deployed.update_status();
    }
}

/// The hooks of a unit, in order.
fn hooks_of(records: &[HookRecord], number: u32) -> Vec<&str> {
    records.iter().filter(|record| record.unit == unit(number)).map(|record| record.name.as_str()).collect()
}

#[test]
fn in_whichever_order_the_relations_of_a_dying_leader_end_nothing_of_velero_changes() {
    let mut deployed = Deployed::with(world::shared(), "dying-leader", &units(2));
    relate_azure(&mut deployed);
    deployed.model.dying_leader_keeps_lease(true).unwrap();
    let before = deployed.versions();
    for kept in ["Secret cloud-credentials", "BackupStorageLocation default"] {
        assert!(before.contains_key(kept), "{before:?}");
    }
    let (storage, principal) = ("azure-storage-relation", "azure-service-principal-relation");
    let one_by_one = |first: &str, second: &str| {
        [first, second].map(|relation| ["departed", "broken"].map(|event| format!("{relation}-{event}"))).concat()
    };
    let orders = [
        (EndingOrder::OldestFirst, Some(one_by_one(principal, storage))),
        (EndingOrder::NewestFirst, Some(one_by_one(storage, principal))),
        (EndingOrder::Mixed(1), None),
    ];
    // A unit that is added has the number of the one that went, as its pod has.
    for ((order, expected), (number, next)) in orders.into_iter().zip([(0, 1), (1, 0)].into_iter().cycle()) {
        deployed.model.relations_end(order).unwrap();
        let records = deployed.model.remove_unit(&unit(number)).unwrap();
        assert_well(&records);
        let going = hooks_of(&records, number);
        let (ending, last) = going.split_at(4);
        assert_eq!(last, ["stop", "remove"], "{order:?}");
        match expected {
            Some(expected) => assert_eq!(ending, expected, "{order:?}"),
            // Both have departed before either is broken.
            None => assert!(ending[..2].iter().all(|name| name.ends_with("-departed")), "{ending:?}"),
        }
        let is_leading = |record: &HookRecord| record.unit == unit(next) && record.name == "leader-elected";
        assert!(records.iter().any(is_leading), "{records:?}");
        assert_eq!(deployed.versions(), before, "{order:?}");
        let status = deployed.status_of(next);
        assert!(status.starts_with("blocked: storage is not usable"), "{status}");
        assert_well(&deployed.model.add_unit(APPLICATION).unwrap());
    }
}

/// What is there of Velero as each hook of a verb begins.
type Begun = Vec<(String, BTreeMap<String, String>)>;

#[test]
fn the_last_unit_changes_nothing_before_its_last_hook_and_that_takes_all_away() {
    let mut deployed = Deployed::new("last-hook");
    relate_azure(&mut deployed);
    let before = deployed.versions();
    let begun: Arc<Mutex<Begun>> = Arc::default();
    let (noted, world) = (begun.clone(), deployed.world);
    let model = deployed.model.clone().with_progress(move |progress| {
        if let Progress::Started { execution, .. } = progress {
            let versions = objects::versions(world, "last-hook");
            noted.lock().unwrap().push((execution.name(), versions));
        }
    });
    let records = model.remove_application(APPLICATION, false).unwrap();
    assert_well(&records);
    let begun = begun.lock().unwrap().clone();
    let names: Vec<_> = begun.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[4..], ["stop", "remove"], "{names:?}");
    for (name, versions) in &begun {
        assert_eq!(versions, &before, "before {name}");
    }
    let mut left = deployed.versions();
    left.retain(|name, _| !name.starts_with("CustomResourceDefinition"));
    assert_eq!(left, BTreeMap::new());
    // They ask Juju for nothing but whether the unit goes: neither what is planned, nor how Velero is.
    for record in records.iter().filter(|record| record.name != "remove") {
        let asked: Vec<_> =
            record.tools.iter().map(|call| call.tool.as_str()).filter(|tool| *tool != "juju-log").collect();
        let expected: &[&str] = if record.name == "stop" { &[] } else { &["goal-state"] };
        assert_eq!(asked, expected, "{}", record.name);
    }
}
