//! A store that takes connections and never answers: Velero's validation of a location has no time limit.

use std::{
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
    thread,
    time::{Duration, Instant},
};

use crate::deployed::Deployed;

/// How long the server may take to be restarted and to look at the location.
const PATIENCE: Duration = Duration::from_mins(3);

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

#[test]
fn a_store_that_never_answers_is_told_of_at_once_and_does_not_keep_velero_from_the_next_one() {
    let mut deployed = Deployed::new("silent");
    deployed.relate_s3();
    assert_eq!(deployed.status(), "active: ready");
    let right = deployed.world.s3().endpoint.clone();
    let silent = silent_endpoint(&right);
    let relation = deployed.model.status().unwrap().relations[0].id;

    deployed.publish(relation, "s3-credentials", &[("endpoint", &silent)]);
    let told = format!(
        "blocked: storage does not answer: Velero got no word from {silent} so far, check that it runs and can be reached from \
         the cluster"
    );
    assert_eq!(deployed.status(), told);
    // The next hook changes nothing, and says nothing new.
    let before = deployed.versions();
    let record = deployed.update_status();
    assert!(!record.tools.iter().any(|call| call.tool == "status-set"), "{record:?}");
    assert_eq!((deployed.status(), deployed.versions()), (told, before));

    // The server still asks the silent one.
    deployed.publish(relation, "s3-credentials", &[("endpoint", &right)]);
    let deadline = Instant::now() + PATIENCE;
    while deployed.status() != "active: ready" {
        assert!(Instant::now() < deadline, "{}", deployed.status());
        deployed.update_status();
    }
    let before = deployed.standing();
    deployed.update_status();
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(deployed.standing().get("Deployment velero"), before.get("Deployment velero"));
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
