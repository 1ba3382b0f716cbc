//! The observer: what it notices between the hooks, and how its process lives and ends.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use sandbox::juju::{DeployOptions, HookRecord, Model, UnitName};
use serde_json::{Map, Value, json};

use crate::{
    backups::{Client, only},
    deployed::{APPLICATION, Deployed, trusted},
    observer_process::{ObserverProcess, is_busy, rebuild},
    world::{self, World},
};

/// How many backups a cluster has that has been backed up for long.
const BACKUPS: i64 = 10_000;

/// A model with storage, whose unit has an observer; no hook comes but those that are asked for.
fn observed(name: &str) -> Deployed {
    observed_in(world::shared(), name)
}

fn observed_in(world: &'static World, name: &str) -> Deployed {
    let mut deployed = Deployed::observed(world, name);
    deployed.relate_s3();
    assert_eq!(deployed.status(), "active: ready");
    deployed
}

/// Waits until something is so, and returns how long that took.
fn until(what: &str, is_so: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_mins(2), "{what} does not come");
        thread::sleep(Duration::from_millis(50));
    }
    begun.elapsed()
}

/// Waits until the unit says something, and returns how long that took.
fn until_it_says(deployed: &Deployed, text: &str) -> Duration {
    until(text, || deployed.status().contains(text))
}

/// The hooks that were asked for by `juju-exec`.
fn asked(model: &Model) -> Vec<HookRecord> {
    let text = std::fs::read_to_string(model.directory().join("hooks.jsonl")).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<HookRecord>(line).unwrap());
    records.filter(|record| record.name == "run-commands").collect()
}

/// What the server says of the storage, said by somebody else.
fn say_of_storage(deployed: &Deployed, phase: &str) {
    let now = jiff::Timestamp::now().to_string();
    let message = if phase == "Available" { "" } else { "somebody has pulled the plug" };
    let status = json!({"status": {"phase": phase, "message": message, "lastValidationTime": now}});
    deployed.edit("BackupStorageLocation", "default", &status);
}

/// The metrics of the only observer of a cluster, in whose network all units are; nothing as long as none serves them.
fn metrics(world: &World) -> String {
    let address = world.s3().endpoint.trim_start_matches("http://").rsplit_once(':').unwrap().0.to_owned();
    let read = || {
        let mut stream = TcpStream::connect((address, 8086))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: unit\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        Ok::<_, std::io::Error>(page)
    };
    read().unwrap_or_default()
}

fn until_metric(world: &World, line: &str) {
    until(line, || metrics(world).lines().any(|found| found == line));
}

#[test]
fn trouble_is_told_between_the_hooks_and_goes_by_itself() {
    let deployed = observed("observed-trouble");
    // What the charm mends.
    deployed.edit("Deployment", "velero", &json!({"spec": {"replicas": 0}}));
    let told = until_it_says(&deployed, "waiting: for Velero to run as configured");
    let mended = until_it_says(&deployed, "active: ready");
    eprintln!("a server without pods was told after {told:?}, and runs again after {mended:?} more");
    let uid = deployed.uid("BackupStorageLocation", "default");
    deployed.delete("BackupStorageLocation", "default");
    let is_anew = || {
        deployed.object("BackupStorageLocation", "default").is_some_and(|live| live["metadata"]["uid"] != uid.as_str())
    };
    let told = until("another location", is_anew);
    eprintln!("a deleted location was made again after {told:?}");
    until_it_says(&deployed, "active: ready");
    // What it does not.
    say_of_storage(&deployed, "Unavailable");
    let told = until_it_says(&deployed, "blocked: storage is not usable: somebody has pulled the plug");
    eprintln!("an unusable storage was told after {told:?}");
    say_of_storage(&deployed, "Available");
    until_it_says(&deployed, "active: ready");
    let asked = asked(&deployed.model);
    assert!(asked.iter().all(HookRecord::success), "{asked:?}");
    assert!(asked.len() < 8, "{} hooks", asked.len());
}

#[test]
fn one_observer_runs_from_the_first_hook_to_the_last() {
    let mut deployed = observed("observed-life");
    let first = ObserverProcess::of(&deployed);
    let calls = deployed.update_status();
    assert_eq!(ObserverProcess::of(&deployed), first, "{calls:?}");
    // Its death harms nothing.
    first.signal("KILL");
    until("its end", || ObserverProcess::all(&deployed).is_empty());
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    let second = ObserverProcess::of(&deployed);
    assert_ne!(second, first);
    // Another build takes its place.
    rebuild(&deployed);
    deployed.update_status();
    let third = ObserverProcess::of(&deployed);
    assert_ne!(third, second);
    let charm = deployed.world.charm.clone();
    let records = deployed.model.refresh(APPLICATION, &charm).unwrap();
    deployed.after(records);
    assert_ne!(ObserverProcess::of(&deployed), third);
    // And it does what the one before did.
    say_of_storage(&deployed, "Unavailable");
    until_it_says(&deployed, "blocked: storage is not usable");
    deployed.model.remove_application(APPLICATION, false).unwrap();
    assert_eq!(ObserverProcess::all(&deployed), []);
}

