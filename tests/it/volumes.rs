//! The files of volumes, backed up and restored by the real node agent.

use kube::api::PostParams;
use serde_json::{Value, json};

use crate::{
    deployed::Deployed,
    objects,
    workload::{Chosen, Workload},
};

/// Backs a workload up with its volume, loses it, and restores it.
pub fn back_and_forth(deployed: &Deployed, workload: &Workload) {
    let digest = back_up(deployed, workload);
    lose_and_restore(deployed, workload, &digest);
}

/// Backs a workload up with its volume. Returns the digest of what is in it.
pub fn back_up(deployed: &Deployed, workload: &Workload) -> Vec<u8> {
    let namespace = workload.namespace();
    let digest = workload.write();
    deployed.run_well(&format!("backup create {namespace} --include-namespaces {namespace} --wait"));
    let mut backed_up = deployed.list("PodVolumeBackup");
    backed_up.retain(|volume| volume["spec"]["pod"]["namespace"] == namespace);
    assert_eq!(backed_up.len(), 1, "{backed_up:?}");
    assert_eq!(backed_up[0]["status"]["phase"], "Completed");
    assert_eq!(backed_up[0]["spec"]["uploaderType"], "kopia");
    digest
}

fn lose_and_restore(deployed: &Deployed, workload: &Workload, digest: &[u8]) {
    let namespace = workload.namespace();
    workload.lose();
    deployed.run_well(&format!("restore create again-{namespace} --from-backup {namespace} --wait"));
    workload.runs();
    assert_eq!(workload.digest(), digest);
}

#[test]
fn all_volumes_are_backed_up_by_their_files_when_that_is_the_default() {
    let mut deployed = Deployed::new("volumes-by-default");
    deployed.relate_s3();
    deployed.configure_all(&[("use-node-agent", "true"), ("default-volumes-to-fs-backup", "true")]);
    assert_eq!(deployed.status(), "active: ready");
    let workload = Workload::new(deployed.world, "volumes-by-default-workload", Chosen::ByDefault);
    back_and_forth(&deployed, &workload);
}

/// Lets the server run with the rights that it had before this charm took them, as an older revision's or the Python charm's.
fn give_the_servers_rights_back(deployed: &Deployed) {
    let containers = |list: &str, name: &str| json!({list: [{"name": name, "securityContext": null}]});
    let server = &deployed.expect("Deployment", "velero")["spec"]["template"]["spec"];
    let plugin = server["initContainers"][0]["name"].as_str().unwrap();
    let mut spec = containers("containers", "velero");
    spec["initContainers"] = containers("initContainers", plugin)["initContainers"].clone();
    spec["securityContext"] = Value::Null;
    deployed.edit_by_strategy("Deployment", "velero", &json!({"spec": {"template": {"spec": spec}}}));
    deployed.until("Deployment", "velero", |server| {
        let (metadata, status) = (&server.unwrap()["metadata"], &server.unwrap()["status"]);
        let is_seen = status["observedGeneration"] == metadata["generation"];
        is_seen && ["replicas", "updatedReplicas", "availableReplicas"].iter().all(|count| status[count] == 1)
    });
}

#[test]
fn backups_of_volumes_of_a_server_with_more_rights_are_restored_by_one_with_less_which_keeps_their_repository() {
    let mut deployed = Deployed::new("volumes-of-before");
    deployed.relate_s3();
    deployed.configure_all(&[("use-node-agent", "true"), ("default-volumes-to-fs-backup", "true")]);
    give_the_servers_rights_back(&deployed);
    let workload = Workload::new(deployed.world, "volumes-of-before-workload", Chosen::ByDefault);
    let digest = back_up(&deployed, &workload);
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    let server = &deployed.expect("Deployment", "velero")["spec"]["template"]["spec"];
    assert_eq!(server["securityContext"]["runAsNonRoot"], true);
    lose_and_restore(&deployed, &workload, &digest);

    // The repository's maintenance is a job, which has the rights of the server.
    let repository = deployed.list("BackupRepository").pop().unwrap();
    let name = repository["metadata"]["name"].as_str().unwrap();
    deployed.edit("BackupRepository", name, &json!({"spec": {"maintenanceFrequency": "1s"}}));
    deployed.until("BackupRepository", name, |repository| {
        let recent = &repository.unwrap()["status"]["recentMaintenance"];
        recent.as_array().is_some_and(|runs| runs.iter().any(|run| run["result"] == "Succeeded"))
    });
    let job = deployed.list("Job").pop().unwrap();
    objects::make_namespace(deployed.world, "volumes-of-before-restricted");
    let enforced = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    deployed.edit("Namespace", "volumes-of-before-restricted", &enforced);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "maintenance"}, "spec": {
        "containers": job["spec"]["template"]["spec"]["containers"],
        "volumes": job["spec"]["template"]["spec"]["volumes"],
        "securityContext": job["spec"]["template"]["spec"]["securityContext"], "restartPolicy": "Never"}});
    let pods = objects::api(deployed.world, "volumes-of-before-restricted", "Pod");
    let tried = PostParams { dry_run: true, ..PostParams::default() };
    let pod = serde_json::from_value(pod).unwrap();
    deployed.world.runtime.block_on(pods.create(&tried, &pod)).unwrap();
}

#[test]
fn a_volume_that_its_pod_names_is_backed_up_and_without_a_node_agent_is_not_restored() {
    let mut deployed = Deployed::new("volumes-by-name");
    deployed.relate_s3();
    deployed.configure("use-node-agent", "true");
    let workload = Workload::new(deployed.world, "volumes-by-name-workload", Chosen::ByAnnotation);
    back_and_forth(&deployed, &workload);

    // Nothing hangs, and nothing says that all is well: Velero says what is missing.
    deployed.configure("use-node-agent", "false");
    assert_eq!(deployed.status(), "active: ready");
    workload.lose();
    let result = deployed.run(&format!("restore create without --from-backup {} --wait", workload.namespace()));
    assert!(result.message.contains("PartiallyFailed"), "{}: {:?}", result.message, result.results);
    let described = deployed.run_well("restore describe without");
    assert!(described.contains("check node agent status: daemonset not found"), "{described}");
}
