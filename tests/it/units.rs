//! Several units of the charm: one leads and writes, the others stand by.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    time::Duration,
};

use sandbox::juju::{ActionStatus, DeployOptions, Disturbance, HookRecord, UnitName};
use serde_json::{Value, json};

use crate::{
    deployed::{APPLICATION, Deployed, trusted},
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
    let reading = |request: &String| ["get ", "list ", "watch "].iter().any(|verb| request.starts_with(verb));
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
    deployed.relate_s3();
    deployed.model.automatically_retry_hooks(false).unwrap();
    deployed.model.disturb_next_run(Disturbance::KillAfter(Duration::from_millis(250)));
    deployed.configure("use-node-agent", "true");
    let killed = deployed.records.iter().find(|record| record.outcome.signal.is_some()).expect("a hook that is killed");
    assert_eq!((killed.unit.number, killed.name.as_str()), (0, "config-changed"));
    assert!(deployed.status_of(1).starts_with("waiting: for the leader"), "{}", deployed.status_of(1));
    let records = deployed.model.elect(&unit(1)).unwrap();
    assert!(records.iter().any(|record| record.unit.number == 1 && record.name == "leader-elected"), "{records:?}");
    assert_eq!(deployed.status_of(1), "active: ready");
    assert_eq!(deployed.expect("DaemonSet", "node-agent")["status"]["numberAvailable"], 1);
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