#[test]
fn the_metrics_tell_what_has_become_of_an_applications_backups() {
    let (_turn, world) = world::alone();
    let mut deployed = observed_in(world, "observed-metrics");
    let ledger = Client::relate(&mut deployed, "ledger");
    ledger.declare(&mut deployed, &json!({"include_namespaces": ["default"], "schedule": "0 3 * * 0"}));
    let schedule = only(&deployed);
    let labels = format!(r#"app="ledger",endpoint="backups",model="apps",schedule="{schedule}""#);
    until_metric(world, &format!("velero_operator_schedule_period_seconds{{{labels}}} 604800"));
    let page = metrics(world);
    assert!(!page.contains("velero_operator_backup_last"), "{page}");
    for line in [
        "velero_operator_server_available 1",
        "velero_operator_server_info{version=\"1.18.3\"} 1",
        "velero_operator_storage_location_available{location=\"default\"} 1",
    ] {
        until_metric(world, line);
    }
    deployed.run_well(&format!("backup create first --from-schedule {schedule} --wait"));
    until_metric(world, &format!("velero_operator_backup_last_result{{{labels},result=\"completed\"}} 1"));
    let page = metrics(world);
    assert!(page.contains(&format!("velero_operator_backup_last_success_timestamp_seconds{{{labels}}} ")), "{page}");
    // One that is gone was the newest no more. Gone from the store too: from there Velero makes its object again.
    deployed.run_well("backup delete first --confirm");
    until("an application without backups", || !metrics(world).contains("velero_operator_backup_last"));
    // A Schedule that somebody deletes is made again.
    let uid = deployed.uid("Schedule", &schedule);
    deployed.delete("Schedule", &schedule);
    let is_anew = || deployed.object("Schedule", &schedule).is_some_and(|live| live["metadata"]["uid"] != uid.as_str());
    until("another Schedule", is_anew);
}

#[test]
fn drills_are_conducted_by_their_schedule_and_what_has_failed_is_told() {
    let (_turn, world) = world::alone();
    let mut deployed = Deployed::observed(world, "observed-drills");
    let bucket = deployed.relate_s3();
    let ledger = Client::relate(&mut deployed, "ledger");
    let declared =
        json!({"include_namespaces": ["default"], "include_resources": ["configmaps"], "schedule": "0 3 * * 0"});
    ledger.declare(&mut deployed, &declared);
    let schedule = only(&deployed);
    deployed.run_well(&format!("backup create first --from-schedule {schedule} --wait"));
    deployed.configure("drill-schedule", "@every 10s");
    let labels = format!(r#"app="ledger",endpoint="backups",model="apps",schedule="{schedule}""#);
    until_metric(world, &format!("velero_operator_drill_period_seconds{{{labels}}} 10"));
    until_metric(world, &format!("velero_operator_drill_last_result{{{labels},result=\"good\"}} 1"));
    assert_eq!(deployed.status(), "active: ready");
    let page = metrics(world);
    assert!(page.contains(&format!("velero_operator_drill_last_success_timestamp_seconds{{{labels}}} ")), "{page}");

    let archive = "backups/first/first.tar.gz";
    let bucket = world.s3().bucket(&bucket).unwrap();
    bucket.damage(archive, b"not what it was").unwrap();
    let told =
        "the last restore drill of ledger:backups of model apps has failed (backup first): the backup cannot be read";
    until_it_says(&deployed, told);
    until_metric(world, &format!("velero_operator_drill_last_result{{{labels},result=\"failed\"}} 1"));
    // Whoever wants no drills has none, and still knows of the last one.
    deployed.reset("drill-schedule");
    until("no schedule", || !metrics(world).contains("velero_operator_drill_period_seconds"));
    assert!(deployed.status().contains(told), "{}", deployed.status());
}

#[test]
fn each_unit_has_an_observer_of_its_own_and_only_the_leaders_has_things_mended() {
    let options = DeployOptions { units: 2, ..trusted() };
    let mut deployed = Deployed::observed_with(world::shared(), "observed-units", &options);
    deployed.relate_s3();
    let of_both = || [0, 1].map(|unit| ObserverProcess::of_unit(&deployed, unit));
    let observers = of_both();
    assert_ne!(observers[0], observers[1]);
    // The hooks that come when an agent starts anew find it at work.
    for hook in ["config-changed", "start"] {
        for unit in [0, 1] {
            let records = deployed.model.fire(&UnitName::new(APPLICATION, unit), hook).unwrap();
            assert!(records.iter().all(HookRecord::success), "{records:?}");
        }
    }
    assert_eq!(of_both(), observers);
    deployed.edit("Deployment", "velero", &json!({"spec": {"replicas": 0}}));
    until_it_says(&deployed, "waiting: for Velero to run as configured");
    until_it_says(&deployed, "active: ready");
    until("the other unit's word for it", || deployed.status_of(1) == "active: ready, standing by for the leader");
    // Who goes takes its own along, and no other's.
    deployed.model.remove_units(APPLICATION, 1).unwrap();
    until("the end of the second observer", || ObserverProcess::all_of(&deployed, 1).is_empty());
    assert_eq!(ObserverProcess::of(&deployed), observers[0]);
}

#[test]
fn an_observer_knows_no_secret_and_needs_little_memory() {
    let (_turn, world) = world::alone();
    let mut deployed = observed_in(world, "observed-memory");
    let labels = json!({"managed-by": "velero-operator", "app": "ledger", "endpoint": "backups", "model": "apps"});
    let day = |number: i64| (jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(24 * number)).to_string();
    deployed.create_all("Backup", (1..=BACKUPS).map(|number| {
        json!({"apiVersion": "velero.io/v1", "kind": "Backup",
            "metadata": {"name": format!("nightly-{number}"), "labels": labels,
                "annotations": {"velero.io/resource-timeout": "10m0s", "velero.io/source-cluster-k8s-gitversion": "v1.36.3"}},
            "spec": {"includedNamespaces": ["a", "b", "c"], "storageLocation": "default", "ttl": "720h0m0s",
                "includedResources": ["persistentvolumeclaims", "persistentvolumes", "secrets", "configmaps"]},
            "status": {"phase": "Completed", "startTimestamp": day(number), "completionTimestamp": day(number),
                "version": 1, "formatVersion": "1.1.0", "progress": {"itemsBackedUp": 7, "totalItems": 7}}})
    }));
    // It reads them as they come; the next one reads them all at once.
    ObserverProcess::of(&deployed).signal("KILL");
    until("its end", || ObserverProcess::all(&deployed).is_empty());
    deployed.update_status();
    let process = ObserverProcess::of(&deployed);
    let labels = r#"app="ledger",endpoint="backups",model="apps",schedule="""#;
    until_metric(
        world,
        &format!("velero_operator_backup_last_timestamp_seconds{{{labels}}} {}", BACKUPS * 24 * 60 * 60),
    );
    let mut variables: Vec<_> =
        process.file("environ").split_terminator('\0').map(|line| line.split('=').next().unwrap().to_owned()).collect();
    variables.sort_unstable();
    assert_eq!(variables, ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "PATH"]);
    let secret = deployed.world.s3().secret_key.clone();
    assert!(!process.file("cmdline").contains(&secret) && !process.holds(&secret));
    assert!(process.holds("velero.io/v1"), "the search finds nothing");
    let peak = process.peak_memory();
    eprintln!("with {BACKUPS} backups, the observer has held {peak} bytes of its own at most");
    assert!(peak < 4 * 1024 * 1024, "{peak}");
}

#[test]
fn nothing_queues_up_behind_an_action() {
    let deployed = observed("observed-action");
    let process = ObserverProcess::of(&deployed);
    // Nobody works at a backup whose server has no pods, and nobody is to mend that before the action.
    process.signal("STOP");
    deployed.end_server();
    let (model, unit) = (deployed.model.clone(), Deployed::unit());
    let action = thread::spawn(move || {
        let parameters = Map::from_iter([("command".to_owned(), Value::from("backup create slow --wait"))]);
        model.run_action(&unit, "run", &parameters)
    });
    deployed.until("Backup", "slow", |backup| backup.is_some());
    assert!(is_busy(&deployed));
    process.signal("CONT");
    thread::sleep(Duration::from_secs(4));
    assert_eq!(process.children(), Vec::<String>::new());
    deployed.delete("Backup", "slow");
    deployed.model.interrupt().unwrap();
    assert!(action.join().unwrap().is_err());
    until_it_says(&deployed, "waiting: for Velero to run as configured");
    until_it_says(&deployed, "active: ready");
}
