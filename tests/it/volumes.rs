//! The files of volumes, backed up and restored by the real node agent.

use crate::{
    deployed::Deployed,
    workload::{Chosen, Workload},
};

/// Backs a workload up with its volume, loses it, and restores it.
pub fn back_and_forth(deployed: &Deployed, workload: &Workload) {
    let namespace = workload.namespace();
    let digest = workload.write();
    deployed.run_well(&format!("backup create {namespace} --include-namespaces {namespace} --wait"));
    let mut backed_up = deployed.list("PodVolumeBackup");
    backed_up.retain(|volume| volume["spec"]["pod"]["namespace"] == namespace);
    assert_eq!(backed_up.len(), 1, "{backed_up:?}");
    assert_eq!(backed_up[0]["status"]["phase"], "Completed");
    assert_eq!(backed_up[0]["spec"]["uploaderType"], "kopia");
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
