//! Definitions that are missing or on their way out, for which a test has a cluster for itself; and what the cluster refuses by
//! the rules of its administrators.

use sandbox::{
    images,
    juju::{DeployOptions, HookRecord},
};
use serde_json::json;

use crate::{
    admission::{Does, Policy, workload},
    deployed::{APPLICATION, Deployed, trusted},
    world,
};

#[test]
fn a_missing_definition_is_made_again() {
    let (_turn, world) = world::alone();
    let mut deployed = Deployed::with(world, "missing-definition", &trusted());
    deployed.relate_s3();
    deployed.delete("CustomResourceDefinition", "backupstoragelocations.velero.io");
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(deployed.expect("BackupStorageLocation", "default")["status"]["phase"], "Available");
}

#[test]
fn a_definition_that_is_still_being_deleted_is_waited_for_and_the_server_moves_after_it() {
    let (_turn, world) = world::alone();
    let mut deployed = Deployed::with(world, "terminating-definition", &trusted());
    deployed.relate_s3();
    let newer = "velero/velero:newer";
    let node = world.cluster.node();
    world.runtime.block_on(node.tag_image(&images::velero_name(), &format!("docker.io/{newer}"))).unwrap();
    let server_image = |deployed: &Deployed| {
        deployed.expect("Deployment", "velero")["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    let name = "downloadrequests.velero.io";
    let held = json!({"metadata": {"finalizers": ["example.test/held-by-the-test"]}});
    deployed.edit("CustomResourceDefinition", name, &held);
    deployed.delete("CustomResourceDefinition", name);
    deployed.configure("velero-image", newer);
    let (while_it_goes, image_while_it_goes) = (deployed.status(), server_image(&deployed));
    deployed.edit("CustomResourceDefinition", name, &json!({"metadata": {"finalizers": null}}));
    assert_eq!(while_it_goes, format!("waiting: for CustomResourceDefinition {name} to be deleted, to make it anew"));
    assert_eq!(image_while_it_goes, "velero/velero:v1.18.3");
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(server_image(&deployed), newer);
    let definition = deployed.expect("CustomResourceDefinition", name);
    assert!(definition["metadata"]["deletionTimestamp"].is_null());
}

#[test]
fn a_quota_is_told_in_the_servers_words_and_keeps_nothing_else_from_working() {
    // The quota is there before the first hook, and after Juju has made its own Services.
    let mut deployed = Deployed::with(world::shared(), "quota", &DeployOptions { units: 0, ..trusted() });
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "no-services"},
        "spec": {"hard": {"services": "0"}}});
    deployed.create("ResourceQuota", &quota);
    deployed.until("ResourceQuota", "no-services", |quota| {
        quota.is_some_and(|quota| quota["status"]["hard"]["services"] == "0" && !quota["status"]["used"].is_null())
    });
    let records = deployed.model.add_unit(APPLICATION).unwrap();
    assert!(records.iter().all(HookRecord::success), "{records:?}");
    deployed.after(records);
    let refused = "blocked: the cluster refuses to apply Service velero-metrics: services \"velero-metrics\" is forbidden: \
                   exceeded quota: no-services, requested: services=1, used: services=2, limited: services=0";
    assert_eq!(deployed.status(), refused);
    deployed.relate_s3();
    assert_eq!(deployed.status(), refused);
    assert_eq!(deployed.expect("BackupStorageLocation", "default")["status"]["phase"], "Available");
    deployed.run_well("backup create despite-quota --include-namespaces default --wait");
    deployed.delete("ResourceQuota", "no-services");
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    deployed.expect("Service", "velero-metrics");
}

/// A policy that refuses every DaemonSet of that name.
fn no_node_agents(deployed: &Deployed) -> Policy {
    let denial = "nothing reads the volumes of others here";
    let does = Does::Refuse { unless: "object.metadata.name != 'node-agent'", message: denial };
    let is_denied = |answer: kube::Result<_>| answer.is_err_and(|error| error.to_string().contains(denial));
    Policy::new(deployed, "daemonsets", does).in_force("DaemonSet", &workload("DaemonSet", "node-agent"), is_denied)
}

#[test]
fn a_policy_is_told_in_its_words_and_what_runs_stays() {
    let mut deployed = Deployed::new("policy");
    deployed.relate_s3();
    assert_eq!(deployed.status(), "active: ready");
    let refused = "blocked: the cluster refuses to apply DaemonSet node-agent: daemonsets.apps \"node-agent\" is forbidden: \
                   ValidatingAdmissionPolicy 'policy-daemonsets' with binding 'policy-daemonsets' denied request: nothing reads \
                   the volumes of others here";
    let server = deployed.uid("Deployment", "velero");
    let in_force = no_node_agents(&deployed);
    let records = deployed.model.configure(APPLICATION, "use-node-agent", "true").unwrap();
    assert!(records.iter().all(HookRecord::success), "{records:?}");
    assert_eq!(deployed.status(), refused);
    assert!(deployed.object("DaemonSet", "node-agent").is_none());
    assert_eq!(deployed.uid("Deployment", "velero"), server);
    deployed.run_well("backup create despite-policy --include-namespaces default --wait");
    in_force.lift("DaemonSet", &workload("DaemonSet", "node-agent"), |answer| answer.is_ok());
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");

    // A node agent that is there already is not given up for one that the policy would not let come.
    let agent = deployed.uid("DaemonSet", "node-agent");
    let mut containers = deployed.expect("DaemonSet", "node-agent")["spec"]["template"]["spec"]["containers"].clone();
    containers[0]["args"] = json!(["node-agent", "server", "--log-level=debug"]);
    deployed.edit("DaemonSet", "node-agent", &json!({"spec": {"template": {"spec": {"containers": containers}}}}));
    let in_force = no_node_agents(&deployed);
    let records = deployed.model.update_status().unwrap();
    assert!(records.iter().all(HookRecord::success), "{records:?}");
    assert_eq!(deployed.status(), refused);
    assert_eq!(deployed.uid("DaemonSet", "node-agent"), agent);
    drop(in_force);
}
