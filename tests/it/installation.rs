//! Installing Velero, and keeping what runs as it should be.

use std::time::Duration;

use sandbox::juju::{DeployOptions, Disturbance};
use serde_json::json;

use crate::{
    deployed::{APPLICATION, Deployed, trusted},
    world,
};

const NO_STORAGE: &str = "blocked: no storage: juju integrate velero-operator:s3-credentials s3-integrator";

#[test]
fn without_storage_velero_runs_and_the_status_says_what_to_integrate() {
    let deployed = Deployed::new("no-storage");
    assert!(deployed.status().starts_with(NO_STORAGE), "{}", deployed.status());
    let server = deployed.expect("Deployment", "velero");
    assert_eq!(server["status"]["availableReplicas"], 1);
    assert_eq!(server["spec"]["template"]["spec"]["containers"][0]["image"], "velero/velero:v1.18.3");
    assert!(deployed.object("BackupStorageLocation", "default").is_none());
    assert!(deployed.object("DaemonSet", "node-agent").is_none());
    let service = deployed.expect("Service", "velero-metrics");
    assert_eq!(service["spec"]["type"], "ClusterIP");
    assert_eq!(service["spec"]["ports"][0]["port"], 8085);
}

#[test]
fn the_metrics_service_reaches_the_server() {
    let deployed = Deployed::new("metrics");
    let service = deployed.expect("Service", "velero-metrics");
    let address = service["spec"]["clusterIP"].as_str().unwrap();
    // The server listens a moment after its container runs.
    let script =
        format!("for i in $(seq 50); do busybox wget -qO- http://{address}:8085/metrics && exit; sleep 0.2; done");
    let output = deployed.world.cluster.access().command("sh").args(["-c", &script]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("velero_backup_total"), "{text}");
}

#[test]
fn a_hook_that_changes_nothing_writes_nothing_and_is_frugal() {
    let mut deployed = Deployed::new("idempotent");
    deployed.relate_s3();
    assert_eq!(deployed.status(), "active: ready");
    let before = deployed.versions();
    assert!(before.len() > 15, "{before:?}");
    let record = deployed.update_status();
    assert_eq!(deployed.versions(), before);
    let tools: Vec<_> = record.tools.iter().map(|call| call.tool.as_str()).collect();
    assert!(tools.len() <= 8, "{tools:?}");
    for writing in ["status-set", "relation-set", "application-version-set"] {
        assert!(!tools.contains(&writing), "{tools:?}");
    }
}

#[test]
fn without_trust_the_status_says_how_to_give_it_and_trust_mends_it() {
    let options = DeployOptions::default();
    let mut deployed = Deployed::with(world::shared(), "untrusted", &options);
    assert_eq!(
        deployed.status(),
        "blocked: not allowed to manage the cluster: juju trust velero-operator --scope=cluster"
    );
    assert!(deployed.object("Deployment", "velero").is_none());
    assert!(deployed.records.iter().all(sandbox::juju::HookRecord::success), "no hook is to fail for want of trust");
    let records = deployed.model.trust(APPLICATION, true).unwrap();
    deployed.after(records);
    assert!(deployed.status().starts_with(NO_STORAGE), "{}", deployed.status());
    assert_eq!(deployed.expect("Deployment", "velero")["status"]["availableReplicas"], 1);
}

#[test]
fn what_somebody_changed_or_deleted_is_mended_by_the_next_hook() {
    let mut deployed = Deployed::new("mended");
    deployed.relate_s3();
    deployed.edit("Deployment", "velero", &json!({"spec": {"replicas": 0}}));
    deployed.delete("BackupStorageLocation", "default");
    deployed.delete("Service", "velero-metrics");
    deployed.edit("Secret", "cloud-credentials", &json!({"data": {"creds": "b2xk"}}));
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(deployed.expect("Deployment", "velero")["spec"]["replicas"], 1);
    assert_eq!(deployed.expect("BackupStorageLocation", "default")["status"]["phase"], "Available");
    assert_ne!(deployed.expect("Secret", "cloud-credentials")["data"]["creds"], "b2xk");
    deployed.expect("Service", "velero-metrics");
}

#[test]
fn fields_that_another_manager_holds_are_taken_over() {
    // It edits a definition, which all models of a cluster share.
    let (_turn, world) = world::alone();
    let mut deployed = Deployed::with(world, "conflict", &trusted());
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "velero", "image": "example.test/other:1",
        "args": ["server", "--log-level=debug"]}]}}}});
    deployed.edit("Deployment", "velero", &image);
    deployed.edit(
        "CustomResourceDefinition",
        "backups.velero.io",
        &json!({"metadata": {"labels": {"component": "x"}}}),
    );
    deployed.update_status();
    let server = deployed.expect("Deployment", "velero");
    let container = &server["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "velero/velero:v1.18.3");
    assert_eq!(container["args"][1], "--features=");
    let definition = deployed.expect("CustomResourceDefinition", "backups.velero.io");
    assert_eq!(definition["metadata"]["labels"]["component"], "velero");
}

#[test]
fn killed_at_any_moment_the_next_hook_reaches_the_same_end() {
    for (name, moment) in [
        ("killed-early", Disturbance::KillAtTool("config-get")),
        ("killed-applying", Disturbance::KillAtTool("status-get")),
        ("killed-waiting", Disturbance::KillAfter(Duration::from_millis(300))),
    ] {
        let mut deployed = Deployed::new(name);
        let s3 = deployed.world.s3().clone();
        let bucket = deployed.world.bucket();
        let fields = [("bucket", bucket.as_str()), ("endpoint", &s3.endpoint), ("access-key", &s3.access_key)];
        let relation = deployed.relate("s3-credentials", "s3", &fields);
        deployed.model.disturb_next_run(moment);
        deployed.publish(relation, "s3-credentials", &[("secret-key", &s3.secret_key)]);
        deployed.update_status();
        let killed = deployed.records.iter().filter(|record| record.outcome.signal.is_some()).count();
        // On a fast machine the hook may have ended before its time was up.
        let least = usize::from(matches!(moment, Disturbance::KillAtTool(_)));
        assert!((least..=1).contains(&killed), "{name}: {killed}");
        assert_eq!(deployed.status(), "active: ready", "{name}");
        let before = deployed.versions();
        deployed.update_status();
        assert_eq!(deployed.versions(), before, "{name}");
    }
}

#[test]
fn a_refresh_to_the_same_charm_changes_nothing() {
    let mut deployed = Deployed::new("refreshed");
    deployed.relate_s3();
    let before = deployed.versions();
    let records = deployed.model.refresh(APPLICATION, &deployed.world.charm).unwrap();
    let hooks: Vec<_> = records.iter().map(|record| record.name.as_str()).collect();
    assert_eq!(hooks, ["stop", "upgrade-charm", "config-changed", "start"]);
    deployed.after(records);
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(deployed.versions(), before);
}
