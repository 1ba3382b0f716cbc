//! The option `resource-policy`: what becomes of volumes in backups of applications, by the real server.

use serde_json::json;

use crate::{
    actions::TARGET,
    backups::{Client, only},
    deployed::Deployed,
    workload::{Chosen, Workload},
};

const POLICIES: &str = "velero-operator-resource-policy";

/// A policy for the volumes that the cluster has.
fn local(action: &str) -> String {
    format!(
        "version: v1\nvolumePolicies:\n- conditions: {{volumeTypes: [local], capacity: ',1Ti', pvcPhase: [Bound], \
         pvcAccessModes: [ReadWriteOnce]}}\n  action: {{type: {action}}}\n"
    )
}

/// Backs the application up. Returns of how many of its volumes the backup has the data.
fn back_up(deployed: &Deployed) -> String {
    let results = deployed.act_well("create-backup", &json!({"target": TARGET}));
    assert_eq!(results["volumes"], "1", "{results}");
    results["volumes-with-data"].as_str().unwrap().to_owned()
}

#[test]
fn velero_follows_the_policies_for_volumes_and_refuses_what_the_charm_refuses() {
    let mut deployed = Deployed::new("resource-policy");
    deployed.relate_s3();
    let workload = Workload::new(deployed.world, "resource-policy-workload", Chosen::ByDefault);
    let ledger = Client::relate(&mut deployed, "ledger");
    let kinds = ["persistentvolumeclaims", "persistentvolumes", "pods"];
    let spec =
        json!({"include_namespaces": [workload.namespace()], "schedule": "0 3 * * *", "include_resources": kinds});
    ledger.declare(&mut deployed, &spec);
    deployed.configure_all(&[("use-node-agent", "true"), ("resource-policy", &local("fs-backup"))]);
    deployed.assert_becomes_active();
    let named = json!({"kind": "configmap", "name": POLICIES});
    assert_eq!(deployed.expect("Schedule", &only(&deployed))["spec"]["template"]["resourcePolicy"], named);
    assert_eq!(back_up(&deployed), "1");
    let versions = deployed.everything();
    deployed.update_status();
    assert_eq!((deployed.status().as_str(), deployed.everything()), ("active: ready", versions));

    deployed.configure_all(&[("default-volumes-to-fs-backup", "true"), ("resource-policy", &local("skip"))]);
    deployed.assert_becomes_active();
    assert_eq!(back_up(&deployed), "0");

    // What cannot be read changes nothing, and is told in Velero's words.
    let before = deployed.expect("ConfigMap", POLICIES);
    deployed.configure("resource-policy", &local("ignore"));
    let blocked =
        "blocked: the option resource-policy: invalid action type ignore; or juju config --reset resource-policy";
    assert_eq!(deployed.status(), blocked);
    assert_eq!(deployed.expect("ConfigMap", POLICIES), before);
    let excluding = "version: v1\nincludeExcludePolicy: {excludedNamespaceScopedResources: [secrets]}\n";
    for (name, text) in [("ignoring", local("ignore")), ("excluding", excluding.to_owned())] {
        let metadata = json!({"name": name});
        deployed.create(
            "ConfigMap",
            &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": text}}),
        );
        let command =
            format!("backup create {name} --include-resources pods --resource-policies-configmap {name} --wait");
        let failed = deployed.run(&command);
        assert!(failed.message.contains("FailedValidation"), "{failed:?}");
    }
    let reasons = |name: &str| deployed.expect("Backup", name)["status"]["validationErrors"].to_string();
    assert!(reasons("ignoring").contains("invalid action type ignore"), "{}", reasons("ignoring"));
    assert!(reasons("excluding").contains("cannot be used with include-exclude policies"), "{}", reasons("excluding"));

    deployed.reset("resource-policy");
    deployed.assert_becomes_active();
    assert_eq!(deployed.object("ConfigMap", POLICIES), None);
    let template = &deployed.expect("Schedule", &only(&deployed))["spec"]["template"];
    assert_eq!(template.get("resourcePolicy"), None);
}
