//! What somebody else does to the charm's objects: the next hook mends what is the charm's, and leaves what is theirs.

use serde_json::{Value, json};

use crate::{
    deployed::{Deployed, trusted},
    world,
};

/// Every object of an installation with storage and the node agent, the definitions apart.
fn objects(deployed: &Deployed) -> [(&'static str, String); 7] {
    [
        ("Deployment", "velero".to_owned()),
        ("DaemonSet", "node-agent".to_owned()),
        ("Service", "velero-metrics".to_owned()),
        ("ServiceAccount", "velero".to_owned()),
        ("ClusterRoleBinding", format!("velero-{}", deployed.namespace())),
        ("Secret", "cloud-credentials".to_owned()),
        ("BackupStorageLocation", "default".to_owned()),
    ]
}

fn whole(name: &str) -> Deployed {
    let mut deployed = Deployed::new(name);
    deployed.configure("use-node-agent", "true");
    deployed.relate_s3();
    assert_eq!(deployed.status(), "active: ready");
    deployed
}

/// What an object says, without what the API server and controllers write into it.
fn content(object: &Value) -> Value {
    let mut object = object.clone();
    let fields = object.as_object_mut().unwrap();
    fields.remove("status");
    let metadata = fields.remove("metadata").unwrap();
    for address in ["clusterIP", "clusterIPs"] {
        fields.get_mut("spec").and_then(Value::as_object_mut).map(|spec| spec.remove(address));
    }
    json!({"labels": metadata["labels"], "rest": object})
}

#[test]
fn every_edited_object_is_mended_and_what_others_added_is_left() {
    let mut deployed = whole("edited");
    let wanted = objects(&deployed).map(|(kind, name)| (kind, content(&deployed.expect(kind, &name)), name));
    let mut server = deployed.expect("Deployment", "velero")["spec"]["template"]["spec"]["containers"].clone();
    server[0]["args"] = json!(["server", "--log-level=debug"]);
    server[0]["image"] = json!("velero/velero:v0.0.0-none");
    for variable in server[0]["env"].as_array_mut().unwrap() {
        if variable["name"] == "VELERO_SCRATCH_DIR" {
            variable["value"] = json!("/elsewhere");
        }
    }
    deployed.edit(
        "Deployment",
        "velero",
        &json!({"spec": {"replicas": 0, "template": {"spec": {"containers": server}}}}),
    );
    let mut agent = deployed.expect("DaemonSet", "node-agent")["spec"]["template"]["spec"]["containers"].clone();
    agent[0]["args"] = json!(["node-agent", "server", "--log-level=debug"]);
    deployed.edit("DaemonSet", "node-agent", &json!({"spec": {"template": {"spec": {"containers": agent}}}}));
    deployed.edit(
        "Service",
        "velero-metrics",
        &json!({"spec": {"selector": {"tier": "none"},
        "ports": [{"name": "metrics", "port": 9999, "targetPort": 9999}]}}),
    );
    deployed.edit("ServiceAccount", "velero", &json!({"metadata": {"labels": {"component": null}}}));
    let subjects = json!([{"kind": "ServiceAccount", "name": "default", "namespace": deployed.namespace()}]);
    deployed.edit("ClusterRoleBinding", "velero-edited", &json!({"subjects": subjects}));
    deployed.edit("Secret", "cloud-credentials", &json!({"data": {"creds": "b2xk"}}));
    deployed.edit(
        "BackupStorageLocation",
        "default",
        &json!({"spec": {
        "objectStorage": {"bucket": "another", "prefix": "elsewhere"}, "config": {"region": "eu-north-1"}}}),
    );
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    for (kind, content_before, name) in &wanted {
        assert_eq!(content(&deployed.expect(kind, name)), *content_before, "{kind}");
    }
    // The location alone, too: nothing but its own spec says that it is not what it should be.
    deployed.edit("BackupStorageLocation", "default", &json!({"spec": {"config": {"region": "eu-north-1"}}}));
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(deployed.expect("BackupStorageLocation", "default")["spec"]["config"]["region"], "us-east-1");

    for (kind, name) in objects(&deployed) {
        deployed.edit(kind, &name, &json!({"metadata": {"labels": {"theirs": "1"}, "annotations": {"theirs": "2"}}}));
    }
    let theirs = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "velero"},
        "spec": {"template": {"metadata": {"annotations": {"theirs": "3"}}, "spec": {"containers": [
            {"name": "velero", "env": [{"name": "THEIRS", "value": "4"}]}]}}}});
    deployed.apply_as_somebody("Deployment", "velero", &theirs);
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    let before = deployed.standing();
    deployed.edit("Deployment", "velero", &json!({"spec": {"replicas": 0}}));
    deployed.delete("Service", "velero-metrics");
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    for (kind, name) in objects(&deployed) {
        let metadata = &deployed.expect(kind, &name)["metadata"];
        let kept = (&metadata["labels"]["theirs"], &metadata["annotations"]["theirs"]);
        // The Service was deleted with what they had added, and nobody else has a say in the Secret.
        let gone = matches!(kind, "Service" | "Secret");
        let expected = if gone { (&Value::Null, &Value::Null) } else { (&json!("1"), &json!("2")) };
        assert_eq!(kept, expected, "{kind}");
    }
    let template = &deployed.expect("Deployment", "velero")["spec"]["template"];
    assert_eq!(template["metadata"]["annotations"]["theirs"], "3");
    assert!(template["spec"]["containers"][0]["env"].to_string().contains("THEIRS"), "{template}");
    let untouched =
        |name: &str| name.starts_with("DaemonSet") || name.starts_with("Secret") || name.contains("Location");
    for (name, version) in before.iter().filter(|(name, _)| untouched(name)) {
        assert_eq!(deployed.standing().get(name), Some(version), "{name}");
    }
}

