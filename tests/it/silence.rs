//! A store that takes connections and never answers: Velero's validation of a location has no time limit.

use std::{
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
    thread,
};

use crate::deployed::Deployed;

/// An address of this machine at which connections are taken and nothing is ever said, as long as the process lives.
fn silent_endpoint(like: &str) -> String {
    let address: SocketAddrV4 = like.trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    // The store is at the cluster's end of their common network, and this machine at the other.
    let [network @ .., _] = address.ip().octets();
    let [first, second, third] = network;
    let listener = TcpListener::bind((Ipv4Addr::new(first, second, third, 1), 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    endpoint
}

/// What the unit says of a store from which nothing is heard.
fn told_of(silent: &str) -> String {
    format!(
        "blocked: storage does not answer: Velero got no answer from {silent} so far, check that it runs and can be reached from \
         the cluster"
    )
}

/// The statuses that the last hook set, by their words.
fn last_set(deployed: &Deployed) -> Vec<String> {
    let calls = &deployed.records.last().unwrap().tools;
    calls.iter().filter(|call| call.tool == "status-set").map(|call| call.arguments[0].clone()).collect()
}

/// How often the charm said that it restarts the server.
fn restarts_told(deployed: &Deployed) -> usize {
    let log = deployed.model.log().unwrap();
    log.iter()
        .filter(|line| line.message.contains("restarting the server: it has said nothing of the storage location"))
        .count()
}

/// Runs a hook in which nothing has changed: it neither sets a status nor writes, nor does it restart anything.
fn assert_rests(deployed: &mut Deployed) {
    let (status, before) = (deployed.status(), deployed.standing());
    deployed.update_status();
    assert_eq!(last_set(deployed), [] as [&str; 0]);
    assert_eq!((deployed.status(), deployed.standing()), (status, before));
}

#[test]
fn a_store_that_falls_silent_is_told_of_and_does_not_keep_velero_from_the_next_one() {
    let mut deployed = Deployed::new("silent");
    deployed.relate_s3();
    assert_eq!(deployed.status(), "active: ready");
    let right = deployed.world.s3().endpoint.clone();
    let silent = silent_endpoint(&right);
    let relation = deployed.model.status().unwrap().relations[0].id;
    let first = deployed.pods();

    deployed.publish(relation, "s3-credentials", &[("endpoint", &silent)]);
    assert_eq!(deployed.status(), told_of(&silent));
    assert_eq!(last_set(&deployed), ["waiting", "blocked"]);
    // It may be the former store on which the server waits: so another one has asked, once.
    assert_eq!(restarts_told(&deployed), 1);
    assert_ne!(deployed.pods(), first);
    assert_rests(&mut deployed);
    assert_rests(&mut deployed);

    // The server still asks the silent one.
    deployed.publish(relation, "s3-credentials", &[("endpoint", &right)]);
    deployed.assert_becomes_active();
    assert_eq!(restarts_told(&deployed), 2);
    assert_rests(&mut deployed);
}

#[test]
fn a_store_that_is_silent_from_the_first_is_told_of_and_can_be_put_right() {
    let mut deployed = Deployed::new("silent-first");
    let bucket = deployed.world.bucket();
    let s3 = deployed.world.s3();
    let silent = silent_endpoint(&s3.endpoint);
    let fields = [
        ("bucket", bucket.as_str()),
        ("endpoint", &silent),
        ("access-key", &s3.access_key),
        ("secret-key", &s3.secret_key),
    ];
    let relation = deployed.relate("s3-credentials", "s3", &fields);
    assert_eq!(deployed.status(), told_of(&silent));
    assert_rests(&mut deployed);
    deployed.publish(relation, "s3-credentials", &[("endpoint", &s3.endpoint)]);
    deployed.assert_becomes_active();
    assert_rests(&mut deployed);
}

#[test]
fn a_server_that_hangs_beside_a_backup_is_told_of_and_restarted_after_it() {
    let mut deployed = Deployed::new("silent-backup");
    deployed.relate_s3();
    deployed.assert_becomes_active();
    let right = deployed.world.s3().endpoint.clone();
    let silent = silent_endpoint(&right);
    let relation = deployed.model.status().unwrap().relations[0].id;
    deployed.publish(relation, "s3-credentials", &[("endpoint", &silent)]);
    assert_eq!(deployed.status(), told_of(&silent));
    let told = restarts_told(&deployed);
    // It hangs as the validation does.
    deployed.run_well("backup create hanging");
    deployed.until_phase("Backup", "hanging", "InProgress");

    let before = deployed.pods();
    deployed.publish(relation, "s3-credentials", &[("endpoint", &right)]);
    assert_eq!(
        deployed.status(),
        format!(
            "waiting: to restart Velero until backup hanging has ended: it got no answer from {right} so far, or still waits for the \
             storage before it"
        )
    );
    assert_rests(&mut deployed);
    assert_eq!((deployed.pods(), restarts_told(&deployed)), (before, told));

    // Somebody gives it up.
    deployed.delete("Backup", "hanging");
    deployed.update_status();
    assert_eq!(restarts_told(&deployed), told + 1);
    deployed.until("BackupStorageLocation", "default", |location| {
        location.is_some_and(|location| location["status"]["lastValidationTime"].is_string())
    });
    deployed.assert_becomes_active();
    assert_rests(&mut deployed);
}

#[test]
fn a_store_whose_name_is_unknown_is_told_of_by_name() {
    let mut deployed = Deployed::new("unknown-name");
    deployed.relate_s3();
    let relation = deployed.model.status().unwrap().relations[0].id;
    deployed.publish(relation, "s3-credentials", &[("endpoint", "http://store.invalid:9000")]);
    let status = deployed.status();
    assert!(status.starts_with("blocked: storage ") && status.contains("store.invalid"), "{status}");
}
