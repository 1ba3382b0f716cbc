//! Two models on one cluster, each with its Velero: what they share, and what they do not.

use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::{
    deployed::{APPLICATION, Deployed, trusted},
    objects, world,
};

const VERSION: &str = "velero-operator/velero-version";

/// Applies a definition as the charm of another model does, which brings another version of Velero.
fn apply_as_charm(deployed: &Deployed, name: &str, version: &str, change: impl FnOnce(&mut Value)) {
    let live = deployed.expect("CustomResourceDefinition", name);
    let mut definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": name, "labels": {"component": "velero"},
                     "annotations": {VERSION: version, "velero-operator/manifest": format!("of-{version}")}},
        "spec": {"group": live["spec"]["group"], "names": live["spec"]["names"], "scope": live["spec"]["scope"],
                 "versions": live["spec"]["versions"]},
    });
    change(&mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]);
    let api = objects::api(deployed.world, deployed.namespace(), "CustomResourceDefinition");
    let definition: DynamicObject = serde_json::from_value(definition).unwrap();
    let parameters = PatchParams::apply("velero-operator").force();
    deployed.world.runtime.block_on(api.patch(name, &parameters, &Patch::Apply(&definition))).unwrap();
}

fn spec_fields(definition: &Value) -> &Value {
    &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
}