#[test]
fn every_deleted_object_is_made_again() {
    let mut deployed = whole("deleted");
    for (kind, name) in objects(&deployed) {
        deployed.delete(kind, &name);
    }
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    for (kind, name) in objects(&deployed) {
        deployed.expect(kind, &name);
    }
    let before = deployed.standing();
    deployed.update_status();
    assert_eq!(deployed.standing(), before);

    // Pods that run go on with the token of an account that is not there any more.
    deployed.delete("ServiceAccount", "velero");
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    assert!(deployed.pods().keys().all(|name| !before.contains_key(name)), "{before:?} {:?}", deployed.pods());
    deployed.run_well("backup create after --include-namespaces default --wait");
    deployed.until_phase("Backup", "after", "Completed");
}

#[test]
fn what_cannot_be_changed_is_made_anew() {
    let mut deployed = whole("fixed-fields");
    let namespace = deployed.namespace().to_owned();
    let binding = format!("velero-{namespace}");
    let account = json!({"kind": "ServiceAccount", "name": "velero", "namespace": namespace});
    deployed.delete("ClusterRoleBinding", &binding);
    deployed.create(
        "ClusterRoleBinding",
        &json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": binding},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [account]}),
    );
    deployed.delete("Secret", "cloud-credentials");
    deployed.create(
        "Secret",
        &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cloud-credentials"},
        "type": "example.test/other", "immutable": true, "data": {"creds": "b2xk"}}),
    );
    deployed.delete("Deployment", "velero");
    deployed.until("Deployment", "velero", |object| object.is_none());
    let labels = json!({"app": "another"});
    deployed.create(
        "Deployment",
        &json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "velero"},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "velero", "image": "busybox:1.36"}]}}}}),
    );
    deployed.update_status();
    assert_eq!(deployed.status(), "active: ready");
    assert_eq!(deployed.expect("ClusterRoleBinding", &binding)["roleRef"]["name"], "cluster-admin");
    let secret = deployed.expect("Secret", "cloud-credentials");
    assert_eq!((&secret["type"], &secret["immutable"]), (&json!("Opaque"), &Value::Null));
    assert_eq!(deployed.expect("Deployment", "velero")["spec"]["selector"]["matchLabels"]["deploy"], "velero");
}

#[test]
fn a_snapshot_location_is_mended_and_the_backup_location_not_touched_for_it() {
    let mut deployed = Deployed::new("snapshot-location");
    let fields = [
        ("bucket", "backups-of-nobody"),
        ("endpoint", "https://s3.eu-west-3.amazonaws.com"),
        ("region", "eu-west-3"),
        ("access-key", "key"),
        ("secret-key", "secret"),
    ];
    // Nothing of this machine reaches AWS, which is no reason to have no location for its snapshots.
    deployed.relate("s3-credentials", "s3", &fields);
    let (kind, name) = ("VolumeSnapshotLocation", "default");
    let wanted = content(&deployed.expect(kind, name));
    assert_eq!(wanted["rest"]["spec"]["config"]["region"], "eu-west-3");
    deployed.update_status();
    let mut before = deployed.standing();
    deployed.edit(kind, name, &json!({"spec": {"provider": "other", "config": {"region": "eu-north-1"}}}));
    deployed.update_status();
    assert_eq!(content(&deployed.expect(kind, name)), wanted);
    deployed.delete(kind, name);
    deployed.update_status();
    assert_eq!(content(&deployed.expect(kind, name)), wanted);
    let mut after = deployed.standing();
    for standing in [&mut before, &mut after] {
        standing.remove("VolumeSnapshotLocation default");
    }
    assert_eq!(after, before);
}

#[test]
fn an_edited_definition_is_mended_and_an_annotation_on_it_is_no_conflict() {
    let (_turn, world) = world::alone();
    let mut deployed = Deployed::with(world, "edited-definition", &trusted());
    let name = "backups.velero.io";
    let before = deployed.expect("CustomResourceDefinition", name)["spec"].clone();
    let mut versions = before["versions"].clone();
    let fields = &mut versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    fields.as_object_mut().unwrap().remove("ttl");
    fields["storageLocation"]["type"] = json!("integer");
    deployed.edit("CustomResourceDefinition", name, &json!({"spec": {"versions": versions}}));
    let annotated = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": name, "annotations": {"theirs": "1"}}});
    deployed.apply_as_somebody("CustomResourceDefinition", name, &annotated);
    let record = deployed.update_status();
    assert!(record.success(), "{record:?}");
    let after = deployed.expect("CustomResourceDefinition", name);
    assert_eq!(after["spec"], before);
    assert_eq!(after["metadata"]["annotations"]["theirs"], "1");
    let records = deployed.model.refresh("velero-operator", &deployed.world.charm).unwrap();
    assert!(records.iter().all(sandbox::juju::HookRecord::success), "{records:?}");
    assert_eq!(deployed.expect("CustomResourceDefinition", name)["metadata"]["annotations"]["theirs"], "1");
}
