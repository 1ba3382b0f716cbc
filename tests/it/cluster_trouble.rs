//! Definitions that are missing or on their way out: these tests have a cluster for themselves.

use sandbox::images;
use serde_json::json;

use crate::{
    deployed::{Deployed, trusted},
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