#[test]
fn an_older_charm_leaves_the_definitions_of_a_newer_velero() {
    let (_turn, world) = world::alone();
    let mut older = Deployed::with(world, "older", &trusted());
    older.relate_s3();
    let newer = |fields: &mut Value| fields["fromTheFuture"] = json!({"type": "string"});
    apply_as_charm(&older, "backups.velero.io", "1.99.0", newer);
    // One that somebody else brings by other means, and says nothing about.
    let mut restores = older.expect("CustomResourceDefinition", "restores.velero.io");
    newer(&mut restores["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]);
    older.edit("CustomResourceDefinition", "restores.velero.io", &json!({"spec": restores["spec"]}));
    let before = older.versions();
    older.update_status();
    let blocked = "blocked: the CustomResourceDefinitions of the cluster are of Velero 1.99.0, this charm's are of 1.18: \
                   juju refresh velero-operator to a charm for Velero 1.99";
    assert_eq!(older.status(), blocked);
    assert_eq!(older.versions(), before);
    // Nor does a charm that is deployed now, or refreshed.
    let second = Deployed::with(world, "older-too", &trusted());
    assert!(second.status().starts_with("blocked: "), "{}", second.status());
    let records = older.model.refresh(APPLICATION, &world.charm).unwrap();
    older.after(records);
    assert_eq!(older.status(), blocked);
    for name in ["backups.velero.io", "restores.velero.io"] {
        let definition = older.expect("CustomResourceDefinition", name);
        assert_eq!(spec_fields(&definition)["fromTheFuture"]["type"], "string", "{name}");
    }
    older.run_well("backup create with-newer --include-namespaces default --wait");
    // A newer one of the same minor release is no reason to do anything.
    apply_as_charm(&older, "backups.velero.io", "1.18.99", newer);
    older.update_status();
    assert_eq!(older.status(), "active: ready");
    assert_eq!(
        spec_fields(&older.expect("CustomResourceDefinition", "backups.velero.io"))["fromTheFuture"]["type"],
        "string"
    );
    // The newer Velero goes: what it needed is not needed any more.
    for name in ["backups.velero.io", "restores.velero.io"] {
        apply_as_charm(&older, name, "1.17.0", |fields| {
            fields.as_object_mut().unwrap().remove("fromTheFuture");
        });
    }
}

#[test]
fn a_newer_charm_brings_its_definitions() {
    let (_turn, world) = world::alone();
    let mut deployed = Deployed::with(world, "newer", &trusted());
    deployed.relate_s3();
    let older = |fields: &mut Value| {
        fields.as_object_mut().unwrap().remove("volumeGroupSnapshotLabelKey").expect("a field that 1.16 does not know");
    };
    apply_as_charm(&deployed, "backups.velero.io", "1.16.2", older);
    let before = deployed.expect("CustomResourceDefinition", "backups.velero.io");
    assert!(spec_fields(&before)["volumeGroupSnapshotLabelKey"].is_null());
    deployed.update_status();
    let after = deployed.expect("CustomResourceDefinition", "backups.velero.io");
    assert_eq!(spec_fields(&after)["volumeGroupSnapshotLabelKey"]["type"], "string");
    assert_eq!(after["metadata"]["annotations"][VERSION], "1.18.3");
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(deployed.status(), "active: ready");
}

#[test]
fn definitions_without_their_label_are_found_and_kept() {
    let (_turn, world) = world::alone();
    let mut deployed = Deployed::with(world, "unlabelled", &trusted());
    let name = "schedules.velero.io";
    let before = deployed.uid("CustomResourceDefinition", name);
    deployed.edit("CustomResourceDefinition", name, &json!({"metadata": {"labels": {"component": null}}}));
    deployed.update_status();
    let after = deployed.expect("CustomResourceDefinition", name);
    assert_eq!(after["metadata"]["uid"], before.as_str());
    assert_eq!(after["metadata"]["labels"]["component"], "velero");
}

#[test]
fn each_velero_has_a_binding_of_its_own_and_one_goes_without_the_other() {
    // The CLI calls the binding of the namespace velero just so.
    let mut first = Deployed::new("velero");
    first.relate_s3();
    let mut second = Deployed::new("second-model");
    second.relate_s3();
    for (deployed, binding) in [(&first, "velero"), (&second, "velero-second-model")] {
        let subjects = deployed.expect("ClusterRoleBinding", binding)["subjects"].clone();
        let own = json!([{"kind": "ServiceAccount", "name": "velero", "namespace": deployed.namespace()}]);
        assert_eq!(subjects, own);
    }
    let before = second.versions();
    let records = first.model.remove_application(APPLICATION, false).unwrap();
    assert!(records.iter().all(sandbox::juju::HookRecord::success), "{records:?}");
    assert!(first.object("ClusterRoleBinding", "velero").is_none());
    assert_eq!(second.versions(), before);
    second.update_status();
    assert_eq!(second.status(), "active: ready");
    second.run_well("backup create alone --include-namespaces default --wait");
}

/// Edits the values that a field of a definition may have.
fn edit_values(deployed: &Deployed, name: &str, pointer: &str, change: impl FnOnce(&mut Vec<Value>)) {
    let mut versions = deployed.expect("CustomResourceDefinition", name)["spec"]["versions"].clone();
    let values = versions.pointer_mut(&format!("/0/schema/openAPIV3Schema/properties/{pointer}/enum")).unwrap();
    change(values.as_array_mut().unwrap());
    deployed.edit_as("kubectl", "CustomResourceDefinition", name, &json!({"spec": {"versions": versions}}));
}

fn values(deployed: &Deployed, name: &str, pointer: &str) -> Vec<Value> {
    let definition = deployed.expect("CustomResourceDefinition", name);
    let values = definition.pointer(&format!("/spec/versions/0/schema/openAPIV3Schema/properties/{pointer}/enum"));
    values.unwrap().as_array().unwrap().clone()
}

#[test]
fn definitions_of_a_velero_that_knew_what_later_ones_dropped_are_replaced() {
    let (_turn, world) = world::alone();
    let mut deployed = Deployed::with(world, "of-1-10", &trusted());
    deployed.relate_s3();
    let (downloads, kind) = ("downloadrequests.velero.io", "spec/properties/target/properties/kind");
    let (backups, phase) = ("backups.velero.io", "status/properties/phase");
    let (kinds, phases) = (values(&deployed, downloads, kind), values(&deployed, backups, phase));
    // As 1.10 has them.
    edit_values(&deployed, downloads, kind, |values| {
        values.retain(|value| value != "BackupVolumeInfos");
        values.push(json!("BackupItemSnapshots"));
    });
    edit_values(&deployed, backups, phase, |values| values.retain(|value| value != "Queued" && value != "Finalizing"));
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(values(&deployed, downloads, kind), kinds);
    assert_eq!(values(&deployed, backups, phase), phases);
}

#[test]
fn definitions_of_which_it_is_not_known_whose_they_are_block_until_somebody_decides() {
    let (_turn, world) = world::alone();
    let mut deployed = Deployed::with(world, "edited", &trusted());
    deployed.relate_s3();
    let (backups, phase) = ("backups.velero.io", "status/properties/phase");
    let phases = values(&deployed, backups, phase);
    edit_values(&deployed, backups, phase, |values| {
        values.retain(|value| value != "Queued");
        values.push(json!("OfNobody"));
    });
    let before = deployed.versions();
    deployed.update_status();
    assert_eq!(
        deployed.status(),
        "blocked: CustomResourceDefinition backups.velero.io lacks v1.status.phase=Queued and has v1.status.phase=OfNobody, \
         so it is unclear which Velero it is from: apply those of the cluster's newest Velero with its velero install --crds-only"
    );
    assert_eq!(deployed.versions(), before);
    edit_values(&deployed, backups, phase, |values| *values = phases);
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
}
